"""The rules of patterns: the numbers are those at the top of `pattern_audience.py`."""

from eventhub.delivery.apart import ApartSubscribers
from eventhub.delivery.feed import Feed
from eventhub.delivery.pattern_audience import PatternAudience
from eventhub.delivery.pattern_subscriber import ChannelPart
from eventhub.delivery.waiting import WaitingSubscribers
from eventhub.hub import patterns
from eventhub.hub.announcements import Announcements
from eventhub.hub.naming_subscribers import NamingSubscribers
from eventhub.hub.patterns import Patterns
from tests.simulation.rules import Rule

PATTERN_RULES = [
    Rule(
        "1: an audience is told before delivered moves",
        Feed, "_deliver_live", "self.audiences.deliver(self, event)", "pass", 0,
    ),
    Rule(
        "1: a gap goes to the audiences, too",
        Feed, "_deliver_gap", "self.audiences.deliver_gap(self, gap)", "0", 0,
    ),
    Rule(
        "3: whoever is apart gets a part in a channel that delivers an event",
        PatternAudience, "deliver", "self._apart.about_to_deliver(feed)", "pass", 8,
    ),
    Rule(
        "3: and in one that delivers a gap",
        PatternAudience, "deliver_gap", "self._apart.about_to_deliver(feed)", "pass", 8,
    ),
    Rule(
        "3: but not where it begins in the past",
        ApartSubscribers, "about_to_deliver", " or channel in subscriber.todo", "", 8,
    ),
    Rule(
        "3: a part of a full writer lags",
        Feed, "join_at_delivered", "self._lagging.add if subscriber.writer.full else ", "", 9,
    ),
    Rule(
        "3: a subscriber has one part in a channel",
        ApartSubscribers, "about_to_deliver", "channel in subscriber.parts or ", "", 0,
    ),
    Rule(
        "3: a part lags when the writer fills",
        ApartSubscribers, "congested", "self._feeds[channel].congested(part)", "pass", 41,
    ),
    Rule(
        "3: and goes on when it has drained",
        ApartSubscribers, "drained", "self._feeds[channel].drained(part)", "pass", 60,
    ),
    Rule(
        "4: a part that has caught up leaves",
        ChannelPart, "stays", "return False", "return True", 0,
    ),
    Rule(
        "5: parts are settled before the subscriber turns live",
        ApartSubscribers, "_settle", "feed.live.settle(part, encoding)", "pass", 47,
    ),
    Rule(
        "5: but only if none lags",
        ApartSubscribers, "_settle", "part.state is not SubscriberState.LIVE", "False", 0,
    ),
    Rule(
        "a subscriber waits until the channels are known",
        WaitingSubscribers, "add", "if self.ready:", "if True:", 0,
    ),
    Rule(
        "and until their feeds have opened",
        PatternAudience, "attach", "self._waiting.opening.add(feed)", "pass", 73,
    ),
    Rule(
        "and begins when the last one has",
        PatternAudience, "opened", "self._waiting.advance()", "pass", 7,
    ),
    Rule(
        "a subscriber goes on when the writer has drained",
        ApartSubscribers, "drained", "self.advance(subscriber)", "pass", 65,
    ),
    Rule(
        "room: a feed waits for its audiences",
        Feed, "_has_room", "self.audiences.fell_behind(self)", "pass", 9,
    ),
    Rule(
        "room: and goes on when they have some",
        PatternAudience, "flushed", "self._go_on(feed)", "pass", 13,
    ),
    Rule(
        "room: publishers go on when an audience is gone",
        PatternAudience, "_go_on", "self._owner.progressed(feed)", "pass", 9,
    ),
    Rule(
        "births: a feed begins before the first event",
        Announcements, "_beginning", "if not isinstance(begin, Birth):", "if True:", 0,
    ),
    Rule(
        "births: of a log that may have lost its beginning, history says so",
        Announcements, "_beginning", "if complete and page.reached == page.end:", "if True:", 0,
    ),
    Rule(
        "births: the list is read again when some may have been missed",
        Patterns, "born", "relist.set()", "pass", 50,
    ),
    Rule(
        "births: a channel opens a feed",
        Patterns, "born",
        'self._metrics.faults.contain("birth", partial(self._cover, each, Birth.CERTAIN))',
        "pass", 0,
    ),
    Rule(
        "resume: the channels that a client names have feeds",
        NamingSubscribers, "_cover_all", "self._cover(channel)", "pass", 11,
    ),
    Rule(
        "resume: a channel that a client does not name begins with its log",
        PatternAudience, "_starts", "since is None or ", "since is not None and ", 1,
    ),
    Rule(
        "channels that are open: an audience whose readers have left takes none",
        patterns, "attach_open_feeds",
        "if not serves(audience):  # its readers left before this task began", "if False:", 41,
    ),
    Rule(
        "channels that are open: an audience takes each once",
        patterns, "attach_open_feeds", "channel not in audience.feeds and ", "", 0,
    ),
    Rule(
        "silent channels: one that somebody needs is kept",
        Patterns, "_let_go", "any(audience.needs(feed) for audience in audiences)", "False", 51,
    ),
    Rule(
        "silent channels: one that has delivered something is kept",
        Patterns, "_list", "same and covered.is_silent(feed.channel)", "feed in absent", 195,
    ),
    Rule(
        "silent channels: a channel goes on where it was let go",
        Patterns, "_opened", "left or ", "", 0,
    ),
]  # fmt: skip
