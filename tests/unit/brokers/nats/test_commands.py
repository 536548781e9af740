"""brokers/nats/commands.py: the bytes of messages, as the client library writes them."""

import pytest
from nats.protocol import command

from eventhub.brokers.nats.commands import publish_command


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
