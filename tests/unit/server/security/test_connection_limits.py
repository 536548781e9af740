"""server/security/connection_limits.py: who is counted under what, and that nothing is held for
those who have gone.
"""

import resource
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventhub.config.limit_settings import LimitSettings
from eventhub.errors import NodeFull, TooManyConnections
from eventhub.server.messages.asgi_extensions import COUNTED
from eventhub.server.security.connection_limits import (
    HEALTH_PROBES,
    ConnectionLimits,
    HealthProbe,
    HealthProbes,
    Slot,
    SlotCounter,
    raise_descriptors,
)
from eventhub.server.security.forwarded import ForwardedAddresses

MANY = 1_000_000


def connection_limits(*trusted: str, descriptors: int = MANY, **limits: Any) -> ConnectionLimits:
    return ConnectionLimits(
        LimitSettings(**limits),
        ForwardedAddresses([ip_network(network) for network in trusted]),
        descriptors,
    )


def scope(client: str, **extensions: Any) -> dict[str, Any]:
    return {"type": "http", "client": (client, 4711), "extensions": extensions}


@pytest.mark.parametrize(
    ("limit", "descriptors", "capacity"),
    [(100, MANY, 100), (100_000, 20_000, 19_488), (100_000, 1024, 896), (100_000, 64, 56)],
)
def test_a_node_takes_no_more_than_its_files_allow(
    limit: int, descriptors: int, capacity: int
) -> None:
    assert connection_limits(connections=limit, descriptors=descriptors).capacity == capacity


def test_a_full_node_refuses_until_somebody_goes() -> None:
    node = connection_limits(connections=2)
    first = node.connect("192.0.2.1")
    node.connect("192.0.2.2")
    with pytest.raises(NodeFull, match="2 connections"):
        node.connect("192.0.2.3")
    node.disconnect(first)
    node.connect("192.0.2.3")
    assert node.open == 2


class Still:
    """A loop whose time does not pass."""

    def time(self) -> float:
        return 0

    def call_at(self, when: float, callback: Callable[..., object], /, *arguments: Any) -> None:
        """Never."""

    def call_soon(self, callback: Callable[..., object], /, *arguments: Any) -> None:
        """Never."""


class Kept:
    """A connection that waits for its next request."""

    def __init__(self, node: ConnectionLimits, address: str) -> None:
        self.node = node
        self.place = node.connect(address)
        node.idle.enter(self, self.place, Still())

    def retire(self) -> None:
        self.node.idle.leave(self, self.place)
        self.node.disconnect(self.place)


def test_a_connection_that_waits_for_a_request_makes_room_for_a_newcomer() -> None:
    node = connection_limits(connections=2, connections_per_address=1)
    Kept(node, "192.0.2.1")
    used = node.connect("192.0.2.2")
    again = node.connect("192.0.2.1")
    assert (node.open, len(node.idle)) == (2, 0)
    with pytest.raises(NodeFull):
        node.connect("192.0.2.3")
    node.disconnect(used)
    with pytest.raises(TooManyConnections):
        node.connect("192.0.2.1")
    node.disconnect(again)
    node.disconnect(node.connect("192.0.2.1"))
    assert node.open == 0


def full(*addresses: str) -> tuple[HealthProbes, list[HealthProbe], list[int]]:
    """Those who watch from these addresses, one each, and the numbers of those who had to give way,
    as they do.
    """
    probes = HealthProbes()
    gone: list[int] = []
    found = [
        probes.enter(address, partial(gone.append, number))
        for number, address in enumerate(addresses)
    ]
    return probes, [probe for probe in found if probe], gone


SIXTEEN = [f"192.0.2.{number}" for number in range(HEALTH_PROBES)]


def test_those_who_watch_a_full_node_are_few_and_the_oldest_that_has_not_asked_gives_way() -> None:
    probes, inside, gone = full(*SIXTEEN)
    inside[0].asked = inside[2].asked = True
    for address in ("198.51.100.1", "198.51.100.2"):
        assert probes.enter(address, gone.clear)
    assert gone == [1, 3]
    assert len(probes) == HEALTH_PROBES
    probes.leave(inside[1])
    assert len(probes) == HEALTH_PROBES, "it had been counted out"
    probes.leave(inside[0])
    assert probes.enter("198.51.100.1", gone.clear)
    assert gone == [1, 3], "there was room"


def test_an_address_with_many_watchers_makes_way_for_the_others() -> None:
    probes, _, gone = full("192.0.2.1", *["2001:db8::1", "2001:db8::2"] * 7, "192.0.2.2")
    assert probes.enter("192.0.2.3", gone.clear)
    assert probes.enter("2001:db8::3", gone.clear)
    assert gone == [1, 2]


def test_who_is_being_answered_makes_no_way_and_who_was_does_after_those_who_were_silent() -> None:
    probes, inside, gone = full(*SIXTEEN)
    for probe in inside:
        probe.asked = True
    assert probes.enter("198.51.100.1", gone.clear) is None
    assert len(probes) == HEALTH_PROBES
    for probe in (inside[5], inside[4]):
        probes.answered(probe)
    probes.leave(inside[6])
    assert probes.enter("198.51.100.1", partial(gone.append, 16))
    for address in ("198.51.100.2", "198.51.100.3"):
        assert probes.enter(address, gone.clear)
    assert gone == [5, 4]
    probes.answered(inside[6])
    assert len(probes) == HEALTH_PROBES, "it had gone"


def test_an_address_has_a_share_and_leaves_the_others_theirs() -> None:
    node = connection_limits(connections_per_address=2)
    first = node.connect("192.0.2.1")
    node.connect("192.0.2.1")
    with pytest.raises(
        TooManyConnections, match=r"limits\.connections_per_address.*name it in `proxies`"
    ):
        node.connect("192.0.2.1")
    node.connect("192.0.2.2")
    assert node.open == 3, "who is refused is not counted"
    node.disconnect(first)
    node.connect("192.0.2.1")


def test_a_proxy_has_no_share_and_those_behind_it_have_theirs() -> None:
    node = connection_limits("10.0.0.0/8", connections_per_address=1)
    assert [node.connect("10.0.0.1") for _ in range(5)] == [None] * 5
    place = node.session("192.0.2.1")
    with pytest.raises(TooManyConnections):
        node.session("192.0.2.1")
    assert node.session("10.0.0.1") is None, "the proxy asks for itself"
    node.disconnect(place)
    node.session("192.0.2.1")


def test_a_request_is_counted_while_it_lasts_unless_its_connection_is() -> None:
    node = connection_limits(connections_per_address=1)
    with node.counted(scope("192.0.2.1")):
        with pytest.raises(TooManyConnections), node.counted(scope("192.0.2.1")):
            pass
        with (
            node.counted(scope("192.0.2.1", **{COUNTED: {}})),
            node.counted({"type": "http", "client": None}),
        ):
            pass
    with node.counted(scope("192.0.2.1")):
        pass


def test_a_principal_is_counted_by_the_same_code() -> None:
    node = connection_limits(connections_per_principal=1)
    place = node.principals.enter("ana")
    with pytest.raises(TooManyConnections, match=r"limits\.connections_per_principal"):
        node.principals.enter("ana")
    node.principals.enter("bo")
    node.principals.leave(place)
    node.principals.enter("ana")


@pytest.mark.parametrize("trusted", ["10.0.0.0/8", "::ffff:10.0.0.0/104"])
def test_a_mapped_proxy_is_a_proxy_and_a_mapped_client_the_same_client(trusted: str) -> None:
    node = connection_limits(trusted, connections_per_address=1)
    assert node.connect("::ffff:10.1.2.3") is node.connect("10.1.2.3") is None
    node.connect("::ffff:192.0.2.1")
    for same in ("192.0.2.1", "64:ff9b::192.0.2.1"):
        with pytest.raises(TooManyConnections):
            node.connect(same)
    node.connect("64:ff9b::192.0.2.2")


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), max_size=200))
def test_counts_are_those_of_a_list_and_keys_are_held_while_somebody_is_there(
    steps: list[tuple[bool, int]],
) -> None:
    places, inside = SlotCounter(3, "from there", "connections_per_address"), list[Slot]()
    for entering, number in steps:
        key = str(number)
        if entering and sum(place.key == key for place in inside) < 3:
            inside.append(places.enter(key))
        elif entering:
            with pytest.raises(TooManyConnections):
                places.enter(key)
        elif inside:
            places.leave(inside.pop(number % len(inside)))
        assert len(places) == len({place.key for place in inside})


def test_a_server_lets_itself_open_as_many_files_as_it_may() -> None:
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 512)); "
        "from eventhub.server.security.connection_limits import raise_descriptors; "
        "print(raise_descriptors(), resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "512 (512, 512)"


def test_a_connection_that_took_the_room_of_the_only_other_is_counted() -> None:
    others: list[Any] = []
    counter = SlotCounter(1, "", "it", lambda slot: bool(others) and leave(others.pop()))

    def leave(slot: Any) -> bool:
        counter.leave(slot)
        return True

    others.append(counter.enter("a"))
    slot = counter.enter("a")
    assert (len(counter), slot.count) == (1, 1)
    with pytest.raises(TooManyConnections):
        counter.enter("a")


@pytest.mark.parametrize(("hard", "files"), [(4096, 4096), (resource.RLIM_INFINITY, 1 << 30)])
def test_as_many_files_may_be_open_as_the_system_allows(
    monkeypatch: pytest.MonkeyPatch, hard: int, files: int
) -> None:
    limits = [(1024, hard)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: limits.append(pair))
    assert raise_descriptors() == files
    assert limits[-1] == (hard, hard)
