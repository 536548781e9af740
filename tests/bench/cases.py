"""What is measured. A case is a few variants that are run in turn, so that they meet the same machine."""

from dataclasses import dataclass, replace
from typing import Literal

from tests.bench.load import Load
from tests.bench.servers import EventHub

HUB, LIMIT, TUTORIAL, PUBLISHING = "EventHub", "C limit", "tutorial", "publishing alone"
SMALL_BUFFER = 64 * 1024
DEFAULT = EventHub()

Kind = Literal["fanout", "latency", "publish", "idle"]


@dataclass(frozen=True, slots=True)
class Variant:
    """A load on a server: EventHub with settings, the C limit writing a batch a send, or the tutorial."""

    name: str
    load: Load
    server: EventHub | Literal["limit", "tutorial"] = DEFAULT


@dataclass(frozen=True, slots=True)
class Case:
    """`kind` says which columns its table has. The limit follows an EventHub variant, whose event size it takes."""

    name: str
    title: str
    kind: Kind
    variants: tuple[Variant, ...]

    def quick(self) -> "Case":
        """The same, shorter."""
        return replace(self, variants=tuple(replace(v, load=_shorter(v.load)) for v in self.variants))


def _shorter(load: Load) -> Load:
    return replace(load, seconds=load.seconds / 3, warm=0.3, hold=load.hold / 3)


def _fan_out(subscribers: int, *, yardstick: bool = False, batch: int = 1) -> tuple[Variant, ...]:
    load = Load(subscribers, publishers=1, batch=batch, lockstep=True)
    variants = (
        Variant(HUB, load),
        Variant(LIMIT, replace(load, publishers=0), "limit"),
        Variant(PUBLISHING, replace(load, subscribers=0, lockstep=False)),
    )
    return (*variants, Variant(TUTORIAL, load, "tutorial")) if yardstick else variants


def _end_to_end() -> tuple[Variant, ...]:
    return Variant(HUB, Load(1000, publishers=64)), Variant(PUBLISHING, Load(publishers=64))


def _latency() -> tuple[Variant, ...]:
    load = Load(1000, publishers=4, rate=50, seconds=6)
    return Variant(HUB, load), Variant(LIMIT, Load(1000, rate=50, seconds=6), "limit"), Variant(TUTORIAL, load, "tutorial")


def _stalled() -> tuple[Variant, ...]:
    load = Load(1000, publishers=4, rate=100, size=1024, seconds=9)  # the stalled one is cut off five seconds after its buffer was full
    stalled = replace(load, stalled=1)
    return (
        Variant("undisturbed", load, EventHub(buffer_bytes=SMALL_BUFFER)),
        Variant("one stalled, slow: disconnect", stalled, EventHub(buffer_bytes=SMALL_BUFFER)),
        Variant("one stalled, slow: drop", stalled, EventHub(buffer_bytes=SMALL_BUFFER, slow="drop")),
    )


def _publish() -> tuple[Variant, ...]:
    return tuple(Variant(f"{batch} per request", Load(publishers=64, batch=batch)) for batch in (1, 10, 100))


def _idle() -> tuple[Variant, ...]:
    return (Variant(HUB, Load(10_000, hold=9), EventHub(heartbeat=2)),)


CASES = (
    Case("fanout-100", "Fan-out to 100, one event at a time", "fanout", _fan_out(100, yardstick=True)),
    Case("fanout-1000", "Fan-out to 1,000, one event at a time", "fanout", _fan_out(1000, yardstick=True)),
    Case("fanout-10000", "Fan-out to 10,000, one event at a time", "fanout", _fan_out(10_000)),
    Case("bursts", "Fan-out to 1,000, bursts of 16 events", "fanout", _fan_out(1000, batch=16)),
    Case("end-to-end", "End to end: 64 publishers, 1,000 subscribers", "fanout", _end_to_end()),
    Case("latency", "Latency at 50 events/s to 1,000 subscribers", "latency", _latency()),
    Case("stalled", "A stalled reader among 1,000 (100 events/s of 1 KB, 64 KB buffers)", "latency", _stalled()),
    Case("publish", "Publishing from 64 connections, no subscribers", "publish", _publish()),
    Case("idle", "10,000 idle connections, a heartbeat every 2 s", "idle", _idle()),
)
