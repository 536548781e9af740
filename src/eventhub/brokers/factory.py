"""The broker that a URL names.

A broker's module is imported only when its URL is used: a server without Redis does not load the
Redis library.
"""

from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from eventhub.brokers.base import Broker
from eventhub.common.clock import unix_milliseconds
from eventhub.config.settings import Settings
from eventhub.errors import ConfigurationError
from eventhub.events.channel_types import (
    JOURNAL_TYPE,
    SCHEMAS_TYPE,
    ChannelTypes,
    Retention,
    StateRetention,
)
from eventhub.events.refused_event import REFUSED_PREFIX

JOURNAL_RETENTION = Retention(100_000, 3_600_000)
"""Of the journals that cursors of patterns need: an hour."""
SCHEMAS_RETENTION = Retention(1_000, None, StateRetention(latest=True))
"""Of the versions of a type's schema: all of them, up to the keys of a state."""
OWN_RETENTION = {JOURNAL_TYPE: JOURNAL_RETENTION, SCHEMAS_TYPE: SCHEMAS_RETENTION}
Synchronous = Literal["FULL", "NORMAL"]
SYNCHRONOUS: dict[str, Synchronous] = {"full": "FULL", "normal": "NORMAL"}


def open_broker(settings: Settings, types: ChannelTypes, directory: Path) -> Broker:
    """The broker that the settings name. Raises ConfigurationError.

    Paths of files are relative to `directory`.
    """
    url, limits = settings.broker, settings.limits
    retention = partial(_retention, types)
    match url.partition(":")[0]:
        case "memory":
            from eventhub.brokers.memory import MemoryBroker

            return MemoryBroker(
                retention,
                unix_milliseconds,
                max_bytes=limits.history_bytes,
                max_channels=limits.channels,
            )
        case "sqlite":
            from eventhub.brokers.sqlite import SqliteBroker

            path, synchronous = sqlite_url(url)
            return SqliteBroker(
                directory / path,
                retention,
                unix_milliseconds,
                synchronous=synchronous,
                max_channels=limits.channels,
            )
        case (
            "redis"
            | "rediss"
            | "redis+sentinel"
            | "rediss+sentinel"
            | "redis+cluster"
            | "rediss+cluster"
        ):
            from eventhub.brokers.redis import RedisBroker

            return RedisBroker(url, retention, unix_milliseconds)
        case "nats" | "tls":
            from eventhub.brokers.nats import NatsBroker

            return NatsBroker(url, retention, unix_milliseconds)
    raise AssertionError(url)  # `Settings` accepts no other


def _retention(types: ChannelTypes, channel: str) -> Retention:
    """The retention of a channel: of a declared type, or of the server's own."""
    if own := OWN_RETENTION.get(channel.partition(".")[0]):
        return own
    if channel.startswith(REFUSED_PREFIX):
        refused = types.named(channel.removeprefix(REFUSED_PREFIX)).refused
        return Retention(refused.records, refused.age)
    return types.resolve(channel).retention


def check_broker(settings: Settings) -> None:
    """Raises ConfigurationError for a malformed URL. Opens no file and no connection."""
    url = settings.broker
    match url.partition(":")[0].partition("+")[0]:
        case "sqlite":
            sqlite_url(url)
        case "redis" | "rediss":
            from eventhub.brokers.redis.url import parse

            parse(url)
        case "nats" | "tls":
            from eventhub.brokers.nats.url import NatsUrl

            NatsUrl.parse(url)


def sqlite_url(url: str) -> tuple[Path, Synchronous]:
    """Path and level of `sqlite:///events.db?synchronous=normal`. Raises ConfigurationError.

    Four slashes make the path absolute.
    """
    parts = urlsplit(url)
    path = parts.path.removeprefix("/")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    level = options.pop("synchronous", "full")
    if parts.netloc or not path or options or level not in SYNCHRONOUS or parts.fragment:
        raise ConfigurationError(
            f"broker is {url!r}; expected sqlite:///file or sqlite:////absolute/file, "
            "and ?synchronous=normal at most"
        )
    return Path(path), SYNCHRONOUS[level]
