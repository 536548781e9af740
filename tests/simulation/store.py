"""The machine on which the model broker keeps its logs, and how well everything works."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from eventhub.common.channel_pattern import ChannelPattern
from eventhub.errors import BrokerUnavailable, EventHubError
from eventhub.events.event import ChannelPage, ChannelSummary, Event, HistoryPage, NewEvent, Receipt
from tests.harness.builders import Asked
from tests.simulation.chance import Chance
from tests.simulation.log import Log
from tests.simulation.loop import SimulatedLoop

if TYPE_CHECKING:
    from tests.simulation.broker import ModelBroker


class Weather:
    """How bad things are: probabilities, and the seconds of the longest delay."""

    def __init__(self) -> None:
        self.calm()

    def calm(self) -> None:
        """Nothing goes wrong any more."""
        self.loses = self.repeats = self.fails = self.deafens = 0.0
        self.delay = self.disk = 0.01


class Store:
    """The machine with the logs."""

    def __init__(self, loop: SimulatedLoop, chance: Chance, note: Callable[..., None]) -> None:
        self.loop = loop
        self.chance = chance
        self.note = note
        self.weather = Weather()
        self.keep: Callable[[str], int] = lambda channel: 1000
        self.make_log: Callable[[str, str, int], Log] = Log
        self.step = 1
        self.logs: dict[str, Log] = {}
        self.links: dict[str, ModelBroker] = {}
        """By node."""
        self._epochs = 0

    def log(self, channel: str) -> Log:
        if (log := self.logs.get(channel)) is None:
            log = self.logs[channel] = self.make_log(channel, self.epoch(), self.keep(channel))
        return log

    def epoch(self) -> str:
        """A new one."""
        self._epochs += 1
        return f"e{self._epochs}"

    def publish(self, events: Sequence[NewEvent]) -> Sequence[Receipt | EventHubError]:
        """Store and announce each event. Fails somewhere in between when the weather is bad."""
        answers = []
        fails = self.chance.happens(self.weather.fails)
        survive = self.chance.number(0, len(events)) if fails else len(events)
        for new in events[:survive]:
            log = self.log(new.channel)
            born = not log.retained
            stored = log.append(new, self.chance.number(1, self.step))
            answers.append(stored.answer)
            if stored.announcement is not None:
                self.note("stored", stored.answer, new.channel, new.key)
                self.announce(stored.announcement)
                if born:
                    for link in self.links.values():
                        link.tell_of_birth(new.channel)
        if fails:
            raise BrokerUnavailable("it failed while it was publishing")
        return answers

    def read(self, channel: str, since: Asked, limit: int, now: int) -> HistoryPage:
        if self.chance.happens(self.weather.fails):
            raise BrokerUnavailable("it failed while it was reading")
        return self.log(channel).page(since, limit, now)

    def channels(self, pattern: ChannelPattern, after: str, limit: int) -> ChannelPage:
        names = sorted(
            name
            for name, log in self.logs.items()
            if name > after and pattern.covers(name) and log.retained
        )
        found = []
        for name in names[:limit]:
            events = self.logs[name].retained
            newest = events[-1]
            found.append(ChannelSummary(name, newest.position, newest.time, len(events)))
        return ChannelPage(found, names[limit - 1] if len(names) > limit else None)

    def announce(self, event: Event) -> None:
        """Tell every node that wants it of an event."""
        for link in self.links.values():
            if event.channel in link.announced:
                link.announce(event)
