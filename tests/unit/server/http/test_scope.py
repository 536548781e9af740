"""server/http/scope.py: the ASGI scope of a request."""

from typing import Any

import pytest

from eventhub.errors import InvalidRequest
from eventhub.server.connections.liveness import OutgoingBytes
from eventhub.server.http.head import IncomingHead
from eventhub.server.http.scope import ConnectionScope, address
from eventhub.server.messages.asgi_extensions import ABORT, COUNTED
from tests.harness.transport import RecordedTransport

CLIENT, SERVER = ("192.0.2.9", 1234), ("192.0.2.1", 443)


def scope_of(url: bytes, *, secure: bool = False, counted: bool = False) -> Any:
    transport = RecordedTransport(info={"sockname": SERVER})
    shared = ConnectionScope(transport, CLIENT, {"shared": 1}, secure=secure, counted=counted)
    head = IncomingHead()
    head.add_url(url)
    head.add_field(b"Host", b"localhost")
    return shared.of_request("PUT", "1.1", head)


def test_a_scope_has_what_asgi_asks_for() -> None:
    found = scope_of(b"/v1/a%20b?x=1&y=2")
    extensions = found.pop("extensions")
    assert found == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": SERVER,
        "client": CLIENT,
        "scheme": "http",
        "method": "PUT",
        "root_path": "",
        "path": "/v1/a b",
        "raw_path": b"/v1/a%20b",
        "query_string": b"x=1&y=2",
        "headers": [(b"host", b"localhost")],
        "state": {"shared": 1},
    }
    assert extensions.keys() == {ABORT}


def test_requests_of_a_connection_have_a_state_each() -> None:
    transport = RecordedTransport()
    shared = ConnectionScope(transport, CLIENT, {"shared": 1}, secure=True, counted=True)
    head = IncomingHead()
    head.add_url(b"/")
    first, second = (shared.of_request("GET", "1.1", head) for _ in range(2))
    first["state"]["own"] = 1
    assert second["state"] == {"shared": 1}
    assert second["scheme"] == "https"
    assert COUNTED in second["extensions"]


def test_an_address_without_path_or_query_is_the_root() -> None:
    found = scope_of(b"http://localhost")
    assert (found["path"], found["raw_path"], found["query_string"]) == ("/", b"/", b"")


@pytest.mark.parametrize("url", [b"/caf\xc3\xa9", b"/%zz", b"", b"no url"])
def test_what_is_no_url_is_refused(url: bytes) -> None:
    with pytest.raises(InvalidRequest):
        scope_of(url)


def test_a_connection_can_be_cut_off_and_asked_through_its_scope() -> None:
    transport = RecordedTransport()
    shared = ConnectionScope(transport, None, {}, secure=False, counted=False)
    head = IncomingHead()
    head.add_url(b"/")
    extension = shared.of_request("GET", "1.1", head)["extensions"][ABORT]
    extension["abort"]()
    assert transport.aborted
    assert extension["outgoing"]() == OutgoingBytes(0, 0)


def test_an_address_is_in_its_short_form_and_none_for_other_sockets() -> None:
    transport = RecordedTransport(info={"peername": ("::ffff:192.0.2.9", 1), "sockname": "/run/s"})
    assert address(transport, "peername") == ("192.0.2.9", 1)
    assert address(transport, "sockname") is None
