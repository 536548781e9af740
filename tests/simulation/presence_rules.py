"""The rules of presence (`presence/`), and of messages between nodes (`hub/cluster.py`)."""

from eventhub.hub.cluster import Cluster
from eventhub.presence import broadcasts, notifier
from eventhub.presence.member_data import MemberData
from eventhub.presence.notifier import ChannelWatchers, PresenceWatchers
from eventhub.presence.roster import Roster
from eventhub.session.session import Session
from tests.simulation.data_scenarios import (
    clock_behind,
    words_of_a_lost_node,
    words_of_two_sides,
)
from tests.simulation.rules import Rule
from tests.simulation.scenarios import (
    deaf_for_long,
    last_node,
    lost_part,
    only_questions,
)

PRESENCE_RULES = [
    Rule(
        "roster 1: a missing number is noticed",
        Roster, "on_message", ' or fields["number"] != other.number + bool(changes)', "", 206,
    ),
    Rule(
        "roster 1: a node that misses something asks",
        Roster, "_ask", "self._questions.append(node)", "pass", 25,
    ),
    Rule(
        "roster 1: a node that is asked answers with all its members",
        Roster, "messages", "if everybody is not None:", "if False:", 0,
    ),
    Rule(
        "roster 1: batches are numbered",
        Roster, "messages", "self._number += 1", "pass", 75,
    ),
    Rule(
        "roster 2: the parts replace what was known",
        Roster, "_take_part", "for member in members - received.get(channel, set())",
        "for member in ()", 12,
    ),
    Rule(
        "roster 2: a part after a lost one is not taken",
        Roster, "_take_part", "other.incoming is None or other.incoming[:2] != (number, part)",
        "other.incoming is None", lost_part,
    ),
    Rule(
        "roster 2: members of earlier parts stay",
        Roster, "_take_part", "received = other.incoming[2]", "pass", 0,
    ),
    Rule(
        "roster 2: after the last part the number is known",
        Roster, "_take_part", "other.incoming, other.number = None, number",
        "other.incoming = None", 38,
    ),
    Rule(
        "roster 3: an idle node sends its number",
        Roster, "messages", "elif not changes and now - self._last_sent < HEARTBEAT:",
        "elif not changes:", 0,
    ),
    Rule(
        "roster 3: a silent node is removed",
        Roster, "expire", "if now - other.heard > SILENCE", "if False", 0,
    ),
    Rule(
        "roster 3: a node that is heard is not silent",
        Roster, "on_message", "other.heard = now", "pass", 0,
    ),
    Rule(
        "roster 3: a deaf node removes nobody",
        Roster, "expire", "if now - self._last_message > DEAF:", "if False:", deaf_for_long,
    ),
    Rule(
        "roster 3: the time of deafness is nobody's silence",
        Roster, "_note_message", "other.heard += deaf", "pass", deaf_for_long,
    ),
    Rule(
        "roster 3: a question of a node counts as hearing it",
        Roster, "on_message", "if (other := self._others.get(node)) is not None:",
        "if (other := self._others.get(node)) is not None and 'ask' not in fields:", only_questions,
    ),
    Rule(
        "roster 3: a node hears its own messages",
        Roster, "on_message", "self._note_message(now)",
        "fields['node'] == self._node or self._note_message(now)", last_node,
    ),
    Rule(
        "roster: a node is no other node",
        Roster, "on_message", "if node == self._node:", "if False:", 0,
    ),
    Rule(
        "roster 4: members who are sent away stay until the node is silent",
        Session, "goodbye", 'subscriber.member = ""', "pass", 9,
    ),
    Rule(
        "roster: a member is there until its last subscription ends",
        Roster, "leave", "if not own[member]:", "if True:", 1,
    ),
    Rule(
        "roster: a member of several nodes is there until the last one loses it",
        Roster, "_remove", "if not members[member]:", "if True:", 0,
    ),
    Rule(
        "notifier 1: a member that came and went is not mentioned",
        notifier, "_add", "if first != after:", "if True:", 30,
    ),
    Rule(
        "notifier 2: a watcher is not told what subscribed had",
        ChannelWatchers, "begin", "self.changes.append({})", "pass", 1,
    ),
    Rule(
        "notifier 2: a watcher that begins no part is sent all members",
        ChannelWatchers, "begin", "self.behind[subscriber] = None", "pass", 0,
    ),
    Rule(
        "notifier 3: a full watcher of a crowd is sent all members later",
        PresenceWatchers, "_tell_crowd", "watchers.behind[subscriber] = None", "pass", 18,
    ),
    Rule(
        "notifier 3: nothing is written to a full watcher of a crowd",
        PresenceWatchers, "_tell_crowd", "if subscriber.writer.full:", "if False:", 18,
    ),
    Rule(
        "notifier 3: nothing is written to a full watcher",
        PresenceWatchers, "_tell_each", "if subscriber.writer.full:", "if False:", 0,
    ),
    Rule(
        "notifier 3: a full watcher is sent all members later",
        PresenceWatchers, "_tell_each", "watchers.behind[subscriber] = None", "pass", 1,
    ),
    Rule(
        "notifier 3: a watcher that drained is told",
        PresenceWatchers, "drained", "self._wake_for(subscriber.channel)", "pass", 1,
    ),
    Rule(
        "notifier 4: a channel that becomes a crowd is told so",
        PresenceWatchers, "add", "watchers.crowded or self._is_crowd(subscriber.channel, watchers)",
        "watchers.crowded", 9,
    ),
    Rule(
        "notifier 4: who was told as a crowd is sent all members",
        PresenceWatchers, "flush", "watchers.crowded, watchers.last_told = crowd, now",
        "watchers.crowded, watchers.last_told, crowd = False, now, False", 9,
    ),
    Rule(
        "notifier: the list is made again after a member left",
        ChannelWatchers, "note", "else:\n        self._listed = None", "", 0,
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
        Cluster, "attend", "self._note(change)", "pass", 93,
    ),
    Rule(
        "cluster: a broker that is away does not end presence",
        Cluster, "attend", "with suppress(BrokerUnavailable):", "if True:", 3,
    ),
    Rule(
        "cluster: a member leaves with its subscription",
        Cluster, "leave", "self._tell(", "list(", 0,
    ),
    Rule(
        "roster 5: an update is sent to other nodes",
        Roster, "set_data", "self._note(place, known)", "pass", 0,
    ),
    Rule(
        "roster 5: the data of a lost node is gone",
        Roster, "_forget", "self._data.set_elsewhere(place, other, NOTHING)", "pass",
        words_of_a_lost_node,
    ),
    Rule(
        "roster 5: all members are sent with their data",
        broadcasts, "parts", ", **_data(part)", "", 0,
    ),
    Rule(
        "data 1: a version is later than those that are known",
        MemberData, "set_elsewhere", "self._version = max(self._version, data.version)", "pass",
        clock_behind,
    ),
    Rule(
        "data 1: a version is not earlier than the wall clock",
        MemberData, "set_own", "max(self._version + 1, time)", "self._version + 1",
        words_of_two_sides,
    ),
    Rule(
        "data 2: the newest of several nodes is shown",
        MemberData, "shown", "max(newest, *others.values())", "min(newest, *others.values())", 0,
    ),
    Rule(
        "data 3: data is gone with its subscription",
        Roster, "leave", "self._data.drop_own(place, subscription)", "pass", 22,
    ),
    Rule(
        "notifier 1: data that is as it was is not mentioned",
        ChannelWatchers, "since", "_add(changed, member, before, after)",
        "changed[member] = (before, after)", 86,
    ),
    Rule(
        "notifier: the list is made again after an update",
        ChannelWatchers, "note", "change.before is None and ", "", 0,
    ),
    Rule(
        "cluster: watchers are told of updates here",
        Cluster, "update", "self._tell(", "list(", 0,
    ),
]  # fmt: skip
"""Numbers are those at the top of `roster.py`, `member_data.py` and `notifier.py`."""
