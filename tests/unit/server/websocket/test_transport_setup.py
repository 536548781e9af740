"""server/websocket/transport_setup.py: which writer a connection has, and its buffers."""

import socket
from typing import Any

import pytest

from eventhub.config.limit_settings import LimitSettings
from eventhub.delivery.bulk_write import PlainPipe
from eventhub.server.websocket import transport_setup
from eventhub.server.websocket.transport_setup import READ_BYTES, pipe, set_buffer_sizes
from tests.harness.transport import RecordedTransport
from tests.unit.server.connections.manager_builder import build


class Native:
    """The writer of the C module."""

    def __init__(self, transport: object, descriptor: int) -> None:
        self.descriptor = descriptor

    def __call__(self, data: bytes) -> None: ...

    def close(self) -> None: ...


class Socket:
    """Notes its options."""

    def __init__(self) -> None:
        self.options: list[tuple[int, int, int]] = []

    def fileno(self) -> int:
        return 17

    def setsockopt(self, *option: Any) -> None:
        self.options.append(option)


def test_a_plain_socket_has_the_native_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_setup, "Pipe", Native)
    found = pipe(RecordedTransport(info={"socket": Socket()}), native=True)
    assert isinstance(found, Native)
    assert found.descriptor == 17


@pytest.mark.parametrize(
    ("native", "built", "info"),
    [
        (False, Native, {"socket": Socket()}),
        (True, None, {"socket": Socket()}),
        (True, Native, {}),
        (True, Native, {"socket": Socket(), "sslcontext": object()}),
    ],
    ids=["not wanted", "not built", "no socket", "encrypted"],
)
def test_everything_else_is_written_to_the_transport(
    monkeypatch: pytest.MonkeyPatch, *, native: bool, built: Any, info: dict[str, object]
) -> None:
    monkeypatch.setattr(transport_setup, "Pipe", built)
    transport = RecordedTransport(info=info)
    found = pipe(transport, native=native)
    assert isinstance(found, PlainPipe)
    found(b"data")
    assert transport.written == b"data"


@pytest.mark.parametrize(
    ("event_bytes", "receive_bytes"), [(1024, READ_BYTES), (1_000_000, 500_000)]
)
def test_the_buffers_have_room_for_a_part_of_what_the_limits_allow(
    event_bytes: int, receive_bytes: int
) -> None:
    manager = build(limits=LimitSettings(buffer_bytes=2_000_000, event_bytes=event_bytes))
    sock = Socket()
    transport = RecordedTransport(info={"socket": sock})
    set_buffer_sizes(transport, manager)
    assert transport.limits == (2_000_000, 500_000)
    ((level, option, size),) = sock.options
    assert (level, option) == (socket.SOL_SOCKET, socket.SO_RCVBUF)
    message_bytes = manager.session_limits.message_bytes
    assert size == max(READ_BYTES, message_bytes // 2)
    assert size >= receive_bytes
