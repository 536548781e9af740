"""How events are written to Redis and read back. No I/O.

Names of keys and topics, the scripts' arguments and answers, and announcements.
"""

from binascii import crc_hqx
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files
from itertools import count
from typing import Any, NamedTuple

import orjson

from eventhub.brokers.base import BIRTH_SECONDS, PAGE_BYTES
from eventhub.brokers.idempotency import KEY_AGE, data_digest
from eventhub.brokers.records import RecordReader, event
from eventhub.events.channel_types import Retention
from eventhub.events.event import Age, Earliest, Event, HistoryPage, Last, NewEvent, Position

SLOTS = 16384
DAY = 86_400_000
SLACK = 60_000
"""Milliseconds by which keys outlive their content, because clocks differ."""


class PubSub(NamedTuple):
    """The commands for announcements."""

    subscribe: str
    unsubscribe: str
    publish: str


PUBSUB = PubSub("SUBSCRIBE", "UNSUBSCRIBE", "PUBLISH")
SHARDED_PUBSUB = PubSub("SSUBSCRIBE", "SUNSUBSCRIBE", "SPUBLISH")
"""Announcements stay within a shard of the cluster."""


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script, and the digest by which the server knows it."""

    text: bytes
    sha: bytes

    @classmethod
    def load(cls, *names: str) -> "Script":
        """Files of this package, joined."""
        directory = files("eventhub.brokers.redis")
        text = b"local KEY_AGE = %d\n" % KEY_AGE
        text += b"".join(directory.joinpath(name).read_bytes() for name in names)
        return cls(text, sha1(text, usedforsecurity=False).hexdigest().encode())


PUBLISH = Script.load("log.lua", "publish.lua")
HISTORY = Script.load("log.lua", "history.lua")
CHANNELS = Script.load("log.lua", "channels.lua")
NAMES = Script.load("names.lua")
SCRIPTS = (PUBLISH, HISTORY, CHANNELS, NAMES)


def slot(channel: str) -> int:
    """The cluster's slot for everything of a channel, whose name is the hash tag."""
    return crc_hqx(channel.encode(), 0) % SLOTS


class KeyNames:
    """Names of keys and topics.

    Announcements do not belong to a database, so a topic holds the database's number. In a cluster
    a script may use keys of one slot only, so each used slot has an epoch and channel names of its
    own.
    """

    __slots__ = ("_database", "_prefix", "_tags", "tags")

    def __init__(self, prefix: str, database: int, *, cluster: bool = False) -> None:
        self._prefix = prefix
        self._database = database
        self._tags = _tags() if cluster else ()
        self.tags = self._tags or ("",)
        """A hash tag for each key of channel names."""

    def metadata(self, channel: str) -> str:
        return f"{self._prefix}:meta:{{{channel}}}"

    def log(self, channel: str) -> str:
        return f"{self._prefix}:log:{{{channel}}}"

    def epoch(self, channel: str) -> str:
        return self._shared("epoch", self._tag(channel))

    def channels(self, channel: str) -> str:
        """The key of the channel names that this one belongs to."""
        return self.channels_of(self._tag(channel))

    def channels_of(self, tag: str) -> str:
        """The key of channel names with this hash tag, one of `tags`."""
        return self._shared("channels", tag)

    def key(self, channel: str, key: str) -> str:
        return f"{self._prefix}:key:{{{channel}}}:{key}"

    def topic(self, channel: str) -> str:
        return f"{self._prefix}:{self._database}:{{{channel}}}"

    @property
    def births(self) -> str:
        """The topic of births."""
        return f"{self._prefix}:{self._database}:births"

    def _tag(self, channel: str) -> str:
        return self._tags[slot(channel)] if self._tags else ""

    def _shared(self, kind: str, tag: str) -> str:
        return f"{self._prefix}:{kind}:{{{tag}}}" if tag else f"{self._prefix}:{kind}"

    def probe(self, tag: str, node: str) -> str:
        return f"{self._prefix}:probe:{{{tag}}}:{node}"


def lifetimes(retention: Retention) -> tuple[int, int]:
    """Milliseconds until an unused log and its metadata expire; 0 means never.

    The metadata outlive the log, because a log without metadata is a new one.
    """
    if retention.age is None and retention.events > 0:
        return 0, 0
    age = retention.age or 0
    return age + SLACK, max(age, DAY) + 2 * SLACK


def publish_arguments(
    names: KeyNames,
    channel: str,
    events: Sequence[NewEvent],
    retention: Retention,
    now: int,
    publish: str,
) -> Sequence[str | bytes | int]:
    """KEYS and ARGV of publish.lua, preceded by the number of keys.

    `publish` is the command that announces.
    """
    keys = [
        names.metadata(channel),
        names.log(channel),
        names.epoch(channel),
        names.topic(channel),
        names.channels(channel),
    ]
    arguments: list[str | bytes | int] = [
        now,
        retention.events,
        -1 if retention.age is None else retention.age,
        *lifetimes(retention),
        publish,
        names.births,
        BIRTH_SECONDS * 1000,
    ]
    for new in events:
        digest = ""
        if new.key is not None:
            keys.append(names.key(channel, new.key))
            digest = data_digest(new.data).hex()
        attributes = orjson.dumps(dict(new.attributes)) if new.attributes else b""
        arguments += (new.time, b"%b\n%b" % (attributes, new.data), digest)
    return [len(keys), *keys, *arguments]


def history_arguments(
    names: KeyNames,
    channel: str,
    since: Position | Earliest | Last | Age,
    limit: int,
    retention: Retention,
    now: int,
    *,
    keep: bool = False,
) -> Sequence[str | bytes | int]:
    """KEYS and ARGV of history.lua, preceded by the number of keys."""
    asked: tuple[str, str, int]
    match since:
        case Position():
            asked = ("position", since.epoch, since.offset)
        case Last():
            asked = ("last", "", since.count)
        case Age():
            asked = ("age", "", since.milliseconds)
        case Earliest():
            asked = ("earliest", "", 0)
    age = -1 if retention.age is None else retention.age
    ttl = lifetimes(retention)[1] or DAY
    keys = (names.metadata(channel), names.log(channel), names.epoch(channel))
    return [len(keys), *keys, *asked, limit, PAGE_BYTES, now, age, ttl, "keep" if keep else ""]


def read_page(channel: str, answer: Sequence[Any], records: RecordReader) -> HistoryPage:
    """The page in an answer of history.lua."""
    epoch = answer[0].decode()
    rows = _rows(channel, epoch, answer)
    return records.page(
        channel,
        Position(epoch, answer[2]),
        rows,
        Position(epoch, answer[1]),
        answer[3].decode() or None,
    )


def _rows(channel: str, epoch: str, answer: Sequence[Any]) -> Iterator[Event | int]:
    previous = answer[2]
    for i in range(4, len(answer), 3):
        offset, _, time = answer[i].partition(b"-")
        number, body = int(offset), answer[i + 1]
        try:
            end = body.index(b"\n")
            yield event(
                channel,
                epoch,
                number,
                previous,
                int(time),
                body[end + 1 :],
                _attributes(body[:end]),
            )
        except ValueError:
            yield number
        previous = number


def announce(channel: str, announcement: bytes, deliver: Callable[[Event], None]) -> None:
    """Deliver the events of an announcement that publish.lua made.

    Raises ValueError, LookupError when one cannot be read.
    """
    begin = announcement.index(b"\n") + 1
    header = announcement[: begin - 1].split(b" ")
    epoch, previous, offset = header[0].decode(), int(header[1]), int(header[2])
    for i in range(3, len(header), 2):
        body = announcement.index(b"\n", begin)
        end = begin + int(header[i + 1])
        attributes = _attributes(announcement[begin:body]) if body > begin else None
        deliver(
            event(
                channel,
                epoch,
                offset,
                previous,
                int(header[i]),
                announcement[body + 1 : end],
                attributes,
            )
        )
        previous = offset
        offset += 1
        begin = end


def _tags() -> Sequence[str]:
    """A hash tag for each slot of a cluster."""
    tags: dict[int, str] = {}
    numbers = count()
    while len(tags) < SLOTS:
        tag = f"{next(numbers):x}"
        tags.setdefault(slot(tag), tag)
    return [tags[number] for number in range(SLOTS)]


def _attributes(text: bytes) -> Mapping[str, str] | None:
    return orjson.loads(text) if text else None
