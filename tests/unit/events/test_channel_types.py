"""channel_types.py: names, the types they resolve to, and what holds for them."""

from dataclasses import replace

import orjson
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from eventhub.errors import Forbidden, InvalidChannel, InvalidEvent, UnknownChannel
from eventhub.events.builtin_payloads import Reading
from eventhub.events.channel_names import NAME_LENGTH
from eventhub.events.channel_types import (
    ChannelType,
    ChannelTypes,
    PublisherKind,
    Retention,
    SenderRule,
    SlowReaderPolicy,
)
from eventhub.events.event import Event
from eventhub.events.schema import AnySchema, ModelSchema, Schema

thorough = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
ALPHABET = "ABCXYZabcxyz0189_-"
names = st.lists(st.text(ALPHABET, min_size=1, max_size=10), min_size=1, max_size=6).map(".".join)


def kind(name: str = "iot", schema: Schema | None = None, *publish: PublisherKind) -> ChannelType:
    return ChannelType(
        name,
        "json",
        schema or AnySchema(),
        Retention(10, None),
        presence=False,
        slow=SlowReaderPolicy.LATEST,
        publish=frozenset(publish),
    )


def event(data: object, attributes: dict[str, str] | None = None) -> Event:
    return Event("iot.hall", "k3x9", 2, 1, 0, orjson.dumps(data), attributes)


CHAT, IOT = kind("chat"), kind("iot")
TYPES = ChannelTypes({"chat": CHAT, "iot": IOT})


# Resolution


@pytest.mark.parametrize("name", ["", "chat.", "chat lobby", "chat.\n", "chat.é", "iot.>"])
def test_what_is_no_name_has_no_type(name: str) -> None:
    with pytest.raises(InvalidChannel, match="expected tokens of"):
        TYPES.resolve(name)


def test_a_channel_of_two_hundred_characters_is_the_longest() -> None:
    longest = "chat." + "x" * (NAME_LENGTH - 5)
    assert TYPES.resolve(longest) is CHAT
    with pytest.raises(InvalidChannel, match="201 characters; at most 200"):
        TYPES.resolve(longest + "x")


@pytest.mark.parametrize(
    "channel", ["chat", "chat.lobby", "chat.lobby.de-at", "chat.iot", "chat.CHAT"]
)
def test_the_first_token_is_the_type(channel: str) -> None:
    assert TYPES.resolve(channel) is CHAT


@pytest.mark.parametrize(
    "channel", ["Chat", "CHAT.lobby", "chatter", "chat-x", "chat_.x", "lobby.chat"]
)
def test_a_name_of_no_declared_type_is_unknown_and_types_are_case_sensitive(channel: str) -> None:
    with pytest.raises(UnknownChannel, match="which is not declared"):
        TYPES.resolve(channel)


def test_a_malformed_name_of_a_declared_type_is_malformed() -> None:
    with pytest.raises(InvalidChannel):
        TYPES.resolve("chat..lobby")


def test_the_nearest_type_is_suggested() -> None:
    with pytest.raises(
        UnknownChannel,
        match=r"channel 'chta\.lobby' is of type 'chta', which is not declared; "
        r"did you mean 'chat'\?",
    ):
        TYPES.resolve("chta.lobby")


def test_without_a_near_one_all_types_are_named() -> None:
    with pytest.raises(UnknownChannel, match="; declared are chat, iot"):
        TYPES.resolve("zzz")


def test_a_type_is_found_by_its_name() -> None:
    assert TYPES.named("iot") is IOT
    assert list(TYPES) == [CHAT, IOT]
    with pytest.raises(
        UnknownChannel, match=r"no channel type is called 'oit'; did you mean 'iot'\?"
    ):
        TYPES.named("oit")
    with pytest.raises(UnknownChannel, match=r"no channel type is called 'chat\.lobby'"):
        TYPES.named("chat.lobby")


def test_a_long_name_is_shown_cut() -> None:
    with pytest.raises(UnknownChannel) as caught:
        TYPES.named("x" * 10_000)
    assert len(caught.value.message) < 400


def test_types_declared_later_by_the_caller_do_not_slip_in() -> None:
    declared = {"chat": CHAT}
    types = ChannelTypes(declared)
    declared["iot"] = IOT
    with pytest.raises(UnknownChannel):
        types.resolve("iot")


# Who may publish


@pytest.mark.parametrize("publisher", PublisherKind)
def test_a_publisher_that_is_declared_is_admitted(publisher: PublisherKind) -> None:
    kind("iot", None, publisher).admit(publisher)
    kind("iot", None, *PublisherKind).admit(publisher)


def test_one_that_is_not_declared_is_told_who_is() -> None:
    with pytest.raises(Forbidden, match="'iot' takes events from producer, not from a client"):
        kind("iot", None, PublisherKind.PRODUCER).admit(PublisherKind.CLIENT)
    with pytest.raises(Forbidden, match="takes events from client, not from a producer"):
        kind("iot", None, PublisherKind.CLIENT).admit(PublisherKind.PRODUCER)
    with pytest.raises(Forbidden, match="takes events from nobody, not from a client"):
        kind("iot").admit(PublisherKind.CLIENT)


# Series


class Order(BaseModel):
    """A model with a series key that a client may leave out."""

    item: int = 0


READINGS = kind("iot", ModelSchema(Reading))


def test_the_attribute_subject_comes_first() -> None:
    assert (
        READINGS.conflation_key(event({"value": 1.0, "sensor": "hall"}, {"subject": "roof"}))
        == "roof"
    )
    assert IOT.conflation_key(event({"value": 1.0}, {"subject": "roof"})) == "roof"


def test_then_the_key_field_of_the_type() -> None:
    assert READINGS.conflation_key(event({"value": 1.0, "sensor": "hall"})) == "hall"
    assert (
        READINGS.conflation_key(event({"value": 1.0, "sensor": "hall"}, {"source": "gw"})) == "hall"
    )
    assert READINGS.conflation_key(event({"value": 1.0, "sensor": "hall"}, {})) == "hall"


def test_otherwise_there_is_one_series() -> None:
    assert IOT.conflation_key(event({"sensor": "hall"})) == IOT.conflation_key(event([1])) == ""
    assert READINGS.conflation_key(event({"value": 1.0})) == ""


def test_a_key_field_that_is_null_is_one_that_was_left_out() -> None:
    assert READINGS.conflation_key(
        event({"value": 1.0, "sensor": None})
    ) == READINGS.conflation_key(event({"value": 1.0}))
    assert READINGS.conflation_key(
        event({"value": 1.0, "sensor": None})
    ) != READINGS.conflation_key(event({"value": 1.0, "sensor": "None"}))


def test_a_key_field_that_is_no_text_tells_series_apart_as_well() -> None:
    schema = ModelSchema(Order)
    schema.conflation_key = "item"
    orders = kind("orders", schema)
    assert orders.conflation_key(event({"item": 1})) != orders.conflation_key(event({"item": 2}))


@pytest.mark.parametrize("data", [[1], "text", 5, None])
def test_a_payload_without_fields_is_of_the_one_series(data: object) -> None:
    schema = ModelSchema(Order)
    schema.conflation_key = "item"
    assert kind("orders", schema).conflation_key(event(data)) == "", (
        "this runs inside the dispatch, where an exception would end the node"
    )


# Senders


BOUND = replace(CHAT, sender=SenderRule.PRINCIPAL)


def test_any_sender_is_accepted_unless_the_type_says_otherwise() -> None:
    assert not CHAT.checks_sender
    assert BOUND.checks_sender


def test_a_type_may_accept_only_the_principal_as_sender() -> None:
    BOUND.check_sender(b'{"sender":"ana","text":"oi"}', "ana")


@pytest.mark.parametrize(
    ("data", "author"),
    [
        (b'{"sender":"rui"}', "ana"),
        (b'{"sender":"Ana"}', "ana"),
        (b'{"sender":null}', "ana"),
        (b'{"sender":null}', None),
        (b'{"sender":["ana"]}', "ana"),
        (b'{"text":"oi"}', "ana"),
        (b"{}", None),
        (b'["ana"]', "ana"),
        (b'"ana"', "ana"),
        (b"null", None),
    ],
)
def test_another_sender_is_refused(data: bytes, author: str | None) -> None:
    assert not BOUND.is_sender(data, author)
    with pytest.raises(InvalidEvent, match=r"can only be .* \(channels\.chat\.sender\)") as refused:
        BOUND.check_sender(data, author)
    assert [each["pointer"] for each in refused.value.details] == ["/sender"]
    assert "rui" not in str(refused.value), "a payload is private"
