"""brokers/nats/message.py: events to headers, and back."""

from eventhub.brokers.nats.message import (
    STAMPS,
    StreamMessage,
    decode,
    decode_api,
    encode,
    new_stamp,
    offset_of,
)


def test_headers_give_back_what_they_were_made_of() -> None:
    stamp = new_stamp()
    attributes = {"source": "é\r\nx: y", "subject": "s"}
    stored = decode(3, encode(stamp, 5, attributes), b"{}")
    assert stored == StreamMessage(3, 3 * STAMPS + stamp, 5, b"{}", attributes)
    assert all(value.isprintable() for value in encode(stamp, 5, attributes).values())


def test_a_message_that_nobody_here_wrote_is_one_without_time() -> None:
    assert decode(3, None, b"1") == StreamMessage(3, offset_of(3, 1), 0, b"1", None)
    assert decode_api({"seq": 3, "data": "MQ=="}) == decode(3, None, b"1")


def test_stamps_are_never_0() -> None:
    assert all(0 < new_stamp() < STAMPS for _ in range(1000))
