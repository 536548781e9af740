"""How events are written to Redis and read back. No I/O.

Names of keys and topics, the scripts' arguments and answers, and announcements.
"""

from binascii import crc_hqx
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from importlib.resources import files
from itertools import count
from typing import Any, NamedTuple

import orjson

from eventhub.brokers.base import BIRTH_SECONDS, PAGE_BYTES
from eventhub.brokers.idempotency import KEY_AGE, event_digest
from eventhub.brokers.records import RecordReader, event
from eventhub.brokers.states import DELETIONS
from eventhub.events.channel_types import Retention, StateRetention
from eventhub.events.event import (
    ABSENT,
    Age,
    Earliest,
    Event,
    HistoryPage,
    Last,
    NewEvent,
    Position,
)
from eventhub.events.keys import is_deletion, key_of

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
    def load(cls, *names: str, before: bytes = b"") -> "Script":
        """Files of this package, joined. `before` stands in front of them."""
        directory = files("eventhub.brokers.redis")
        text = b"local KEY_AGE = %d\n%b" % (KEY_AGE, before)
        text += b"".join(directory.joinpath(name).read_bytes() for name in names)
        return cls(text, sha1(text, usedforsecurity=False).hexdigest().encode())


PUBLISH = Script.load("log.lua", "publish.lua", before=b"local states\n")
PUBLISH_KEYED = Script.load("log.lua", "state.lua", "publish.lua")
HISTORY = Script.load("log.lua", "history.lua")
CHANNELS = Script.load("log.lua", "channels.lua")
NAMES = Script.load("names.lua")
STATE = Script.load("log.lua", "state_page.lua")
SCRIPTS = (PUBLISH, PUBLISH_KEYED, HISTORY, STATE, CHANNELS, NAMES)


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

    def states(self, channel: str) -> tuple[str, str, str]:
        """The keys of the channel's state (state.lua)."""
        state, order, deletions = (
            f"{self._prefix}:{kind}:{{{channel}}}" for kind in ("state", "order", "deleted")
        )
        return state, order, deletions

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
    metadata = max(age, DAY) + 2 * SLACK
    if retention.state is not None and (state := state_lifetime(retention, retention.state)) == 0:
        return age + SLACK, 0
    elif retention.state is not None:
        metadata = max(metadata, state + SLACK)
    return age + SLACK, metadata


def state_lifetime(retention: Retention, state: StateRetention) -> int:
    """Milliseconds until an unused state expires; 0 means never."""
    age = state.age if state.latest else retention.age
    return 0 if age is None else age + SLACK


def publish_arguments(
    names: KeyNames,
    channel: str,
    events: Sequence[NewEvent],
    retention: Retention,
    now: int,
    publish: str,
) -> Sequence[str | bytes | int]:
    """The script that publishes, the number of KEYS, KEYS and ARGV.

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
    script, state = PUBLISH, retention.state
    if state is not None:
        script = PUBLISH_KEYED
        keys += names.states(channel)
        age = -1 if state.age is None else state.age
        lifetime = state_lifetime(retention, state)
        most = state.keys if state.latest else 2**53
        arguments += (int(state.latest), most, age, DELETIONS, lifetime)
    for new in events:
        digest = ""
        if new.key is not None:
            keys.append(names.key(channel, new.key))
            digest = event_digest(new).hex()
        attributes = orjson.dumps(dict(new.attributes)) if new.attributes else b""
        arguments += (new.time, b"%b\n%b" % (attributes, new.data), digest)
        if state is not None:
            arguments += (key_of(new), int(is_deletion(new)), _expected(new.expected))
        elif new.expected is not None:
            raise ValueError("an event without a key has a precondition")
    return [script.sha, len(keys), *keys, *arguments]


def _expected(position: Position | None) -> str:
    if position is None:
        return ""
    return "-" if position == ABSENT else str(position)


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
    rows = read_rows(channel, epoch, answer[2], answer[4:], width=3)
    return records.page(
        channel,
        Position(epoch, answer[2]),
        rows,
        Position(epoch, answer[1]),
        answer[3].decode() or None,
    )


def read_rows(
    channel: str, epoch: str, previous: int, answer: Sequence[Any], *, width: int
) -> Iterator[Event | int]:
    """The events of an answer, each of which has `width` items, of which two are read."""
    for i in range(0, len(answer), width):
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
                read_attributes(body[:end]),
            )
        except ValueError:
            yield number
        previous = number


@cache
def _tags() -> Sequence[str]:
    """A hash tag for each slot of a cluster. To find them takes a fifth of a second."""
    tags: dict[int, str] = {}
    numbers = count()
    while len(tags) < SLOTS:
        tag = f"{next(numbers):x}"
        tags.setdefault(slot(tag), tag)
    return tuple(tags[number] for number in range(SLOTS))


def read_attributes(text: bytes) -> Mapping[str, str] | None:
    """The attributes in front of an event's data."""
    return orjson.loads(text) if text else None
