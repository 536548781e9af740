"""Logs without a database, and transactions on them."""

from eventhub.brokers.sqlite.database import DatabaseOrigin
from eventhub.brokers.sqlite.logs import (
    SqliteLogs,
)
from eventhub.brokers.sqlite.write_transaction import WriteTransaction
from eventhub.errors import EventHubError
from eventhub.events.channel_types import Retention
from eventhub.events.event import NewEvent, Receipt

NOW = 1_795_000_000_000


FRESH = DatabaseOrigin("e", NOW, 0, fresh=True)


def logs(
    origin: DatabaseOrigin = FRESH,
    events: int = 80,
    age: int | None = None,
    max_channels: int = 100,
    max_keys: int = 100,
) -> SqliteLogs:
    return SqliteLogs(origin, lambda channel: Retention(events, age), max_channels, max_keys)


def new(
    channel: str = "a", data: bytes = b"1", key: str | None = None, time: int = NOW
) -> NewEvent:
    return NewEvent(channel, data, time, None, key)


def publish(
    known: SqliteLogs, *events: NewEvent, now: int = NOW, commit: bool = True
) -> list[Receipt | EventHubError]:
    write = WriteTransaction(known, now, {"a"}, lambda log, key: None)
    results = write.publish(events)
    if commit:
        write.apply()
    return results


def offsets(results: list[Receipt | EventHubError]) -> list[int]:
    return [result.position.offset for result in results if isinstance(result, Receipt)]
