"""The rules of feeds (`delivery/`), and of what the hub does for them."""

from eventhub.delivery.catching_up import CatchingUpSubscribers
from eventhub.delivery.continuity import Continuity
from eventhub.delivery.fanout import Fanout
from eventhub.delivery.feed import Feed
from eventhub.delivery.lagging import LaggingSubscribers
from eventhub.hub.announcements import Announcements
from eventhub.hub.feed_registry import FeedRegistry
from eventhub.hub.history import HistoryReader
from tests.simulation.rules import Rule

FEED_RULES = [
    Rule(
        "1: an announcement whose predecessor is not the head shows a hole",
        Continuity, "follows", "event.previous == head.offset and ", "", 0,
    ),
    Rule(
        "1: an announcement of another epoch shows a hole",
        Continuity, "follows", " and event.epoch == head.epoch", "", 5,
    ),
    Rule("2: a hole ends continuity", Continuity, "restart", "self.end()", "pass", 13),
    Rule(
        "2: the broker's gap ends continuity",
        Feed, "gap", "self.continuity.end()", "pass", 4,
    ),
    Rule(
        "2: after a hole, history is read from the delivered position",
        Continuity, "covers", "self.recent.begins(position.offset)", "True", 0,
    ),
    Rule(
        "2: a page is delivered only if it was read from the delivered position",
        Feed, "page", "if since == self.continuity.delivered:", "if True:", 6,
    ),
    Rule(
        "3: after a gap the feed is unverified",
        Feed, "gap", "self.continuity.unverified_since = self.continuity.generation", "pass", 5,
    ),
    Rule(
        "3: a page that ends beyond the announcements verifies nothing",
        Continuity, "verify", " and self.reaches(page.end)", "", 5,
    ),
    Rule(
        "3: an unverified feed reads on",
        Feed, "_resume", "if not continuity.unverified_since:", "if True:", 5,
    ),
    Rule(
        "4: a log that was announced while the subscription was opened ends nowhere known",
        Continuity, "open", "if self.generation == 0:", "if True:", 49,
    ),
    Rule(
        "5: a subscriber that catches up is told of what history has not",
        CatchingUpSubscribers, "page", "if page.lost:", "if False:", 0,
    ),
    Rule(
        "5: live subscribers are told of what history has not",
        Feed, "_deliver_page", "if page.lost:", "if False:", 0,
    ),
    Rule(
        "6: subscribed comes before the first event",
        CatchingUpSubscribers, "_start", "started(subscriber, start)",
        "__import__('asyncio').get_running_loop().call_soon(started, subscriber, start)", 0,
    ),
    Rule(
        "8: an error of one subscriber closes its connection",
        Feed, "serving_failed", "self._owner.serving_failed(subscriber, error)", "pass", 14,
    ),
    Rule(
        "8: an error of one subscriber is no error of the channel",
        Feed, "_serve", "except Exception as error:", "except ZeroDivisionError as error:", 28,
    ),
    Rule(
        "8: a write that fails is reported",
        Fanout, "_report", "self._owner.serving_failed(key, error)", "pass", 14,
    ),
    Rule(
        "catching up: one page at a time",
        CatchingUpSubscribers, "advance", "subscriber.reading or ", "", 20,
    ),
    Rule(
        "catching up: wait while the feed is not current",
        CatchingUpSubscribers, "advance", "not continuity.is_current or ", "", 27,
    ),
    Rule(
        "catching up: turn live at exactly the delivered position",
        CatchingUpSubscribers, "advance", "if subscriber.position == continuity.delivered:",
        "if subscriber.position is not None:", 0,
    ),
    Rule(
        "catching up: goes on when the feed does",
        Feed, "_resume", "self._serve(self._catching_up.advance, subscriber)", "pass", 0,
    ),
    Rule(
        "catching up: goes on when the writer has drained",
        Feed, "drained", "self._serve(self._catching_up.advance, subscriber)", "pass", 11,
    ),
    Rule(
        "lagging: disconnect closes the connection",
        LaggingSubscribers, "skip", "self._disconnect_all()", "pass", 10,
    ),
    Rule(
        "lagging: drop sends a gap",
        LaggingSubscribers, "catch_up", "self._unicast.write_gap(subscriber, gap)", "pass", 11,
    ),
    Rule(
        "lagging: latest sends a gap",
        LaggingSubscribers, "_conflate", "self._unicast.write_gap(subscriber, gap)", "pass", 11,
    ),
    Rule(
        "lagging: goes on when the writer has drained",
        Feed, "drained", "self._serve(self._lagging.catch_up, subscriber)", "pass", 10,
    ),
    Rule(
        "fan-out: who joins gets nothing that was pushed before",
        Fanout, "add", "self._queue_pending()", "pass", 28,
    ),
    Rule(
        "fan-out: with room again, the feed goes on",
        Feed, "flushed", "self._resume()", "pass", 2,
    ),
    Rule(
        "fan-out: with room again, publishers go on",
        FeedRegistry, "_progressed", "self._backpressure.caught_up(feed.channel)", "pass", 4,
    ),
    Rule(
        "history: a broker that is away is asked again",
        HistoryReader, "_page", "except BrokerUnavailable as error:",
        "except ZeroDivisionError as error:", 2,
    ),
    Rule(
        "history: an empty page is not kept",
        HistoryReader, "_keep", "if page.events and ", "if ", 3,
    ),
    Rule(
        "announcements: a broker that is away is asked again",
        Announcements, "_follow", "await asyncio.sleep(RETRY_SECONDS)", "return", 0,
    ),
    Rule(
        "announcements: another feed is opened as well",
        Announcements, "_follow", "is not opened", "is not None and opened is None", 21,
    ),
    Rule(
        "announcements: a channel without a feed is not announced",
        Announcements, "_switch", "await self._broker.unsubscribe(channel)", "pass", 0,
    ),
    Rule(
        "evictions: a connection that must end is closed",
        FeedRegistry, "fail", "self._evictions.add(subscriber, error)", "pass", 10,
    ),
]  # fmt: skip
"""Numbers are those at the top of `feed.py`; the others are rows of the tables of other modules."""
