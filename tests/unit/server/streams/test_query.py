"""server/streams/query.py: what a query string asks for."""

from collections.abc import Callable
from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventhub.errors import EventHubError, InvalidRequest, InvalidSince, UnknownChannel
from eventhub.events.event import Age, Earliest, Last, Latest, Position, Since
from eventhub.server.streams.query import StreamQuery
from eventhub.session.interfaces import SessionLimits
from eventhub.session.session import Session
from tests.harness.builders import Guest, Nowhere
from tests.unit.server.streams.noted_hub import Noted

thorough = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def subscribe(
    query: bytes, channel: str | None = None, last_event_id: str | None = None
) -> list[tuple[str, Since, str]]:
    """Channel, since and member of each subscription, "" for the session's own id."""
    noted = Noted()
    session = Session(noted, Nowhere(), SessionLimits(1000, 5, 25.0, 10, 1000), Nowhere(), Guest())
    StreamQuery(query, channel, last_event_id).subscribe(session)
    return [
        (name, since, "" if member == session.id else member)
        for name, since, member in noted.subscriptions
    ]


def test_an_empty_query_has_no_channels() -> None:
    assert subscribe(b"") == subscribe(b"&&") == []
    assert StreamQuery(b"").positions() == {}


def test_channels_are_repeated_and_keep_their_order() -> None:
    assert subscribe(b"channel=logs.b&channel=chat.a") == [
        ("logs.b", Latest(), ""),
        ("chat.a", Latest(), ""),
    ]


@pytest.mark.parametrize(
    ("since", "parsed"),
    [
        ("latest", Latest()),
        ("earliest", Earliest()),
        ("-20", Last(20)),
        ("10m", Age(600_000)),
        ("k3x9-41", Position("k3x9", 41)),
        ("chat@k3x9-41", Position("k3x9", 41)),
    ],
)
@pytest.mark.parametrize("encode", [str, quote], ids=["plain", "percent-encoded"])
def test_every_form_of_since(since: str, parsed: Since, encode: Callable[[str], str]) -> None:
    text = encode(since)
    assert subscribe(f"channel=chat&since={text}".encode()) == [("chat", parsed, "")]
    assert subscribe(f"since={text}".encode(), channel="chat") == [("chat", parsed, "")]
    assert subscribe(b"since=-1", channel="chat", last_event_id=since) == [("chat", parsed, "")], (
        "Last-Event-ID takes precedence"
    )


def test_one_since_is_for_all_channels_and_a_cursor_has_one_for_each() -> None:
    assert subscribe(b"channel=chat&channel=logs&since=-5") == [
        ("chat", Last(5), ""),
        ("logs", Last(5), ""),
    ]
    cursor = b"since=chat@k3x9-41,logs@k3x9-7&channel=logs&channel=chat&channel=iot"
    assert subscribe(cursor) == [
        ("logs", Position("k3x9", 7), ""),
        ("chat", Position("k3x9", 41), ""),
        ("iot", Latest(), ""),
    ]


def test_a_cursor_in_since_names_only_channels_of_the_query() -> None:
    with pytest.raises(InvalidSince, match=r"'logs\.a'"):
        subscribe(b"since=logs.a@k3x9-7,chat@k3x9-41", channel="chat")
    assert subscribe(b"", channel="chat", last_event_id="logs.a@k3x9-7,chat@k3x9-41") == [
        ("chat", Position("k3x9", 41), "")
    ]
    assert subscribe(b"", channel="chat", last_event_id="logs.a@k3x9-7") == [("chat", Latest(), "")]


@pytest.mark.parametrize("value", ["x", "chat@x"])
def test_the_error_of_a_malformed_cursor_names_its_parameter(value: str) -> None:
    for query, header, name in (
        (f"since={value}", "", "since"),
        ("", value, "Last-Event-ID"),
        (f"lastEventId={value}", "", "lastEventId"),
    ):
        with pytest.raises(InvalidSince, match=f"^{name} is 'x'"):
            subscribe(query.encode(), channel="chat", last_event_id=header)


def test_an_empty_last_event_id_does_not_count() -> None:
    assert subscribe(b"since=-1", channel="chat", last_event_id="") == [("chat", Last(1), "")]
    assert subscribe(b"", channel="chat", last_event_id=None) == [("chat", Latest(), "")]


SPELLINGS = ["lastEventId", "lastEventID", "Last-Event-ID", "last-event-id", "last_event_id"]


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_polyfill_puts_the_last_event_id_into_the_query_string(name: str) -> None:
    assert subscribe(f"since=-1&{name}=k3x9-41".encode(), channel="chat", last_event_id="") == [
        ("chat", Position("k3x9", 41), "")
    ]
    both = subscribe(f"{name}=k3x9-41".encode(), channel="chat", last_event_id="k3x9-57")
    assert both == [("chat", Position("k3x9", 57), "")], (
        "the header is newer: the address stays the same over reconnects"
    )
    assert subscribe(f"since=-1&{name}=".encode(), channel="chat", last_event_id="") == [
        ("chat", Last(1), "")
    ], "the first connection"
    several = f"channel=chat&channel=logs&since=earliest&{name}=chat%40k3x9-41".encode()
    assert subscribe(several, last_event_id="") == [
        ("chat", Position("k3x9", 41), ""),
        ("logs", Earliest(), ""),
    ]
    assert StreamQuery(several, last_event_id="").positions() == {"chat": "k3x9-41"}
    with pytest.raises(InvalidSince):
        subscribe(f"{name}=x".encode(), channel="chat", last_event_id="")
    for query in (f"{name}=k3x9-41", "r=4711", "_=4711"):
        with pytest.raises(InvalidRequest, match="expected since, member"):
            StreamQuery(query.encode(), channel="chat")


def test_the_last_of_several_last_event_ids_counts() -> None:
    query = b"lastEventId=k3x9-41&lastEventId=k3x9-57&lastEventId="
    assert subscribe(query, channel="chat", last_event_id="") == [
        ("chat", Position("k3x9", 57), "")
    ]


@pytest.mark.parametrize("query", [b"lastEventId=&r=9031846531", b"_=1700000000000"])
def test_cache_busters_are_ignored(query: bytes) -> None:
    assert subscribe(b"since=-1&" + query, channel="chat", last_event_id="") == [
        ("chat", Last(1), "")
    ]


@pytest.mark.parametrize("query", [b"since=-1&since=-2", b"member=a&member=b"])
def test_a_repeated_since_or_member_is_refused(query: bytes) -> None:
    with pytest.raises(InvalidRequest, match="more than once"):
        subscribe(query, channel="chat")


def test_the_member_is_for_every_subscription() -> None:
    assert subscribe(b"channel=chat.a&channel=chat.b&member=ana%20%C3%A9") == [
        ("chat.a", Latest(), "ana é"),
        ("chat.b", Latest(), "ana é"),
    ]
    assert subscribe(b"channel=chat&member=" + b"x" * 64) == [("chat", Latest(), "x" * 64)]


def test_positions_has_the_position_of_each_channel_that_has_one() -> None:
    assert StreamQuery(b"channel=a&channel=b&channel=c&since=a@k3x9-1,b@k3x9-0").positions() == {
        "a": "k3x9-1",
        "b": "k3x9-0",
    }
    assert StreamQuery(b"channel=a&since=k3x9-1").positions() == {"a": "k3x9-1"}
    assert StreamQuery(b"channel=a&since=-20").positions() == {}


@pytest.mark.parametrize(
    "query",
    [
        b"x=1",
        b"Channel=chat",
        b"channel=chat&limit=5",
        b"last-event-id=a-1",
        b"%00=1",
        b"=1",
        b"a" * 1000,
    ],
)
def test_an_unknown_parameter_is_refused_and_the_known_ones_are_named(query: bytes) -> None:
    with pytest.raises(InvalidRequest, match="expected channel, since, member") as caught:
        StreamQuery(query)
    assert len(caught.value.message) < 200


def test_a_channel_in_the_path_is_the_only_one() -> None:
    with pytest.raises(
        InvalidRequest, match="unknown query parameter 'channel'; expected since, member"
    ):
        StreamQuery(b"channel=logs", channel="chat")


@pytest.mark.parametrize("member", [b"", b"x" * 65, b"%C3%A9" * 65])
def test_a_member_of_no_or_too_many_characters_is_refused(member: bytes) -> None:
    with pytest.raises(InvalidRequest, match="expected 1 to 64"):
        StreamQuery(b"member=" + member)


@pytest.mark.parametrize(
    "query", [b"\xff", "channel=é".encode(), b"since=%ff", b"channel=%ed%a0%80", b"%c0%af=1"]
)
def test_a_query_that_is_not_percent_encoded_utf_8_is_refused(query: bytes) -> None:
    with pytest.raises(InvalidRequest, match="percent-encoded UTF-8"):
        StreamQuery(query)


def test_too_many_parameters_are_refused() -> None:
    with pytest.raises(InvalidRequest):
        StreamQuery(b"&".join([b"channel=a"] * 10_001))


@pytest.mark.parametrize(
    "since", [b"", b"x", b"@", b"chat@", b"chat@k3x9-1,logs", b"-0", b"10", b"chat@k3x9-01"]
)
def test_a_malformed_since_is_refused(since: bytes) -> None:
    with pytest.raises(InvalidSince):
        subscribe(b"channel=chat&since=" + since)


def test_a_malformed_since_is_refused_even_when_no_channel_is_asked_for() -> None:
    with pytest.raises(InvalidSince):
        subscribe(b"since=nonsense")


def test_an_unknown_channel_is_refused_by_the_hub() -> None:
    with pytest.raises(UnknownChannel):
        subscribe(b"channel=zzz")


def test_a_channel_named_twice_and_one_too_many_are_refused() -> None:
    build_many = b"&".join(b"channel=chat.%d" % n for n in range(6))
    for query, code in (
        (b"channel=chat&channel=chat", "already_subscribed"),
        (build_many, "too_many_subscriptions"),
    ):
        with pytest.raises(EventHubError) as caught:
            subscribe(query)
        assert caught.value.code == code


@thorough
@given(st.binary(max_size=60), st.none() | st.text(max_size=20))
def test_any_query_is_parsed_or_refused(query: bytes, last_event_id: str | None) -> None:
    with suppress(EventHubError):
        subscribe(query, "chat", last_event_id)
    with suppress(EventHubError):
        subscribe(b"channel=chat&since=" + query)


def test_a_channel_that_is_not_in_the_last_event_id_begins_at_since() -> None:
    subscriptions = subscribe(
        b"channel=chat&channel=logs&since=earliest", last_event_id="chat@k3x9-41"
    )
    assert subscriptions == [("chat", Position("k3x9", 41), ""), ("logs", Earliest(), "")]


@pytest.mark.parametrize("since", ["logs@-20", "chat@k3x9-7,logs@-20"])
def test_a_channel_that_is_in_since_and_not_in_the_last_event_id_begins_at_its_since(
    since: str,
) -> None:
    query = b"channel=chat&channel=logs&since=" + since.encode()
    subscriptions = subscribe(query, last_event_id="chat@k3x9-41")
    assert subscriptions == [("chat", Position("k3x9", 41), ""), ("logs", Last(20), "")]


def test_a_last_event_id_of_one_channel_wins_over_a_cursor_in_since() -> None:
    query = b"channel=chat&since=chat@k3x9-7"
    assert subscribe(query, last_event_id="k3x9-41") == [("chat", Position("k3x9", 41), "")]
