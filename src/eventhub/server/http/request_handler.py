"""The requests of one HTTP connection. Each step of a request follows the states of `state.py`.

`protocol.py` is the connection to asyncio and uvicorn. `reader.py` finds the steps.
"""

from collections.abc import Callable
from functools import partial

from eventhub.errors import EventHubError, InvalidRequest
from eventhub.server.http.admission import HEALTH_PROBE_SECONDS, UNREAD_SECONDS
from eventhub.server.http.connection_context import ConnectionContext, RequestShell
from eventhub.server.http.head import IncomingHead, head_too_late
from eventhub.server.http.publish_lane import LaneRequest, PublishLane
from eventhub.server.http.reader import RequestReader
from eventhub.server.http.request_queue import RequestQueue
from eventhub.server.http.state import PARSING, TRANSITIONS, WAITING, HttpState, HttpTrigger
from eventhub.server.http.timers import DISCARDING_SECONDS, LAST_CALL_SECONDS, RequestTimers
from eventhub.server.messages import request_head
from eventhub.server.messages.asgi_extensions import OFFER
from eventhub.server.messages.problem import encode_problem


class RequestHandler:
    """The requests of one connection, until `detach`.

    A client that ends its half of the connection still gets the answers that are due. So does one
    that sends bytes that are no request; it gets the error behind them.
    """

    __slots__ = (
        "_admission", "_context", "_final_response", "_flow", "_lane", "_loop", "_manager",
        "_reader", "_requests", "_shell", "_state", "_timers", "_transport",
    )  # fmt: skip

    def __init__(self, context: ConnectionContext, shell: RequestShell) -> None:
        self._context = context
        self._manager, self._admission = context.manager, context.admission
        self._transport, self._flow = context.transport, context.flow
        self._loop, self._shell = context.loop, shell
        self._state = HttpState.START
        tasks = context.server_state.tasks
        starts = context.manager.request_starts
        self._requests = RequestQueue(context.app, starts, tasks, context.loop, context.flow)
        self._lane = PublishLane(context, self._requests)
        self._reader = RequestReader(
            context.manager, context.transport, context.flow, self._requests, self
        )
        self._timers = RequestTimers(context.loop)
        self._final_response = b""  # sent behind the answers that are due
        self._start_head_timer(HEALTH_PROBE_SECONDS if context.admission.full else None)

    # Input: the connection

    def data_received(self, data: bytes) -> None:
        """Parse bytes from the client, or discard them."""
        if self._transport.is_closing():
            return
        if self._state is HttpState.ENDED:
            self._reader.discard(len(data))
            return
        if self._state is HttpState.IDLE and not self._reader.holds:
            data = self._lane.answer_known(data, self._shell, self._answered)
            if self._requests:  # the last one waits for its broker
                self._stop_waiting()
                self._move(HttpTrigger.WHOLE_REQUEST)
        if data:
            self._reader.feed(data)

    def half_closed(self, *, secure: bool) -> bool:
        """The client sends no more. Returns whether answers are due.

        Under TLS a connection has no halves: it ends.
        """
        self._reader.flush()
        if secure or self._transport.is_closing():
            return False
        in_head = self._state is HttpState.HEAD
        self._stop_waiting()
        self._timers.stop_head()
        self._move(HttpTrigger.STOPPED)
        if self._transport.unread:
            self._transport.unread = False  # no more of the body comes
            return self._requests.body_broke_off()
        if self._requests:
            self._requests.half_closed()
            return True
        if in_head:
            error = InvalidRequest("the connection's half ended before the request's head did")
            self._transport.write(encode_problem(error))
        return False

    def detach(self) -> None:
        """Another protocol has the connection, or it has closed."""
        if self._state is HttpState.DETACHED:
            return
        self._stop_waiting()
        self._timers.stop_head()
        self._move(HttpTrigger.DETACHED)
        self._reader.stop()
        self._requests.disconnect()
        del self._shell  # the two refer to each other, and would wait for garbage collection

    def last_call(self) -> bool:
        """The server is about to stop. Returns whether an answer is due.

        Then the connection closes behind that answer, which says so unless it has begun (RFC 9112,
        9.6). Otherwise it closes after LAST_CALL_SECONDS.
        """
        if self._requests:
            self._requests.close_behind_last()
            return True
        if self._state in WAITING:
            self._stop_waiting()
            self._move(HttpTrigger.LAST_CALL)
            self._timers.start_wait(LAST_CALL_SECONDS, self._transport.close)
        return False

    def shutdown(self) -> None:
        """The server stops: close behind the answer that is due, or now."""
        if self._requests:
            self._requests.close_behind_last()
        else:
            self._transport.close()

    # Input: the reader

    @property
    def parses(self) -> bool:
        """More bytes may be parsed."""
        return self._state in PARSING and not self._transport.is_closing()

    def request_begun(self) -> None:
        self._stop_waiting()
        self._requests.check_room()
        self._move(HttpTrigger.REQUEST_BEGUN)

    def head_received(
        self, method: str, version: str, head: IncomingHead, *, keep_alive: bool
    ) -> None:
        self._timers.stop_head()
        usual = keep_alive and version == "1.1"
        if not self._lane.begin(method, head, usual=usual):
            self._queue(method, version, head, keep_alive=keep_alive)
        self._move(HttpTrigger.HEAD_COMPLETE)
        self._transport.unread = True

    def body_received(self, body: bytes) -> None:
        if self._lane.pending is None:
            self._requests.body_received(body)
        else:
            self._lane.pending.body += body

    def fed(self) -> None:
        if self._lane.pending is not None:
            self._leave_lane(self._lane.pending)
        elif self._state is HttpState.HEAD and not self._timers.head_runs:
            self._start_head_timer()

    def request_complete(self, *, keep_alive: bool) -> None:
        if self._lane.pending is not None:
            if self._lane.answer(self._answered):
                self._transport.unread = False
                self._move(HttpTrigger.REQUEST_COMPLETE)
                self._move(HttpTrigger.ANSWERED)
                self._wait()
                return
            if self._lane.pending is not None:
                self._leave_lane(self._lane.pending)
        request = self._requests.newest
        if request is None:
            return
        self._transport.unread = False
        request.more_body = False
        self._move(HttpTrigger.REQUEST_COMPLETE)
        if request.keep_alive and not keep_alive:  # a trailer said Connection: close
            request.keep_alive = False
            if request.response_complete:
                self._transport.close()
                return
        if not request.response_complete:
            request.body_changed()
        elif self._state is HttpState.IDLE:
            self._wait()

    def upgrade(self, head: IncomingHead, tail: bytes) -> None:
        """Hand the connection over to a WebSocket."""
        self._timers.stop_head()
        if self._admission.full and not self._requests:
            self.fail(self._admission.full)
        elif self._requests:
            self.fail(InvalidRequest("an upgrade behind an unanswered request"))
        elif request_head.has_body(head.headers):
            self.fail(InvalidRequest("the handshake of a WebSocket has a body; expected none"))
        else:
            self._shell.hand_over(head, tail)

    def fail(self, error: EventHubError) -> None:
        """The bytes are no request, or no body: parse no more.

        The error is sent behind the answers that are due. A fault of a body is raised by the
        application that reads it.
        """
        if self._transport.is_closing() or self._state is HttpState.ENDED:
            return
        self._timers.stop_head()
        self._stop_waiting()
        if self._admission.full and not self._requests:
            self._shell.reject_probe()
            return
        self._move(HttpTrigger.STOPPED)
        self._reader.end()
        request = self._requests.newest
        if request is not None and self._transport.unread:
            request.fail_body(error)
            if request.response_complete:
                self._transport.close()
            return
        self._manager.hub.refused(error)
        self._final_response = encode_problem(error)
        if not self._requests:
            self._send_final_response()

    def contain(self, act: Callable[[], None]) -> Callable[[], None]:
        """A callback for later: a fault in it ends this connection only."""
        return partial(self._shell.contained, act)

    # Private: requests

    def _queue(self, method: str, version: str, head: IncomingHead, *, keep_alive: bool) -> None:
        request = self._context.new_request(method, version, head, self._answered)
        request.keep_alive = request.keep_alive and keep_alive
        if not self._requests:
            self._admission.check(request.scope["raw_path"])
        if offer := self._lane.offer(method, head):
            request.scope[OFFER] = offer
        if self._admission.probe:
            self._admission.probe.asked = True
        self._requests.add(request)

    def _leave_lane(self, request: LaneRequest) -> None:
        """The request goes through the queue."""
        self._lane.pending = None
        self._queue(request.method, "1.1", request.head, keep_alive=True)
        self._requests.body_received(request.body)

    # Private: answers

    def _answered(self) -> None:
        """The answer of the first request is complete."""
        self._requests.remove_first()
        if self._admission.probe:
            # later, when the kernel has taken its part of the answer
            self._loop.call_soon(self._admission.probe_answered)
            self._timers.start_head(UNREAD_SECONDS, self._transport.abort)
        if self._transport.raw.is_closing():
            return
        self._flow.resume_reading()
        if self._transport.is_closing():
            return
        if self._requests:
            self._requests.start_first()
        elif self._final_response:
            self._send_final_response()
        elif HttpTrigger.ANSWERED in TRANSITIONS[self._state]:  # else the next request has begun
            self._move(HttpTrigger.ANSWERED)
            self._wait()

    def _send_final_response(self) -> None:
        self._transport.write(self._final_response)
        self._transport.unread = True  # more may come, and must not reset the connection
        self._transport.close()

    # Private: timers

    def _start_head_timer(self, seconds: float | None = None) -> None:
        limit = self._manager.settings.limits.head_seconds
        self._timers.start_head(seconds or limit, self.contain(self._head_is_late))

    def _head_is_late(self) -> None:
        self.fail(head_too_late(self._manager.settings.limits.head_seconds))

    def _wait(self) -> None:
        """For the next request, or for the rest of a body that is discarded."""
        if self._state is HttpState.DISCARDING:
            self._timers.start_wait(DISCARDING_SECONDS, self._transport.close)
        else:
            self._timers.stop_wait()
            self._requests.newest = None
            self._reader.forget()
            self._manager.connection_limits.idle.enter(
                self._shell, self._admission.slot, self._loop
            )

    def _stop_waiting(self) -> None:
        if self._state is HttpState.IDLE:
            self._manager.connection_limits.idle.leave(self._shell, self._admission.slot)
        self._timers.stop_wait()

    def _move(self, trigger: HttpTrigger) -> None:
        self._state = TRANSITIONS[self._state][trigger]
