"""A channel with members and watchers, and what its watchers are sent."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from eventhub.delivery.encoding import LINES
from eventhub.delivery.subscriber import Subscriber
from eventhub.events.event import Latest
from eventhub.presence import notifier
from eventhub.presence.notifier import CROWD_SECONDS, PresenceWatchers
from eventhub.presence.roster import Roster
from tests.harness.wire import Wire

CROWD, SLICE, MAX_CHANGES, BEGINNINGS = 6, 2, 4, 3


def _nobody_is_ended() -> None:
    raise AssertionError("for presence")


class Room:
    """Members and watchers of one channel."""

    def __init__(self) -> None:
        self.roster = Roster("n1")
        self.woken = 0
        self.failed: list[Subscriber] = []
        self.watchers = PresenceWatchers(self.roster, self.wake, self.fail)
        self.now = 100.0

    def fail(self, subscriber: Subscriber, error: Exception) -> None:
        self.failed.append(subscriber)

    def wake(self) -> None:
        self.woken += 1

    def come(self, *members: str) -> None:
        for member in members:
            for change in self.roster.join("chat.a", member):
                self.watchers.on_change(change)

    def go(self, *members: str) -> None:
        for member in members:
            for change in self.roster.leave("chat.a", member):
                self.watchers.on_change(change)

    def say(self, member: str, data: dict[str, Any] | None) -> None:
        """A member replaces its data."""
        json_data = b"" if data is None else json.dumps(data).encode()
        for change in self.roster.set_data(("chat.a", member), None, json_data, 0):
            self.watchers.on_change(change)

    def watch(self) -> tuple[Wire, Subscriber, dict[str, Any]]:
        wire = Wire()
        wire.on_fail = _nobody_is_ended
        subscriber = Subscriber("chat.a", Latest(), wire, lambda *_: None, watching=True)
        fields = self.watchers.add(subscriber)
        return (
            wire,
            subscriber,
            json.loads(LINES.message("subscribed", fields)) | {"type": "subscribed"},
        )

    def flush(self) -> int:
        """Tell what is due. How often that made room for others."""
        return len(list(self.watchers.flush(self.now)))

    def second(self) -> int:
        self.now += CROWD_SECONDS
        return self.flush()


@contextmanager
def small_sizes() -> Iterator[None]:
    """A crowd of seven, and the other sizes to match."""
    sizes = {"CROWD": CROWD, "SLICE": SLICE, "MAX_CHANGES": MAX_CHANGES, "BEGINNINGS": BEGINNINGS}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in sizes.items():
            patch.setattr(notifier, name, value)
        yield


def ids(*members: str, **with_data: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"id": member} for member in members]
    return found + [{"id": member, "data": data} for member, data in with_data.items()]


def change(kind: str, member: str, data: Any = None) -> dict[str, Any]:
    fields = {"id": member} if data is None else {"id": member, "data": data}
    return {"type": kind, "channel": "chat.a", "member": fields}


def whole(*members: str) -> dict[str, Any]:
    return {
        "type": "presence",
        "channel": "chat.a",
        "count": len(members),
        "members": ids(*members),
    }
