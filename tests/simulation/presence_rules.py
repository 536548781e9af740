"""The rules of presence (`presence/`), and of messages between nodes (`hub/cluster.py`)."""

from eventhub.hub.cluster import Cluster
from eventhub.presence import notifier
from eventhub.presence.notifier import ChannelWatchers, PresenceWatchers
from eventhub.presence.roster import Roster
from eventhub.session.session import Session
from tests.simulation.rules import Rule

PRESENCE_RULES = [
    Rule(
        "roster 1: a missing number is noticed",
        Roster, "on_message", ' or fields["number"] != other.number + bool(changes)', "", 65,
    ),
    Rule(
        "roster 1: a node that misses something asks",
        Roster, "_ask", "self._questions.append(node)", "pass", 17,
    ),
    Rule(
        "roster 1: a node that is asked answers with all its members",
        Roster, "messages", "yield from self._everything()", "pass", 0,
    ),
    Rule(
        "roster 1: batches are numbered",
        Roster, "messages", "self._number += 1", "pass", 34,
    ),
    Rule(
        "roster 2: the parts replace what was known",
        Roster, "_take_part", "for member in members - received.get(channel, set())",
        "for member in ()", 4,
    ),
    Rule(
        "roster 2: a part after a lost one is not taken",
        Roster, "_take_part", "other.incoming is None or other.incoming[:2] != (number, part)",
        "other.incoming is None", 79,
    ),
    Rule(
        "roster 2: members of earlier parts stay",
        Roster, "_take_part", "received = other.incoming[2]", "pass", 1,
    ),
    Rule(
        "roster 2: after the last part the number is known",
        Roster, "_take_part", "other.incoming, other.number = None, number",
        "other.incoming = None", 247,
    ),
    Rule(
        "roster 3: an idle node sends its number",
        Roster, "messages", "elif not changes and now - self._last_sent < HEARTBEAT:",
        "elif not changes:", 4,
    ),
    Rule(
        "roster 3: a silent node is removed",
        Roster, "expire", "if now - other.heard > SILENCE", "if False", 2,
    ),
    Rule(
        "roster 3: a node that is heard is not silent",
        Roster, "on_message", "other.heard = now", "pass", 0,
    ),
    Rule(
        "roster 3: a deaf node removes nobody",
        Roster, "expire", "if now - self._last_message > DEAF:", "if False:", 148,
    ),
    Rule(
        "roster 3: the time of deafness is nobody's silence",
        Roster, "_note_message", "other.heard += deaf", "pass", 109,
    ),
    Rule(
        "roster 4: members who are sent away stay until the node is silent",
        Session, "goodbye", 'subscriber.member = ""', "pass", 145,
    ),
    Rule(
        "roster: a member is there until its last subscription ends",
        Roster, "leave", "if not own[member]:", "if True:", 2,
    ),
    Rule(
        "roster: a member of several nodes is there until the last one loses it",
        Roster, "_remove", "if members[member]:", "if False:", 0,
    ),
    Rule(
        "notifier 1: a member that came and went is not mentioned",
        notifier, "_add", "if changes.pop(member, joined) == joined:", "if True:", 3,
    ),
    Rule(
        "notifier 2: a watcher is not told what subscribed had",
        ChannelWatchers, "begin", "self.changes.append({})", "pass", 2,
    ),
    Rule(
        "notifier 3: a full watcher is sent all members later",
        PresenceWatchers, "_tell_each", "watchers.behind[subscriber] = None", "pass", 11,
    ),
    Rule(
        "notifier 3: a watcher that drained is told",
        PresenceWatchers, "drained", "self._wake_for(subscriber.channel)", "pass", 11,
    ),
    Rule(
        "notifier 4: a channel that becomes a crowd is told so",
        PresenceWatchers, "add", "watchers.crowded or self._is_crowd(subscriber.channel, watchers)",
        "watchers.crowded", 22,
    ),
    Rule(
        "notifier 4: who was told as a crowd is sent all members",
        PresenceWatchers, "flush", "watchers.crowded, watchers.last_told = crowd, now",
        "watchers.crowded, watchers.last_told, crowd = False, now, False", 19,
    ),
    Rule(
        "notifier: the list is made again after a member left",
        ChannelWatchers, "note", "else:\n        self._listed = None", "", 3,
    ),
    Rule(
        "cluster: a node does not hear its own messages",
        Cluster, "_pass_on", " and node != self.own.encode()", "", 1,
    ),
    Rule(
        "cluster: watchers are told of members elsewhere",
        Cluster, "on_message", "self._note(change)", "pass", 0,
    ),
    Rule(
        "cluster: watchers are told of members of lost nodes",
        Cluster, "attend", "self._note(change)", "pass", 26,
    ),
    Rule(
        "cluster: a broker that is away does not end presence",
        Cluster, "attend", "with suppress(BrokerUnavailable):", "if True:", 6,
    ),
    Rule(
        "cluster: a member leaves with its subscription",
        Cluster, "leave", "joined=False", "joined=True", 3,
    ),
]  # fmt: skip
"""Numbers are those at the top of `roster.py` and `notifier.py`."""
