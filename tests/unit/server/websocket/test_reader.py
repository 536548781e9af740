"""server/websocket/reader.py: the deadline of a message, and clients that are held back."""

from asyncio import sleep

import pytest

from eventhub.config.limit_settings import LimitSettings
from eventhub.delivery.encoding import CLOSE, PONG, TEXT
from eventhub.server.connections.deadlines import TICKS
from eventhub.server.connections.fair_queue import LOOP_TURNS_BETWEEN, TURN_SECONDS
from eventhub.server.websocket.frame_parser import FRAGMENTS_PER_PAUSE
from eventhub.server.websocket.read_throttle import MIN_PAUSE_SECONDS
from tests.harness.clients import masked
from tests.harness.virtual_time import in_virtual_time, turns
from tests.unit.server.websocket.client import PING_COMMAND, Client, opened

BODY_SECONDS = 10
TICK = 1.0 / TICKS
"""Deadlines are looked at so often."""
BEGUN = masked(b'{"type":"pi', TEXT, final=False)
REST = masked(b'ng"}', 0)
LATE = [(4408, "request_timeout")]


def limited(**limits: float) -> Client:
    """A client that has sent its first message."""
    settings = LimitSettings.model_validate({"body_seconds": BODY_SECONDS, **limits})
    client = opened(limits=settings)
    client.send(PING_COMMAND)
    return client


# The deadline of a message


@in_virtual_time
@pytest.mark.parametrize("begun", [BEGUN, PING_COMMAND[:5]], ids=["a fragment", "a frame in part"])
async def test_a_message_that_is_not_complete_in_time_ends_the_connection(begun: bytes) -> None:
    client = limited()
    client.send(begun)
    await sleep(BODY_SECONDS - 0.1)
    assert client.close_frames == []
    await sleep(TICK + 0.2)
    assert client.close_frames == LATE
    client.lose()


@in_virtual_time
async def test_a_message_that_is_complete_in_time_leaves_no_deadline() -> None:
    client = limited()
    client.send(BEGUN)
    await sleep(BODY_SECONDS - 1)
    client.send(REST)
    await sleep(3 * BODY_SECONDS)
    assert (client.close_frames, client.types.count("pong")) == ([], 2)
    assert len(client.manager.deadlines) == 0
    client.lose()


@in_virtual_time
async def test_each_message_has_the_time_for_itself() -> None:
    client = limited()
    client.send(BEGUN)
    await sleep(BODY_SECONDS - 1)
    client.send(REST, BEGUN)
    await sleep(BODY_SECONDS / 2)
    client.send(REST)
    assert client.close_frames == []
    client.lose()


@in_virtual_time
async def test_the_deadline_does_not_run_while_the_client_is_not_read() -> None:
    client = limited()
    client.send(BEGUN)
    client.protocol.pause_writing()
    await sleep(BODY_SECONDS + 1)
    assert client.close_frames == []
    client.protocol.resume_writing()
    await sleep(BODY_SECONDS - 1)
    assert client.close_frames == []
    await sleep(1 + TICK)
    assert client.close_frames == LATE
    client.lose()


@in_virtual_time
async def test_the_deadline_does_not_run_while_frames_of_the_client_wait() -> None:
    client = limited()
    client.send(BEGUN)
    client.protocol._reader._own_throttle().hold(iter(()))
    await sleep(BODY_SECONDS + 1)
    assert client.close_frames == []
    client.lose()


@in_virtual_time
async def test_a_late_message_of_a_connection_that_closes_changes_nothing() -> None:
    client = limited()
    client.send(BEGUN)
    client.send(masked((1000).to_bytes(2), CLOSE))
    await sleep(2 * BODY_SECONDS)
    assert client.close_frames == [(1000, "")]
    client.lose()
    assert len(client.manager.deadlines) == 0


@in_virtual_time
@pytest.mark.parametrize("begun", [BEGUN, PING_COMMAND[:5]], ids=["a fragment", "a frame in part"])
async def test_a_client_between_messages_has_neither_parser_nor_timer(begun: bytes) -> None:
    client = limited()
    reader = client.protocol._reader
    kept = [(reader._parser, reader._timer)]
    client.send(begun)
    kept.append((reader._parser, reader._timer))
    client.send(REST if begun is BEGUN else PING_COMMAND[5:])
    kept.append((reader._parser, reader._timer))
    assert [[part is not None for part in parts] for parts in kept] == [
        [False, False],
        [True, True],
        [False, False],
    ]
    assert client.types.count("pong") == 2
    client.lose()


@in_virtual_time
async def test_a_control_frame_in_parts_leaves_the_first_message_due() -> None:
    client = opened(limits=LimitSettings(first_frame_seconds=3))
    pong = masked(b"unasked", PONG)
    client.send(pong[:4])
    client.send(pong[4:])
    assert client.protocol._reader._timer is not None
    await sleep(3 + TICK)
    assert client.close_frames == LATE
    client.lose()


# The limit of commands


@in_virtual_time
async def test_a_client_over_the_limit_waits_and_is_served_later() -> None:
    client = limited(commands=10)
    client.send(*[PING_COMMAND] * 40)
    served = client.transport.pongs
    assert 20 <= served <= 22
    assert not client.transport.reading
    await sleep(MIN_PAUSE_SECONDS - 0.01)
    assert client.transport.pongs == served
    await sleep(3)
    assert client.transport.pongs == 41
    assert client.transport.reading
    assert client.manager.hub.publisher._metrics._refused["commands"] >= 1
    client.lose()


@in_virtual_time
async def test_what_comes_while_a_client_waits_is_served_behind_it() -> None:
    client = limited(commands=10)
    client.send(*[PING_COMMAND] * 25)
    client.send(masked(b'{"type":"ping","ref":"last"}'))
    assert client.messages[-1].get("ref") is None
    await sleep(3)
    assert client.transport.pongs == 27
    assert client.messages[-1]["ref"] == "last"
    client.lose()


@in_virtual_time
async def test_empty_fragments_count_as_commands() -> None:
    client = limited(commands=10)
    client.send(BEGUN, *[masked(b"", 0, final=False)] * 30)
    assert not client.transport.reading
    client.lose()


@in_virtual_time
async def test_many_fragments_are_interrupted() -> None:
    client = limited(commands=10)
    client.send(BEGUN, *[masked(b"", 0, final=False)] * (4 * FRAGMENTS_PER_PAUSE))
    parser = client.protocol._reader._parser
    assert parser is not None
    assert parser.frames == 0, "they were charged"
    assert client.protocol._reader._holds
    client.lose()


@in_virtual_time
async def test_a_client_that_leaves_while_it_waits_is_not_served() -> None:
    client = limited(commands=10)
    client.send(*[PING_COMMAND] * 40)
    served = client.transport.pongs
    client.lose()
    await sleep(10)
    assert client.transport.pongs == served


@in_virtual_time
async def test_a_pause_that_ends_in_a_busy_turn_waits_for_the_next() -> None:
    client = limited(commands=10)
    client.send(*[PING_COMMAND] * 25)
    served = client.transport.pongs
    client.manager.fair_queue._spent = 2 * TURN_SECONDS
    client.protocol._reader._pause_is_over()
    assert client.transport.pongs == served
    await turns(2 * LOOP_TURNS_BETWEEN)
    assert client.transport.pongs > served
    client.lose()


@in_virtual_time
async def test_a_client_whose_buffer_is_full_is_not_read_behind_its_pause() -> None:
    client = limited(commands=10)
    client.send(*[PING_COMMAND] * 25)
    client.protocol.pause_writing()
    await sleep(5)
    assert not client.transport.reading
    client.protocol.resume_writing()
    await turns()
    assert client.transport.reading
    client.lose()


# What cannot be read


@in_virtual_time
async def test_bytes_before_the_answer_are_dropped() -> None:
    client = Client()
    client.send(b"\xff\xff")
    assert client.transport.writes == []
    client.lose()


@in_virtual_time
async def test_a_message_beyond_the_limit_is_an_error_and_nothing_more_is_parsed() -> None:
    client = limited(event_bytes=200)
    client.send(masked(b"x" * 500), PING_COMMAND)
    assert client.messages[-1]["code"] == "payload_too_large"
    assert "200 bytes" in client.messages[-1]["message"]
    assert client.close_frames[-1][1] == "payload_too_large"
    assert client.transport.ended
    assert client.transport.pongs == 1
    client.lose()


@in_virtual_time
async def test_frames_behind_a_close_frame_are_not_served() -> None:
    client = limited()
    client.send(masked(b"", CLOSE), PING_COMMAND, b"\xff\xff")
    assert client.transport.pongs == 1
    assert client.manager.hub.faults.counts.total() == 0
    client.lose()


@in_virtual_time
async def test_a_connection_that_closes_is_neither_paused_nor_resumed() -> None:
    client = limited()
    client.transport.closed = True
    client.protocol.full = True
    client.protocol._reader.pause_or_resume()
    assert client.transport.reading
    client.lose()
