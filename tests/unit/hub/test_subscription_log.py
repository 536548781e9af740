"""Subscriptions are logged at level debug, and only there."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from eventhub.delivery.subscriber import Subscriber, SubscriptionStart
from eventhub.events.event import Gap, Latest, Position
from eventhub.hub import subscription_log
from tests.harness.wire import Wire

GAP = Gap(Position("e", 1), Position("e", 5), Position("e", 4), "slow", 3)


def at(offset: int) -> Position:
    return Position("e", offset)


def log_all() -> list[dict[str, Any]]:
    """One line of each kind, and a gap for all live subscribers."""
    subscriber = Subscriber("chat.a", Latest(), Wire(), lambda _, __: None, session="s1")
    with structlog.testing.capture_logs() as lines:
        subscription_log.began(subscriber, SubscriptionStart(at(1), at(2), recovered=True))
        subscription_log.missed("chat.a", GAP, subscriber, 1)
        subscription_log.missed("chat.a", GAP, None, 7)
        subscription_log.ended(subscriber)
    return [dict(line) for line in lines]


@pytest.fixture
def level() -> Iterator[logging.Logger]:
    logger = logging.getLogger(subscription_log.NAME)
    before = logger.level
    yield logger
    logger.setLevel(before)


def test_at_level_debug_each_fact_is_a_line(level: logging.Logger) -> None:
    level.setLevel(logging.DEBUG)
    gap = {"after": "e-1", "before": "e-5", "position": "e-4", "reason": "slow", "skipped": 3}
    own = {"channel": "chat.a", "session": "s1", "log_level": "debug"}
    assert log_all() == [
        {"event": "subscribed", **own, "position": "e-1", "head": "e-2", "recovered": True},
        {"event": "gap", **own, "readers": 1, **gap},
        {"event": "gap", "channel": "chat.a", "log_level": "debug", "readers": 7, **gap},
        {"event": "unsubscribed", **own, "state": "catching_up"},
    ]


def test_at_other_levels_nothing_is_logged(level: logging.Logger) -> None:
    level.setLevel(logging.INFO)
    assert log_all() == []


def test_a_log_that_fails_disturbs_no_subscription(
    level: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def debug(self, event: str, **fields: object) -> None:
            raise OSError("the disk is full")

    level.setLevel(logging.DEBUG)
    monkeypatch.setattr(subscription_log, "log", Broken())
    assert log_all() == []
