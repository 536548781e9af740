"""Messages of a client over its WebSocket, to a session whose hub only takes notes."""

import json
from typing import Any

import orjson

from tests.fuzz.source import Source
from tests.unit.session.session_client import Client

REPLY = 20 * 1024
"""More than any answer to one command has: 20 faults with a pointer and a message of 300 characters
each.
"""
CODES = {
    "invalid_json", "too_deep", "invalid_frame", "invalid_channel", "unknown_channel",
    "invalid_since", "already_subscribed", "forbidden", "not_subscribed", "too_many_subscriptions",
    "invalid_event", "invalid_token",
}  # fmt: skip


def commands(data: bytes) -> None:
    """Each message gets one answer with its ref, nothing is raised, and what is published is what
    was sent.
    """
    source = Source(data)
    client = Client(prompt=not source.byte() & 1)
    for message in source.rest().split(b"\x00")[:20]:
        published, waiting = len(client.submitted), dict(client.session._subscriptions)
        client.session.receive(message)
        assert len(client.line.data) <= REPLY, len(client.line.data)
        replies = client.heard()
        said = strictly(message)
        submitted = client.submitted[published:]
        begun = client.session._subscriptions.keys() - waiting.keys()
        if not client.node.prompt and begun:
            client.node.begin(*begun)
            replies += client.heard()
        assert len(replies) + len(submitted) == 1, (replies, submitted)
        ref = said.get("ref") if isinstance(said, dict) else None
        if replies and replies[0]["type"] == "error":
            assert replies[0]["code"] in CODES, replies
        else:
            assert isinstance(said, dict), "only an object is a command"
        if (
            isinstance(ref, str)
            and len(ref) <= 64
            and not any("\ud800" <= c <= "\udfff" for c in ref)
            and known(replies)
        ):
            assert [reply["ref"] for reply in replies] + [ref for ref, _ in submitted] == [ref]
        for _, event in submitted:
            assert isinstance(said, dict)
            assert json.loads(event.data) == said["data"]
            assert event.channel == said["channel"]
            assert b"\n" not in event.data
        assert len(client.session._subscriptions) <= 3
    client.session.close()
    client.session.receive(b'{"type":"ping"}')
    assert client.heard() == []
    assert not client.node.subscribers


def known(replies: list[dict[str, Any]]) -> bool:
    """Whether the answer has the ref. Only a message that cannot be read may have none."""
    return not replies or replies[0].get("code") not in ("invalid_json", "too_deep")


def strictly(message: bytes) -> Any:
    """The value by RFC 8259; None if it is not JSON."""
    try:
        orjson.loads(message)
        return json.loads(message)
    except (ValueError, RecursionError):
        return None
