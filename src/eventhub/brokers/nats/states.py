"""States, as a node reads them out of the logs of channels (brokers/states.py)."""

from eventhub.brokers.memory_state import Ledger, MemoryState
from eventhub.brokers.nats.log import NatsLog
from eventhub.brokers.nats.log_page import read_page
from eventhub.events.event import Earliest, HistoryPage, Position, State

READ_EVENTS = 1000
"""Events of a log that are read at once."""


async def read_state(
    log: NatsLog, since: State, limit: int, now: int, announced: Position | None
) -> HistoryPage:
    """A page of the state of a log. Raises JetStreamError, BrokerUnavailable."""
    page = await read_page(log, Earliest(), READ_EVENTS, now, announced)
    if log.retention.state is None:
        return HistoryPage(page.end, [], page.end, following=State(page.end))
    state = MemoryState(log.retention.state, page.start.offset, Ledger())
    end = page.end
    while True:
        for event in page.events:
            state.add(event)
        if page.reached == page.end or page.lost or page.reached.offset >= end.offset:
            break
        page = await read_page(log, page.reached, READ_EVENTS, now, announced)
    return state.page(since, page.end if page.reached == page.end else end, limit)
