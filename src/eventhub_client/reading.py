"""What is read in pages: states, members and positions. No I/O happens here."""

from collections.abc import Generator, Mapping
from typing import Any

from eventhub_client.attempts import Attempts, Rules, channel_path, invalid_answer
from eventhub_client.errors import Problem, Unavailable, error
from eventhub_client.items import Event, Member, State, member_of
from eventhub_client.payloads import Model, event_of
from eventhub_client.steps import CallStep, Reply

PAGE = 1000
"""Events or members in a page; the server may send fewer."""


def read_state(
    channel: str, model: Model, where: str | None, timeout: float, rules: Rules
) -> Generator[CallStep, Reply, State[Any]]:
    """The newest event of each key."""
    attempts = Attempts(rules, timeout)
    events: dict[str, Event[Any]] = {}
    since = "state"
    while True:
        path = channel_path(channel, since=since, limit=PAGE, where=where)
        page = yield from _page(attempts, path, "position", "head", "events")
        if page.get("gap") is not None:  # the log was lost meanwhile: the whole state follows
            events.clear()
        for each in page["events"]:
            key = each.get("deleted", each.get("key", ""))
            events.pop(key, None)  # the newest event is the last one
            if "deleted" not in each:
                events[key] = event_of(each, model)
        since = page["position"]
        if since == page["head"]:
            return State(channel, events, since)


def read_members(
    channel: str, timeout: float, rules: Rules
) -> Generator[CallStep, Reply, list[Member]]:
    """The members of a channel, in order of their ids."""
    attempts = Attempts(rules, timeout)
    members: list[Member] = []
    after: str | None = None
    while True:
        path = channel_path(channel, "/presence", limit=PAGE, after=after)
        page = yield from _page(attempts, path, "members")
        members += [member_of(each) for each in page["members"]]
        after = page.get("next")
        if after is None:
            return members


def read_position(channel: str, timeout: float, rules: Rules) -> Generator[CallStep, Reply, str]:
    """The end of the log of a channel."""
    path = channel_path(channel, since="latest", limit=1)
    page = yield from _page(Attempts(rules, timeout), path, "position")
    return str(page["position"])


def _page(
    attempts: Attempts, path: str, *fields: str
) -> Generator[CallStep, Reply, Mapping[str, Any]]:
    answer = yield from attempts.run("GET", path, b"", {})
    if isinstance(answer, Problem):
        raise error(answer)
    missing = [name for name in fields if name not in answer.fields]
    if missing:
        raise Unavailable(invalid_answer(f"the answer has no {missing[0]}"))
    return answer.fields
