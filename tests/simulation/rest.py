"""What must hold once nothing goes wrong any more, and once everybody has left."""

from typing import TYPE_CHECKING

from eventhub.delivery import recent
from eventhub.hub.history import CACHED_PAGES
from tests.simulation.node import Node
from tests.simulation.types import TYPES
from tests.simulation.words import TOLERANCE

if TYPE_CHECKING:
    from tests.simulation.world import World

QUIET_SECONDS = 14.0
"""The longest silence of a lost node, a beat, and what has to be asked for again."""


def check(world: "World") -> None:
    """Everybody has everything, and is told who is there."""
    for client in world.clients:
        assert client.line is not None, f"{client.name} does not come back"
        assert not client.unanswered, f"{client.name} waits for {list(client.unanswered)}"
        client.line.check_complete(client.wanted)
    _check_publishes(world)
    _check_presence(world)
    names = {node.name for node in world.living}
    for node in world.living:
        assert node.hub.nodes.others == names - {node.name}, f"{node.name} knows other nodes"
    for node in world.living:
        _check_node(node)


def check_repeats(world: "World") -> None:
    """Announcements that come once more cost no read, and nobody gets an event again."""
    for log in world.store.logs.values():
        if log.retained and not log.unseen:
            for event in log.retained[-2:]:
                world.store.announce(event)
    begun = sum(node.broker.reads for node in world.living)
    world.pass_by(0.5)
    assert sum(node.broker.reads for node in world.living) == begun, "history is read again"


def check_complete(world: "World") -> None:
    """Everybody has everything that a node can know of, without another event."""
    for client in world.clients:
        for channel, promise in client.line.promises.items() if client.line else ():
            if not world.store.logs[channel].unseen:
                promise.complete()


def check_empty(world: "World") -> None:
    """Nothing is left of what was."""
    for node in world.living:
        feeds = node.hub.feeds
        assert not list(feeds), f"{node.name} has feeds without subscribers"
        assert not feeds.announcements.channels, "channels are announced that nobody reads"
        assert not node.broker.announced, "the broker announces channels that nobody reads"
        assert not feeds._history._cached
        assert not node.connections
        for channel in world.channels:
            assert node.hub.nodes.members(channel) == [], "members are left"


def _check_publishes(world: "World") -> None:
    for publish in world.publishes:
        log = world.store.logs[publish.channel]
        stored = [
            event
            for event in log.events.values()
            if event.data == b"%d" % publish.data and event.position not in log.lost
        ]
        epochs = [event.epoch for event in stored]
        assert len(epochs) == len(set(epochs)), f"{publish} is stored twice"
        if publish.acknowledged is not None:
            event = log.events.get(publish.acknowledged)
            assert event is not None, f"{publish} is acknowledged and was never stored"
            assert event.data == b"%d" % publish.data, f"{publish} is acknowledged as {event}"


def _check_presence(world: "World") -> None:
    for channel in [name for name in world.channels if TYPES.resolve(name).presence]:
        truth = world.witness.truth(channel)
        for node in world.living:
            members = node.hub.nodes.members(channel)
            assert set(members) == truth, f"{node.name} has {members} in {channel}, not {truth}"
        for client in world.clients:
            assert client.line is not None
            if channel in client.wanted:
                told = client.line.members[channel]
                shown = dict(client.line.node.hub.nodes.listed(channel))
                expected = len(truth) if isinstance(told, int) else shown
                assert told == expected, f"{client.name} was told {told} of {channel}, not {shown}"
        _check_data(world, channel)


def _check_data(world: "World", channel: str) -> None:
    """All nodes show the same data, which a subscription that is there gave, and the newest."""
    lists = [dict(node.hub.nodes.listed(channel)) for node in world.living]
    for node, listed in zip(world.living, lists, strict=True):
        assert listed == lists[0], f"{node.name} shows {listed} in {channel}, not {lists[0]}"
    for member, shown in lists[0].items():
        subscribers = world.witness.subscribers(channel, member)
        said = {world.words.newest.get(each, b"") for each in subscribers}
        assert shown in said, f"{member} has {shown!r} in {channel}, not one of {said}"
        age, newest = world.words.age(shown), world.words.age(world.words.last_of(subscribers))
        if world.words.ordered:
            assert age >= newest - TOLERANCE, f"{member} has {shown!r}, which is not the newest"


def _check_node(node: Node) -> None:
    """Nothing is under way, and nothing has grown."""
    feeds = node.hub.feeds
    assert feeds.announcements.settled
    assert not feeds._history._readers, "pages are being read"
    assert len(feeds._history._cached) <= CACHED_PAGES
    assert not feeds._evictions
    assert not feeds.repairs.pending
    assert not node.hub.backpressure, f"publishers wait for {node.hub.backpressure.channels}"
    for feed in feeds:
        assert feed.continuity.is_current, f"{feed.channel} is not current"
        assert not feed.live.due
        assert len(feed.continuity.recent.events) <= recent.RECENT_EVENTS
    expected = {"subscriber": node.hub.faults.counts["subscriber"]}
    assert dict(node.hub.faults.counts) in ({}, expected), node.hub.faults.counts
