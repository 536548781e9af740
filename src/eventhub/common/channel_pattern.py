"""Patterns of channel names, in grants and in lists of channels.

In a pattern, `*` stands for any one token, and a final `>` for one token or more, as in subjects of
NATS. `chat.*` covers `chat.lobby` and not `chat.lobby.side`. `iot.greenhouse.>` covers every
channel below `iot.greenhouse`. `>` covers every channel.
"""

import re

PATTERN_LENGTH = 200
_PATTERN = re.compile(r"(?:(?:[A-Za-z0-9_-]+|\*)(?:\.(?:[A-Za-z0-9_-]+|\*))*(?:\.>)?|>)", re.ASCII)
_REGULAR = {"*": r"[^.]+", ">": r".+"}


def check_pattern(text: object) -> str:
    """The pattern itself. Raises ValueError if it is malformed."""
    if not isinstance(text, str) or len(text) > PATTERN_LENGTH or not _PATTERN.fullmatch(text):
        raise ValueError(
            "expected a channel pattern such as chat.*, iot.greenhouse.> or >, "
            f"received {str(text)[:80]!r}"
        )
    return text


class ChannelPattern:
    """One pattern, to find the names that fit among many."""

    __slots__ = ("_regular", "prefix", "text")

    def __init__(self, text: str) -> None:
        """Raises ValueError if `text` is malformed."""
        self.text = check_pattern(text)
        self.prefix = re.split(r"[*>]", text)[0]
        """Every name that fits begins with it."""
        tokens = (_REGULAR.get(token, token) for token in text.split("."))
        self._regular = re.compile(r"\.".join(tokens))

    def __repr__(self) -> str:
        return f"ChannelPattern({self.text!r})"

    def covers(self, channel: str) -> bool:
        """Whether a well-formed channel name fits."""
        return self._regular.fullmatch(channel) is not None
