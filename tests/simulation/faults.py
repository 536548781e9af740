"""What may happen in a step of a run, good and bad."""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from eventhub.errors import BrokerUnavailable, EventHubError
from eventhub.events.channel_types import SlowReaderPolicy
from eventhub.events.event import DELETED, NewEvent
from tests.simulation.client import Client, Publish
from tests.simulation.log import Log
from tests.simulation.node import EPOCH, Node

if TYPE_CHECKING:
    from tests.simulation.world import World


class Faults:
    """The hand that moves clients, nodes and the broker."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._chance = world.chance
        self._store = world.store
        self._births = 0
        pick = self._chance.pick
        self.weights: dict[str, float] = dict(STEPS)
        for name, weight in TROUBLE.items():
            if self._chance.happens(0.5):
                self.weights[name] = weight * pick((1, 1, 3))

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        self._store.weather.calm()
        for node in self._world.living:
            node.broker.heal()
            node.thaw()
        self._world.start_node()  # the others may be about to stop
        for client in self._world.clients:
            client.speed = 0.05
            if client.line is None:
                client.connect()
            else:
                client.line.grant(float("inf"))

    def publish_last(self) -> None:
        """An event for each channel, from elsewhere: with it everybody sees what is missing."""
        for channel in self._world.channels:
            self._store.publish([NewEvent(channel, b"-1", EPOCH)])

    def finish(self) -> None:
        """What is hardest to make good without another event."""
        for client in self._world.clients:
            if client.line is not None and self._chance.happens(0.3):
                client.line.grant(0)
        self._flood()
        self._world.pass_by(0.5)
        self._store.weather.disk = 2.0
        for channel in self._world.channels:
            if self._chance.happens(0.5):
                self._come_late_and_never(channel)
        self._world.pass_by(1.0)
        self._flood()
        self._world.pass_by(2.0)

    def _flood(self) -> None:
        for channel in self._world.channels:
            for subject in self._chance.pick(((), ("x", "y", "x", "z", "x", "y"))):
                self._from_elsewhere(channel, subject)

    def _come_late_and_never(self, channel: str) -> None:
        """Of two announcements, one comes after the gap that was reported for the other."""
        weather = self._store.weather
        weather.delay, weather.loses = 2.0, 0.0
        self._from_elsewhere(channel, "x")
        weather.delay, weather.loses = 0.01, 1.0
        self._from_elsewhere(channel, "y")
        weather.loses = 0.0

    # Clients

    def publish(self) -> None:
        client = self._client()
        channel = self._channel()
        for _ in range(self._chance.pick((1, 1, 1, 4))):
            number = len(self._world.publishes)
            publish = Publish(channel, number, self._chance.pick("xyz"), f"k{number}")
            self._world.publishes.append(publish)
            client.publish(publish)

    def publish_elsewhere(self) -> None:
        """Events of a node that is not simulated."""
        channel = self._channel()
        for _ in range(self._chance.pick((1, 2, 8))):
            self._from_elsewhere(channel, self._chance.pick("xyz"))

    def signal(self) -> None:
        """Of a client that does not know whether it arrives."""
        client, channel = self._client(), self._channel()
        for _ in range(self._chance.pick((1, 1, 3))):
            if client.line is not None:
                self._world.signals.send(client.line, channel)

    def delete(self) -> None:
        """A key of a channel with a state is deleted, by a node that is not simulated."""
        attributes = {DELETED: self._chance.pick("xyz")}
        with suppress(BrokerUnavailable):
            self._store.publish([NewEvent(self._channel(), b"null", EPOCH, attributes)])

    def subscribe(self) -> None:
        forms = ["latest", "latest", "earliest", "-1", "-3", "1s"]
        channel = self._channel()
        log = self._store.log(channel)
        forms += [str(place) for place in list(log.events)[-4:]]
        forms += [f"{log.epoch}-{log.tip + 2}", "other-3"]
        self._client().subscribe(channel, self._chance.pick(forms))

    def unsubscribe(self) -> None:
        self._client().unsubscribe(self._channel())

    def reconnect(self) -> None:
        client = self._client()
        client.disconnect()
        self._world.later(self._chance.between(0, 1), client.connect)

    def stop_reading(self) -> None:
        if (line := self._client().line) is not None:
            line.grant(self._chance.pick((0, 1, 3)))

    def read_on(self) -> None:
        if (line := self._client().line) is not None:
            line.grant(float("inf"))

    def break_down(self) -> None:
        if (line := self._client().line) is not None:
            self._world.note(line.name, "breaks down")
            line.break_down()

    # Nodes

    def start(self) -> None:
        if len(self._world.living) < 3:
            self._world.start_node()

    def kill(self) -> None:
        node = self._node()
        if node is None or len(self._world.living) == 1:
            return
        self._world.note("dies", node.name)
        node.die()

    def collapse(self) -> None:
        """All nodes die at once, and one starts."""
        for node in self._world.living:
            self._world.note("dies", node.name)
            node.die()
        self._world.later(self._chance.between(0.1, 3.0), self._world.start_node)

    def stop(self) -> None:
        node = self._node()
        if node is not None and len(self._world.serving) > 1 and not node.stopping:
            self._world.note("stops", node.name)
            node.call(node.stop)

    def freeze(self) -> None:
        node = self._node()
        if node is not None and not node.process.frozen:
            seconds = self._chance.pick((0.5, 3.0, 9.0))
            self._world.note("freezes", node.name, seconds)
            node.freeze()
            self._world.later(seconds, node.thaw)

    def say(self) -> None:
        if (node := self._node()) is not None:
            node.call(lambda: node.hub.spawn(node.say(), "said", _raise))

    def jump(self) -> None:
        if (node := self._node()) is not None:
            node.skew += self._chance.pick((-60_000, -1000, 1000, 60_000))
            node.skewed = True

    # The broker

    def cut(self) -> None:
        if (node := self._node()) is not None and not node.broker.cut_off:
            seconds = self._chance.pick((0.2, 1.0, 4.0, 10.0))
            self._world.note("cut off", node.name, seconds)
            node.broker.cut()
            self._world.later(seconds, node.broker.heal)

    def split(self) -> None:
        """A node hears nothing of another one."""
        deaf, other = self._node(), self._node()
        if deaf is not None and other is not None and deaf is not other:
            seconds = self._chance.pick((1.0, 4.0, 10.0))
            self._world.note("splits", deaf.name, other.name, seconds)
            deaf.broker.unheard.add(other.name)
            self._world.later(seconds, lambda: deaf.broker.unheard.discard(other.name))

    def outage(self) -> None:
        """The broker is away for all nodes. It may have lost everything when it is back."""
        seconds = self._chance.pick((0.2, 2.0, 8.0))
        self._world.note("outage", seconds)
        for node in self._world.living:
            node.broker.cut()
            self._world.later(seconds, node.broker.heal)
        if self._chance.happens(0.3):
            for log in self._store.logs.values():
                log.reset(self._store.epoch())

    def lose(self) -> None:
        self._store.weather.loses = self._chance.pick((0, 0.1, 0.5))

    def deafen(self) -> None:
        self._store.weather.deafens = self._chance.pick((0, 0.2, 0.6))

    def repeat(self) -> None:
        self._store.weather.repeats = self._chance.pick((0, 0.1, 0.5))

    def fail(self) -> None:
        self._store.weather.fails = self._chance.pick((0, 0.1, 0.5))

    def slow_down(self) -> None:
        self._store.weather.disk = self._chance.pick((0.01, 0.3, 3.0))

    def delay(self) -> None:
        self._store.weather.delay = self._chance.pick((0.01, 0.1, 1.0))

    def trim(self) -> None:
        self._log().trim(self._chance.pick((0, 1, 2, 4)))

    def reset(self) -> None:
        log = self._log()
        log.reset(self._store.epoch())
        self._world.note("reset", log.channel, log.epoch)
        self._tell(log.channel)

    def lose_end(self) -> None:
        log = self._log()
        log.lose_end(self._chance.number(1, 3))
        self._world.note("lost its end", log.channel, log.end)
        self._tell(log.channel)

    def bear(self) -> None:
        """A channel that nobody has used."""
        self._births += 1
        if self._births <= 3:
            kind = self._chance.pick(tuple(SlowReaderPolicy))
            self._world.channels.append(f"{kind.value}.b{self._births}")

    # Private

    def _from_elsewhere(self, channel: str, subject: str) -> None:
        with suppress(BrokerUnavailable):
            self._store.publish([NewEvent(channel, b"-1", EPOCH, {"subject": subject})])

    def _client(self) -> Client:
        return self._chance.pick(self._world.clients)

    def _channel(self) -> str:
        return self._chance.pick(self._world.channels)

    def _log(self) -> Log:
        return self._store.log(self._channel())

    def _node(self) -> Node | None:
        living = self._world.living
        return self._chance.pick(living) if living else None

    def _tell(self, channel: str) -> None:
        """Some brokers notice at once that a log has changed, some with the next event."""
        if self._chance.happens(0.5):
            self._store.log(channel).unseen = False
            for link in self._store.links.values():
                if channel in link.announced and not link.cut_off:
                    link.report_gap(channel)


def _raise(error: EventHubError) -> None:
    raise error


STEPS = {
    "publish": 8, "publish_elsewhere": 4, "subscribe": 8, "unsubscribe": 2, "reconnect": 2,
    "stop_reading": 2, "read_on": 2, "start": 1, "say": 1,
}  # fmt: skip
TROUBLE = {
    "kill": 0.5, "stop": 0.5, "freeze": 0.5, "jump": 0.5, "cut": 1, "lose": 1, "deafen": 1,
    "repeat": 1, "fail": 1, "slow_down": 1, "delay": 1, "trim": 1, "reset": 0.5, "lose_end": 0.5,
    "bear": 1, "break_down": 0.3, "split": 0.5, "outage": 0.3, "collapse": 0.2,
}  # fmt: skip
STATES = {"signal": 4, "delete": 4}
"""Steps of runs with signals and states (state_world.py)."""
ACTIONS: dict[str, Callable[[Faults], None]] = {
    name: getattr(Faults, name) for name in (*STEPS, *TROUBLE, *STATES)
}
