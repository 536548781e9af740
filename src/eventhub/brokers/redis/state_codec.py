"""How pages are asked for and read: of a log, or of a state (state_page.lua). No I/O."""

from collections.abc import Sequence
from typing import Any

from eventhub.brokers.base import PAGE_BYTES
from eventhub.brokers.records import RecordReader
from eventhub.brokers.redis.codec import (
    DAY,
    HISTORY,
    STATE,
    KeyNames,
    history_arguments,
    lifetimes,
    read_page,
    read_rows,
)
from eventhub.events.channel_types import Retention, StateRetention
from eventhub.events.event import ABSENT, Earliest, HistoryPage, Position, Start, State


def page_request(
    names: KeyNames, channel: str, since: Start, limit: int, retention: Retention, now: int
) -> Sequence[str | bytes | int]:
    """The script that reads a page, and its arguments."""
    if isinstance(since, State):
        return [STATE.sha, *state_arguments(names, channel, since, limit, retention, now)]
    return [HISTORY.sha, *history_arguments(names, channel, since, limit, retention, now)]


def keep_request(
    names: KeyNames, channel: str, retention: Retention, now: int, *, keep: bool
) -> Sequence[str | bytes | int]:
    """The script that keeps the metadata of a channel, and its arguments."""
    arguments = history_arguments(names, channel, Earliest(), 0, retention, now, keep=keep)
    return [HISTORY.sha, *arguments]


def read_any_page(
    channel: str, since: Start, answer: Sequence[Any], records: RecordReader
) -> HistoryPage:
    """The page in the script's answer."""
    read = read_state_page if isinstance(since, State) else read_page
    return read(channel, answer, records)


def state_arguments(
    names: KeyNames, channel: str, since: State, limit: int, retention: Retention, now: int
) -> Sequence[str | bytes | int]:
    """KEYS and ARGV of state_page.lua, preceded by the number of keys."""
    state = retention.state or StateRetention()
    position = since.position or ABSENT
    keys = [names.metadata(channel), names.log(channel), names.epoch(channel)]
    keys += names.states(channel)
    ages = [-1 if age is None else age for age in (retention.age, state.age)]
    return [
        len(keys),
        *keys,
        *position,
        since.begun,
        limit,
        PAGE_BYTES,
        now,
        ages[0],
        int(state.latest),
        ages[1],
        lifetimes(retention)[1] or DAY,
    ]


def read_state_page(channel: str, answer: Sequence[Any], records: RecordReader) -> HistoryPage:
    """The page in an answer of state_page.lua."""
    epoch, end, lost = answer[0].decode(), answer[1], answer[3].decode() or None
    start, begun, more = Position(epoch, answer[2]), answer[4], answer[5]
    rows = read_rows(channel, epoch, start.offset, answer[6:], width=2)
    page = records.page(channel, start, rows, Position(epoch, end), lost)
    cut = len(page.events) < len(answer[6:]) // 2 and page.reached.offset < int(
        answer[-2].partition(b"-")[0]
    )
    reached = page.reached if more or cut else page.end
    begin = page.start if page.events else reached
    return HistoryPage(begin, page.events, page.end, page.lost, State(reached, begun))
