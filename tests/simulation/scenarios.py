"""Scenarios for rules that random runs need too rarely. The numbers are those of `feed.py`."""

from eventhub.events.event import HistoryPage
from tests.harness.builders import Asked
from tests.simulation.scenario import Scenario

DROP, LATEST, DISCONNECT = "drop.a", "latest.a", "disconnect.a"
RECENT, PAGE = "eventhub.delivery.recent.RECENT_EVENTS", "eventhub.hub.history.PAGE_EVENTS"
TICK, BATCH = "eventhub.hub.fanout_schedule.TICK_WRITES", "eventhub.presence.broadcasts.BATCH"


def page_from_before_a_gap() -> Scenario:
    """3: a page is on its way when the next gap comes, and then a late announcement."""

    def act(world: Scenario) -> None:
        world.connect(0, DROP)
        world.store.weather.delay = 1.0
        world.publish(DROP)
        world.store.weather.delay = 0.01
        world.gap(DROP)
        world.slow_answer(1.5)
        world.publish(DROP, seen=False)
        world.gap(DROP)
        world.pass_by(3.0)

    return Scenario(act)


def more_announced_than_is_kept() -> Scenario:
    """4: while a page is on its way, more is announced than recent events have room for."""

    def act(world: Scenario) -> None:
        world.connect(0, DROP)
        world.publish(DROP, seen=False)
        world.gap(DROP)
        world.slow_answer(1.0)
        world.publish(DROP, 3)
        world.pass_by(3.0)

    return Scenario(act, **{RECENT: 2})


def more_announced_than_is_kept_again() -> Scenario:
    """4: the same, while the feed reads on after such a page."""

    def act(world: Scenario) -> None:
        world.connect(0, DROP)
        world.publish(DROP, seen=False)
        world.gap(DROP)
        world.slow_answer(1.0)
        world.publish(DROP, 3)
        world.pass_by(0.985)
        world.slow_answer(1.0)
        world.publish(DROP, 3)
        world.pass_by(3.0)

    return Scenario(act, **{RECENT: 2})


def announced_while_opening() -> Scenario:
    """4: events are announced before the broker has answered that it will announce them."""

    def act(world: Scenario) -> None:
        world.store.weather.delay = 0.3
        world.connect(0, DROP)
        world.store.weather.delay = 0.01
        world.publish(DROP, 2)
        world.pass_by(1.0)
        world.connect(1, DROP, "earliest")

    return Scenario(act)


def gap_while_a_reader_is_full() -> Scenario:
    """A client whose buffer is full while it catches up asks for no page when the feed does."""

    def act(world: Scenario) -> None:
        world.publish(DROP, 10)
        client = world.connect(0, DISCONNECT)
        assert client.line is not None
        client.line.grant(0)
        client.subscribe(DROP, "earliest")
        world.pass_by(1.0)
        begun = world.reads()
        world.gap(DROP)
        world.pass_by(1.0)
        assert world.reads() == begun + 1, "a page that could not be written was read"

    return Scenario(act, **{PAGE: 1})


def late_announcement() -> Scenario:
    """Who has read beyond the announcements waits for the feed, and does not read in a loop."""

    def act(world: Scenario) -> None:
        world.connect(0, DROP)
        world.store.weather.delay = 1.5
        world.publish(DROP)
        world.store.weather.delay = 0.01
        begun = world.reads()
        world.connect(1, DROP, "earliest")
        world.pass_by(2.0)
        assert world.reads() <= begun + 3, "history was read in a loop"

    return Scenario(act)


def lost_end() -> Scenario:
    """The broker loses the end of a log, tells nobody, and somebody reads from the beginning."""

    def act(world: Scenario) -> None:
        world.connect(0, DROP)
        world.publish(DROP, 3)
        world.pass_by(0.5)
        world.store.log(DROP).lose_end(1)
        begun = world.reads()
        world.connect(1, DROP, "earliest")
        world.pass_by(1.0)
        assert world.reads() <= begun + 3, "history was read in a loop"

    return Scenario(act)


def many_keys() -> Scenario:
    """A slow reader with many keys gets as many of them as its buffer takes."""

    def act(world: Scenario) -> None:
        client = world.connect(0, LATEST)
        assert client.line is not None
        client.line.grant(0)
        world.pass_by(0.5)
        for _ in range(40):
            world.publish(LATEST)
            world.pass_by(0.05)
        client.line.grant(4)
        world.pass_by(0.5)
        assert client.line.connection is not None
        assert client.line.connection.size < 1000, "it was written to while it was full"

    return Scenario(act)


def full_for_long() -> Scenario:
    """A slow reader is disconnected while its buffer is full, and not when it has room again."""

    def act(world: Scenario) -> None:
        client = world.connect(0, DISCONNECT)
        assert client.line is not None
        connection = client.line.connection
        assert connection is not None
        client.line.grant(0)
        for _ in range(40):
            world.publish(DISCONNECT)
            world.pass_by(0.05)
        assert connection.full, "the run fills no buffer"
        assert not connection.subscribers, "it is still subscribed"

    return Scenario(act)


def gap_after_gap() -> Scenario:
    """The second of two gaps comes while the first, and what follows it, waits to be written."""

    def act(world: Scenario) -> None:
        for number in range(3):
            world.connect(number, DROP)
        node, log, history = world.nodes[0], world.store.log(DROP), world.nodes[0].broker.history
        begun = node.broker.reads

        async def freezing(channel: str, since: Asked, limit: int) -> HistoryPage:
            node.process.frozen = node.broker.reads == begun + 1
            return await history(channel, since, limit)

        node.broker.history = freezing  # type: ignore[method-assign]  # freezes at the second
        world.publish(DROP, 4, seen=False)
        log.trim(2)
        world.gap(DROP)
        world.pass_by(0.05)
        world.publish(DROP, 3, seen=False)
        log.trim(1)
        world.pass_by(1.0)
        node.thaw()
        world.pass_by(1.0)

    return Scenario(act, **{PAGE: 1, TICK: 1})


def position_that_comes_true() -> Scenario:
    """A position that did not exist a moment ago exists for the next client that asks for it."""

    def act(world: Scenario) -> None:
        world.publish(DROP, 3)
        since = f"{world.store.log(DROP).epoch}-5"
        world.connect(0, DROP, since)
        world.publish(DROP, 3)
        world.pass_by(0.1)
        world.connect(1, DROP, since)

    return Scenario(act)


def lost_part() -> Scenario:
    """The second of three parts of a node's members is lost."""

    def act(world: Scenario) -> None:
        for number in range(3):
            world.connect(number, DROP)
        world.start_node()
        hearer = world.nodes[-1]
        hearer.broker.drops = lambda message: b'"part":1' in message
        world.pass_by(1.5)
        hearer.broker.heal()
        world.pass_by(5.0)
        assert len(hearer.hub.nodes.members(DROP)) == 3, "a member is missing"

    return Scenario(act, **{BATCH: 1})


def deaf_for_long() -> Scenario:
    """A node hears nobody for long, and itself first when it hears again."""

    def act(world: Scenario) -> None:
        world.connect(0, DROP)
        hearer = world.node()
        world.pass_by(13.0)
        hearer.broker.cut()
        world.pass_by(9.0)
        hearer.broker.heal()
        world.pass_by(5.0)

    return Scenario(act)


def only_questions() -> Scenario:
    """All that a node hears of another one for long are its questions."""

    def act(world: Scenario) -> None:
        world.connect(0, DROP)
        world.nodes[0].broker.drops = lambda message: b"rooms" in message
        hearer = world.node()
        world.pass_by(5.0)
        hearer.broker.drops = lambda message: b'"n0","number"' in message
        for _ in range(12):
            world.pass_by(1.0)
            assert hearer.hub.nodes.members(DROP), "a node that asks was taken for lost"

    return Scenario(act)


def last_node() -> Scenario:
    """Of two nodes one dies. The other hears nobody but itself."""

    def act(world: Scenario) -> None:
        world.connect(0, DROP)
        other = world.node()
        assert other.hub.nodes.members(DROP), "it does not know the member"
        world.nodes[0].die()
        world.clients[0].disconnect()
        world.pass_by(10.0)
        assert not other.hub.nodes.members(DROP), "it keeps the members of a dead node"

    return Scenario(act)


SCENARIOS = [
    page_from_before_a_gap, more_announced_than_is_kept, more_announced_than_is_kept_again,
    announced_while_opening, gap_while_a_reader_is_full, late_announcement, lost_end,
    many_keys, full_for_long, gap_after_gap, position_that_comes_true, lost_part, deaf_for_long,
    only_questions, last_node,
]  # fmt: skip
