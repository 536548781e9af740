"""The subscriptions of one connection, by channel, and the answers that are due to its commands."""

from collections.abc import Iterable, Iterator, MutableMapping

from eventhub.common.channel_pattern import ChannelPattern
from eventhub.delivery.subscriber import Subscriber
from eventhub.errors import AlreadySubscribed, NotSubscribed, TooManySubscriptions
from eventhub.events.channel_names import NAME_LENGTH
from eventhub.session.commands import Ref


def is_pattern(channel: str) -> bool:
    """Whether a `channel` names many channels."""
    return "*" in channel or ">" in channel


class Subscriptions(MutableMapping[str, Subscriber]):
    """Like a dictionary, which is made for the second subscription.

    Most connections have one subscription, and a dictionary takes 184 bytes for it.
    """

    __slots__ = ("_due", "_many", "_only")

    def __init__(self) -> None:
        self._only: Subscriber | None = None
        self._many: dict[str, Subscriber] | None = None
        self._due: dict[str, Ref] | None = None

    def __len__(self) -> int:
        return len(self._many) if self._many is not None else self._only is not None

    def __iter__(self) -> Iterator[str]:
        if self._many is not None:
            yield from self._many
        elif self._only is not None:
            yield self._only.channel

    def __contains__(self, channel: object) -> bool:
        if self._many is not None:
            return channel in self._many
        return self._only is not None and self._only.channel == channel

    def __getitem__(self, channel: str) -> Subscriber:
        if self._many is not None:
            return self._many[channel]
        if self._only is None or self._only.channel != channel:
            raise KeyError(channel)
        return self._only

    def __setitem__(self, channel: str, subscriber: Subscriber) -> None:
        assert channel == subscriber.channel
        if self._many is not None:
            self._many[channel] = subscriber
        elif self._only is None or self._only.channel == channel:
            self._only = subscriber
        else:
            self._many = {self._only.channel: self._only, channel: subscriber}
            self._only = None

    def __delitem__(self, channel: str) -> None:
        if self._many is not None:
            del self._many[channel]
        else:
            self[channel]  # raises KeyError
            self._only = None

    def check_new(self, channel: str, most: int, most_patterns: int) -> None:
        """Raises AlreadySubscribed, TooManySubscriptions, InvalidChannel.

        Two subscriptions must have no channel in common: each event is delivered once.
        """
        if channel in self:
            advice = "unsubscribe first to begin elsewhere"
            raise AlreadySubscribed(f"this connection is subscribed to {channel!r}; {advice}")
        if len(self) >= most:
            raise TooManySubscriptions(
                f"this connection has {most} subscriptions; at most that many are allowed "
                "(limits.subscriptions)"
            )
        if is_pattern(channel):
            self._check_pattern(channel, most_patterns)
        else:
            self._check_overlap(channel, filter(is_pattern, self))

    def _check_pattern(self, pattern: str, most: int) -> None:
        if len(list(filter(is_pattern, self))) >= most:
            raise TooManySubscriptions(
                f"this connection is subscribed to {most} patterns; at most that many are allowed "
                "(limits.patterns)"
            ).with_limit("patterns")
        self._check_overlap(pattern, self)

    def _check_overlap(self, channel: str, others: Iterable[str]) -> None:
        for other in others:
            if ChannelPattern(channel).overlaps(ChannelPattern(other)):
                raise AlreadySubscribed(
                    f"this connection is subscribed to {other!r}, which has channels in common "
                    f"with {channel!r}; unsubscribe first"
                )

    def take(self, channel: str) -> Subscriber:
        """Remove a subscription. Raises NotSubscribed."""
        if channel not in self:
            raise NotSubscribed(f"this connection is not subscribed to {channel[:NAME_LENGTH]!r}")
        return self.pop(channel)

    def expect_answer(self, channel: str, ref: Ref) -> None:
        """The `subscribe` command with this ref is answered later."""
        if self._due is None:
            self._due = {}
        self._due[channel] = ref

    def answered(self, channel: str) -> Ref:
        """Its `subscribe` command is answered now. Returns the ref; None if no answer was due."""
        if self._due is None:
            return None
        ref = self._due.pop(channel, None)
        if not self._due:
            self._due = None
        return ref
