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
from tests.simulation.scenarios import (
    announced_while_opening,
    full_for_long,
    gap_after_gap,
    gap_while_a_reader_is_full,
    late_announcement,
    lost_end,
    many_keys,
    more_announced_than_is_kept,
    more_announced_than_is_kept_again,
    page_from_before_a_gap,
    position_that_comes_true,
)

FEED_RULES = [
    Rule(
        "1: an announcement whose predecessor is not the head shows a hole",
        Continuity, "follows", "event.previous == head.offset and ", "", 0,
    ),
    Rule(
        "1: an announcement of another epoch shows a hole",
        Continuity, "follows", " and event.epoch == head.epoch", "", 168,
    ),
    Rule(
        "1: a duplicate before the head is ignored",
        Feed, "deliver", "elif not continuity.has(event):", "else:", 0,
    ),
    Rule("2: a hole ends continuity", Continuity, "restart", "self.end()", "pass", 3),
    Rule(
        "2: the broker's gap ends continuity",
        Feed, "gap", "self.continuity.end()", "pass", 0,
    ),
    Rule(
        "2: after a hole, history is read from the delivered position",
        Continuity, "covers", "self.recent.begins(position.offset)", "True", 0,
    ),
    Rule(
        "2: a page is delivered only if it was read from the delivered position",
        Feed, "page", "if since == self.continuity.delivered:", "if True:", 1,
    ),
    Rule(
        "3: after a gap the feed is unverified",
        Feed, "gap", "self.continuity.unverified_since = self.continuity.generation", "pass", 19,
    ),
    Rule(
        "3: a page that ends beyond the announcements verifies nothing",
        Continuity, "verify", " and self.reaches(page.end)", "", 19,
    ),
    Rule(
        "3: an unverified feed reads on",
        Feed, "_resume", "if not continuity.unverified_since:", "if True:", 19,
    ),
    Rule(
        "3: a page that was asked for before a gap verifies nothing",
        Continuity, "verify", "generation >= self.unverified_since and ", "",
        page_from_before_a_gap,
    ),
    Rule(
        "4: a page of an older generation does not say where the log ends",
        Continuity, "verify", "generation == self.generation and ", "", more_announced_than_is_kept,
    ),
    Rule(
        "4: recent events that were dropped begin a generation",
        Continuity, "remember", "self.generation += self.recent.add(event)",
        "self.recent.add(event)", more_announced_than_is_kept_again,
    ),
    Rule(
        "4: recent events have no hole",
        Feed, "deliver", "continuity.recent.clear()", "pass", 113,
    ),
    Rule(
        "4: a log that was announced while the subscription was opened ends nowhere known",
        Continuity, "open", "if self.generation == 0:", "if True:", announced_while_opening,
    ),
    Rule(
        "5: a subscriber that catches up is told of what history has not",
        CatchingUpSubscribers, "page", "if page.lost:", "if False:", 0,
    ),
    Rule(
        "5: live subscribers are told of what history has not",
        Feed, "_deliver_page", "if page.lost:", "if False:", 1,
    ),
    Rule(
        "6: subscribed comes before the first event",
        CatchingUpSubscribers, "_start", "started(subscriber, start)",
        "__import__('asyncio').get_running_loop().call_soon(started, subscriber, start)", 0,
    ),
    Rule(
        "7: a full subscriber is written what is queued for it",
        Feed, "_lag", "self.live.settle(subscriber, subscriber.encoding)", "pass", 56,
    ),
    Rule(
        "8: an error of one subscriber closes its connection",
        Feed, "serving_failed", "self._owner.serving_failed(subscriber, error)", "pass", 25,
    ),
    Rule(
        "8: an error of one subscriber is no error of the channel",
        Feed, "_serve", "except Exception as error:", "except ZeroDivisionError as error:", 25,
    ),
    Rule(
        "8: a write that fails is reported",
        Fanout, "report", "self._owner.serving_failed(key, error)", "pass", 32,
    ),
    Rule(
        "catching up: one page at a time",
        CatchingUpSubscribers, "advance", "subscriber.reading or ", "", 15,
    ),
    Rule(
        "catching up: wait while the feed is not current",
        CatchingUpSubscribers, "advance", "not continuity.is_current or ", "", 17,
    ),
    Rule(
        "catching up: wait while the writer is full",
        CatchingUpSubscribers, "advance", " or subscriber.writer.full", "",
        gap_while_a_reader_is_full,
    ),
    Rule(
        "catching up: no page is written to a full writer",
        CatchingUpSubscribers, "page", " or subscriber.writer.full", "", 1,
    ),
    Rule(
        "catching up: a page beyond the announcements shows that some are missing",
        CatchingUpSubscribers, "page", "self._owner.gap()", "pass", late_announcement,
    ),
    Rule(
        "catching up: an empty page before the announcements shows that the log lost its end",
        CatchingUpSubscribers, "_ends_elsewhere", "empty_now or ", "", lost_end,
    ),
    Rule(
        "catching up: whose writer is full turns live and lags",
        Feed, "turn_live", "self.congested(subscriber)", "pass", 139,
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
        Feed, "drained", "self._serve(self._catching_up.advance, subscriber)", "pass", 1,
    ),
    Rule(
        "lagging: disconnect closes the connection",
        LaggingSubscribers, "skip", "self._disconnect_all(event)", "pass", full_for_long,
    ),
    Rule(
        "lagging: drop sends a gap",
        LaggingSubscribers, "catch_up", "self._unicast.write_gap(subscriber, gap)", "pass", 11,
    ),
    Rule(
        "lagging: latest sends a gap",
        LaggingSubscribers, "_conflate", "self._unicast.write_gap(subscriber, gap)", "pass", 1,
    ),
    Rule(
        "lagging: latest keeps the newest event of each key",
        LaggingSubscribers, "skip", "self.latest.add(key, self._continuity.delivered_count, event)",
        "pass", 12,
    ),
    Rule(
        "lagging: latest waits while the writer is full",
        LaggingSubscribers, "_conflate", "if subscriber.writer.full:", "if False:", many_keys,
    ),
    Rule(
        "lagging: goes on when the writer has drained",
        Feed, "drained", "self._serve(self._lagging.catch_up, subscriber)", "pass", 0,
    ),
    Rule(
        "fan-out: who joins gets nothing that was pushed before",
        Fanout, "add", "self._queue_pending()", "pass", 20,
    ),
    Rule(
        "fan-out: who leaves gets nothing that is queued",
        Fanout, "remove", "self._removed[write] = self._queued_count", "pass", 56,
    ),
    Rule(
        "fan-out: a gap comes after what was pushed before",
        Fanout, "broadcast", "self._queue_pending()", "pass", gap_after_gap,
    ),
    Rule(
        "fan-out: with room again, the feed goes on",
        Feed, "flushed", "self._resume()", "pass", 0,
    ),
    Rule(
        "fan-out: with room again, publishers go on",
        FeedRegistry, "progressed", "self._backpressure.caught_up(feed.channel)", "pass", 0,
    ),
    Rule(
        "history: a broker that is away is asked again",
        HistoryReader, "_page", "except BrokerUnavailable as error:",
        "except ZeroDivisionError as error:", 0,
    ),
    Rule(
        "history: a page for a position beyond the end is not shared",
        HistoryReader, "_read", "if _may_come_true(asked, page):", "if False:",
        position_that_comes_true,
    ),
    Rule(
        "announcements: a broker that is away is asked again",
        Announcements, "_follow", "await asyncio.sleep(RETRY_SECONDS)", "return", 6,
    ),
    Rule(
        "announcements: another feed is opened as well",
        Announcements, "_follow", "is not opened", "is not None and opened is None", 5,
    ),
    Rule(
        "announcements: a channel without a feed is not announced",
        Announcements, "_switch", "await self._broker.unsubscribe(channel)", "pass", 0,
    ),
    Rule(
        "evictions: a connection that must end is closed",
        FeedRegistry, "fail", "self._evictions.add(subscriber, error)", "pass", 0,
    ),
]  # fmt: skip
"""Numbers are those at the top of `feed.py`; the others are rows of the tables of other modules."""
