"""The list of channels on all nodes: those with events, and those with subscribers.

The broker lists the channels with events. Every node says which channels have subscribers there.
Both lists are in order of names, so pages of them are merged.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel, Field

from eventhub.auth.grants import Action
from eventhub.auth.principal import Principal
from eventhub.common.channel_pattern import ChannelPattern
from eventhub.errors import EventHubError
from eventhub.events.event import ChannelPage, ChannelSummary, format_time
from eventhub.hub.hub import Hub
from eventhub.server.connections.scatter_gather import NodeAnswers, ScatterGather

ROWS = 900
"""Rows of a node's answer: they fit ANSWER_BYTES."""
ROUNDS = 5
"""Pages that are read for one answer. It is short if most of their channels may not be seen."""


class SubscribedChannels(BaseModel):
    """A node's answer: channels with subscribers there, and how many. `next` as in a NamePage."""

    rows: list[tuple[str, int]] = Field(max_length=ROWS)
    next: str | None


class ChannelList(NamedTuple):
    """Channels as fields of the answer. `complete`: every node has answered in time."""

    channels: list[dict[str, Any]]
    next: str | None
    complete: bool


class ChannelDirectory:
    """Lists channels for clients of this node."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._all_nodes = ScatterGather(hub, self._answer, topic=b"channels")

    async def read(
        self, pattern: ChannelPattern, after: str, limit: int, principal: Principal
    ) -> ChannelList:
        """At most `limit` channels after `after` that the principal may subscribe to.

        Raises BrokerUnavailable; Unauthorized if no client without a credential sees any channel.
        """
        self._check_stranger(principal)
        found: list[dict[str, Any]] = []
        complete, reached = True, after
        for _ in range(ROUNDS):
            page, answers = await asyncio.gather(
                self._hub.channels(pattern, reached, limit),
                self._all_nodes.ask(
                    {"pattern": pattern.text, "after": reached, "limit": limit}, SubscribedChannels
                ),
            )
            complete = complete and answers.complete
            end = _known_end(page, answers)
            rows = _merged(page, answers, end)
            for name, (summary, subscribers) in rows.items():
                if len(found) == limit:
                    return ChannelList(found, reached, complete)
                reached = name
                if self._allows(principal, Action.SUBSCRIBE, name):
                    found.append(self._fields(name, summary, subscribers, principal))
            if end is None:
                return ChannelList(found, None, complete)
            reached = end
        return ChannelList(found, reached, complete)

    def _answer(self, question: dict[str, Any]) -> dict[str, Any]:
        pattern = ChannelPattern(question["pattern"])
        rows, following = self._hub.subscribed_channels(
            pattern, str(question["after"]), min(int(question["limit"]), ROWS)
        )
        return {"rows": rows, "next": following}

    def _fields(
        self, name: str, summary: ChannelSummary | None, subscribers: int, principal: Principal
    ) -> dict[str, Any]:
        sees_members = self._allows(principal, Action.PRESENCE, name)
        return {
            "name": name,
            "head": None if summary is None else str(summary.head),
            "time": None if summary is None else format_time(summary.time),
            "events": 0 if summary is None else summary.events,
            "subscribers": subscribers,
            "members": self._hub.nodes.count(name) if sees_members else None,
        }

    def _allows(self, principal: Principal, action: Action, channel: str) -> bool:
        try:
            anyone = self._hub.types.resolve(channel).anonymous
            principal.authorize(action, channel, anyone)
        except EventHubError:  # its type may be one that another node declares
            return False
        return True

    def _check_stranger(self, principal: Principal) -> None:
        if principal.known or any(Action.SUBSCRIBE in kind.anonymous for kind in self._hub.types):
            return
        principal.authorize(Action.SUBSCRIBE, ">", frozenset())


def _known_end(page: ChannelPage, answers: NodeAnswers[SubscribedChannels]) -> str | None:
    """The name up to which every list is known. None: all are known to their ends."""
    ends = [page.next, *(answer.next for answer in answers.found.values())]
    return min((end for end in ends if end is not None), default=None)


def _merged(
    page: ChannelPage, answers: NodeAnswers[SubscribedChannels], end: str | None
) -> Mapping[str, tuple[ChannelSummary | None, int]]:
    """Summaries and numbers of subscribers, in order of names."""
    summaries = {summary.channel: summary for summary in page.channels}
    subscribers = dict.fromkeys(summaries, 0)
    for answer in answers.found.values():
        for name, count in answer.rows:
            subscribers[name] = subscribers.get(name, 0) + count
    names = sorted(name for name in subscribers if end is None or name <= end)
    return {name: (summaries.get(name), subscribers[name]) for name in names}
