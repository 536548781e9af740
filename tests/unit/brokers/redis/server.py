"""A Redis server in the test's own process and event loop, that does what a test says.

It speaks RESP3 on a socket of 127.0.0.1 and knows the commands that the broker sends. Its scripts
only count offsets: what the Lua scripts do is tested with real servers, in tests/contract and
tests/integration.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import hiredis

from eventhub.brokers.redis.codec import HISTORY
from eventhub.brokers.redis.url import ServerAddress

Command = Sequence[bytes]
Answer = Callable[[Command], object]

SILENCE = object()
"""As an answer: none, nor to later commands of that connection, since answers come in order.
To SUBSCRIBE: no confirmation.
"""


BIRTHS = b"p:0:births"
"""The topic of births."""


class Failure(str):
    """As an answer: an error reply."""


@dataclass(eq=False)
class Connection:
    """A client."""

    writer: asyncio.StreamWriter
    topics: set[bytes] = field(default_factory=set)
    silent: bool = False

    def push(self, *parts: object) -> None:
        self.writer.write(b">%d\r\n" % len(parts) + b"".join(map(encode, parts)))


class FakeRedis:
    """A server. Its public attributes may be changed at any time."""

    def __init__(self) -> None:
        self.role = b"master"
        self.memory = b"maxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n"
        self.commands: list[Command] = []
        self.connections: list[Connection] = []
        self.answers: dict[str, Answer] = {}
        """By the name of a command: what is answered in place of what this server knows."""
        self.tips: dict[bytes, int] = {}
        """The newest offsets, by topic."""
        self.port = 0

    @property
    def address(self) -> ServerAddress:
        return ServerAddress("127.0.0.1", self.port)

    def named(self, name: str) -> list[Command]:
        """The commands with this name, without those that subscribe to births."""
        return [
            command
            for command in self.commands
            if command[0] == name.encode() and command[1:] != [BIRTHS]
        ]

    def publish(self, topic: bytes, data: bytes) -> int:
        """Send to the subscribers of a topic. Returns how many there are."""
        found = [connection for connection in self.connections if topic in connection.topics]
        for connection in found:
            connection.push(b"message", topic, data)
        return len(found)

    def cut(self, *, listening: bool | None = None) -> None:
        """End all connections, or only those that listen or do not."""
        for connection in self.connections:
            if listening is None or bool(connection.topics) == listening:
                connection.writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        connection, parser = Connection(writer), hiredis.Reader()
        self.connections.append(connection)
        with suppress(OSError, hiredis.ProtocolError):
            while data := await reader.read(65536):
                parser.feed(data)
                while (command := parser.gets()) is not False:
                    self._handle(connection, command)
        self.connections.remove(connection)
        writer.transport.abort()

    # Private

    def _handle(self, connection: Connection, command: Any) -> None:
        self.commands.append(command)
        name = command[0].decode()
        if name in self.answers:
            answer = self.answers[name](command)
        elif "SUBSCRIBE" in name:
            return self._subscribe(connection, name, command[1:])
        else:
            answer = self._answer(name, command)
        if answer is SILENCE:
            connection.silent = "SUBSCRIBE" not in name
        elif not connection.silent:
            connection.writer.write(encode(answer))

    def _answer(self, name: str, command: Command) -> object:
        match name:
            case "HELLO":
                return {b"role": self.role}
            case "INFO":
                return self.memory
            case "PUBLISH" | "SPUBLISH":
                return self.publish(command[1], command[2])
            case "EVALSHA" if command[1] == HISTORY.sha:
                topic = command[3].replace(b":meta:", b":0:")
                tip = self.tips.get(topic, 0)
                return [b"e", tip, tip, b""]
            case "EVALSHA":
                return self._store(command)
            case "SELECT" | "ASKING" | "SCRIPT":
                return b"OK"
        raise AssertionError(command)

    def _store(self, command: Command) -> object:
        """What publish.lua answers, and announces in one piece."""
        count = int(command[2])
        topic, births, events = command[6], command[3 + count + 6], command[3 + count + 8 :]
        before = self.tips.get(topic, 0)
        header, bodies = f"e {before} {before + 1}", []
        for i in range(0, len(events), 3):
            time, body = events[i], events[i + 1]
            header += f" {int(time)} {len(body)}"
            bodies.append(body)
        self.tips[topic] = before + len(bodies)
        self.publish(topic, header.encode() + b"\n" + b"".join(bodies))
        if not before:
            self.publish(births, topic.partition(b"{")[2][:-1])
        return [b"e", *range(before + 1, before + 1 + len(bodies))]

    def _subscribe(self, connection: Connection, name: str, topics: Command) -> None:
        for topic in topics:
            if "UNSUBSCRIBE" in name:
                connection.topics.discard(topic)
            else:
                connection.topics.add(topic)
            connection.push(name.lower().encode(), topic, len(connection.topics))


def encode(value: object) -> bytes:
    """A reply in RESP3."""
    match value:
        case Failure():
            return b"-%b\r\n" % value.encode()
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(value), value)
        case int():
            return b":%d\r\n" % value
        case list() | tuple():
            return b"*%d\r\n" % len(value) + b"".join(map(encode, value))
        case dict():
            pairs = (encode(part) for pair in value.items() for part in pair)
            return b"%%%d\r\n" % len(value) + b"".join(pairs)
    raise AssertionError(value)
