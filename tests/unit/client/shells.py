"""A shell for the decisions of the client, without I/O: it answers steps from a list."""

from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar

from eventhub_client.steps import Connected, Message, Received, Reply, Wait

T = TypeVar("T")
Step = TypeVar("Step")

HELLO = Received({"type": "hello", "limits": {"heartbeat": 25.0}})


class Time:
    """A clock that only a Wait moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def pass_with(self, step: object) -> None:
        if isinstance(step, Wait):
            self.now += step.seconds


def answered(
    steps: Generator[Step, Reply, T], clock: Time, answer: Callable[[Step], Reply]
) -> tuple[T, list[Step]]:
    """Run steps to their end: the result and the steps."""
    taken: list[Step] = []
    reply: Reply = None
    while True:
        try:
            step = steps.send(reply)
        except StopIteration as end:
            return end.value, taken
        taken.append(step)
        clock.pass_with(step)
        reply = answer(step)


def until_starved(
    steps: Generator[Step, Reply, Any],
    replies: Iterable[Reply],
    asks: tuple[type, ...],
    clock: Time | None = None,
) -> list[Step]:
    """The steps until one that `asks` finds no reply left. Other steps are answered with None."""
    left, taken = list(replies), list[Step]()
    reply: Reply = None
    while True:
        step = steps.send(reply)
        taken.append(step)
        if clock is not None:
            clock.pass_with(step)
        if isinstance(step, asks):
            if not left:
                return taken
            reply = left.pop(0)
        else:
            reply = None


def subscribed(position: str, **fields: object) -> Received:
    message = {"type": "subscribed", "channel": "a.b", "position": position, "recovered": True}
    return Received({**message, **fields})


def event(identifier: str, channel: str = "a.b") -> Message:
    time = "2026-11-22T20:06:00.123Z"
    return {"type": "event", "channel": channel, "id": identifier, "time": time, "data": 1}


def connected(*messages: Message | Received) -> list[Reply]:
    """The replies of a connection that opens and receives these."""
    received = [each if isinstance(each, Received) else Received(each) for each in messages]
    return [Connected(), HELLO, *received]
