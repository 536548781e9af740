"""server/http/malformed.py: what is said about bytes that are not HTTP/1.1."""

from types import SimpleNamespace

import httptools
import pytest

from eventhub.server.http.head import IncomingHead
from eventhub.server.http.malformed import malformed

ERROR = httptools.HttpParserError("Invalid method")


@pytest.mark.parametrize(
    ("data", "method", "url", "in_body", "expected"),
    [
        (b"zz\r\n", b"POST", b"/", True, "the framing of the body is malformed"),
        (b"PRI * HTTP/2.0\r\n", b"PRI", b"", False, "this is the preface of HTTP/2"),
        (b"Ho st: a\r\n", b"GET", b"/", False, "the head of the request is malformed"),
        (b"\x16\x03\x01\x02", b"", b"", False, "this is the beginning of TLS"),
        (b"hello\r\n", b"", b"", False, "this is not an HTTP request"),
    ],
    ids=["body", "HTTP/2", "head", "TLS", "anything else"],
)
def test_the_error_says_what_came(
    *, data: bytes, method: bytes, url: bytes, in_body: bool, expected: str
) -> None:
    head = IncomingHead()
    head.add_url(url)
    parser = SimpleNamespace(get_method=lambda: method)
    assert malformed(ERROR, data, parser, head, in_body=in_body).message.startswith(expected)
