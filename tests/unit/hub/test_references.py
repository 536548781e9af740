"""hub/references.py: events that refer to others are checked before any of them is stored."""

import asyncio
from collections.abc import Sequence

from eventhub.errors import BrokerUnavailable, EventHubError
from eventhub.events.event import Event, HistoryPage, NewEvent, Position, Receipt, Start
from eventhub.events.references import Reference, Relation
from eventhub.hub.references import ReferringPublisher
from eventhub.observability.tracing import PublishSpan

EDIT = Reference(Position("e", 7), Relation.EDIT, "ana", moderates=False)


class Log:
    """A channel's log whose event e-7 is ana's."""

    def __init__(self, *, away: bool = False, step: int = 1) -> None:
        self.away = away
        self.asked: list[tuple[str, Start, int]] = []
        self.stored: list[Sequence[NewEvent]] = []
        self.told: list[tuple[str, str]] = []
        self.publisher = ReferringPublisher(self, step)

    async def publish(
        self, events: Sequence[NewEvent], traces: Sequence[PublishSpan] = ()
    ) -> Sequence[Receipt | EventHubError]:
        self.stored.append(events)
        return [Receipt(Position("e", 10 + at), 0) for at in range(len(events))]

    async def history(self, channel: str, since: Start, limit: int) -> HistoryPage:
        self.asked.append((channel, since, limit))
        if self.away:
            raise BrokerUnavailable("away")
        start = Position("e", 6)
        return HistoryPage(start, [Event("c", "e", 7, 6, 0, b"1", {"by": "ana"})], start)

    def rejected(self, channel: str, error: EventHubError) -> None:
        self.told.append((channel, error.code))

    def outcomes(self, *references: Reference | None) -> list[str]:
        """Publishes an event for each; the ids or the codes of their results."""
        events = [NewEvent("c", str(at).encode(), 0) for at in range(len(references))]
        outcomes = asyncio.run(self.publisher.publish(events, references))
        return [
            outcome.code if isinstance(outcome, EventHubError) else str(outcome.position)
            for outcome in outcomes
        ]


def test_the_target_alone_is_read() -> None:
    log = Log()
    assert log.outcomes(EDIT) == ["e-10"]
    assert log.asked == [("c", Position("e", 6), 1)]


def test_where_offsets_have_a_remainder_the_page_begins_at_the_multiple_before() -> None:
    log = Log(step=5)
    assert log.outcomes(EDIT) == ["e-10"]
    assert log.asked == [("c", Position("e", 5), 1)]


def test_refused_events_are_left_out_and_the_others_keep_their_order() -> None:
    log = Log()
    stranger, missing = EDIT._replace(author="rui"), EDIT._replace(target=Position("e", 8))
    assert log.outcomes(None, stranger, EDIT, missing, None) == [
        "e-10", "forbidden", "e-11", "not_found", "e-12",
    ]  # fmt: skip
    assert [[event.data for event in events] for events in log.stored] == [[b"0", b"2", b"4"]]
    assert log.told == [("c", "forbidden"), ("c", "not_found")]


def test_the_event_of_another_epoch_at_that_offset_is_not_the_target() -> None:
    log = Log()
    assert log.outcomes(EDIT._replace(target=Position("f", 7))) == ["not_found"]
    assert log.stored == []


def test_while_the_broker_is_away_the_result_says_so() -> None:
    assert Log(away=True).outcomes(EDIT, None) == ["broker_unavailable", "e-10"]
