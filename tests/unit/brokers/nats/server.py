"""A NATS server in the test's own process and event loop, that does what a test says.

It speaks the client protocol on a socket of 127.0.0.1, with `jetstream.py` behind it. What
only a real server can show (clusters, storage, permissions) is in tests/integration.
"""

import asyncio
import json
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tests.unit.brokers.nats.jetstream import FakeJetStream, Headers, matches

Answer = Callable[[str, bytes], Mapping[str, Any] | None]
"""From subject and body to the answer; None for no answer."""
API = "$JS.API."


@dataclass(eq=False)
class Connection:
    """A client."""

    writer: asyncio.StreamWriter
    subscriptions: dict[str, str] = field(default_factory=dict)  # subjects by sid

    def give(
        self, sid: str, subject: str, reply: str, headers: Headers | None, data: bytes
    ) -> None:
        """A message for one subscription."""
        if headers is None:
            head, verb, sizes = b"", "MSG", f"{len(data)}"
        else:
            status = headers.get("Status", "")
            lines = "".join(f"{k}: {v}\r\n" for k, v in headers.items() if k != "Status")
            head = f"NATS/1.0{' ' * bool(status)}{status}\r\n{lines}\r\n".encode()
            verb, sizes = "HMSG", f"{len(head)} {len(head) + len(data)}"
        line = " ".join(part for part in (verb, subject, sid, reply, sizes) if part)
        self.writer.write(line.encode() + b"\r\n" + head + data + b"\r\n")


class FakeNats:
    """A server. Its public attributes may be changed at any time."""

    def __init__(self, **info: object) -> None:
        self.info = {
            "server_id": "fake",
            "version": "2.10.0",
            "proto": 1,
            "headers": True,
            "max_payload": 1_048_576,
            **info,
        }
        self.connections: list[Connection] = []
        self.logins: list[dict[str, Any]] = []
        """What each CONNECT held."""
        self.told = ""
        """All lines of clients, in order."""
        self.requests: list[str] = []
        """The subjects of what clients published, without `$JS.API.`."""
        self.jetstream = FakeJetStream(
            lambda subject, headers, data: self.emit(subject, data, headers)
        )
        self.answers: dict[str, Answer] = {}
        """By the beginning of a subject (without `$JS.API.`): what is answered in its place."""
        self.mute = False
        """Answer no pings."""
        self.tls: ssl.SSLContext | None = None
        self.port = 0

    @property
    def address(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def emit(self, subject: str, data: bytes, headers: Headers | None = None) -> int:
        """Send to the subscribers of a subject. Returns how many there are."""
        count = 0
        for connection in self.connections:
            for sid, pattern in list(connection.subscriptions.items()):
                if matches(pattern, subject):
                    connection.give(sid, subject, "", headers, data)
                    count += 1
        return count

    @property
    def inbox(self) -> str:
        """Where the newest connection takes replies, with the dot before the token."""
        patterns = self.connections[-1].subscriptions.values()
        return next(one for one in patterns if one.startswith("_INBOX.")).removesuffix("*")

    def cut(self) -> None:
        """End all connections."""
        for connection in self.connections:
            connection.writer.transport.abort()

    def asked(self, prefix: str) -> int:
        """How often a subject with this beginning was published to."""
        return sum(subject.startswith(prefix) for subject in self.requests)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        connection = Connection(writer)
        self.connections.append(connection)
        writer.write(b"INFO " + json.dumps(self.info).encode() + b"\r\n")
        with suppress(OSError, asyncio.IncompleteReadError):
            if self.tls is not None:
                await writer.start_tls(self.tls)
            while line := (await reader.readline()).decode().rstrip("\r\n"):
                await self._handle(connection, line, reader)
        self.connections.remove(connection)
        writer.transport.abort()

    # Private

    def _republish(self, subject: str, headers: Headers, data: bytes) -> None:
        self.emit(subject, data, headers)

    async def _handle(
        self, connection: Connection, line: str, reader: asyncio.StreamReader
    ) -> None:
        self.told += f"{line}\n"
        match line.split(" "):
            case ["CONNECT", *_]:
                self.logins.append(json.loads(line.partition(" ")[2]))
            case ["PING"]:
                if not self.mute:
                    connection.writer.write(b"PONG\r\n")
            case ["SUB", subject, sid]:
                connection.subscriptions[sid] = subject
            case ["SUB", subject, "", sid]:
                connection.subscriptions[sid] = subject
            case ["UNSUB", sid, *_]:
                connection.subscriptions.pop(sid, None)
            case ["PUB" | "HPUB", subject, *more]:
                sizes = 2 if line.startswith("H") else 1
                reply = more[0] if len(more) > sizes else ""
                body = await reader.readexactly(int(more[-1]) + 2)
                head = int(more[-2]) if sizes == 2 else 0
                self._published(connection, subject, reply, _headers(body[:head]), body[head:-2])

    def _published(
        self, connection: Connection, subject: str, reply: str, headers: Headers, data: bytes
    ) -> None:
        name = subject.removeprefix(API)
        self.requests.append(name)
        for prefix, answer in self.answers.items():
            if name.startswith(prefix):
                self._reply(reply, answer(name, data))
                return
        if name.startswith("CONSUMER.MSG.NEXT."):
            self._pull(connection, name, reply, data)
        elif name != subject:
            self._reply(reply, self.jetstream.api(name, data))
        elif (stream := self.jetstream.taking(subject)) is not None:
            self._reply(reply, self.jetstream.store(stream, subject, headers, data))
        elif not self.emit(subject, data, headers or None) and reply:
            self.emit(reply, b"", {"Status": "503"})

    def _reply(self, reply: str, answer: Mapping[str, Any] | None) -> None:
        if reply and answer is not None:
            headers = {"Status": str(answer["status"])} if "status" in answer else None
            self.emit(reply, b"" if headers else json.dumps(answer).encode(), headers)

    def _pull(self, connection: Connection, name: str, reply: str, data: bytes) -> None:
        for sid, pattern in connection.subscriptions.items():
            if matches(pattern, reply):
                for subject, ack, headers, body in self.jetstream.pull(name, data):
                    connection.give(sid, subject or reply, ack, headers, body)


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode().split("\r\n")[1:]
    return dict(line.split(": ", 1) for line in lines if line)
