"""server/streams/pattern_query.py: which queries of patterns there are, and where they begin."""

import asyncio
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from eventhub.auth.grants import Action, Grants
from eventhub.auth.principal import ANYONE, STRANGER, CredentialKind, Principal
from eventhub.config.loader import channel_types
from eventhub.config.settings import Settings
from eventhub.delivery.cursor_encoding import CURSOR_LINES
from eventhub.delivery.pattern_cursor import DEPTH, UnreadableJournal
from eventhub.delivery.pattern_subscriber import Begins
from eventhub.errors import (
    AlreadySubscribed,
    Forbidden,
    InvalidRequest,
    InvalidSince,
    TooManySubscriptions,
    Unauthorized,
)
from eventhub.events.event import LATEST, Age, Earliest, Last, Position
from eventhub.hub.cursor_journals import CursorJournals, ResolvedCursor
from eventhub.server.streams.pattern_outbox import PatternOutbox
from eventhub.server.streams.pattern_query import PatternQuery, names_pattern
from eventhub.server.streams.selection_begin import SelectionBegin
from eventhub.server.streams.selection_outbox import SelectionOutbox
from tests.harness.virtual_time import turns
from tests.unit.server.streams.test_pattern_outbox import Records

TYPES = channel_types(Settings(), Path())
RECORD = "0123456789ab.3"


class Journals:
    """Journals that resolve each cursor so."""

    def __init__(self, outcome: ResolvedCursor | Exception) -> None:
        self.outcome = outcome
        self.asked: list[tuple[str, str, str]] = []

    async def resolve(self, text: str, name: str, pattern: str) -> ResolvedCursor:
        self.asked.append((text, name, pattern))
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def begin(
    query: str, last_event_id: str | None = None, journals: Journals | None = None
) -> SelectionBegin:
    found = PatternQuery(query.encode(), None, last_event_id)
    used = cast(CursorJournals, journals or Journals(AssertionError()))
    asyncio.run(found.read(TYPES, ANYONE, used))
    return found._begin


@pytest.mark.parametrize(
    ("since", "expected", "base"),
    [
        ("", LATEST, "latest"),
        ("&since=latest", LATEST, "latest"),
        ("&since=earliest", Earliest(), "earliest"),
        ("&since=-20", Last(20), "-20"),
        ("&since=10m", Age(600_000), "10m"),
    ],
)
def test_a_form_of_since_holds_for_every_channel(since: str, expected: object, base: str) -> None:
    assert begin(f"channel=logs.>{since}") == SelectionBegin(cast(Any, expected), base, {})


def test_positions_of_channels_are_a_cursor_too() -> None:
    found = begin("channel=logs.>&since=logs.a@k-1,logs.b@k-2")
    assert found.since == Begins({"logs.a": Position("k", 1), "logs.b": Position("k", 2)}, LATEST)
    assert isinstance(found.since, Begins)
    assert found.since.otherwise is None, "it was born later"
    assert (found.base, found.moved) == ("", {"logs.a": "k-1", "logs.b": "k-2"})


def test_a_cursor_goes_on_from_its_own_record() -> None:
    journals = Journals(ResolvedCursor("-20", {"logs.a": "k-1", "logs.b": "k-2"}, 1))
    found = begin(f"channel=logs.>&since=*{RECORD},logs.b@k-2", None, journals)
    assert journals.asked == [(f"*{RECORD},logs.b@k-2", "since", "logs.>")]
    assert (found.base, found.moved) == (RECORD, {"logs.b": "k-2"})
    assert isinstance(found.since, Begins)
    assert found.since == {"logs.a": Position("k", 1), "logs.b": Position("k", 2)}
    assert found.since.otherwise == Last(20)


def test_a_cursor_of_many_journals_begins_a_new_one_with_everything() -> None:
    positions = {"logs.a": "k-1", "logs.b": "k-2"}
    journals = Journals(ResolvedCursor("10m", positions, DEPTH))
    found = begin(f"channel=logs.>&since=*{RECORD}", None, journals)
    assert (found.base, found.moved) == ("10m", positions)


def test_the_last_event_id_wins_over_since() -> None:
    for query, header, name in (
        ("channel=logs.>&since=-5", f"*{RECORD}", "Last-Event-ID"),
        (f"channel=logs.>&since=-5&lastEventId=*{RECORD}", "", "lastEventId"),
    ):
        journals = Journals(ResolvedCursor("", {}, 1))
        assert begin(query, header, journals).base == RECORD
        assert journals.asked == [(f"*{RECORD}", name, "logs.>")]


def test_an_expired_last_event_id_begins_where_since_says_and_an_expired_since_is_refused() -> None:
    journals = Journals(UnreadableJournal("record 1 of its journal is not known"))
    found = begin("channel=logs.>&since=-5", f"*{RECORD}", journals)
    assert found == SelectionBegin(Last(5), "-5", {}, expired=True)
    with pytest.raises(InvalidSince, match="record 1 of its journal is not known; a cursor of"):
        begin(f"channel=logs.>&since=*{RECORD}", None, journals)


@pytest.mark.parametrize(
    ("positions", "base", "part"),
    [
        ({"chat.a": "k-1"}, "", "names channel 'chat.a', which does not fit 'logs.>'"),
        ({"logs.*": "k-1"}, "", "names channel 'logs.*', which does not fit"),
        ({"logs.a": "latest"}, "", "of 'logs.a' is 'latest'; expected an event id"),
        ({"logs.a": "x" * 500}, "", "expected an event id"),
        ({}, "k-1", "begins with 'k-1'; expected the cursor as the server sent it"),
        ({}, "soon", "is 'soon'; expected an event id"),
    ],
)
def test_a_forged_cursor_is_refused(positions: dict[str, str], base: str, part: str) -> None:
    journals = Journals(ResolvedCursor(base, positions, 0))
    with pytest.raises(InvalidSince) as found:
        begin("channel=logs.>", "*", journals)
    assert part in found.value.message
    assert "Last-Event-ID" in found.value.message
    assert len(found.value.message) < 400


def test_nobody_makes_the_server_read_journals_without_a_grant() -> None:
    types = channel_types(Settings(auth={"keys": []}), Path())
    query = PatternQuery(f"channel=logs.>&since=*{RECORD}".encode())
    with pytest.raises(Unauthorized):
        asyncio.run(query.read(types, STRANGER, cast(Any, SimpleNamespace())))


def test_a_query_without_a_channel_or_with_too_many_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="no channel is named"):
        PatternQuery(b"since=*")
    with pytest.raises(TooManySubscriptions, match="names 33 channels"):
        PatternQuery(b"&".join([b"channel=logs.%d.>" % number for number in range(33)]))


@pytest.mark.parametrize(
    ("query", "both"),
    [
        ("channel=logs.>&channel=logs.a", "'logs.>' and 'logs.a'"),
        ("channel=*.a&channel=chat.b&channel=logs.*", "'*.a' and 'logs.*'"),
        ("channel=logs.>&channel=logs.>", "'logs.>' and 'logs.>'"),
    ],
)
def test_parts_that_have_channels_in_common_are_refused(query: str, both: str) -> None:
    with pytest.raises(AlreadySubscribed, match=re.escape(both)):
        begin(query)


def test_each_part_begins_at_the_positions_of_its_channels() -> None:
    found = begin("channel=logs.>&channel=chat.a&channel=chat.b&since=logs.a@k-1,chat.a@k-2")
    assert found.of("logs.>") == Begins({"logs.a": Position("k", 1)}, None)
    assert found.of("chat.a") == Position("k", 2)
    assert found.of("chat.b") == Earliest(), "it was born later"
    same = begin("channel=logs.>&channel=chat.a&since=-5")
    assert same.of("logs.>") == same.of("chat.a") == Last(5)
    resumed = begin(
        "channel=logs.>&channel=chat.a", "*", Journals(ResolvedCursor("-5", {"logs.a": "k-1"}, 0))
    )
    assert resumed.of("chat.a") == Last(5)
    assert resumed.of("logs.>") == Begins({"logs.a": Position("k", 1)}, Last(5))


@pytest.mark.parametrize(
    ("query", "channel", "expected"),
    [
        (b"channel=logs.>", None, True),
        (b"channel=logs.%3E", None, True),
        (b"channel=logs.*", None, True),
        (b"channel=logs.%2a", None, True),
        (b"channel=logs.a", None, False),
        (b"since=-5", "logs.>", True),
        (b"since=*", "logs.a", False),
        (b"channel=%ff", None, False),
        (b"channel=logs.a&since=*", None, False),
        (b"channel=logs.a&channel=logs.*", None, True),
        (b"\xff=*", None, False),
    ],
)
def test_patterns_are_recognized(query: bytes, channel: str | None, *, expected: bool) -> None:
    assert names_pattern(query, channel) == expected


def test_each_subscription_has_what_the_query_string_asks_for() -> None:
    count = PatternQuery(b"channel=logs.%3E&channel=chat.a&presence=count&where=data.n%3E1")
    assert [command.channel for command in count._commands] == ["logs.>", "chat.a"]
    assert {(each.presence, each.member, each.where) for each in count._commands} == {
        ("count", None, "data.n>1")
    }
    member = PatternQuery(b"presence=true&member=ana&member_data=%7B%22x%22:1%7D", "chat.*")
    (command,) = member._commands
    assert (command.presence, command.member_id, command.member_data) == (True, "ana", {"x": 1})


def test_a_pattern_in_the_path_is_the_only_channel() -> None:
    query = PatternQuery(b"since=-5", "logs.>")
    assert query.channels == ["logs.>"]
    with pytest.raises(InvalidRequest, match="unknown query parameter 'channel'"):
        PatternQuery(b"channel=chat.a", "logs.>")


def test_the_header_wins_over_the_last_event_id_of_the_query_string() -> None:
    journals = Journals(ResolvedCursor("", {}, 1))
    begin(f"channel=logs.>&lastEventId=*{'9' * 12}.3", f"*{RECORD}", journals)
    assert journals.asked == [(f"*{RECORD}", "Last-Event-ID", "logs.>")]


@pytest.mark.parametrize("query", ["channel=chat.a&channel=logs.>", "channel=logs.>"])
def test_the_outbox_is_for_this_stream(query: str) -> None:
    async def scenario() -> None:
        found, told = PatternQuery(query.encode(), None, f"*{RECORD}"), list[str]()
        journals = Records()
        begin_here = Journals(UnreadableJournal("gone"))
        await found.read(TYPES, ANYONE, cast(Any, begin_here))
        outbox = found.outbox(
            CURSOR_LINES,
            cast(Any, journals),
            100,
            lambda: told.append("full"),
            lambda: told.append("drained"),
        )
        assert isinstance(outbox, SelectionOutbox if len(found.channels) > 1 else PatternOutbox)
        assert outbox.expired
        outbox.write_placed(b"x" * 100)
        assert not outbox.full
        outbox.write_placed(b"x")
        assert outbox.full
        await turns()
        assert told == ["full"]

    asyncio.run(scenario())


def test_a_member_and_presence_need_their_grants() -> None:
    grants = Grants({Action.SUBSCRIBE: [">"]})
    ana = Principal(CredentialKind.TOKEN, "ana", grants)
    types = channel_types(Settings(auth={"keys": []}), Path())
    for query in (b"presence=count", b"presence=true", b"member=ana"):
        channel = b"logs.%3E" if query == b"presence=count" else b"chat.a"
        found = PatternQuery(b"channel=%b&%b" % (channel, query))
        with pytest.raises(Forbidden, match="presence"):
            asyncio.run(found.read(types, ana, cast(Any, Journals(AssertionError()))))
