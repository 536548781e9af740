"""What scripts of listed pages may send and read (Fetch, 3.3): nothing more is decided here than browsers ask to be told."""

from collections.abc import Mapping
from http import HTTPStatus

from starlette.types import Message, Scope, Send

from eventhub.common.origin import OPAQUE, Origins
from eventhub.server.messages.security_headers import ALWAYS

METHODS = b"GET, HEAD, POST, PUT, DELETE"
READABLE = b"Idempotent-Replayed, Preference-Applied, Retry-After, WWW-Authenticate"
"""Headers of answers that a script may read, besides those that it always may."""
PREFLIGHT_SECONDS = b"600"

Headers = list[tuple[bytes, bytes]]


class Cors:
    """The headers of answers to listed pages."""

    def __init__(self, listed: Origins) -> None:
        self._listed = listed

    @property
    def on(self) -> bool:
        """There are listed pages."""
        return not self._listed.empty

    def watch(self, scope: Scope, send: Send) -> Send:
        """Let the page that asks read the answer, if it is listed."""
        origin = next((value for name, value in scope["headers"] if name == b"origin"), None)
        shared = [
            (b"vary", b"Origin"),
            *self._shared(origin),
        ]  # for caches, which may give it to another page

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *shared]
            await send(message)

        return watched

    async def preflight(self, headers: Mapping[bytes, bytes], send: Send) -> None:
        """Tell a page that may connect that it may send what it asks for.

        Whatever headers those are: libraries that trace, or that stand in for EventSource, add their own. A listed page may do all that
        ours may.
        """
        answer = [
            *ALWAYS,
            (b"access-control-allow-methods", METHODS),
            (b"access-control-max-age", PREFLIGHT_SECONDS),
        ]
        if wanted := headers.get(b"access-control-request-headers"):
            answer.append((b"access-control-allow-headers", wanted))
        if (
            headers.get(b"access-control-request-private-network") == b"true"
        ):  # from a public page to a machine of a private network
            answer.append((b"access-control-allow-private-network", b"true"))
        await send(
            {"type": "http.response.start", "status": HTTPStatus.NO_CONTENT, "headers": answer}
        )
        await send({"type": "http.response.body", "body": b""})

    def _shared(self, origin: bytes | None) -> Headers:
        if origin is None or not self._listed.cover(text := origin.decode("latin-1")):
            return []
        exposed = (b"access-control-expose-headers", READABLE)
        if self._listed.name(
            text
        ):  # such a page may send cookies, which a proxy in between may want
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
    """Whether OPTIONS with these headers is a browser's own question what a page may send."""
    return b"origin" in headers and b"access-control-request-method" in headers
