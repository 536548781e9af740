"""Channel patterns: `*` stands for one token, a last `>` for one or more."""


def is_pattern(channel: str) -> bool:
    """Whether it is a pattern, and not the name of one channel."""
    return any(token in ("*", ">") for token in channel.split("."))


def fits(pattern: str, channel: str) -> bool:
    """Whether a pattern covers a channel."""
    wanted, found = pattern.split("."), channel.split(".")
    if wanted[-1] == ">":
        wanted = wanted[:-1]
        if len(found) <= len(wanted):
            return False
        found = found[: len(wanted)]
    return len(wanted) == len(found) and all(
        token in ("*", name) for token, name in zip(wanted, found, strict=True)
    )
