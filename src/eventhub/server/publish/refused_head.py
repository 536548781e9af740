"""What is kept of a publish whose head is refused: of its body, what has arrived by then."""

from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope

from eventhub.auth.grants import Action
from eventhub.auth.principal import Principal
from eventhub.errors import EventHubError
from eventhub.events.refused_event import Received, precondition
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.messages.request_head import headers_by_name
from eventhub.server.publish.content_coding import Unpacker, coding_of
from eventhub.server.publish.headers import ATTRIBUTE_HEADERS, attributes_of, precondition_of
from eventhub.server.publish.request import PREFIX

TEXT = 256
"""Characters that are kept of a key or a reference."""


def received_with(
    manager: ConnectionManager, scope: Scope, principal: Principal | None, receive: Receive
) -> Received | None:
    """What is kept. None if the principal is not known, or may not publish to the channel."""
    if principal is None:
        return None
    channel, headers = scope["path"][len(PREFIX) :], headers_by_name(scope["headers"])
    try:
        anyone = manager.hub.types.resolve(channel).anonymous
    except EventHubError:
        return None
    if not principal.may(Action.PUBLISH, channel, anyone):
        return None
    body, cut = arrived(headers, receive)
    key = headers.get(b"idempotency-key")
    return Received(
        channel,
        body,
        principal.author,
        "http",
        None if key is None else key[:TEXT].decode("latin-1"),
        _attributes(headers),
        _options(scope, headers),
        cut,
    )


def arrived(headers: Mapping[bytes, bytes], receive: Receive) -> tuple[bytes, bool]:
    """What has arrived of the body, without waiting, and whether it may be a part only."""
    if b"expect" in headers:  # the client waits for 100, and has sent no body
        return b"", True
    step = iter(receive().__await__())
    try:
        next(step)
    except StopIteration as done:
        body, more = done.value.get("body", b""), done.value.get("more_body", False)
        return _unpacked(headers, body, more=more)
    except EventHubError:
        return b"", True
    step.close()  # it would wait
    return b"", True


def _unpacked(headers: Mapping[bytes, bytes], body: bytes, *, more: bool) -> tuple[bytes, bool]:
    """The first piece of a compressed body, and whether more follows. The body as it is if not."""
    try:
        if (coding := coding_of(headers)) is None:
            return body, more
        unpacker = Unpacker(coding)
        unpacker.feed(body)
        piece = unpacker.unpack()
    except EventHubError:
        return b"", True
    return piece, more or not (unpacker.is_whole and unpacker.is_hungry)


def _attributes(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    """Those that are valid."""
    found: dict[str, str] = {}
    for name in ATTRIBUTE_HEADERS:
        with suppress(EventHubError):
            if name in headers:
                found |= attributes_of({name: headers[name]}) or {}
    return found


def _options(scope: Scope, headers: Mapping[bytes, bytes]) -> dict[str, str]:
    """The reference and the precondition, as far as each is valid."""
    query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
    found = {name: query[name][:TEXT] for name in ("refers", "relation") if name in query}
    with suppress(EventHubError):
        found |= precondition(precondition_of(headers))
    return found
