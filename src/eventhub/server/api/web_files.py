"""Files in memory, answered without a file system: each with its headers, made once.

Scripts and style sheets are without their comments. Pages and what they load are small, and a
browser asks for some forty of them at once. From the file system a page cost the server up to four
times the CPU time (tests/bench/RESULTS.md).
"""

import gzip
import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Self

from starlette.types import ASGIApp, Receive, Scope, Send

from eventhub.errors import MethodNotAllowed
from eventhub.server.api.comments import without_comments
from eventhub.server.messages.problem import send_problem

TYPES = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".json": b"application/json",
    ".svg": b"image/svg+xml",
}
"""The media type by the end of a file's name; of all others it is TEXT."""
TEXT = b"text/plain; charset=utf-8"
ACCEPTED_BYTES = 512
"""The longest Accept-Encoding that is read. With a longer one, the response is not compressed."""
FOREVER = (b"cache-control", b"public, max-age=31536000, immutable")
_REFUSED = re.compile(rb"q=0(\.0*)?")

Headers = Sequence[tuple[bytes, bytes]]


class WebFile:
    """A file with its two forms, plain and compressed (gzip), and an ETag for each.

    A form is made when it is first asked for, as few servers are asked for all of their pages.
    """

    __slots__ = ("_body", "_forms", "_headers", "_name")

    def __init__(self, name: str, body: bytes, headers: Headers) -> None:
        self._name = name
        self._body = body
        self._headers = headers
        self._forms: dict[bool, _Form] = {}

    def kept_for_good(self) -> Self:
        """The same file, at an address below which it never changes (RFC 8246)."""
        others = [header for header in self._headers if header[0] != FOREVER[0]]
        return type(self)(self._name, self._body, [*others, FOREVER])

    async def respond(self, headers: Headers, send: Send) -> None:
        """Answer a GET with these headers: 304 if the client has the file (RFC 9110, 13.1.2)."""
        asked = dict(headers)
        small = accepts_gzip(asked.get(b"accept-encoding", b""))
        if (form := self._forms.get(small)) is None:
            form = self._forms[small] = self._form(small=small)
        known = asked.get(b"if-none-match", b"")
        unchanged = form.etag in known or known == b"*"
        start = {"type": "http.response.start", "status": 304 if unchanged else 200}
        await send({**start, "headers": form.unchanged if unchanged else form.headers})
        await send({"type": "http.response.body", "body": b"" if unchanged else form.body})

    def _form(self, *, small: bool) -> "_Form":
        media_type = next((kind for end, kind in TYPES.items() if self._name.endswith(end)), TEXT)
        common = [(b"content-type", media_type), (b"vary", b"Accept-Encoding"), *self._headers]
        body = without_comments(self._name, self._body)
        tag = hashlib.sha256(body).hexdigest()[:32].encode()
        if not small:
            return _Form(body, b'"%b"' % tag, common)
        compressed = [*common, (b"content-encoding", b"gzip")]
        return _Form(gzip.compress(body, 6, mtime=0), b'"%b-gzip"' % tag, compressed)


class _Form:
    """The bytes of a response's body, and the headers of status 200 and 304."""

    __slots__ = ("body", "etag", "headers", "unchanged")

    def __init__(self, body: bytes, etag: bytes, headers: Headers) -> None:
        self.body = body
        self.etag = etag
        self.unchanged = [(b"etag", etag), *headers]
        self.headers = [(b"content-length", b"%d" % len(body)), *self.unchanged]


def accepts_gzip(accepted: bytes) -> bool:
    """Whether a client with this Accept-Encoding may get gzip (RFC 9110, 12.5.3)."""
    if len(accepted) > ACCEPTED_BYTES:
        return False
    found = {}
    for part in accepted.lower().split(b","):
        coding, _, weight = part.partition(b";")
        found[coding.strip()] = not _REFUSED.fullmatch(weight.replace(b" ", b""))
    return found.get(b"gzip", found.get(b"*", False))


def serve_files(find: Callable[[str], WebFile | None], rest: ASGIApp) -> ASGIApp:
    """The application that answers with the file that `find` returns for a path, or else `rest`.

    A path is below the application's own (`root_path`). HEAD has become GET before.
    """

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (file := find(_path(scope))) is None:
            await rest(scope, receive, send)
        elif scope["method"] == "GET":
            await file.respond(scope["headers"], send)
        else:
            await _refuse(scope, send)

    return serve


def _path(scope: Scope) -> str:
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path.removeprefix(root) if root and path.startswith(f"{root}/") else path


async def _refuse(scope: Scope, send: Send) -> None:
    path, method = scope["path"][:200], scope["method"]
    error = MethodNotAllowed(f"{path!r} has no method {method}; expected one of GET, HEAD")
    await send_problem(send, error, headers=[(b"allow", b"GET, HEAD")])
