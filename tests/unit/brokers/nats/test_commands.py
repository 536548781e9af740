"""brokers/nats/commands.py: the bytes of messages, as the client library writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.protocol import command

from eventhub.brokers.nats.commands import header_fields, publish_command


@pytest.mark.parametrize("reply", ["", "_INBOX.a.1"])
@pytest.mark.parametrize("data", [b"", b"{}", "\u00e9".encode()])
def test_a_message_without_headers_is_the_librarys(reply: str, data: bytes) -> None:
    assert (
        publish_command("a.b", data, reply).split() == command.pub_cmd("a.b", reply, data).split()
    )


@pytest.mark.parametrize("reply", ["", "_INBOX.a.1"])
def test_a_message_with_headers_is_the_librarys(reply: str) -> None:
    head = 'NATS/1.0\r\nEventHub: 7 1000\r\nA: {"x":"\u00e9"}\r\n\r\n'.encode()
    headers = {"EventHub": "7 1000", "A": '{"x":"\u00e9"}'}
    ours = publish_command("a.b", b"12", reply, headers)
    assert ours.split() == command.hpub_cmd("a.b", reply, head, b"12").split()
    assert ours.endswith(b"\r\n\r\n12\r\n")


def test_a_header_cannot_hold_another() -> None:
    with pytest.raises(ValueError, match="line break"):
        publish_command("a", b"", headers={"A": "1\nB: 2"})


@given(st.lists(st.sampled_from([b"A", b"Nats-Seq", b":", b" ", b"\t", b"\r\n", b"1", b"\xff"])))
def test_headers_are_read_as_the_library_reads_them(parts: list[bytes]) -> None:
    raw = b"".join(parts)
    theirs = Client._parse_header_lines(raw)
    theirs.pop("", None)  # a line without a name
    assert header_fields(raw) == theirs


def test_headers_have_names_and_values() -> None:
    raw = 'EventHub: 7 1000\r\nA:{"x":"\u00e9:"} \r\nno\r\nB C: 1\r\n\r\n'.encode()
    assert header_fields(raw) == {"EventHub": "7 1000", "A": '{"x":"\u00e9:"}'}
