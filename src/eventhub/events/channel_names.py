"""Which texts are names of channels, and which are patterns of them."""

import re

from eventhub.common.channel_pattern import ChannelPattern
from eventhub.errors import InvalidChannel

NAME_LENGTH = 200
NAME = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*", re.ASCII)


def check_name(channel: str) -> None:
    """Raises InvalidChannel unless `channel` is well-formed."""
    if len(channel) > NAME_LENGTH:
        raise InvalidChannel(
            f"the channel name has {len(channel)} characters; at most {NAME_LENGTH} are allowed"
        )
    if not NAME.fullmatch(channel):
        hint = (
            "; patterns are for subscriptions and for grants (GET /v1/events?channel= reads one)"
            if "*" in channel or ">" in channel
            else ""
        )
        hint = "; an address names several by repeating channel=" if "," in channel else hint
        raise InvalidChannel(
            f"channel is {channel!r}; expected tokens of A-Z a-z 0-9 _ - joined by dots, "
            f"such as 'chat.lobby'{hint}"
        )


def parse_pattern(text: str) -> ChannelPattern:
    """The pattern that a `channel` is. Raises InvalidChannel."""
    try:
        return ChannelPattern(text)
    except ValueError as error:
        raise InvalidChannel(f"channel: {error}") from None
