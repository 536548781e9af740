"""Which broker a URL names, and with which settings."""

import asyncio
from pathlib import Path

import pytest

from eventhub.brokers.base import Broker
from eventhub.brokers.factory import check_broker, open_broker, sqlite_url
from eventhub.brokers.memory import MemoryBroker
from eventhub.brokers.nats import NatsBroker
from eventhub.brokers.redis import RedisBroker
from eventhub.brokers.sqlite import SqliteBroker
from eventhub.config.loader import channel_types
from eventhub.config.settings import Settings
from eventhub.errors import ConfigurationError


def broker(url: str, directory: Path = Path(), **limits: int) -> Broker:
    settings = Settings.model_validate({"broker": url, "limits": limits})
    found = open_broker(settings, channel_types(settings, directory), directory)
    if isinstance(found, SqliteBroker):
        asyncio.run(ended(found))
    return found


async def ended(found: SqliteBroker) -> None:
    """Its database is closed when it has run."""
    running = asyncio.create_task(
        found.run(
            lambda event: None, lambda channel: None, lambda message: None, lambda channel: None
        )
    )
    await found.subscribe("chat.a")
    running.cancel()
    await asyncio.wait([running])


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("memory://", MemoryBroker),
        ("sqlite:///events.db", SqliteBroker),
        ("redis://localhost", RedisBroker),
        ("rediss://localhost", RedisBroker),
        ("redis+sentinel://localhost/main", RedisBroker),
        ("rediss+sentinel://localhost/main", RedisBroker),
        ("redis+cluster://localhost", RedisBroker),
        ("rediss+cluster://localhost", RedisBroker),
        ("nats://localhost", NatsBroker),
        ("tls://localhost", NatsBroker),
    ],
)
def test_a_url_names_a_broker(url: str, kind: type, tmp_path: Path) -> None:
    assert isinstance(broker(url, tmp_path), kind)


def test_the_memory_broker_has_the_limits_of_the_settings() -> None:
    found = broker("memory://", history_bytes=12_345_678, channels=77)
    assert isinstance(found, MemoryBroker)
    assert (found._max_bytes, found._max_channels) == (12_345_678, 77)


def test_a_file_is_relative_to_the_directory_of_the_settings(tmp_path: Path) -> None:
    broker("sqlite:///events.db", tmp_path)
    assert (tmp_path / "events.db").exists()


@pytest.mark.parametrize(
    ("url", "path", "synchronous"),
    [
        ("sqlite:///events.db", "events.db", "FULL"),
        ("sqlite:////var/lib/events.db", "/var/lib/events.db", "FULL"),
        ("sqlite:///events.db?synchronous=full", "events.db", "FULL"),
        ("sqlite:///events.db?synchronous=normal", "events.db", "NORMAL"),
    ],
)
def test_a_url_of_sqlite_names_a_file_and_how_surely_it_is_written(
    url: str, path: str, synchronous: str
) -> None:
    assert sqlite_url(url) == (Path(path), synchronous)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://host/events.db",
        "sqlite:///",
        "sqlite:///events.db?synchronous=off",
        "sqlite:///events.db?synchronous=",
        "sqlite:///events.db?cache=shared",
        "sqlite:///events.db#part",
    ],
)
def test_any_other_url_of_sqlite_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"expected sqlite:///file"):
        sqlite_url(url)
    with pytest.raises(ConfigurationError, match=r"expected sqlite:///file"):
        check_broker(Settings.model_construct(broker=url))


@pytest.mark.parametrize("url", ["redis://", "redis+cluster://", "nats://", "tls://"])
def test_urls_of_servers_are_checked_without_a_connection(url: str) -> None:
    with pytest.raises(ConfigurationError):
        check_broker(Settings.model_construct(broker=url + "?unknown=1"))
    check_broker(Settings.model_construct(broker=url + "localhost"))


def test_memory_needs_no_check() -> None:
    check_broker(Settings.model_construct(broker="memory://"))
