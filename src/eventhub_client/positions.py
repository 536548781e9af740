"""Where a follower stands in each channel, and the commands that subscribe there. No I/O.

A channel that is followed with `since="state"` stands at `state:` and an id: from there the server
sends what has changed in the state, however old the id is.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from eventhub_client.members import Membership
from eventhub_client.patterns import fits, is_pattern
from eventhub_client.steps import Message

MESSAGE_BYTES = 64 * 1024
"""The longest message of a client, until `hello` says it."""
BEGUN = "begun"
"""Kept for a pattern that has told all its positions."""
STATE = "state"

Watch = bool | Literal["count"]


@dataclass(frozen=True, slots=True)
class Subscription:
    """What is followed, and from where."""

    channels: Sequence[str]
    since: str
    positions: Mapping[str, str]
    renewable: bool = False
    """Whether the token is a function."""
    signals: bool = False
    """Whether signals are delivered, too."""
    where: str | None = None
    """A filter of the events of all channels."""
    member: Membership | None = None
    """One's own member in all channels."""
    presence: Watch = False
    """Whether the members of the channels, or their number, are delivered, too."""

    def __post_init__(self) -> None:
        if not self.channels:
            raise ValueError("received no channel; expected at least one, such as 'orders.eu'")


class Positions:
    """The position of each channel of one `follow`."""

    def __init__(self, subscription: Subscription) -> None:
        self._channels = tuple(dict.fromkeys(subscription.channels))
        self._since = subscription.since
        self._options: dict[str, Any] = {}
        if subscription.where is not None:
            self._options["where"] = subscription.where
        if subscription.presence:
            self._options["presence"] = subscription.presence
        self._at = {
            name: position
            for name, position in subscription.positions.items()
            if any(name == each or fits(each, name) for each in self._channels)
            and not (self.has_state(name) and not position.startswith(STATE))
        }
        self._starting = {
            each for each in self._channels if is_pattern(each) and each not in self._at
        }
        """Patterns that have not told all positions: they begin at `since` again."""
        self.message_bytes = MESSAGE_BYTES

    def subscribe(self, member: Mapping[str, Any] | None) -> tuple[Message, ...]:
        """The commands for all channels."""
        more = {} if member is None else {"member": member}
        return tuple(each for name in self._channels for each in self._commands(name, more))

    def subscribed(self, message: Message) -> dict[str, str]:
        """What to store for the answer, before any event: a restart before it must miss none.

        If events are missing, a gap follows and has the position.
        """
        channel = message["channel"]
        recovered = message.get("recovered", True)
        if recovered and channel not in self._at and "position" in message:
            return self.moved(channel, message["position"])
        return {}

    def told(self, message: Message) -> dict[str, str]:
        """What to store for `positions`: from now on a channel that is not there is new."""
        positions = dict(message["positions"])
        if message["complete"]:
            positions[message["channel"]] = BEGUN
            self._starting.discard(message["channel"])
        self._at.update(positions)
        return positions

    def has(self, channel: str, position: str) -> bool:
        """Whether a pattern that begins again repeats this: it was consumed before."""
        held = self._at.get(channel)
        if held is None or not any(fits(each, channel) for each in self._starting):
            return False
        (epoch, _, offset), (old, _, reached) = position.partition("-"), held.partition("-")
        return epoch == old and int(offset) <= int(reached)

    def moved(self, channel: str, position: str) -> dict[str, str]:
        """What to store where the channel stands at a new position."""
        if self.has_state(channel):
            position = f"{STATE}:{position}"
        self._at[channel] = position
        return {channel: position}

    def has_state(self, channel: str) -> bool:
        """Whether the newest event of each key is wanted, and no more."""
        return self._since == STATE and channel in self._channels and not is_pattern(channel)

    def again(self, channel: str, member: Mapping[str, Any] | None) -> tuple[Message, ...]:
        """The commands that read what has changed in a state since its position."""
        more = {} if member is None else {"member": member}
        return ({"type": "unsubscribe", "channel": channel}, *self._commands(channel, more))

    def forget(self, channel: str) -> None:
        """Its whole state will be read."""
        self._at.pop(channel, None)

    @property
    def names(self) -> tuple[str, ...]:
        """The channels and patterns."""
        return self._channels

    def _commands(self, channel: str, more: Mapping[str, Any]) -> Iterator[Message]:
        """Positions that are too many for one message go before the last one."""
        since: str | dict[str, str] = self._at.get(channel, self._since)
        if is_pattern(channel) and channel in self._at:
            since = {name: at for name, at in self._at.items() if fits(channel, name)}
            since.pop(channel, None)
            part: dict[str, str] = {}
            size = 0
            for name, position in since.items():
                size += len(name) + len(position) + 8
                if size > self.message_bytes // 2:
                    yield {"type": "subscribe", "channel": channel, "since": part, "more": True}
                    part, size = {}, 0
                part[name] = position
            since = part
        number = self._channels.index(channel)  # a name may be too long for a `ref`
        command = {"type": "subscribe", "ref": number, "channel": channel, "since": since}
        yield {**command, **self._options, **more}
