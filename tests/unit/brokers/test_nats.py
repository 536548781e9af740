"""The NATS broker without a server: its URL, its messages, and what announcements prove."""

from pathlib import Path

import pytest

from eventhub.brokers.nats import NatsBroker
from eventhub.brokers.nats.credentials import CredentialsUnusable, NatsCredentials
from eventhub.brokers.nats.message import (
    STAMPS,
    StreamMessage,
    decode,
    decode_api,
    encode,
    new_stamp,
    offset_of,
)
from eventhub.brokers.nats.sequence_tracker import EARLY, SequenceGap, SequenceTracker
from eventhub.brokers.nats.streams import GRACE, KEPT_UNUSED, Subjects
from eventhub.brokers.nats.url import NatsUrl
from eventhub.errors import ConfigurationError
from eventhub.events.channels import Retention
from eventhub.events.event import Event


def message(sequence: int) -> StreamMessage:
    return StreamMessage(sequence, offset_of(sequence, 7), 0, b"1", None)


def line(sequence: int = 10) -> SequenceTracker:
    line = SequenceTracker("log.a", "s", "e")
    assert line.open(sequence, offset_of(sequence, 7)) == []
    return line


class TestAddress:
    def test_servers_and_options(self) -> None:
        address = NatsUrl.parse(
            "nats://ana:p%40ss@a:4333,[::1]/?prefix=hub&replicas=3&max_bytes=1000"
        )
        assert address.servers == ("nats://a:4333", "nats://[::1]:4222")
        assert (address.prefix, address.replicas, address.max_bytes) == ("hub", 3, 1000)
        assert address.login == {"user": "ana", "password": "p@ss"}

    def test_a_token_and_the_defaults(self) -> None:
        address = NatsUrl.parse("nats://s3cret@localhost")
        assert (address.prefix, address.replicas, address.max_bytes, address.login) == (
            "eventhub",
            None,
            -1,
            {"token": "s3cret"},
        )

    def test_tls_verifies_the_server(self) -> None:
        context = NatsUrl.parse("tls://localhost").login["tls"]
        assert context.check_hostname

    @pytest.mark.parametrize(
        "url",
        [
            "redis://u:s3cret@h",
            "nats://",
            "nats://u:s3cret@h:99999",
            "nats://u:s3cret@h ost",
            "nats://u:s3cret@h?prefix=a.b",
            "nats://u:s3cret@h?replicas=2",
            "nats://u:s3cret@h?max_bytes=-1",
            "nats://u:s3cret@h?verify=no",
            "tls://u:s3cret@h?ca=/nowhere",
            "nats://u:s3cret@h?credentials=/nowhere",
            "nats://u:s3cret@h?nkey=/nowhere",
            "nats://u:s3cret@h?credentials=/c&nkey=/n",
        ],
    )
    def test_what_does_not_fit_is_refused_without_its_secrets(self, url: str) -> None:
        with pytest.raises(ConfigurationError) as refusal:
            NatsBroker(url, lambda channel: Retention(1, None), lambda: 0)
        assert "s3cret" not in str(refusal.value)
        assert "s3cret" not in repr(NatsUrl.parse("nats://u:s3cret@h"))


SEED = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
"""Of the documentation of NATS: nobody's."""


def credentials(
    jwt: str = "-----BEGIN NATS USER JWT-----\ney.ey.s-_\n------END NATS USER JWT------",
    seed: str = SEED,
) -> str:
    return f"{jwt}\n\n*** IMPORTANT ***\n\n-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"


class TestIdentity:
    def test_a_credentials_file_is_read_each_time(self, tmp_path: Path) -> None:
        file = tmp_path / "it.creds"
        file.write_text(credentials())
        identity = NatsUrl.parse(f"nats://h?credentials={file}").identity
        assert "ey.ey.s-_\n" in identity.arguments()["user_credentials"].data
        file.write_bytes(credentials().replace("ey.ey", "new.ey").replace("\n", "\r\n").encode())
        assert "new.ey.s-_\n" in identity.arguments()["user_credentials"].data

    def test_an_nkey_is_its_seed(self, tmp_path: Path) -> None:
        (tmp_path / "it.nk").write_text(f"{SEED}\n")
        assert NatsCredentials(nkey=tmp_path / "it.nk").arguments() == {"nkeys_seed_str": SEED}

    @pytest.mark.parametrize(
        "content",
        [
            "",
            "s3cret",
            SEED,
            credentials(jwt=""),
            credentials(seed="s3cret"),
            credentials(seed=SEED[9:]),
            credentials(seed="SA" + SEED[2:]),
        ],
    )
    def test_a_file_with_something_else_in_it_is_named_and_not_shown(
        self, tmp_path: Path, content: str
    ) -> None:
        """The client library would look for the end of an empty one for ever."""
        (tmp_path / "it").write_text(content)
        for identity in (
            NatsCredentials(credentials=tmp_path / "it"),
            NatsCredentials(nkey=tmp_path / "it"),
        ):
            if content == SEED and identity.nkey:
                continue
            with pytest.raises(
                CredentialsUnusable, match="/it cannot be used: expected"
            ) as refused:
                identity.arguments()
            assert "s3cret" not in str(refused.value)
            assert SEED[:10] not in str(refused.value)


class TestMessages:
    def test_headers_give_back_what_they_were_made_of(self) -> None:
        stamp = new_stamp()
        attributes = {"source": "é\r\nx: y", "subject": "s"}
        stored = decode(3, encode(stamp, 5, attributes), b"{}")
        assert stored == StreamMessage(3, 3 * STAMPS + stamp, 5, b"{}", attributes)
        assert all(value.isprintable() for value in encode(stamp, 5, attributes).values())

    def test_a_message_that_nobody_here_wrote_is_one_without_time(self) -> None:
        assert decode(3, None, b"1") == StreamMessage(3, offset_of(3, 1), 0, b"1", None)
        assert decode_api({"seq": 3, "data": "MQ=="}) == decode(3, None, b"1")

    def test_stamps_are_never_0(self) -> None:
        assert all(0 < new_stamp() < STAMPS for _ in range(1000))


class TestStreams:
    def test_storage_outlasts_retention(self) -> None:
        config = Subjects("hub").of_events("log", Retention(5, 60_000), -1)
        assert (config["max_msgs_per_subject"], config["max_age"]) == (6, (60 + GRACE) * 10**9)
        assert config["duplicate_window"] <= config["max_age"], "the server insists"

    def test_positions_of_channels_without_history_are_forgotten_some_day(self) -> None:
        config = Subjects("hub").of_events("log", Retention(0, None), -1)
        assert (config["max_msgs_per_subject"], config["max_age"]) == (1, KEPT_UNUSED * 10**9)


class TestLine:
    def test_an_announcement_that_names_the_one_before_it_follows(self) -> None:
        here = line()
        event = here.announce(message(12), 10)
        assert isinstance(event, Event)
        assert (event.previous, event.offset) == (offset_of(10, 7), offset_of(12, 7))
        assert here.position.offset == event.offset

    def test_a_lost_announcement_is_a_hole_and_what_comes_after_it_follows(self) -> None:
        here = line()
        assert here.announce(message(14), 12) is SequenceGap.HOLE
        assert isinstance(here.announce(message(15), 14), Event)

    def test_one_still_on_its_way_when_the_line_was_opened_is_ignored(self) -> None:
        assert line().announce(message(10), 8) is None

    def test_a_sequence_that_comes_again_is_a_hole(self) -> None:
        here = line()
        here.announce(message(12), 10)
        assert here.announce(message(11), 10) is SequenceGap.HOLE

    def test_one_before_which_nothing_is_stored_any_more_follows(self) -> None:
        event = line().announce(message(99), 0)
        assert isinstance(event, Event)
        assert event.previous == offset_of(10, 7)

    def test_early_ones_are_sorted_out_when_the_position_is_known(self) -> None:
        here = SequenceTracker("log.a", "s", "e")
        for sequence, last in ((9, 7), (10, 9), (12, 10)):
            assert here.announce(message(sequence), last) is None
        (event,) = here.open(10, offset_of(10, 7))
        assert isinstance(event, Event)
        assert event.offset == offset_of(12, 7)

    def test_too_many_early_ones_are_a_hole(self) -> None:
        here = SequenceTracker("log.a", "s", "e")
        for sequence in range(1, EARLY + 2):
            here.announce(message(sequence), sequence - 1)
        assert here.open(EARLY, offset_of(EARLY, 7)) == [SequenceGap.HOLE]

    def test_a_lost_announcement_that_none_follows_is_found_by_asking(self) -> None:
        here = line()
        assert not here.due(0)
        assert here.due(20)
        assert not here.check(10, 10, 20)
        assert not here.due(20), "nothing was missing"
        assert here.due(30)
        assert here.check(25, 10, 30)

    def test_a_young_message_may_still_be_announced(self) -> None:
        here = line()
        assert not here.check(31, 10, 30)
        assert here.due(30)

    def test_an_answer_older_than_an_announcement_shows_nothing(self) -> None:
        here = line()
        here.announce(message(12), 10)
        assert not here.check(10, 10, 30)

    def test_a_log_that_went_back_is_found_by_asking(self) -> None:
        assert line().check(9, 10, 30)

    def test_a_channel_emptied_by_age_is_no_loss(self) -> None:
        assert not line().check(0, 10, 30)
