"""Logs subscriptions at level debug. At other levels a call only looks at the level."""

import logging
from contextlib import suppress
from typing import Any

import structlog

from eventhub.delivery.encoding import gap_fields
from eventhub.delivery.subscriber import Subscriber, SubscriptionStart
from eventhub.events.event import Gap

NAME = "eventhub.subscriptions"

log = structlog.get_logger(NAME)
_levels = logging.getLogger(NAME)


def began(subscriber: Subscriber, start: SubscriptionStart) -> None:
    """A subscription has begun."""
    if _levels.isEnabledFor(logging.DEBUG):
        _say(
            "subscribed", session=subscriber.session, channel=subscriber.channel, **start.as_dict()
        )


def ended(subscriber: Subscriber) -> None:
    """A subscription has ended."""
    if _levels.isEnabledFor(logging.DEBUG):
        _say(
            "unsubscribed",
            session=subscriber.session,
            channel=subscriber.channel,
            state=subscriber.state.name.lower(),
        )


def missed(channel: str, gap: Gap, subscriber: Subscriber | None, readers: int) -> None:
    """A gap was sent to one subscriber, or to all live ones."""
    if _levels.isEnabledFor(logging.DEBUG):
        whose = {"session": subscriber.session} if subscriber is not None else {}
        _say("gap", channel=channel, readers=readers, **whose, **gap_fields(gap))


def _say(event: str, **fields: Any) -> None:
    with suppress(Exception):  # a failing log must not disturb a subscription
        log.debug(event, **fields)
