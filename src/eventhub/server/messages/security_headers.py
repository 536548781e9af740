"""Security headers of responses. They are constants because the hot path sends them."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eventhub.errors import EventHubError

SAFE = (
    (b"x-content-type-options", b"nosniff"),  # JSON must not run as a script
    # no <script>, <img> or <iframe> of another site; CORS (`origins`) takes precedence
    (b"cross-origin-resource-policy", b"same-origin"),
)

ALWAYS = (
    # a response for one principal must not be cached (RFC 6750, 2.3)
    (b"cache-control", b"no-store"),
    *SAFE,
)
"""On every response."""

LIVE = (
    # A proxy that compresses holds back events until a block is full. no-transform forbids it
    # (RFC 9111, 5.2.2.6).
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),  # nginx must not buffer the stream
    *SAFE,
)
"""On every response that is a stream."""

REPLAYED = (b"idempotent-replayed", b"true")
"""On the response to a publish that was, in part at least, stored before."""
APPLIED = ((b"preference-applied", b"handling=lenient"),)
"""On the response to a publish whose refused events are counted, not an error (RFC 7240, 3)."""

PAGE = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        b"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (b"x-frame-options", b"DENY"),  # frame-ancestors, for browsers without CSP
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (
        b"permissions-policy",
        b"camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
    (b"cache-control", b"no-cache"),  # revalidated by ETag, so a new version is used at once
)
"""Besides, on web pages and their files."""


def headers_of(error: EventHubError) -> list[tuple[bytes, bytes]]:
    """The headers of an error's response."""
    return [(name.encode(), value.encode()) for name, value in error.headers.items()]


def with_headers(app: ASGIApp, headers: tuple[tuple[bytes, bytes], ...]) -> ASGIApp:
    """The application with these headers on each response that does not set them itself."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(header for header in headers if header[0] not in present),
                ]
            await send(message)

        await app(scope, receive, headed)

    return wrapped
