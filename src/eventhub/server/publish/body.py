"""Reading a request's body whole, bounded in bytes and in time."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from starlette.types import Receive

from eventhub.auth.principal import Principal
from eventhub.common.concurrency import within
from eventhub.config.limit_settings import LimitSettings
from eventhub.server.connections.limit_errors import too_large, too_slow
from eventhub.server.connections.liveness import LEAST_RATE
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.publish.content_coding import unpacked


class BodyRequest(Protocol):
    """A request whose body is read."""

    @property
    def principal(self) -> Principal:
        """Who sends it."""
        ...

    @property
    def headers(self) -> Mapping[bytes, bytes]:
        """Its headers, by names in lower case."""
        ...

    @property
    def limits(self) -> LimitSettings:
        """The limits that apply."""
        ...


class Body(bytearray):
    """What was received of a body, unpacked."""

    is_whole = False


async def read_body(
    manager: ConnectionManager,
    request: BodyRequest,
    receive: Receive,
    body: Body | None = None,
) -> bytes:
    """Return the whole body, unpacked if it is compressed.

    `body`, an empty one, has what was received, also after an error.
    Until its last chunk arrives, a body in several chunks counts among its principal's connections.
    Raises InvalidRequest, PayloadTooLarge, RequestTimeout, TooManyConnections; ConnectionResetError
    if the client leaves.
    """
    limits = request.limits
    receive = unpacked(request.headers, receive, manager.fair_queue)
    if (length := int(request.headers.get(b"content-length", b"0"))) > limits.body_bytes:
        raise too_large(f"the body has {length} bytes", "body_bytes", limits.body_bytes)
    # Not bytes: these would be copied for each chunk, so that a chunk of one byte would cost as
    # much as the body.
    body = Body() if body is None else body
    deadline = asyncio.get_running_loop().time() + limits.body_seconds
    if await _read_chunk(receive, body, limits, deadline):
        with manager.registry.counted(request.principal):
            while await _read_chunk(receive, body, limits, deadline):
                pass
    body.is_whole = True
    return bytes(body)


async def _read_chunk(
    receive: Receive, body: bytearray, limits: LimitSettings, deadline: float
) -> bool:
    """Add the next chunk to the body, and return whether another follows.

    `deadline`, on the loop's clock, is for a small body: a larger one has more time, at LEAST_RATE
    bytes a second.
    """
    left = deadline + len(body) / LEAST_RATE - asyncio.get_running_loop().time()
    try:
        message = await within(max(0, left), receive())
    except TimeoutError:
        raise too_slow("the body", limits.body_seconds) from None
    if message["type"] == "http.disconnect":
        raise ConnectionResetError
    body += message["body"]
    if len(body) > limits.body_bytes:
        raise too_large(f"the body has {len(body)} bytes or more", "body_bytes", limits.body_bytes)
    return bool(message.get("more_body"))
