"""What Redis' replies to publish.lua mean, and which refusals are temporary. No I/O."""

from collections.abc import Sequence

from eventhub.brokers.redis.link import ErrorReply, LinkLost, Reply
from eventhub.brokers.states import precondition_failed
from eventhub.errors import BrokerUnavailable, EventHubError, IdempotencyConflict
from eventhub.events.event import ABSENT, NewEvent, Position, Receipt

TEMPORARY_ERRORS = frozenset(
    {
        "MOVED",
        "TRYAGAIN",
        "CLUSTERDOWN",
        "READONLY",
        "LOADING",
        "MASTERDOWN",
        "BUSY",
        "NOREPLICAS",
        "NOSCRIPT",
        "ASK",
    }
)
"""Refusals that end by themselves, or at another server. The command is sent again until its time
is over.
"""
RETRY_SECONDS = 0.05
"""How long to wait before a command that got a temporary refusal is sent again."""
OUTCOME_UNKNOWN = (
    "whether the event is stored is not known "
    "(events with an idempotency key may be published again)"
)
NOT_STORED = "the event is not stored"


def read_results(
    events: Sequence[NewEvent], reply: Sequence[int | bytes]
) -> list[Receipt | EventHubError]:
    """The results in an answer of publish.lua: its epoch, then one item per event."""
    assert isinstance(reply[0], bytes)
    epoch, new = reply[0].decode(), tuple.__new__  # the fastest way to make a named tuple
    return [
        new(Receipt, (new(Position, (epoch, answer)), event.time, False))
        if isinstance(answer, int)
        else _refused(event, epoch, answer)
        for event, answer in zip(events, reply[1:], strict=True)
    ]


def publish_error(reply: Reply) -> BrokerUnavailable:
    """The result of each event when the reply is not an answer of the script."""
    if isinstance(reply, LinkLost):
        return BrokerUnavailable(f"{OUTCOME_UNKNOWN}: {reply}")
    if isinstance(reply, ErrorReply) and reply.code == "OOM":
        return BrokerUnavailable(f"{NOT_STORED}: Redis is out of memory (maxmemory)")
    code = reply.code if isinstance(reply, ErrorReply) else "something unexpected"
    return BrokerUnavailable(f"{NOT_STORED}: Redis answered {code}")


def _refused(event: NewEvent, epoch: str, answer: bytes) -> Receipt | EventHubError:
    """The result of an event whose idempotency key is known, or whose precondition fails."""
    offset, _, time = answer.partition(b" ")
    if time == b"unmet":
        newest = None if offset == b"-" else Position(epoch, int(offset))
        return precondition_failed(event.expected or ABSENT, newest)
    first = Position(epoch, int(offset))
    if time == b"conflict":
        return IdempotencyConflict(str(first))
    return Receipt(first, int(time), replayed=True)
