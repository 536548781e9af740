"""brokers/nats/streams.py: one stream for each channel type, whoever makes it."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from eventhub.brokers.nats.answers import JetStreamError
from eventhub.brokers.nats.link import NatsLink
from eventhub.brokers.nats.streams import NatsStream, NatsStreams
from eventhub.errors import BrokerUnavailable
from eventhub.events.channel_types import Retention
from tests.harness.loop import in_loop
from tests.unit.brokers.nats.links import SUBJECTS, add_stream, linked, put
from tests.unit.brokers.nats.server import FakeNats

FIRST, SECOND = "p-log-log-00000001", "p-log-log-00000002"


def streams_on(
    link: NatsLink, replicas: int | None = None, max_bytes: int = -1, events: int = 10
) -> NatsStreams:
    return NatsStreams(link, SUBJECTS, lambda channel: Retention(events, None), replicas, max_bytes)


def second_stream(server: FakeNats, last: int, created: str = "2026-01-01T00:01:00Z") -> None:
    """A second stream of the same subjects, which a server made late, with so many messages."""
    first = server.jetstream.streams.pop(FIRST)
    add_stream(server, SECOND)
    server.jetstream.streams[SECOND].created = created
    server.jetstream.streams[SECOND].last = last
    server.jetstream.streams[FIRST] = first


@in_loop
async def test_a_stream_is_made_once_and_then_known() -> None:
    server = FakeNats()
    async with linked(server) as link:
        streams = streams_on(link, max_bytes=5000)
        found = await asyncio.gather(streams.of_channel("log.a"), streams.of_channel("log.b"))
        assert found[0] == found[1] == streams.known["log-log"] == await streams.of_channel("log")
        (stream,) = server.jetstream.streams.values()
        assert stream.config["name"] == found[0].name == f"p-log-log-{found[0].epoch}"
        assert len(found[0].epoch) == 8
        assert (server.asked("STREAM.CREATE"), server.asked("STREAM.NAMES")) == (1, 2)
        assert stream.config == {
            **SUBJECTS.event_stream("log", Retention(10, None), 5000),
            "name": found[0].name,
            "storage": "file",
            "retention": "limits",
            "discard": "old",
            "num_replicas": 1,
            "max_consumers": -1,
        }


@in_loop
async def test_the_stream_of_the_keys_is_another_one() -> None:
    server = FakeNats()
    async with linked(server) as link:
        streams = streams_on(link)
        keys = await streams.of_keys()
        assert await streams.of_keys() is keys
        assert keys.name.startswith("p-keys-")
        assert server.jetstream.streams[keys.name].config["subjects"] == ["p.key.*"]
        assert server.asked("STREAM.CREATE") == 1


@pytest.mark.parametrize(
    ("cluster", "asked", "made"), [(False, None, 1), (True, None, 3), (True, 5, 5), (False, 3, 3)]
)
@in_loop
async def test_a_stream_has_the_replicas_that_fit(
    cluster: bool,  # noqa: FBT001
    asked: int | None,
    made: int,
) -> None:
    server = FakeNats(**({"cluster": "c"} if cluster else {}))
    async with linked(server) as link:
        stream = await streams_on(link, replicas=asked).of_channel("log.a")
        assert server.jetstream.streams[stream.name].config["num_replicas"] == made


@in_loop
async def test_a_stream_that_is_there_is_used_and_not_changed() -> None:
    server = FakeNats()
    async with linked(server) as link:
        made = await streams_on(link).of_channel("log.a")
        server.requests.clear()
        assert await streams_on(link).of_channel("log.a") == made
        assert server.asked("STREAM.CREATE") == server.asked("STREAM.UPDATE") == 0


@pytest.mark.parametrize(
    ("wanted", "name", "value"),
    [
        ({"events": 20}, "max_msgs_per_subject", 21),
        ({"max_bytes": 9000}, "max_bytes", 9000),
        ({"replicas": 3}, "num_replicas", 3),
    ],
)
@in_loop
async def test_a_changed_setting_changes_the_stream_and_keeps_the_rest(
    wanted: dict[str, int], name: str, value: int
) -> None:
    server = FakeNats()
    async with linked(server) as link:
        made = await streams_on(link).of_channel("log.a")
        before = dict(server.jetstream.streams[made.name].config)
        await streams_on(link, **wanted).of_channel("log.a")
        assert server.jetstream.streams[made.name].config == {**before, name: value}


@in_loop
async def test_how_a_stream_is_republished_is_not_changed() -> None:
    """The server refuses to change it, and reports it with more fields than were asked for."""
    server = FakeNats()
    async with linked(server) as link:
        made = await streams_on(link).of_channel("log.a")
        server.jetstream.streams[made.name].config["republish"] = {"src": "s", "dest": "d"}
        await streams_on(link).of_channel("log.a")
        assert server.asked("STREAM.UPDATE") == 0


@pytest.mark.parametrize(("last", "kept"), [(0, FIRST), (2, FIRST), (3, SECOND)])
@in_loop
async def test_of_two_streams_the_one_that_stored_most_is_kept_and_the_other_deleted(
    last: int, kept: str
) -> None:
    server = FakeNats()
    add_stream(server)
    put(server, "log.a")
    put(server, "log.a")
    second_stream(server, last)
    async with linked(server) as link:
        stream = await streams_on(link).of_channel("log.a")
        assert stream == NatsStream("log-log", kept, kept[-8:])
        assert list(server.jetstream.streams) == [kept]


@pytest.mark.parametrize(
    ("created", "kept"), [("2025-01-01T00:00:00Z", SECOND), ("2027-01-01T00:00:00Z", FIRST)]
)
@in_loop
async def test_of_two_that_stored_as_much_the_older_is_kept(created: str, kept: str) -> None:
    server = FakeNats()
    add_stream(server)
    second_stream(server, 0, created)
    async with linked(server) as link:
        assert (await streams_on(link).of_channel("log.a")).name == kept


@in_loop
async def test_of_two_of_one_moment_every_node_keeps_the_same() -> None:
    server = FakeNats()
    add_stream(server)
    second_stream(server, 0, server.jetstream.streams[FIRST].created)
    async with linked(server) as link:
        assert (await streams_on(link).of_channel("log.a")).name == FIRST


@in_loop
async def test_whoever_is_not_the_first_to_make_a_stream_uses_the_one_that_is_there() -> None:
    server = FakeNats()

    def overtaken(subject: str, body: bytes) -> Mapping[str, Any]:
        del server.answers["STREAM.CREATE"]
        add_stream(server)
        return server.jetstream.api(subject, body)

    server.answers["STREAM.CREATE"] = overtaken
    async with linked(server) as link:
        assert (await streams_on(link).of_channel("log.a")).name == FIRST
        assert list(server.jetstream.streams) == [FIRST]


@in_loop
async def test_a_refusal_to_make_a_stream_is_told_and_tried_again() -> None:
    server = FakeNats()
    refusal = {"error": {"code": 500, "err_code": 10047, "description": "insufficient storage"}}
    server.answers["STREAM.CREATE"] = lambda subject, body: refusal
    async with linked(server) as link:
        streams = streams_on(link)
        with pytest.raises(JetStreamError, match="insufficient storage"):
            await streams.of_channel("log.a")
        server.answers["STREAM.CREATE"] = lambda subject, body: {}
        with pytest.raises(BrokerUnavailable, match="does not list it"):
            await streams.of_channel("log.a")
        server.answers.clear()
        await streams.of_channel("log.a")


@in_loop
async def test_a_stream_of_someone_else_that_takes_the_subjects_is_named_and_left_alone() -> None:
    server = FakeNats()
    add_stream(server, "theirs", subjects=["p.>"])
    async with linked(server) as link:
        with pytest.raises(BrokerUnavailable, match=r"'theirs' takes 'p\.log\.log'"):
            await streams_on(link).of_channel("log.a")
        assert list(server.jetstream.streams) == ["theirs"]


@in_loop
async def test_what_is_forgotten_is_looked_up_again_but_not_its_successor() -> None:
    server = FakeNats()
    async with linked(server) as link:
        streams = streams_on(link)
        old = await streams.of_channel("log.a")
        server.jetstream.streams.clear()
        assert await streams.of_channel("log.a") == old
        streams.forget(old)
        new = await streams.of_channel("log.a")
        assert new.epoch != old.epoch
        streams.forget(old)
        assert streams.known == {"log-log": new}
        assert (await streams.state(new))["state"]["last_seq"] == 0
