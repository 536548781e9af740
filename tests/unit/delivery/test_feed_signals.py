"""Signals anywhere in the interleavings of test_feed_properties.py: the promise for events holds as
if there were none. EVENTHUB_LONG=1 looks for longer.
"""

import random
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from eventhub.delivery import fanout as fanout_module
from eventhub.delivery import recent as recent_module
from eventhub.delivery import signals as signals_module
from eventhub.delivery.counters import DeliveryCounters
from eventhub.delivery.fanout import Fanout
from eventhub.delivery.signals import SignalQueue
from eventhub.events.event import Since
from eventhub.events.signal import Signal
from tests.unit.delivery.test_feed_properties import (
    LONG,
    Channel,
    Connection,
    Person,
    Script,
    World,
)

WORLDS = 400
"""In so many worlds, or fewer, a rule that is switched off is missed."""


class SignalWorld(World):
    """Signals come at any time. Some are larger than what may wait."""

    def __init__(self, script: Script) -> None:
        super().__init__(script)
        self.signals = 0
        self.counters = DeliveryCounters()

    def prepare(self) -> None:
        super().prepare()
        signals_module.WAITING_BYTES = self.pick([64 * 1024, 1, 600])
        self.steps += ["signal"] * self.pick([4, 12, 40])

    def signal(self) -> None:
        channel = self.pick(self.busy)
        for _ in range(self.pick([1, 1, 3])):
            self.signals += 1
            signal = Signal(channel.name, b"%d" % self.signals, 0)
            feed = channel.feed
            if feed is not None and feed.live.signal(signal, self.counters):
                self.desk.has_writes(feed)

    def begin(self, person: Person, channel: Channel, since: Since) -> None:
        connection = person.connection
        known = connection is not None and channel in connection.subscriptions
        super().begin(person, channel, since)
        if not known and (now := person.connection) is not None and channel in now.subscriptions:
            now.subscriptions[channel][1].heard = self.signals


@pytest.fixture(autouse=True)
def _bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worlds choose bounds; put them back."""
    for module, name in (
        (signals_module, "WAITING_BYTES"),
        (recent_module, "RECENT_EVENTS"),
        (recent_module, "RECENT_BYTES"),
        (recent_module, "KEYS"),
        (fanout_module, "QUEUED_BYTES"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name))


@pytest.mark.timeout(0 if LONG else 120)
@settings(
    max_examples=100_000 if LONG else 300, deadline=None, suppress_health_check=list(HealthCheck)
)
@given(
    st.binary(min_size=24, max_size=24),
    st.lists(st.binary(min_size=8, max_size=8), min_size=20, max_size=140),
)
def test_with_signals_every_reader_gets_what_the_protocol_promises(
    setting: bytes, steps: list[bytes]
) -> None:
    script = Script()
    try:
        SignalWorld(script).run(setting, steps)
    except Exception:
        note("\n".join(step for step in script.steps if step != "nothing "))
        raise


def missed() -> str:
    """What the first of many worlds has to say against the code as it is."""
    for seed in range(WORLDS):
        chance = random.Random(seed)
        steps = [chance.randbytes(8) for _ in range(100)]
        try:
            SignalWorld(Script()).run(chance.randbytes(24), steps)
        except AssertionError as fault:
            return str(fault)
    return ""


def always(connection: Connection, size: int) -> bool:
    return True


def test_worlds_of_signals_find_nothing_against_the_code_as_it_is() -> None:
    assert missed() == ""


Switch = Callable[[pytest.MonkeyPatch], None]


def gives_them_to_those_who_come_later(patch: pytest.MonkeyPatch) -> None:
    build, advance = SignalQueue.build, SignalQueue.advance

    def late(queue: SignalQueue, live: object, limit: int) -> object:
        build(queue, live)  # type: ignore[arg-type]  # as Fanout gives it
        return advance(queue, live, limit)  # type: ignore[arg-type]

    patch.setattr(SignalQueue, "build", lambda queue, live: None)
    patch.setattr(SignalQueue, "advance", late)


def counts_them_as_events(patch: pytest.MonkeyPatch) -> None:
    signal = Fanout.signal

    def counted(fanout: Fanout, sent: Signal, counters: DeliveryCounters) -> bool:
        fanout._queued_bytes += 1000  # and never fewer
        return signal(fanout, sent, counters)

    patch.setattr(Fanout, "signal", counted)


def asks_nobody_for_room(patch: pytest.MonkeyPatch) -> None:
    takes = Connection.takes_signal
    hear = Connection.write

    def write(connection: Connection, data: bytes) -> None:
        patch.setattr(Connection, "takes_signal", takes)
        try:
            hear(connection, data)
        finally:
            patch.setattr(Connection, "takes_signal", always)

    patch.setattr(Connection, "write", write)
    patch.setattr(Connection, "takes_signal", always)


def forgets_those_who_left(patch: pytest.MonkeyPatch) -> None:
    remove = Fanout.remove
    gone: dict[object, object] = {}
    advance = SignalQueue.advance

    def keep(fanout: Fanout, key: object, encoding: object) -> bool:
        writes = fanout._live.get(encoding, {})  # type: ignore[call-overload]
        if key in writes:
            gone[key] = writes[key]
        return remove(fanout, key, encoding)  # type: ignore[arg-type]

    def with_those(queue: SignalQueue, live: object, limit: int) -> object:
        merged = {encoding: {**gone, **writes} for encoding, writes in live.items()}  # type: ignore[attr-defined]
        return advance(queue, merged, limit)

    patch.setattr(Fanout, "remove", keep)
    patch.setattr(SignalQueue, "advance", with_those)


@pytest.mark.parametrize(
    "switch",
    [
        gives_them_to_those_who_come_later,
        counts_them_as_events,
        asks_nobody_for_room,
        forgets_those_who_left,
    ],
)
def test_each_rule_of_signals_is_necessary(switch: Switch, monkeypatch: pytest.MonkeyPatch) -> None:
    switch(monkeypatch)
    assert missed()
