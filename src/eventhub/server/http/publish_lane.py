"""The publish requests of one connection that need no task.

They are answered at once, or by the broker's callback when their events are stored.
`RequestHandler` asks for each request whether it may take this lane. Whenever something is unusual,
the request goes through the queue, as every other request.
"""

from collections.abc import Callable, Iterable

from eventhub.server.http.connection_context import ConnectionContext
from eventhub.server.http.head import IncomingHead
from eventhub.server.http.known_publish import KnownPublish
from eventhub.server.http.request_queue import RequestQueue
from eventhub.server.http.request_response import STATUS_LINES
from eventhub.server.messages.request_head import SPACE
from eventhub.server.publish.endpoint import METHODS
from eventhub.server.publish.fast_path import HeadKey
from eventhub.server.publish.request import PREFIX, PublishRequest
from eventhub.server.publish.response import STORED, PublishResponse
from eventhub.server.publish.waiting_publish import WaitingPublish
from eventhub.server.security.idle_connections import IdleConnection

HEAD_BYTES = 2048
"""The largest head that is remembered."""
KEY = b"idempotency-key"
VARYING = frozenset((b"content-length", KEY))
"""Fields that may differ between requests of the same meaning."""
_PREFIX = PREFIX.encode()
Fields = Iterable[tuple[bytes, bytes]]


class LaneRequest:
    """A request of the lane, from its head to its answer. `read`: the bytes that begin with it."""

    __slots__ = ("body", "head", "key", "method", "read", "request")

    def __init__(
        self, method: str, head: IncomingHead, request: PublishRequest, read: bytes
    ) -> None:
        self.method = method
        self.head = head
        self.request = request
        self.read = read
        self.body = b""
        self.key = next((value for name, value in head.headers if name == KEY), None)


class PublishLane:
    """The lane of one connection, whose other requests wait in `requests`."""

    __slots__ = ("_client", "_context", "_fast_path", "_read", "_requests", "pending")

    def __init__(self, context: ConnectionContext, requests: RequestQueue) -> None:
        self._context = context
        self._fast_path = context.fast_path
        self._requests = requests
        self._client = context.scope.peer
        self._read = b""  # what was read last, while its first request is being parsed
        self.pending: LaneRequest | None = None
        """The request whose body is being parsed."""

    def answer_known(
        self, data: bytes, connection: IdleConnection, done: Callable[[], None]
    ) -> bytes:
        """Answer the requests whose heads are known byte by byte, while the connection is idle.

        Returns the bytes behind them. If the last one waits for its broker, it is in the queue, and
        `done` is called when it is answered.
        """
        context, begin = self._context, 0
        while self._idle and (found := self._known(data, begin)) is not None:
            request, body_begin, end = found
            answer = self._fast_path.publish(request, None, data[body_begin:end])
            if answer is None:
                break
            begin = end
            if isinstance(answer, WaitingPublish):
                self._wait(request, answer, done)
                break
            context.transport.raw.write(self._encode(answer))
            idle = context.manager.connection_limits.idle
            idle.renew(connection, context.admission.slot, context.loop)
            if begin == len(data):
                break
        self._read = data[begin:] if begin else data
        return self._read

    def begin(self, method: str, head: IncomingHead, *, usual: bool) -> bool:
        """Take a request whose head was accepted before. `usual`: HTTP/1.1, and not the last."""
        read, self._read = self._read, b""
        if usual and self._on and _is_publish(method, head):
            found = self._fast_path.find(self._key(method, head))
            if found is not None:
                self.pending = LaneRequest(method, head, found.request, read)
        return self.pending is not None

    def answer(self, done: Callable[[], None]) -> bool:
        """Answer the pending request, which is complete. Returns whether that is done.

        Otherwise it is in the queue, and `done` is called when it is answered; or it is pending
        still, and has to go another way.
        """
        pending = self.pending
        assert pending is not None
        if self._requests or self._context.flow.write_paused:
            self._queue(pending, done, in_task=False)
            return False
        answer = self._fast_path.publish(pending.request, pending.key, pending.body)
        if answer is None:
            self._queue(pending, done, in_task=True)
            return False
        self.pending = None
        if pending.key is None and (raw := _whole_head(pending)):
            self._fast_path.remember((raw, self._client), pending.request, len(pending.body))
        if isinstance(answer, WaitingPublish):
            self._wait(pending.request, answer, done)
            return False
        self._context.transport.write(self._encode(answer))
        return True

    def _queue(self, pending: LaneRequest, done: Callable[[], None], *, in_task: bool) -> None:
        """Let a complete request wait among the others, if it may."""
        if not (
            self._fast_path.traced
            or pending.key is not None
            or pending.request.key is not None
            or len(pending.body) > pending.request.limits.body_bytes
        ):
            self.pending = None
            request, body = pending.request, pending.body
            known = KnownPublish(request, body, self._encode, self._context, done)
            known.in_task = in_task
            self._requests.add(known)

    def _wait(
        self, request: PublishRequest, waiting: WaitingPublish, done: Callable[[], None]
    ) -> None:
        """It is being published."""
        known = KnownPublish(request, b"", self._encode, self._context, done)
        known.wait(waiting)
        self._requests.add(known)

    def offer(self, method: str, head: IncomingHead) -> Callable[[PublishRequest], None] | None:
        """A function to call with the request once its head was accepted. None: of no use."""
        if not _is_publish(method, head) or not _is_usual(head):
            return None
        key = self._key(method, head)
        return lambda request: self._fast_path.remember(key, request)

    @property
    def _on(self) -> bool:
        """Whether a request that begins now may take the lane."""
        context = self._context
        return not context.admission.full and not context.manager.hub.draining

    @property
    def _idle(self) -> bool:
        """Whether a request that begins now may be answered at once."""
        return self._on and not self._requests and not self._context.flow.write_paused

    def _known(self, data: bytes, begin: int) -> tuple[PublishRequest, int, int] | None:
        """The request that begins here, where its body begins, and where it ends.

        None unless it is whole, and its head is known.
        """
        body = data.find(b"\r\n\r\n", begin, begin + HEAD_BYTES) + 4
        if (found := self._fast_path.find((data[begin:body], self._client))) is None:
            return None
        end = body + found.length
        return (found.request, body, end) if end <= len(data) else None

    def _key(self, method: str, head: IncomingHead) -> HeadKey:
        lasting = [field for field in head.headers if field[0] not in VARYING]
        return (method, head.url, self._client, *lasting)

    def _encode(self, answer: PublishResponse) -> bytes:
        return ENCODER.encode(
            answer, self._context.server_state.default_headers, self._fast_path.headers
        )


class ResponseEncoder:
    """Writes complete responses. It keeps the head of the most frequent one."""

    __slots__ = ("_created", "_default")

    def __init__(self) -> None:
        self._default: Fields = ()
        self._created = b""

    def encode(self, answer: PublishResponse, default_headers: Fields, more: Fields) -> bytes:
        """The bytes of a response. `default_headers` is another object when it has changed.

        `more` are headers of all responses of a node.
        """
        status, headers, body = answer
        if headers is not STORED:
            head = _head(status, (*default_headers, *headers, *more))
        elif default_headers is self._default:
            head = self._created
        else:
            head = self._created = _head(status, (*default_headers, *headers, *more))
            self._default = default_headers
        return b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)


ENCODER = ResponseEncoder()


def _is_publish(method: str, head: IncomingHead) -> bool:
    return method in METHODS and head.url.startswith(_PREFIX)


def _is_usual(head: IncomingHead) -> bool:
    size = len(head.url) + sum(len(name) + len(value) for name, value in head.headers)
    names = {name for name, _ in head.headers}
    return size <= HEAD_BYTES and b"content-length" in names and b"transfer-encoding" not in names


def _whole_head(request: LaneRequest) -> bytes:
    """The bytes of its head, if they have one meaning: each line ends in CRLF, and is one field."""
    raw = request.read[: request.read.find(b"\r\n\r\n", 0, HEAD_BYTES) + 4]
    first, *lines = raw.split(b"\r\n")
    fields = [line.partition(b":") for line in lines[:-2]]
    same = [(name.lower(), value.strip(SPACE)) for name, _, value in fields] == request.head.headers
    target = b"%b %b HTTP/1.1" % (request.method.encode(), request.head.url)
    return raw if same and first == target else b""


def _head(status: int, headers: Fields) -> bytes:
    return STATUS_LINES[status] + b"".join(b"%b: %b\r\n" % field for field in headers)
