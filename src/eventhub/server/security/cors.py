"""The CORS headers that let scripts of listed pages send requests and read responses.

Source: Fetch, 3.3. `origin_check.py` decides which pages may connect.
"""

from collections.abc import Mapping
from http import HTTPStatus

from starlette.types import Message, Scope, Send

from eventhub.common.origin import OPAQUE, Origins
from eventhub.server.messages.security_headers import ALWAYS

METHODS = b"GET, HEAD, POST, PUT, DELETE"
READABLE = b"Idempotent-Replayed, Preference-Applied, Retry-After, WWW-Authenticate"
"""Response headers that a script may read, in addition to those that every script may read."""
VARY = (b"vary", b"Origin")
"""It tells caches not to give the response to another page."""
PREFLIGHT_SECONDS = b"600"

Headers = list[tuple[bytes, bytes]]


class Cors:
    """Adds CORS headers to responses for listed pages."""

    def __init__(self, listed: Origins) -> None:
        self._listed = listed

    @property
    def on(self) -> bool:
        """Whether any page is listed."""
        return not self._listed.empty

    def watch(self, scope: Scope, send: Send) -> Send:
        """Let the requesting page read the response if it is listed."""
        origin = next((value for name, value in scope["headers"] if name == b"origin"), None)
        shared = [VARY, *self._shared(origin)]

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *shared]
            await send(message)

        return watched

    async def preflight(self, headers: Mapping[bytes, bytes], send: Send) -> None:
        """Allow everything that a listed page asks for in its preflight request.

        All headers are allowed: libraries for tracing, or in place of EventSource, add their own.
        """
        answer = [
            *ALWAYS,
            (b"access-control-allow-methods", METHODS),
            (b"access-control-max-age", PREFLIGHT_SECONDS),
        ]
        if wanted := headers.get(b"access-control-request-headers"):
            answer.append((b"access-control-allow-headers", wanted))
        # A public page connects to a machine of a private network.
        if headers.get(b"access-control-request-private-network") == b"true":
            answer.append((b"access-control-allow-private-network", b"true"))
        await send(
            {"type": "http.response.start", "status": HTTPStatus.NO_CONTENT, "headers": answer}
        )
        await send({"type": "http.response.body", "body": b""})

    def _shared(self, origin: bytes | None) -> Headers:
        if origin is None or not self._listed.cover(text := origin.decode("latin-1")):
            return []
        exposed = (b"access-control-expose-headers", READABLE)
        # A page that is listed by name may send cookies, which a proxy may need.
        if self._listed.name(text):
            return [
                (b"access-control-allow-origin", origin),
                (b"access-control-allow-credentials", b"true"),
                exposed,
            ]
        return [
            (b"access-control-allow-origin", b"*" if self._listed.any else OPAQUE.encode()),
            exposed,
        ]


def is_preflight(headers: Mapping[bytes, bytes]) -> bool:
    """Return whether OPTIONS with these headers is a browser's CORS preflight."""
    return b"origin" in headers and b"access-control-request-method" in headers
