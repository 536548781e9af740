"""The node's end of a client's connection: the writer of a real session, over a model of TCP.

It behaves as `WebSocketProtocol` does: its buffer is full above a bound and has room again below a
quarter of it, its owner is told in a later turn, and nothing is read while the buffer is full.
"""

from collections import deque
from typing import TYPE_CHECKING

from eventhub.auth.principal import ANYONE, Principal
from eventhub.delivery.encoding import LineEncoding
from eventhub.delivery.signals import SIGNAL_SHARE
from eventhub.delivery.subscriber import Subscriber
from eventhub.errors import EventHubError, ShuttingDown, SlowConsumer
from eventhub.events.channel_types import ChannelType
from eventhub.events.event import NewEvent, Receipt
from eventhub.events.references import Reference
from eventhub.server.websocket.publish_queue import PublishQueue
from eventhub.session.commands import Ref
from eventhub.session.interfaces import Decided, SessionLimits
from eventhub.session.session import Session
from tests.simulation.pipe import Pipe
from tests.simulation.types import WITH_PRESENCE

if TYPE_CHECKING:
    from tests.simulation.client import Line
    from tests.simulation.node import Node

EVENT = b'{"type":"event"'
AT_ANY_TIME = (
    EVENT,
    b'{"type":"presence"',
    b'{"type":"join"',
    b'{"type":"leave"',
    b'{"type":"update"',
)
"""What comes when something happens, and not as an answer."""
SIGNAL = b'{"type":"signal"'
LIMITS = SessionLimits(65536, 128, 25.0, 32, 65536)
ENCODINGS = LineEncoding(), LineEncoding()
"""Two that write the same: subscribers of one channel are written to by encoding."""


class Identity:
    """Anyone (`ClientIdentity`)."""

    principal: Principal = ANYONE

    def __init__(self, name: str) -> None:
        self.id = name

    def authenticate(self, credential: str, decided: Decided) -> None:
        raise AssertionError("nobody sends a credential")

    def charge(self, channel_type: ChannelType) -> None: ...

    def charge_signal(self, channel_type: ChannelType) -> None: ...


class Connection:
    """The writer of one session (`ConnectionWriter`)."""

    def __init__(self, node: "Node", line: "Line", bound: int, encoding: LineEncoding) -> None:
        self.encoding = encoding
        self.full = False
        self.credit = float("inf")
        """Writes that the client is ready to receive."""
        self.breaks = False
        """The next write of an event raises, as a faulty connection would."""
        self._node = node
        self._line = line
        self._bound = bound
        self._loop = node.loop
        self._pipe = Pipe(self._loop, line.delay)
        self._queue: deque[bytes | None] = deque()
        self.size = 0
        """Bytes in its buffer."""
        self._commands: deque[bytes] = deque()
        self._closed = False
        self._was_told = False
        """The session knows that the buffer is full."""
        self._session = Session(node.hub, self, LIMITS, self, Identity(line.name))
        self._publishes = PublishQueue(node.hub, self._published, self.fail, line.name)
        node.connections[self] = None

    @property
    def subscribers(self) -> list[Subscriber]:
        """The subscriptions."""
        return [] if self._closed else list(self._session._subscriptions.values())

    # What the client does

    def receive(self, message: bytes) -> None:
        self._commands.append(message)
        self._read()

    def grant(self, credit: float) -> None:
        """The client reads so many writes more."""
        self.credit = credit
        self._pump()

    def gone(self) -> None:
        """The client has closed its end."""
        self._queue.clear()
        self._end()

    # ConnectionWriter

    def write(self, data: bytes) -> None:
        if self._closed:
            return
        self._check_room(data)
        if self.breaks and data.startswith(EVENT):
            self.breaks = False
            raise OSError("a fault of this connection")
        self._queue.append(data)
        self.size += len(data)
        self._pump()
        if self.size > self._bound and not self.full:
            self.full = True
            self._line.was_full = True
            self._loop.call_soon(self._congested)

    def takes_signal(self, size: int) -> bool:
        return self.size + size <= self._bound // SIGNAL_SHARE

    def fail(self, error: EventHubError) -> None:
        if not self.full and not isinstance(error, SlowConsumer):
            self._session.error(error)
        self._close()

    def abort(self) -> None:
        self._queue.clear()
        self._close()

    def goodbye(self, error: ShuttingDown) -> None:
        """The node stops."""
        if not self._closed:
            for subscriber in self.subscribers:
                if subscriber.channel.startswith(WITH_PRESENCE):
                    self._node.sent_away[subscriber] = self._line.member
            self._session.goodbye(error)
            self._close()

    # Private

    def _close(self) -> None:
        """Close behind what is buffered."""
        if not self._closed:
            self._end()
            self._queue.append(None)
            self._pump()
            self._loop.call_later(5.0, self._abort_closing)

    def _abort_closing(self) -> None:
        self._queue.clear()
        self._pipe.send(self._line.lost)

    def _end(self) -> None:
        if not self._closed:
            self._closed = True
            self._node.connections.pop(self, None)
            self._session.close()

    def _read(self) -> None:
        while self._commands and not self._closed and not self.full and self._publishes.roomy:
            self._session.receive(self._commands.popleft())

    def _pump(self) -> None:
        while self._queue and self.credit > 0:
            self.credit -= 1
            data = self._queue.popleft()
            if data is None:
                self._pipe.send(self._line.lost)
                return
            self.size -= len(data)
            self._pipe.send(self._line.receive, data)
        if self.full and self.size <= self._bound // 4:
            self.full = self._was_told = False
            self._loop.call_soon(self._drained)

    def _congested(self) -> None:
        if self.full and not self._closed:
            self._session.congested()
            self._was_told = True

    def _check_room(self, data: bytes) -> None:
        if self._was_told and data.startswith(AT_ANY_TIME):
            self._loop.errors.append(AssertionError(f"for a full buffer: {data!r}"))
        if data.startswith(SIGNAL) and not self.takes_signal(len(data)):
            self._loop.errors.append(AssertionError(f"a signal for a slow reader: {data!r}"))

    def _drained(self) -> None:
        self._read()
        if not self.full and not self._closed:
            self._session.drained()

    def submit(self, ref: Ref, event: NewEvent, reference: Reference | None = None) -> None:
        self._publishes.add(ref, event, reference)

    def _published(self, ref: Ref, channel: str, outcome: Receipt | EventHubError) -> None:
        if not self._closed:
            self._session.published(ref, channel, outcome)
        self._read()
