"""Request bodies as other clients sent them, recorded: for machines without these clients, and
because the clients may change.
"""

from collections.abc import Callable

Sender = Callable[[str, str, bytes], list[bytes]]
"""From path, media type and body to what goes out; between two parts the client waits for 100
Continue.
"""

H2C = (
    "Connection: Upgrade, HTTP2-Settings",
    "HTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA",
    "Upgrade: h2c",
)
GO = ("Host: 127.0.0.1", "User-Agent: Go-http-client/1.1")
JAVA = ("Host: 127.0.0.1", "User-Agent: Java-http-client/17.0.15")
NODE = ("Host: 127.0.0.1", "Connection: keep-alive")
PYTHON = (
    "Host: 127.0.0.1",
    "User-Agent: python-requests/2.32.3",
    "Accept-Encoding: gzip, deflate",
    "Accept: */*",
    "Connection: keep-alive",
)


def _head(path: str, *fields: str, version: str = "1.1") -> bytes:
    return "\r\n".join((f"POST {path} HTTP/{version}", *fields, "", "")).encode()


def _chunks(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def _length(*fields: str, version: str = "1.1") -> Sender:
    def sender(path: str, media: str, body: bytes) -> list[bytes]:
        return [
            _head(
                path,
                *fields,
                f"Content-Length: {len(body)}",
                f"Content-Type: {media}",
                version=version,
            )
            + body
        ]

    return sender


def _expects(*fields: str) -> Sender:
    def sender(path: str, media: str, body: bytes) -> list[bytes]:
        return [
            _head(path, *fields, f"Content-Length: {len(body)}", f"Content-Type: {media}"),
            body,
        ]

    return sender


def _chunked(*fields: str) -> Sender:
    def sender(path: str, media: str, body: bytes) -> list[bytes]:
        return [_head(path, *fields, f"Content-Type: {media}") + _chunks(body[:3], body[3:])]

    return sender


RECORDED: dict[str, Sender] = {
    "go length": _length(*GO, "Accept-Encoding: gzip"),
    "go chunked": _chunked(*GO, "Transfer-Encoding: chunked", "Accept-Encoding: gzip"),
    "go expect": _expects(*GO, "Expect: 100-continue", "Accept-Encoding: gzip"),
    "java length": _length(*H2C, *JAVA),
    "java chunked": _chunked(*H2C, *JAVA, "Transfer-encoding: chunked"),
    "java expect": _expects(*H2C, "Expect: 100-Continue", *JAVA),
    "java plain": _length(*JAVA),
    "node fetch-stream": _chunked(*NODE, "sec-fetch-mode: cors", "transfer-encoding: chunked"),
    "node http-expect": _expects(*NODE, "Expect: 100-continue"),
    "requests length": _length(*PYTHON),
    "requests chunked": _chunked(*PYTHON, "Transfer-Encoding: chunked"),
    "curl --http2": _length("Host: 127.0.0.1", *H2C, "User-Agent: curl/7.88.1", "Accept: */*"),
    "wget": _length(
        "User-Agent: Wget/1.21.3",
        "Accept: */*",
        "Accept-Encoding: identity",
        "Host: 127.0.0.1",
        "Connection: Keep-Alive",
    ),
    "ab -k": _length("Connection: Keep-Alive", "Host: 127.0.0.1", version="1.0"),
    "nginx, as it speaks to upstreams": _length(
        "Host: 127.0.0.1", "Connection: close", version="1.0"
    ),
}
