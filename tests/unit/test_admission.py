"""server/admission.py: who is counted under what, and that nothing is held for those who have gone."""

import subprocess
import sys
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventhub.errors import NodeFull, TooManyConnections
from eventhub.server.admission import COUNTED, WATCHERS, Admission, Place, Places, site
from eventhub.server.proxies import Proxies
from eventhub.settings import LimitSettings

MANY = 1_000_000


def admission(*trusted: str, descriptors: int = MANY, **limits: Any) -> Admission:
    return Admission(LimitSettings(**limits), Proxies([ip_network(network) for network in trusted]), descriptors)


def scope(client: str, **extensions: Any) -> dict[str, Any]:
    return {"type": "http", "client": (client, 4711), "extensions": extensions}


@pytest.mark.parametrize(
    ("limit", "descriptors", "capacity"), [(100, MANY, 100), (100_000, 20_000, 19_488), (100_000, 1024, 896), (100_000, 64, 56)]
)
def test_a_node_takes_no_more_than_its_files_allow(limit: int, descriptors: int, capacity: int) -> None:
    assert admission(connections=limit, descriptors=descriptors).capacity == capacity


def test_a_full_node_refuses_until_somebody_goes() -> None:
    node = admission(connections=2)
    first = node.connect("192.0.2.1")
    node.connect("192.0.2.2")
    with pytest.raises(NodeFull, match="2 connections"):
        node.connect("192.0.2.3")
    node.disconnect(first)
    node.connect("192.0.2.3")
    assert node.open == 2


def test_those_who_watch_a_full_node_are_counted_apart() -> None:
    node = admission(connections=1)
    node.connect("192.0.2.1")
    assert [node.watch() for _ in range(WATCHERS + 1)] == [True] * WATCHERS + [False]
    node.unwatch()
    assert node.watch()
    assert node.open == 1


def test_an_address_has_a_share_and_leaves_the_others_theirs() -> None:
    node = admission(connections_per_address=2)
    first = node.connect("192.0.2.1")
    node.connect("192.0.2.1")
    with pytest.raises(TooManyConnections, match=r"limits\.connections_per_address.*name it in `proxies`"):
        node.connect("192.0.2.1")
    node.connect("192.0.2.2")
    assert node.open == 3, "who is refused is not counted"
    node.disconnect(first)
    node.connect("192.0.2.1")


def test_a_proxy_has_no_share_and_those_behind_it_have_theirs() -> None:
    node = admission("10.0.0.0/8", connections_per_address=1)
    assert [node.connect("10.0.0.1") for _ in range(5)] == [None] * 5
    place = node.session("192.0.2.1")
    with pytest.raises(TooManyConnections):
        node.session("192.0.2.1")
    assert node.session("10.0.0.1") is None, "the proxy asks for itself"
    node.disconnect(place)
    node.session("192.0.2.1")


def test_a_request_is_counted_while_it_lasts_unless_its_connection_is() -> None:
    node = admission(connections_per_address=1)
    with node.seat(scope("192.0.2.1")):
        with pytest.raises(TooManyConnections), node.seat(scope("192.0.2.1")):
            pass
        with node.seat(scope("192.0.2.1", **{COUNTED: {}})), node.seat({"type": "http", "client": None}):
            pass
    with node.seat(scope("192.0.2.1")):
        pass


def test_a_principal_is_counted_by_the_same_code() -> None:
    node = admission(connections_per_principal=1)
    place = node.principals.enter("ana")
    with pytest.raises(TooManyConnections, match=r"limits\.connections_per_principal"):
        node.principals.enter("ana")
    node.principals.enter("bo")
    node.principals.leave(place)
    node.principals.enter("ana")


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_an_ipv6_address_counts_by_its_network(address: str, counted: str) -> None:
    assert site(address) == counted


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), max_size=200))
def test_counts_are_those_of_a_list_and_keys_are_held_while_somebody_is_there(steps: list[tuple[bool, int]]) -> None:
    places, inside = Places(3, "from there", "connections_per_address"), list[Place]()
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
        "from eventhub.server.admission import raise_descriptors; print(raise_descriptors(), resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "512 (512, 512)"
