"""server/api/web_files.py: which form of a file a client gets, and when it has it already."""

import asyncio
import gzip
from typing import Any

import pytest

from eventhub.server.api.web_files import WebFile, accepts_gzip, serve_files

BODY = b"body { color: red }\n" * 50
FILE = WebFile("a/b.css", BODY, [(b"x-one", b"1"), (b"cache-control", b"no-cache")])
GZIP = (b"accept-encoding", b"br, gzip")


def answer(
    file: WebFile, *headers: tuple[bytes, bytes], method: str = "GET", **scope: str
) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body of a request for /here."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def rest(*_: Any) -> None:
        await send({"status": 0, "headers": []})
        await send({"body": b"the rest"})

    asked = {
        "type": "http", "method": method, "path": "/here", "headers": list(headers), **scope
    }  # fmt: skip
    app = serve_files({"/here": file}.get, rest)
    asyncio.run(app(asked, None, send))  # type: ignore[arg-type]  # nothing is received
    head, body = sent
    return head["status"], dict(head["headers"]), body["body"]


def test_a_client_gets_the_form_that_it_accepts() -> None:
    status, headers, body = answer(FILE)
    assert (status, body) == (200, BODY)
    assert b"content-encoding" not in headers
    status, small, body = answer(FILE, GZIP)
    assert (status, gzip.decompress(body)) == (200, BODY)
    assert small[b"content-encoding"] == b"gzip"
    for each in (headers, small):
        assert each[b"content-type"] == b"text/css; charset=utf-8"
        assert (each[b"vary"], each[b"x-one"]) == (b"Accept-Encoding", b"1")
    assert int(headers[b"content-length"]) == len(BODY)
    assert int(small[b"content-length"]) == len(body) < len(BODY)
    assert headers[b"etag"] != small[b"etag"]


@pytest.mark.parametrize("known", [b"%b", b"W/%b", b'"other", W/%b', b"*"])
@pytest.mark.parametrize("headers", [(), (GZIP,)])
def test_a_client_that_has_the_file_gets_no_body(
    known: bytes, headers: tuple[tuple[bytes, bytes], ...]
) -> None:
    _, first, _ = answer(FILE, *headers)
    condition = known % first[b"etag"] if b"%b" in known else known
    status, again, body = answer(FILE, *headers, (b"if-none-match", condition))
    assert (status, body, again[b"etag"]) == (304, b"", first[b"etag"])
    assert (again[b"cache-control"], again[b"vary"]) == (b"no-cache", b"Accept-Encoding")
    assert b"content-length" not in again


def test_a_client_that_has_another_form_or_file_gets_it() -> None:
    _, small, _ = answer(FILE, GZIP)
    _, other, _ = answer(WebFile("a/b.css", b"another", []))
    for etag in (small[b"etag"], other[b"etag"], b"", b"x"):
        assert answer(FILE, (b"if-none-match", etag))[0] == 200


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        (b"", False), (b"gzip", True), (b"GZIP;q=0.5", True), (b"br,gzip", True), (b"*", True),
        (b"gzip;q=0", False), (b"gzip; q=0.000", False), (b"*, gzip;q=0", False),
        (b"*;q=0, gzip", True), (b"br, identity", False), (b"gzipped", False),
        (b"gzip" + b"," * 508, True), (b"gzip" + b"," * 509, False),
    ],
)  # fmt: skip
def test_gzip_is_sent_to_those_who_accept_it(accepted: bytes, expected: bool) -> None:  # noqa: FBT001
    assert accepts_gzip(accepted) is expected


def test_a_file_that_is_kept_for_good_has_the_same_etag() -> None:
    kept = FILE.kept_for_good()
    _, headers, body = answer(kept)
    assert body == BODY
    assert headers[b"cache-control"] == b"public, max-age=31536000, immutable"
    assert headers[b"etag"] == answer(FILE)[1][b"etag"]
    assert headers[b"content-length"] == b"%d" % len(BODY)


def test_another_method_is_refused_and_another_path_goes_on() -> None:
    status, headers, body = answer(FILE, method="POST")
    assert (status, headers[b"allow"]) == (405, b"GET, HEAD")
    assert b"POST" in body
    assert answer(FILE, path="/there")[2] == b"the rest"
    assert answer(FILE, type="lifespan")[2] == b"the rest"


def test_a_path_is_below_that_of_the_application() -> None:
    assert answer(FILE, path="/hub/here", root_path="/hub")[2] == BODY
    assert answer(FILE, path="/here", root_path="/hub")[2] == BODY
    assert answer(FILE, path="/hubhere", root_path="/hub")[2] == b"the rest"
