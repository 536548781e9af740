"""A client that loses nothing (PROTOCOL.md): it keeps a cursor for each channel, and comes back."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import orjson

from eventhub.events.event import Position
from eventhub.events.since import parse_since
from tests.simulation.connection import ENCODINGS, Connection
from tests.simulation.node import Node
from tests.simulation.pipe import Pipe
from tests.simulation.promise import Promise, position
from tests.simulation.types import TYPES
from tests.simulation.words import data_of, told

if TYPE_CHECKING:
    from tests.simulation.world import World

PRESENCE = ("join", "leave", "update", "presence")
RETRY_SECONDS = 1.0


@dataclass(slots=True)
class Publish:
    """An event that a client publishes until it is acknowledged."""

    channel: str
    data: int
    subject: str
    key: str
    acknowledged: Position | None = None


class Line:
    """The client's end of one connection."""

    def __init__(self, client: "Client", node: Node, number: int) -> None:
        self.name = f"{client.name}.{number}"
        self.member = client.member
        self.node = node
        self.was_full = False
        self.promises: dict[str, Promise] = {}
        self.members: dict[str, dict[str, bytes] | int] = {}
        """By watched channel, as its messages say: with data, b"" for none; a crowd as a number."""
        self.open = True
        self.sent_away = False
        self.connection: Connection | None = None
        self.delay: Callable[[], float] = client.delay
        self._client = client
        self._up = Pipe(client.world.loop, client.delay, node.process.context)
        bound = client.world.chance.pick(client.world.bounds)
        self._up.send(self._connect, bound, client.world.chance.pick(ENCODINGS))

    def send(self, command: dict[str, Any]) -> None:
        self._client.world.note(self.name, command)
        self._up.send(self._deliver, orjson.dumps(command))

    def grant(self, credit: float) -> None:
        """Read so many writes more."""
        self._up.send(self._on_connection, Connection.grant, credit)

    def break_down(self) -> None:
        """The node's next write to this connection raises."""
        self._up.send(self._on_connection, _break)

    def close(self) -> None:
        """Close it from this end."""
        self.open = False
        self._up.send(self._on_connection, Connection.gone)

    def check_complete(self, wanted: Iterable[str]) -> None:
        """The client has everything of the channels that it wants."""
        assert set(self.promises) == set(wanted), f"{self.name} is not subscribed"
        for channel, promise in self.promises.items():
            assert promise.at is not None, f"{self.name} waits for subscribed of {channel}"
            promise.complete()

    # In the node's process

    def _connect(self, bound: int, encoding: Any) -> None:
        if self.node.serves:
            self.connection = Connection(self.node, self, bound, encoding)
        else:
            self._client.world.loop.call_later(0.01, self.lost)

    def _deliver(self, command: bytes) -> None:
        self._on_connection(Connection.receive, command)

    def _on_connection(self, act: Callable[..., None], *arguments: Any) -> None:
        if self.connection is not None:
            act(self.connection, *arguments)

    # In the client

    def receive(self, data: bytes) -> None:
        if not self.open:
            return
        for line in data.splitlines():
            message = orjson.loads(line)
            if message["type"] in PRESENCE:
                self._watch(message)
            else:
                self._client.world.note(self.name, message)
                self._handle(message)

    def lost(self) -> None:
        """It was closed from the other end, or the node is gone."""
        if self.open:
            self.open = False
            self._client.disconnected(self)

    def _handle(self, message: dict[str, Any]) -> None:
        promise = self.promises.get(message.get("channel", ""))
        match message["type"]:
            case "subscribed" | "event" | "gap":
                assert promise is not None, f"of a channel without a subscription: {message}"
                promise.see(message, was_full=self.was_full)
                assert promise.at is not None
                self._client.cursors[message["channel"]] = promise.at
                if "count" in message:
                    self.members[message["channel"]] = told(message)
            case "unsubscribed":
                assert promise is not None
                self.members.pop(message["channel"], None)
                del self.promises[message["channel"]]
                self._client.unsubscribed(message["channel"])
            case "published":
                self._client.published(message["ref"], position(message["id"]))
            case "goodbye":
                self.sent_away = True
            case "error":
                self._client.refused(message)

    def _watch(self, message: dict[str, Any]) -> None:
        channel = message["channel"]
        assert channel in self.members, f"presence of a channel that is not watched: {message}"
        if message["type"] == "presence":
            self.members[channel] = told(message)
            return
        members = self.members[channel]
        assert isinstance(members, dict), f"of a crowd: {message}"
        ((member, data),) = data_of([message["member"]]).items()
        known = members.pop(member, None)
        match message["type"]:
            case "join":
                assert known is None, f"{message} with {members}"
                members[member] = data
            case "update":
                assert known not in (None, data), f"{message} with {members}"
                members[member] = data
            case "leave":
                assert known == data, f"{message} with {members}"


class Client:
    """Somebody who subscribes, publishes, and comes back."""

    line_type: ClassVar[type[Line]] = Line

    def __init__(self, world: "World", number: int) -> None:
        self.name = f"c{number}"
        self.number = number
        self.member = f"m{number % 3}"
        self.world = world
        self.wanted: dict[str, str] = {}
        """Where its subscriptions begin, by channel."""
        self.cursors: dict[str, Position] = {}
        self.unanswered: dict[str, Publish] = {}
        """By key."""
        self.line: Line | None = None
        self.speed = 0.05
        self._lines = 0

    def delay(self) -> float:
        return self.world.chance.between(0.001, self.speed)

    # Connections

    def connect(self) -> None:
        """Connect to any node, and go on where it was."""
        nodes = self.world.serving
        if self.line is not None:
            return
        if not nodes:
            self.world.later(RETRY_SECONDS, self.connect)
            return
        self._lines += 1
        self.line = self.line_type(self, self.world.chance.pick(nodes), self._lines)
        self.world.note(self.line.name, "connects to", self.line.node.name)
        for channel in self.wanted:
            self._subscribe(channel)
        for publish in self.unanswered.values():
            self._publish(publish)

    def disconnect(self) -> None:
        """Close the connection."""
        if self.line is not None:
            self.line.close()
            self.line = None

    def disconnected(self, line: Line) -> None:
        """A connection is lost: come back."""
        self.world.note(line.name, "lost")
        if line is self.line:
            self.line = None
            self.world.later(self.world.chance.between(0.05, RETRY_SECONDS), self.connect)

    # Commands

    def subscribe(self, channel: str, since: str) -> None:
        """Want a channel from now on."""
        if channel not in self.wanted:
            self.wanted[channel] = since
            self.cursors.pop(channel, None)
            if self.line is not None and channel not in self.line.promises:
                self._subscribe(channel)

    def unsubscribe(self, channel: str) -> None:
        """Want a channel no more."""
        if self.line is not None and channel in self.line.promises:
            self.wanted.pop(channel, None)
            self.line.send({"type": "unsubscribe", "channel": channel})

    def unsubscribed(self, channel: str) -> None:
        """A subscription has ended. It may be wanted again."""
        if channel in self.wanted:
            self._subscribe(channel)

    def is_member(self, channel: str) -> bool:
        """Whether it is subscribed to a channel that keeps members, or about to be."""
        kept = TYPES.resolve(channel).presence
        return kept and self.line is not None and channel in self.line.promises

    def update(self, channel: str) -> None:
        """Say something as a member of a channel."""
        if self.is_member(channel) and (data := self.world.words.of(self)) is not None:
            assert self.line is not None
            self.line.send({"type": "update", "channel": channel, "data": data})

    def publish(self, publish: Publish) -> None:
        """Publish until it is acknowledged."""
        self.unanswered[publish.key] = publish
        self._publish(publish)

    def published(self, key: str, where: Position) -> None:
        """An event is stored."""
        publish = self.unanswered.pop(key, None)
        if publish is not None:
            publish.acknowledged = where

    def refused(self, message: dict[str, Any]) -> None:
        """Something failed: publish again what may be stored later."""
        publish = self.unanswered.get(str(message.get("ref")))
        if publish is not None:
            assert message["code"] in ("broker_unavailable", "shutting_down", "internal"), message
            self.world.later(RETRY_SECONDS, lambda: self._again(publish))

    def _again(self, publish: Publish) -> None:
        if publish.key in self.unanswered:
            self._publish(publish)

    def _publish(self, publish: Publish) -> None:
        if self.line is not None:
            self.line.send(
                {
                    "type": "publish",
                    "ref": publish.key,
                    "channel": publish.channel,
                    "data": publish.data,
                    "key": publish.key,
                    "attributes": {"subject": publish.subject},
                }
            )

    def _subscribe(self, channel: str) -> None:
        assert self.line is not None
        kind = TYPES.resolve(channel)
        cursor = self.cursors.get(channel)
        since = self.wanted[channel] if cursor is None else str(cursor)
        self.line.promises[channel] = Promise(
            self.world.store.log(channel), kind, parse_since(since)
        )
        command: dict[str, Any] = {
            "type": "subscribe",
            "ref": channel,
            "channel": channel,
            "since": since,
        }
        if kind.presence:
            data = self.world.words.of(self)
            member = self.member if data is None else {"id": self.member, "data": data}
            command |= {"presence": True, "member": member}
        self.line.send(command)


def _break(connection: Connection) -> None:
    connection.breaks = True
