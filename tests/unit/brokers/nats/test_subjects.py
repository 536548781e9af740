"""brokers/nats/subjects.py: what streams are configured to keep."""

from eventhub.brokers.nats.subjects import GRACE, UNRETAINED_SECONDS, Subjects
from eventhub.events.channel_types import Retention


def test_storage_outlasts_retention() -> None:
    config = Subjects("hub").event_stream("log", Retention(5, 60_000), -1)
    assert (config["max_msgs_per_subject"], config["max_age"]) == (6, (60 + GRACE) * 10**9)
    assert config["duplicate_window"] <= config["max_age"], "the server insists"


def test_positions_of_channels_without_history_are_forgotten_some_day() -> None:
    config = Subjects("hub").event_stream("log", Retention(0, None), -1)
    assert (config["max_msgs_per_subject"], config["max_age"]) == (1, UNRETAINED_SECONDS * 10**9)
