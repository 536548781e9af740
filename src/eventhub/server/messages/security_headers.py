"""What browsers are told about every answer: how not to read it, and from where not to use it. Constants, as the hot path sends them."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eventhub.errors import EventHubError

SAFE = (
    (b"x-content-type-options", b"nosniff"),  # JSON is no script, whoever asks for it as one
    (
        b"cross-origin-resource-policy",
        b"same-origin",
    ),  # not in <script>, <img> or <iframe> elsewhere; CORS (`origins`) stands above it
)

ALWAYS = (
    (
        b"cache-control",
        b"no-store",
    ),  # what is for one principal is for no cache, wherever its credential was (RFC 6750, 2.3)
    *SAFE,
)
"""On every answer."""

LIVE = (
    # A proxy that compresses holds events back until it has a block of them; no-transform forbids
    # it to (RFC 9111, 5.2.2.6).
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),  # nginx would collect the stream
    *SAFE,
)
"""On every answer that is written bit by bit."""

REPLAYED = (b"idempotent-replayed", b"true")
"""On the answer to a publish of which something was there already."""
APPLIED = ((b"preference-applied", b"handling=lenient"),)
"""On the answer to a publish whose refused events are counted and not an error (RFC 7240, 3)."""

PAGE = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
        b"base-uri 'none'; frame-ancestors 'none'",
    ),
    (b"x-frame-options", b"DENY"),  # frame-ancestors, for what knows no policy
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (
        b"permissions-policy",
        b"camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
    (b"cache-control", b"no-cache"),  # revalidated by ETag: a new version is seen at once
)
"""On pages and their files, besides."""


def headers_of(error: EventHubError) -> list[tuple[bytes, bytes]]:
    """What an error's answer says in its head."""
    return [(name.encode(), value.encode()) for name, value in error.headers.items()]


def with_headers(app: ASGIApp, headers: tuple[tuple[bytes, bytes], ...]) -> ASGIApp:
    """The application, each of its responses with these, where it does not say otherwise."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(header for header in headers if header[0] not in said),
                ]
            await send(message)

        await app(scope, receive, headed)

    return wrapped
