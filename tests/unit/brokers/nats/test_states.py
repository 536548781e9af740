"""brokers/nats/states.py: states that are folded from a log and from copies of newest events."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from eventhub.brokers.nats import states as states_module
from eventhub.brokers.nats.answers import JetStreamError
from eventhub.brokers.nats.log import NatsLog
from eventhub.brokers.nats.message import offset_of
from eventhub.brokers.nats.states import NatsStates
from eventhub.brokers.nats.streams import NatsStreams
from eventhub.brokers.nats.subjects import LEEWAY
from eventhub.events.channel_types import Retention, StateRetention
from eventhub.events.event import KEY, HistoryPage, NewEvent, Position, Receipt, State
from eventhub.events.keys import key_of
from tests.harness.loop import in_loop
from tests.unit.brokers.nats.jetstream import Stored
from tests.unit.brokers.nats.links import STREAM, SUBJECTS, add_stream, linked, log_on
from tests.unit.brokers.nats.server import FakeNats

EPOCH, STAMP, NOW, AGE = STREAM[-8:], 7, 100_000, 1000
IN_LOG = Retention(10, None, StateRetention())
LATEST = Retention(2, None, StateRetention(latest=True))
AGED = Retention(2, None, StateRetention(latest=True, age=AGE))
NOTHING = {"error": {"code": 404, "err_code": 10037, "description": "no message found"}}
Newest = tuple[NewEvent, Receipt]


class Node:
    """The states of one node, and the server behind them."""

    def __init__(self, server: FakeNats, log: NatsLog, states: NatsStates) -> None:
        self.server, self.log, self.states = server, log, states

    def put(self, key: str, time: int = NOW, channel: str = "log.a") -> Newest:
        """Store an event, without a copy."""
        subject = f"p.log.{channel}"
        stream = self.server.jetstream.taking(subject)
        assert stream is not None
        headers = {"EventHub": f"{STAMP} {time}", "EventHub-Attributes": json.dumps({KEY: key})}
        data = b'"%b"' % key.encode()
        answer = self.server.jetstream.store(stream, subject, headers, data)
        position = Position(EPOCH, offset_of(answer["seq"], STAMP))
        return NewEvent(channel, data, time, {KEY: key}), Receipt(position, time)

    async def put_all(self, keys: str, time: int = NOW) -> list[Position]:
        """Store events one after the other, and copy each. Returns their positions."""
        stored = [self.put(key, time) for key in keys]
        for each in stored:
            await self.states.keep([each])
        return [receipt.position for _, receipt in stored]

    def lose(self, count: int) -> None:
        """The oldest messages of the log."""
        stream = self.server.jetstream.stream("log-log")
        gone = [each.sequence for each in stream.messages[:count]]
        stream.remove(lambda each: each.sequence in gone)

    @property
    def copies(self) -> list[Stored]:
        return self.server.jetstream.stream("state").messages

    async def page(self, since: State | None = None, limit: int = 100) -> HistoryPage:
        return await self.states.page("log.a", self.log, since or State(), limit, NOW)

    def restart(self) -> None:
        """It forgets what it has folded."""
        self.states._folds.clear()


@asynccontextmanager
async def node(retention: Retention) -> AsyncIterator[Node]:
    server = FakeNats()
    add_stream(server, max_msgs_per_subject=LEEWAY + 1)
    async with linked(server) as link:
        streams = NatsStreams(link, SUBJECTS, lambda _: retention, None, -1)
        log = log_on(link).with_retention(retention)
        yield Node(server, log, NatsStates(link, streams, SUBJECTS))


def keys(page: HistoryPage) -> str:
    return "".join(map(key_of, page.events))


@in_loop
async def test_a_state_is_folded_in_pages_and_goes_on_where_it_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(states_module, "READ_EVENTS", 2)
    async with node(IN_LOG) as one:
        for key in "abcab":
            one.put(key)
        assert keys(await one.page()) == "cab"
        folded = one.states._folds["log.a"]
        for key in "cde":
            one.put(key)
        page = await one.page()
        assert keys(page) == "abcde"
        assert page.end == page.reached == page.events[-1].position
        assert one.states._folds["log.a"] is folded


@in_loop
async def test_a_type_without_keys_has_an_empty_state_at_the_end_of_the_log() -> None:
    async with node(Retention(10, None)) as one:
        _, receipt = one.put("a")
        page = await one.page()
        assert (page.events, page.end, page.reached) == ([], receipt.position, receipt.position)
        assert page.following == State(receipt.position)


@in_loop
async def test_without_latest_entries_leave_with_their_events() -> None:
    async with node(Retention(2, None, StateRetention())) as one:
        for key in "abcd":
            one.put(key)
        assert keys(await one.page()) == "cd"
        one.put("e")
        assert keys(await one.page()) == "de"


@in_loop
async def test_copies_and_what_the_log_still_has_are_the_state_in_the_order_of_the_log() -> None:
    async with node(LATEST) as one:
        await one.put_all("abc")
        one.put("d")  # its publisher died before it wrote a copy
        one.put("a")
        await one.put_all("e")
        one.lose(3)
        one.restart()
        page = await one.page()
        assert keys(page) == "bcdae"
        assert b"".join(event.data for event in page.events) == b'"b""c""d""a""e"'
        assert [event.offset for event in page.events] == [
            offset_of(sequence, STAMP) for sequence in (2, 3, 4, 5, 6)
        ]


@in_loop
async def test_many_copies_are_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states_module, "READ_EVENTS", 2)
    async with node(LATEST) as one:
        await one.put_all("abcdefg")
        one.lose(6)
        assert keys(await one.page()) == "abcdefg"


@in_loop
async def test_a_copy_is_of_the_newest_event_of_its_key() -> None:
    async with node(LATEST) as one:
        old, new, other = one.put("a"), one.put("a"), one.put("b")
        await one.states.keep([old, new, other])
        assert sorted(each.data for each in one.copies) == [b'"a"', b'"b"']
        offsets = sorted(each.headers["EventHub-Offset"] for each in one.copies)
        assert offsets == [f"{EPOCH} {receipt.position.offset}" for _, receipt in (new, other)]
        assert {each.headers["Nats-Expected-Stream"][:10] for each in one.copies} == {"p-state-lo"}
        sequence = one.server.jetstream.stream("state").last
        await one.states.keep([old])
        await one.states.keep([new])
        assert one.server.jetstream.stream("state").last == sequence, "neither is newer"


@in_loop
async def test_channels_have_their_own_copies() -> None:
    async with node(LATEST) as one:
        await one.states.keep([one.put("a"), one.put("a", channel="log.b")])
        assert len(one.copies) == 2


@in_loop
async def test_a_copy_of_another_log_is_replaced_and_in_no_state() -> None:
    async with node(LATEST) as one:
        event, receipt = one.put("a")
        other = Position("other", receipt.position.offset + 999)
        await one.states.keep([(event, receipt._replace(position=other))])
        one.lose(1)
        assert keys(await one.page()) == ""
        await one.states.keep([(event, receipt)])
        one.restart()
        assert keys(await one.page()) == "a"


@in_loop
async def test_a_publisher_that_another_one_overtook_looks_again() -> None:
    async with node(LATEST) as one:
        old, new = one.put("a"), one.put("a")
        await one.states.keep([old])
        looks: list[str] = []

        def stale(subject: str, body: bytes) -> Mapping[str, Any]:
            looks.append(subject)
            if len(looks) == 1:
                return NOTHING
            return one.server.jetstream.api(subject, body)

        one.server.answers["STREAM.MSG.GET"] = stale
        await one.states.keep([new])
        assert len(looks) == 2
        (copy,) = one.copies
        assert copy.headers["EventHub-Offset"].endswith(f" {new[1].position.offset}")


@pytest.mark.parametrize("where", ["STREAM.MSG.GET", "p.state"])
@in_loop
async def test_any_other_refusal_is_raised(where: str) -> None:
    async with node(LATEST) as one:
        stored = one.put("a")
        full = {"error": {"code": 503, "err_code": 10023, "description": "no resources"}}
        one.server.answers[where] = lambda subject, body: full
        with pytest.raises(JetStreamError, match="no resources"):
            await one.states.keep([stored])


@in_loop
async def test_folds_that_were_not_read_for_longest_are_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(states_module, "FOLDS", 2)
    async with node(IN_LOG) as one:
        for channel in ("a", "b", "a", "c"):
            await one.states.page(channel, one.log, State(), 10, NOW)
        assert list(one.states._folds) == ["a", "c"]


@in_loop
async def test_a_fold_that_the_log_has_left_behind_begins_again() -> None:
    async with node(IN_LOG) as one:
        one.put("a")
        first = await one.page()
        one.put("b")
        one.put("c")
        one.lose(2)
        page = await one.page()
        assert (keys(first), keys(page)) == ("a", "c")


@in_loop
async def test_what_the_log_lost_since_a_fold_is_taken_from_the_copies() -> None:
    async with node(LATEST) as one:
        await one.put_all("a")
        assert keys(await one.page()) == "a"
        await one.put_all("bc")
        one.lose(2)
        assert keys(await one.page()) == "abc"


@in_loop
async def test_keys_that_are_too_old_are_not_in_the_state() -> None:
    async with node(AGED) as one:
        (old,) = await one.put_all("a", NOW - AGE - 1)
        (edge,) = await one.put_all("b", NOW - AGE)
        await one.put_all("c")
        page = await one.page()
        assert keys(page) == "bc"
        assert (await one.page(State(old._replace(offset=old.offset - 1)))).lost == "expired"
        assert keys(await one.page(State(edge))) == "c"


@in_loop
async def test_where_a_reader_stands_decides_what_it_gets() -> None:
    async with node(LATEST) as one:
        first, second, third = await one.put_all("aab")
        assert keys(await one.page(State(third))) == ""
        assert (keys(await one.page(State(second))), (await one.page(State(second))).lost) == (
            "b",
            None,
        )
        assert (await one.page(State(first))).lost is None, "the log still has it"
        for position in (third._replace(offset=third.offset + 1), third._replace(epoch="x")):
            page = await one.page(State(position))
            assert (page.lost, keys(page)) == ("reset", "ab")
        one.lose(2)
        one.restart()
        page = await one.page(State(first))
        assert (page.lost, keys(page)) == ("expired", "ab"), "nothing shows that it was given"
        assert (await one.page(State(second))).lost is None, "it is in the state"
        assert (await one.page(State(first._replace(epoch="x")))).lost == "reset"
