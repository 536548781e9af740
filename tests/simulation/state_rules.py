"""The rules of states (`brokers/states.py`, `catching_up.py`) and of signals (`signals.py`)."""

from eventhub.brokers import memory_state
from eventhub.brokers.memory_state import MemoryState
from eventhub.delivery import catching_up
from eventhub.delivery.lagging import LaggingSubscribers
from eventhub.delivery.signals import SignalQueue
from eventhub.events.channel_types import ChannelType
from eventhub.hub.feed_registry import FeedRegistry
from tests.simulation.rules import Rule

STATE_RULES = [
    Rule(
        "states: pages after the first are of the state, too",
        catching_up, "_next_page", "since if isinstance(since, State) else ", "", 19,
    ),
    Rule(
        "states 2: whoever comes back is told of deletions",
        MemoryState, "page", " and event.offset <= begun", "", 25,
    ),
    Rule(
        "states 3: whoever is before what was forgotten gets the whole state",
        memory_state, "begin_of", "position.offset < forgotten or ", "", 0,
    ),
    Rule(
        "states 3: what leaves is forgotten",
        MemoryState, "_leave", "self.forgotten = max(self.forgotten, event.offset)", "pass", 0,
    ),
    Rule(
        "states: the newest event of a key replaces the one before",
        MemoryState, "page", "self._is_newest(event) and ", "", 115,
    ),
    Rule(
        "states: a slow reader gets the newest event of each key",
        ChannelType, "conflation_key", "return key_of(event)", 'return ""', 56,
    ),
    Rule(
        "lagging: with latest, a reader learns that events have expired",
        LaggingSubscribers, "leave_at", " and not keeps_newest", "", 141,
    ),
    Rule(
        "signals: a reader whose buffer is not almost empty gets none",
        SignalQueue, "advance", " if key.writer.takes_signal(size)", "", 3,
    ),
    Rule(
        "signals: they come in the order in which they were sent",
        SignalQueue, "push", "self._waiting.append(", "self._waiting.appendleft(", 63,
    ),
    Rule(
        "signals: a batch that was written is gone",
        SignalQueue, "advance", "len(keys) < limit", "len(keys) <= limit", 0,
    ),
    Rule(
        "signals: the hub writes them, if there is nothing else to write",
        FeedRegistry, "signal", "self.has_writes(feed)", "pass", 0,
    ),
]  # fmt: skip
