"""brokers/nats/channel_list.py: subjects of several streams, in parts, and newest messages."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from eventhub.brokers.nats.channel_list import NatsChannelList
from eventhub.brokers.nats.link import NatsLink
from eventhub.brokers.nats.log import NatsLog
from eventhub.brokers.nats.message import StreamMessage
from eventhub.brokers.nats.subjects import Subjects
from eventhub.common.channel_pattern import ChannelPattern
from eventhub.errors import UnknownChannel
from eventhub.events.channel_types import Retention
from eventhub.events.event import ChannelPage, ChannelSummary, Position

NOW = 100_000
PART = 2
"""Streams and subjects in an answer of the API."""


class Server:
    """Streams with numbers of messages by subject, and the newest message of each channel."""

    def __init__(self, streams: Mapping[str, Mapping[str, int]]) -> None:
        self.streams = streams
        self.newest: dict[str, StreamMessage | None] = {}
        self.retention = Retention(10, None)
        self.asked: list[tuple[str, Any]] = []

    async def request(self, subject: str, body: Mapping[str, Any]) -> dict[str, Any]:
        self.asked.append((subject, body))
        offset = body["offset"]
        if subject == "STREAM.NAMES":
            return {"streams": list(self.streams)[offset : offset + PART] or None, "total": 5}
        stream = self.streams[subject.removeprefix("STREAM.INFO.")]
        part = dict(list(stream.items())[offset : offset + PART])
        return {"state": {"subjects": part} if part else {}, "total": len(stream)}

    async def log(self, channel: str) -> NatsLog:
        if channel.startswith("gone"):
            raise UnknownChannel(channel)
        newest = self.newest.get(channel, stored(1))

        async def read() -> StreamMessage | None:
            return newest

        log = SimpleNamespace(retention=self.retention, epoch="e", newest=read)
        return cast(NatsLog, log)

    def read(self, pattern: str = ">", after: str = "", limit: int = 100) -> ChannelPage:
        found = NatsChannelList(cast(NatsLink, self), Subjects("p"), self.log)
        return asyncio.run(found.read(ChannelPattern(pattern), after, limit, NOW))


def stored(offset: int, time: int = NOW, *, readable: bool = True) -> StreamMessage:
    return StreamMessage(1, offset, time, b"1", None, readable)


def names(page: ChannelPage) -> list[str]:
    return [summary.channel for summary in page.channels]


def test_subjects_of_all_streams_of_events_are_one_list() -> None:
    server = Server(
        {
            "p-log-iot-1": {"p.log.iot.c": 1, "p.log.iot.a": 2, "p.log.iot.b": 3},
            "p-keys-2": {"p.log.other": 1},
            "q-log-iot-3": {"p.log.foreign": 1},
            "p-log-chat-4": {"p.log.chat.a": 4},
            "p-log-logs-5": {},
        }
    )
    page = server.read()
    assert names(page) == ["chat.a", "iot.a", "iot.b", "iot.c"]
    assert [summary.events for summary in page.channels] == [4, 2, 3, 1]
    assert page.next is None
    bodies = {str(body.get("subject", body.get("subjects_filter"))) for _, body in server.asked}
    assert bodies == {"p.log.>"}
    assert [body["offset"] for asked, body in server.asked if asked == "STREAM.NAMES"] == [0, 2, 4]


def test_a_page_has_the_names_after_the_one_before_that_fit() -> None:
    server = Server({"p-log-iot-1": {f"p.log.iot.{name}": 1 for name in "badce"}})
    first = server.read("iot.*", limit=2)
    assert (names(first), first.next) == (["iot.a", "iot.b"], "iot.b")
    rest = server.read("iot.*", "iot.b", limit=3)
    assert (names(rest), rest.next) == (["iot.c", "iot.d", "iot.e"], None)
    assert names(server.read("*.c")) == ["iot.c"], "whatever the server's filter let through"


def test_a_summary_has_the_newest_event_and_as_many_as_are_retained() -> None:
    server = Server({"p-log-iot-1": {"p.log.iot.a": 11}})
    server.newest["iot.a"] = stored(70, 55)
    assert server.read().channels == [ChannelSummary("iot.a", Position("e", 70), 55, 10)]


@pytest.mark.parametrize(
    ("channel", "newest", "retention"),
    [
        ("iot.a", None, Retention(10, None)),
        ("iot.a", stored(1, readable=False), Retention(10, None)),
        ("iot.a", stored(1), Retention(0, None)),
        ("iot.a", stored(1, NOW - 51), Retention(10, 50)),
        ("gone.a", stored(1), Retention(10, None)),
    ],
)
def test_channels_without_retained_events_are_left_out(
    channel: str, newest: StreamMessage | None, retention: Retention
) -> None:
    server = Server({"p-log-iot-1": {f"p.log.{channel}": 1}})
    server.newest[channel], server.retention = newest, retention
    assert server.read() == ChannelPage([], None)


def test_an_event_that_is_just_young_enough_is_retained() -> None:
    server = Server({"p-log-iot-1": {"p.log.iot.a": 1}})
    server.newest["iot.a"], server.retention = stored(1, NOW - 50), Retention(10, 50)
    assert names(server.read()) == ["iot.a"]


def test_many_channels_are_summarized_in_parts() -> None:
    server = Server({"p-log-iot-1": {f"p.log.iot.{number:03d}": 1 for number in range(150)}})
    assert names(server.read()) == [f"iot.{number:03d}" for number in range(100)]
