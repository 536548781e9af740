"""Subscribers of patterns on a running hub with a memory broker."""

from eventhub.common.channel_pattern import ChannelPattern
from eventhub.delivery.encoding import LINES
from eventhub.delivery.pattern_subscriber import PatternSince, PatternSubscriber
from eventhub.delivery.subscriber import Subscriber
from eventhub.errors import Internal
from eventhub.events.event import LATEST, ChannelPage, Earliest, Position
from tests.harness.virtual_time import turns
from tests.unit.hub.hub_node import Node, Owned, run, until


class Reader(Owned):
    """A subscriber of a pattern with its writer."""

    def __init__(self, node: Node, pattern: str, since: PatternSince = LATEST) -> None:
        super().__init__(node)
        self.subscriber = PatternSubscriber(pattern, since, self, self._begun)
        self.subscribers.append(self.subscriber)
        node.hub.subscribe(self.subscriber)

    @property
    def got(self) -> list[str]:
        """Events as `channel=data`."""
        return [
            f"{message['channel']}={message['data']}"
            for message in self.messages
            if message["type"] == "event"
        ]

    @property
    def ready(self) -> bool:
        return self.told("positions") > 0

    @property
    def positions(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for message in self.messages:
            if message["type"] == "positions":
                found |= message["positions"]
            if message["type"] == "event":
                found[message["channel"]] = message["id"]
        return found

    def _begun(self, subscriber: Subscriber, fields: dict[str, object]) -> None:
        self.write(LINES.message("subscribed", {"channel": subscriber.channel, **fields}))


def parsed(positions: dict[str, str]) -> dict[str, Position]:
    return {
        channel: Position(text.partition("-")[0], int(text.partition("-")[2]))
        for channel, text in positions.items()
    }


def test_a_pattern_gets_the_events_of_every_channel_that_fits() -> None:
    async def scenario(node: Node) -> None:
        await node.publish("drop.a", "before")
        reader = Reader(node, "drop.*")
        await until(lambda: reader.ready)
        await node.publish("drop.a", "1")
        await node.publish("latest.a", "2")
        await node.publish("drop.a.b", "3")
        await node.publish("drop.a", "4")
        await until(lambda: len(reader.got) == 2)
        assert reader.got == ["drop.a=1", "drop.a=4"]
        assert reader.lines[0] == '{"type":"subscribed","channel":"drop.*","channels":1}'

    run(scenario)


def test_a_channel_that_is_born_later_is_delivered_from_its_first_event() -> None:
    async def scenario(node: Node) -> None:
        reader = Reader(node, "drop.>")
        await until(lambda: reader.ready)
        await node.publish("drop.new", "1", "2")
        await node.publish("drop.new", "3")
        await until(lambda: len(reader.got) == 3)
        assert reader.got == ["drop.new=1", "drop.new=2", "drop.new=3"]

    run(scenario)


def test_a_subscriber_resumes_exactly_in_each_channel() -> None:
    async def scenario(node: Node) -> None:
        await node.publish("drop.a", "a1")
        await node.publish("drop.b", "b1")
        first = Reader(node, "drop.*")
        await until(lambda: first.ready)
        await node.publish("drop.a", "a2")
        await until(lambda: len(first.got) == 1)
        node.hub.unsubscribe(first.subscriber)
        await node.publish("drop.a", "a3")
        await node.publish("drop.c", "c1")
        second = Reader(node, "drop.*", parsed(first.positions))
        await until(lambda: second.ready)
        assert sorted(second.got) == ["drop.a=a3", "drop.c=c1"]
        await node.publish("drop.b", "b2")
        await until(lambda: len(second.got) == 3)

    run(scenario)


def test_a_subscriber_may_begin_with_the_earliest_events() -> None:
    async def scenario(node: Node) -> None:
        await node.publish("drop.a", "a1", "a2")
        await node.publish("drop.b", "b1")
        reader = Reader(node, ">", Earliest())
        await until(lambda: reader.ready)
        assert sorted(reader.got) == ["drop.a=a1", "drop.a=a2", "drop.b=b1"]
        await node.publish("drop.a", "a3")
        await until(lambda: len(reader.got) == 4)

    run(scenario)


def test_a_subscriber_that_cannot_be_told_where_it_stands_is_closed() -> None:
    """It would otherwise get nothing more, and not know it."""

    async def scenario(node: Node) -> None:
        await node.publish("drop.a", "a1")
        reader = Deaf(node, ">", Earliest())
        other = Reader(node, ">", Earliest())
        await until(lambda: other.ready and len(reader.errors) > 0)
        assert [type(error) for error in reader.errors] == [Internal]
        await node.publish("drop.a", "a2")
        await until(lambda: other.got == ["drop.a=a1", "drop.a=a2"])

    run(scenario)


class Deaf(Reader):
    """Its transport raises when it is given positions."""

    def write(self, data: bytes) -> None:
        if b'"type":"positions"' in data:
            raise ZeroDivisionError
        super().write(data)


def test_a_slow_subscriber_is_told_what_it_missed_and_lives_on() -> None:
    async def scenario(node: Node) -> None:
        await node.publish("drop.a", "a1")
        reader = Reader(node, "drop.*")
        await until(lambda: reader.ready)
        reader.full = True
        node.hub.congested(reader.subscriber)
        await node.publish("drop.a", "a2", "a3")
        await node.publish("drop.b", "b1")
        await turns()
        reader.full = False
        node.hub.drained(reader.subscriber)
        await until(lambda: reader.told("gap") == 2)
        await node.publish("drop.b", "b2")
        await until(lambda: reader.got == ["drop.b=b2"])

    run(scenario)


def test_feeds_close_with_the_last_subscriber() -> None:
    async def scenario(node: Node) -> None:
        await node.publish("drop.a", "a1")
        reader = Reader(node, "drop.*")
        await until(lambda: reader.ready)
        assert node.hub.feeds.get("drop.a") is not None
        node.hub.unsubscribe(reader.subscriber)
        assert node.hub.feeds.get("drop.a") is None
        await until(lambda: node.hub.feeds.announcements.settled)
        assert not node.hub.feeds.announcements.channels

    run(scenario)


def test_readings_say_how_much_patterns_use() -> None:
    async def scenario(node: Node) -> None:
        for name in ("drop.a", "drop.b", "latest.a"):
            await node.publish(name, "1")
        readers = [Reader(node, pattern) for pattern in ("drop.*", "drop.*", "latest.*")]
        await until(lambda: all(reader.ready for reader in readers))
        found = {name: values[()] async for name, _, values, _ in node.hub.patterns.readings()}
        assert found == {
            "eventhub_patterns": 2,
            "eventhub_pattern_subscribers": 3,
            "eventhub_pattern_channels": 2,
            "eventhub_pattern_channels_limit": 10_000,
        }

    run(scenario)


def test_the_list_is_read_again_at_once_when_births_may_have_been_missed() -> None:
    async def scenario(node: Node) -> None:
        reader = Reader(node, "drop.*")
        await until(lambda: reader.ready)
        calls: list[str] = []
        channels = node.broker.channels

        async def counted(pattern: ChannelPattern, after: str, limit: int) -> ChannelPage:
            calls.append(pattern.text)
            return await channels(pattern, after, limit)

        node.broker.channels = counted  # type: ignore[method-assign]
        await turns(20)
        assert calls == []
        node.hub.patterns.born(None)
        await turns(20)
        assert calls == ["drop.*"]

    run(scenario)
