"""The rules of feeds (`delivery/`), and of what the hub does for them."""

from eventhub.delivery.catching_up import CatchingUpSubscribers
from eventhub.delivery.continuity import Continuity
from eventhub.delivery.fanout import Fanout
from eventhub.delivery.feed import Feed
from eventhub.delivery.lagging import LaggingSubscribers
from eventhub.hub import history
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
        Continuity, "follows", " and event.epoch == head.epoch", "", 0,
    ),
    Rule(
        "1: an announcement before the head is a duplicate",
        Feed, "deliver", "elif not continuity.has(event):", "else:", 0,
    ),
    Rule("2: a hole ends continuity", Continuity, "restart", "self.end()", "pass", 0),
    Rule(
        "2: the broker's gap ends continuity",
        Feed, "gap", "self.continuity.end()", "self.continuity.generation += 1", 0,
    ),
    Rule(
        "2: after a hole, history is read from the delivered position",
        Continuity, "covers", "self.recent.begins(position.offset)", "True", 0,
    ),
    Rule(
        "2: an event that is delivered at once leaves no hole in the recent ones",
        Feed, "deliver", "elif continuity.recent.events:", "elif False:", 0,
    ),
    Rule(
        "2: a page is delivered only if it was read from the delivered position",
        Feed, "page", "if since == self.continuity.delivered:", "if True:", 0,
    ),
    Rule(
        "3: after a gap the feed is unverified",
        Feed, "gap", "self.continuity.unverified_since = self.continuity.generation", "pass", 0,
    ),
    Rule(
        "3: only a page requested after the gap verifies",
        Continuity, "verify", "generation >= self.unverified_since and ", "", 0,
    ),
    Rule(
        "3: a page that ends beyond the announcements verifies nothing",
        Continuity, "verify", " and self.reaches(page.end)", "", 0,
    ),
    Rule(
        "3: an unverified feed reads on",
        Feed, "_resume", "if not continuity.unverified_since:", "if True:", 0,
    ),
    Rule(
        "4: a page of an older generation says nothing about the end",
        Continuity, "verify", "generation == self.generation and ", "", 0,
    ),
    Rule(
        "4: recent events that are dropped begin a generation",
        Continuity, "remember", "self.generation += self.recent.add(event)",
        "self.recent.add(event)", 0,
    ),
    Rule(
        "4: a log that was announced while the subscription was opened ends nowhere known",
        Continuity, "open", "if self.generation == 0:", "if True:", 0,
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
        "7: a full subscriber gets what is queued, then it lags",
        Feed, "_lag", "self.live.settle(subscriber, subscriber.writer.encoding)", "pass", 0,
    ),
    Rule(
        "8: an error of one subscriber closes its connection",
        Feed, "serving_failed", "self._io.serving_failed(subscriber, error)", "pass", 0,
    ),
    Rule(
        "8: an error of one subscriber is no error of the channel",
        Feed, "_serve", "except Exception as error:", "except ZeroDivisionError as error:", 0,
    ),
    Rule(
        "8: a write that fails is reported",
        Fanout, "_report", "self._owner.serving_failed(key, error)", "pass", 0,
    ),
    Rule(
        "catching up: one page at a time",
        CatchingUpSubscribers, "advance", "subscriber.reading or ", "", 0,
    ),
    Rule(
        "catching up: wait while the feed is not current",
        CatchingUpSubscribers, "advance", "not continuity.is_current or ", "", 0,
    ),
    Rule(
        "catching up: wait while the writer is full",
        CatchingUpSubscribers, "advance", " or subscriber.writer.full", "", 0,
    ),
    Rule(
        "catching up: no page for a full writer",
        CatchingUpSubscribers, "page", " or subscriber.writer.full", "", 0,
    ),
    Rule(
        "catching up: a page beyond the announcements is a gap",
        CatchingUpSubscribers, "page",
        "if page.reached == page.end and continuity.is_current and "
        "not continuity.reaches(page.end):",
        "if False:", 0,
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
        Feed, "drained", "self._serve(self._catching_up.advance, subscriber)", "pass", 0,
    ),
    Rule(
        "lagging: disconnect closes the connection",
        LaggingSubscribers, "skip", "self._disconnect_all()", "pass", 0,
    ),
    Rule(
        "lagging: drop sends a gap",
        LaggingSubscribers, "catch_up", "self._unicast.write_gap(subscriber, gap)", "pass", 0,
    ),
    Rule(
        "lagging: latest sends a gap",
        LaggingSubscribers, "_conflate", "self._unicast.write_gap(subscriber, gap)", "pass", 0,
    ),
    Rule(
        "lagging: latest keeps the newest of each key",
        LaggingSubscribers, "skip",
        "self.latest.add(key, self._continuity.delivered_count, event)", "pass", 0,
    ),
    Rule(
        "lagging: latest keeps what came after the reader's mark",
        LaggingSubscribers, "_conflate", "self.latest.since(subscriber.mark)",
        "self.latest.since(0)", 0,
    ),
    Rule(
        "lagging: goes on when the writer has drained",
        Feed, "drained", "self._serve(self._lagging.catch_up, subscriber)", "pass", 0,
    ),
    Rule(
        "lagging: who turns live with a full writer lags",
        Feed, "turn_live", "if subscriber.writer.full:", "if False:", 0,
    ),
    Rule(
        "lagging: conflation stops at a full writer",
        LaggingSubscribers, "_conflate", "if subscriber.writer.full:", "if False:", 0,
    ),
    Rule(
        "fan-out: who joins gets nothing that was pushed before",
        Fanout, "add", "self._queue_pending()", "pass", 0,
    ),
    Rule(
        "fan-out: who left gets nothing that is queued",
        Fanout, "remove", "self._removed[write] = self._queued_count", "pass", 0,
    ),
    Rule(
        "fan-out: a gap comes behind what was pushed before",
        Fanout, "broadcast", "self._queue_pending()", "pass", 0,
    ),
    Rule("fan-out: with room again, the feed goes on", Feed, "flushed", "self._resume()", "pass", 0),
    Rule(
        "fan-out: with room again, publishers go on",
        FeedRegistry, "_progressed", "self._backpressure.caught_up(feed.channel)", "pass", 0,
    ),
    Rule(
        "history: a broker that is away is asked again",
        HistoryReader, "_page", "except BrokerUnavailable as error:",
        "except ZeroDivisionError as error:", 0,
    ),
    Rule(
        "history: an empty page is not kept",
        HistoryReader, "_keep", "if page.events and ", "if ", 0,
    ),
    Rule(
        "history: a page for a position beyond the end is not shared",
        history, "_may_come_true", 'page.lost == "reset"', "False", 0,
    ),
    Rule(
        "announcements: a broker that is away is asked again",
        Announcements, "_follow", "await asyncio.sleep(RETRY_SECONDS)", "return", 0,
    ),
    Rule(
        "announcements: another feed is opened as well",
        Announcements, "_follow", "is not opened", "is not None and opened is None", 0,
    ),
    Rule(
        "announcements: a channel without a feed is not announced",
        Announcements, "_switch", "await self._broker.unsubscribe(channel)", "pass", 0,
    ),
    Rule(
        "announcements: a position opens only the feed that asked for it",
        Announcements, "_switch", "if self._feed_of(channel) is feed:", "if True:", 0,
    ),
    Rule(
        "evictions: a connection that must end is closed",
        FeedRegistry, "fail", "self._evictions.add(subscriber, error)", "pass", 0,
    ),
]  # fmt: skip
"""Numbers are those at the top of `feed.py`; the others are rows of the tables of other modules."""
