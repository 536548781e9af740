"""delivery/shared_encoding.py: bytes are shared where they are the same, and nowhere else."""

from eventhub.delivery.encoding import LINES, WEBSOCKET, Encoding, LineEncoding, StatefulEncoding
from eventhub.delivery.shared_encoding import SharedEncoding
from eventhub.events.event import Event
from tests.harness.builders import ModelLog


class Numbered(StatefulEncoding, LineEncoding):
    """Its bytes differ each time, as those of a stream's cursors do."""

    count = 0

    def event(self, event: Event) -> bytes:
        self.count += 1
        return b"%d" % self.count


def replacement(encoding: Encoding, event: Event, error: Exception) -> bytes:
    return b"replaced"


def test_the_same_events_have_the_same_bytes_and_others_have_their_own() -> None:
    shared, log = SharedEncoding(), ModelLog("drop.a")
    one, two = log.publish(), log.publish()
    first = shared.joined(LINES, [one, two], replacement)
    assert first == LINES.event(one) + LINES.event(two)
    assert shared.joined(LINES, [one, two], replacement) is first
    assert shared.joined(WEBSOCKET, [one, two], replacement) == WEBSOCKET.event(
        one
    ) + WEBSOCKET.event(two)
    assert shared.joined(LINES, [two], replacement) == LINES.event(two)
    assert shared.joined(LINES, [one], replacement) == LINES.event(one)
    assert shared.joined(LINES, [one, two], replacement) == first


def test_an_encoding_with_a_state_encodes_each_time() -> None:
    shared, numbered = SharedEncoding(), Numbered()
    events = [ModelLog("drop.a").publish()]
    assert shared.joined(numbered, events, replacement) == b"1"
    assert shared.joined(numbered, events, replacement) == b"2"
