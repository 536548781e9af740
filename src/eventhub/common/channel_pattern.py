"""Patterns of channel names, in grants and in lists of channels.

In a pattern, `*` stands for any one token, and a final `>` for one token or more, as in subjects of
NATS. `chat.*` covers `chat.lobby` and not `chat.lobby.side`. `iot.greenhouse.>` covers every
channel below `iot.greenhouse`. `>` covers every channel.
"""

import re

PATTERN_LENGTH = 200
_PATTERN = re.compile(r"(?:(?:[A-Za-z0-9_-]+|\*)(?:\.(?:[A-Za-z0-9_-]+|\*))*(?:\.>)?|>)", re.ASCII)
_REGULAR = {"*": r"[^.>]+", ">": r".+"}  # no name has a `>`, but a pattern may


def check_pattern(text: object) -> str:
    """The pattern itself. Raises ValueError if it is malformed."""
    if isinstance(text, str) and len(text) > PATTERN_LENGTH:
        raise ValueError(
            f"the channel pattern has {len(text)} characters; at most {PATTERN_LENGTH} are allowed"
        )
    if not isinstance(text, str) or not _PATTERN.fullmatch(text):
        raise ValueError(
            "expected a channel pattern such as chat.*, iot.greenhouse.> or >, "
            f"received {str(text)[:80]!r}"
        )
    return text


class ChannelPattern:
    """One pattern: which names and which other patterns fit it."""

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

    def covers(self, other: str) -> bool:
        """Whether `other` fits: a well-formed channel name, or the text of a pattern.

        A pattern fits when every channel name that fits it fits this one, too.
        """
        return self._regular.fullmatch(other) is not None

    def overlaps(self, other: "ChannelPattern") -> bool:
        """Whether some channel name fits both. A channel name is the pattern of itself."""
        left, right = self.text.split("."), other.text.split(".")
        for ours, theirs in zip(left, right, strict=False):
            if ">" in (ours, theirs):
                return True
            if ours != theirs and "*" not in (ours, theirs):
                return False
        return len(left) == len(right)
