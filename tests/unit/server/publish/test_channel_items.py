"""server/publish/channel_items.py: what an item becomes, what it is charged and counted as."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventhub.auth.grants import EVERYTHING, NOTHING
from eventhub.auth.principal import ANYONE, CredentialKind, Principal
from eventhub.errors import EventHubError, RateLimited
from eventhub.events.channel_types import ChannelType
from eventhub.events.event import ABSENT, BY, RESERVED, NewEvent
from eventhub.events.signal import Signal
from eventhub.server.publish.channel_items import ChannelItemDecoder
from tests.unit.server.connections.manager_builder import build

CHANNELS: dict[str, Any] = {
    "orders": {"payload": "json", "key": "/id"},
    "raw": {"payload": "json"},
    "own": {"payload": "json", "publish": ["client"]},
    "cursors": {"payload": "json", "signals": {"publish": ["producer"]}},
}
ANA = Principal(CredentialKind.TOKEN, "ana", EVERYTHING)


class Charge:
    """Notes what is paid, and refuses when a test says so."""

    def __init__(self) -> None:
        self.calls: list[object] = []
        self.refuses: str | None = None

    def check(self) -> None:
        self._note("check")

    def pay(self, count: int) -> None:
        self._note("pay", count)

    def _note(self, call: str, *arguments: object) -> None:
        self.calls.append((call, *arguments))
        if self.refuses == call:
            raise RateLimited("too much", retry_after=1)


class Items:
    """A decoder, and what its node counts."""

    def __init__(
        self, principal: Principal = ANA, key: str | None = None, **attributes: str
    ) -> None:
        manager = build(channels=CHANNELS)
        self.rejected: list[tuple[str, str]] = []
        self.signals_rejected: list[tuple[str, str]] = []
        self.charged: list[str] = []
        self.charge = Charge()
        hub: Any = manager.hub
        hub.rejected = lambda name, error, received=None: self.rejected.append((name, error.code))
        hub.signal_rejected = lambda name, error: self.signals_rejected.append((name, error.code))
        quota: Any = manager.publish_quota
        quota.charge_for = self._charge_for
        self.decoder = ChannelItemDecoder(manager, principal, "127.0.0.1", attributes, key)

    def _charge_for(self, principal: Principal, address: str, kind: ChannelType) -> Charge:
        self.charged.append(kind.name)
        return self.charge

    def decode(self, index: int = 0, **fields: Any) -> NewEvent | Signal | EventHubError:
        return self.decoder.decode(fields, index, detailed=True)

    def event(self, index: int = 0, **fields: Any) -> NewEvent:
        found = self.decode(index, **fields)
        assert isinstance(found, NewEvent), found
        return found

    def refused(self, **fields: Any) -> str:
        found = self.decode(**fields)
        assert isinstance(found, EventHubError), found
        return found.code


def test_an_event_has_the_attributes_of_its_item_before_those_of_the_request() -> None:
    items = Items(source="/a", subject="s")
    event = items.event(channel="raw.a", data=1, attributes={"subject": "mine"})
    assert event.attributes == {"source": "/a", "subject": "mine", "by": "ana"}
    other = items.event(channel="raw.a", data=1)
    assert other.attributes == {"source": "/a", "subject": "s", "by": "ana"}
    assert (event.channel, event.data, event.key) == ("raw.a", b"1", None)


def test_a_key_of_the_request_is_numbered_and_an_own_one_wins() -> None:
    items = Items(key="k")
    assert items.event(3, channel="raw.a", data=1).key == "k event 3"
    assert items.event(4, channel="raw.a", data=1, key="own").key == "own"
    assert items.event(5, channel="orders.a", deleted="x").key == "k event 5"


def test_a_precondition_is_of_one_item_alone() -> None:
    items = Items()
    first = items.event(channel="orders.a", data={"id": "x"}, if_match="none")
    gone = items.event(channel="orders.a", deleted="x", if_match="k3x9-7")
    after = items.event(channel="orders.a", data={"id": "x"})
    assert (first.expected, str(gone.expected), after.expected) == (ABSENT, "k3x9-7", None)
    assert items.event(channel="orders.a", deleted="x").expected is None
    assert items.refused(channel="raw.a", data=1, if_match="none") == "invalid_request"


@pytest.mark.parametrize(
    ("fields", "principal", "code"),
    [
        ({"channel": "nothing.a"}, ANA, "unknown_channel"),
        ({"channel": "own.a"}, ANA, "forbidden"),
        ({"channel": "raw.a"}, Principal(CredentialKind.TOKEN, "bob", NOTHING), "forbidden"),
    ],
)
def test_each_item_of_a_channel_that_may_not_be_published_to_is_counted_and_none_is_charged(
    fields: dict[str, str], principal: Principal, code: str
) -> None:
    items = Items(principal)
    assert [items.refused(**fields, data=1) for _ in range(2)] == [code] * 2
    assert items.rejected == [(fields["channel"], code)] * 2
    assert items.decoder.pay() == {}
    assert items.charge.calls == []


def test_events_are_charged_once_for_their_type_refused_ones_too() -> None:
    items = Items()
    for channel in ("raw.a", "raw.b", "orders.a"):
        items.event(channel=channel, data={"id": "x"})
    deep: Any = 1
    for _ in range(50):
        deep = [deep]
    assert items.refused(channel="raw.a", data=deep) == "too_deep"
    assert items.rejected == [("raw.a", "too_deep")]
    assert items.charged == ["raw", "orders"]
    assert items.charge.calls == [("check",)] * 3
    items.charge.refuses = "pay"
    refused = items.decoder.pay()
    assert items.charge.calls[3:] == [("pay", 3), ("pay", 1)]
    assert {name: error.code for name, error in refused.items()} == {
        "raw": "rate_limited",
        "orders": "rate_limited",
    }


def test_a_channel_over_its_rate_takes_no_event() -> None:
    items = Items()
    items.charge.refuses = "check"
    assert items.refused(channel="raw.a", data=1) == "rate_limited"
    assert items.decoder.pay() == {}


def test_a_signal_has_neither_a_key_nor_a_place_in_the_state() -> None:
    items = Items(source="/a")
    signal = items.decode(channel="cursors.a", data={"x": 1}, signal=True)
    assert isinstance(signal, Signal)
    assert signal.attributes == {"source": "/a", "by": "ana"}
    for wrong in ({"key": "k"}, {"if_match": "none"}, {"deleted": "k", "data": None}):
        fields = {"channel": "cursors.a", "data": 1, "signal": True, **wrong}
        if "deleted" in wrong:
            del fields["data"]
        assert items.refused(**fields) == "invalid_request"
    assert items.refused(channel="raw.a", data=1, signal=True) == "forbidden"
    assert items.signals_rejected == [("cursors.a", "invalid_request")] * 3 + [
        ("raw.a", "forbidden")
    ]
    assert items.rejected == []
    assert items.decoder.pay() == {}


def test_anybody_publishes_without_a_name() -> None:
    assert Items(ANYONE).event(channel="raw.a", data=1).attributes in (None, {})


NAMES = st.sampled_from([*RESERVED, "source", "subject", "principal", "sender"])


@given(
    fields=st.dictionaries(NAMES, st.just("eva")),
    attributes=st.dictionaries(NAMES, st.just("eva")),
    said=st.dictionaries(NAMES, st.just("eva")).map(lambda data: {"data": {**data, "id": 1}})
    | st.just({"deleted": "1"}),
)
def test_the_author_is_the_principal_whatever_an_item_says(
    fields: dict[str, str], attributes: dict[str, str], said: dict[str, Any]
) -> None:
    item = {**fields, **said, "channel": "orders.a", "attributes": attributes}
    found = ITEMS.decoder.decode(item, 0, detailed=True)
    if isinstance(found, NewEvent):
        assert found.attributes is not None
        assert found.attributes[BY] == "ana"
        assert BY not in fields.keys() | attributes.keys()


ITEMS = Items()
