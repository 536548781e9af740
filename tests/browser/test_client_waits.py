"""How long the JavaScript client waits before it connects again, with a fake clock and chance."""

from collections import Counter
from typing import Any

import pytest

from tests.browser.conftest import Evaluate

# A thousand clients lose their connection at once. How late each is when the server is back.
OUTAGE = """
    const { Connection } = await import("/static/client/connection.js");
    const { DEFAULTS } = await import("/static/client/options.js");
    const { FakeClock, FakeSocket } = globalThis;
    let seed = 17;
    const random = () => (seed = (seed * 48271) %% 2147483647) / 2147483647;
    return Array.from({ length: 1000 }, () => {
        const clock = new FakeClock();
        let socket;
        class Socket extends FakeSocket {
            constructor(url) {
                super(url);
                socket = this;
            }
        }
        const options = { ...DEFAULTS, WebSocket: Socket, clock, random };
        let waiting = 0;
        const status = ({ seconds }) => (waiting = seconds);
        const on = { status, prepare() {}, open() {}, message() {}, async blocked() {} };
        new Connection("ws://hub.test", options, on).connect();
        const outage = %d;
        while (clock.now() / 1000 <= outage) {
            socket.drop();
            clock.advance(waiting);
        }
        return clock.now() / 1000 - outage;
    });
"""


def waits(run: Evaluate, options: str, closings: str) -> Any:
    return run(f"""
        const {{ socket, clock, statuses }} = await start({options});
        {closings}
        const waiting = statuses.filter(({{ state }}) => state === "waiting");
        return waiting.map(({{ seconds }}) => seconds);
    """)


FAIL = """
    for (let count = 0; count < %d; count += 1) {
        socket().drop();
        clock.advance(statuses.at(-1).seconds);
    }
"""
FAIL_SEVEN_TIMES = FAIL % 7
CLOSE_AT_ONCE_FOUR_TIMES = """
    for (let count = 0; count < 4; count += 1) {
        socket().hello();
        clock.advance(1);
        socket().drop(4500);
        clock.advance(statuses.at(-1).seconds);
    }
"""


def test_the_longest_waits_double_from_one_second_to_the_cap(run: Evaluate) -> None:
    assert waits(run, "{ random: () => 1 }", FAIL_SEVEN_TIMES) == [1, 1, 2, 4, 8, 16, 30]


def test_each_wait_is_a_random_part_of_the_time_without_a_connection(run: Evaluate) -> None:
    assert waits(run, "{ random: () => 0 }", FAIL_SEVEN_TIMES) == [0] * 7
    half = [0.5, 0.5, 0.5, 0.75, 1.125, 1.6875]
    assert waits(run, "{ random: () => 0.5 }", FAIL_SEVEN_TIMES)[:6] == half


@pytest.mark.parametrize("outage", [1, 2, 10])
def test_after_an_outage_clients_come_back_spread_and_within_the_same_time(
    run: Evaluate, outage: int
) -> None:
    late = run(OUTAGE % outage)
    assert max(late) <= outage
    tenths = Counter(int(each * 10 / outage) for each in late)
    assert max(tenths.values()) < 1000 / 3.5
    assert len(tenths) >= 9


def test_a_server_that_closes_at_once_is_not_hammered(run: Evaluate) -> None:
    assert waits(run, "{ random: () => 1 }", CLOSE_AT_ONCE_FOUR_TIMES) == [1, 2, 5, 11]


def test_a_connection_that_held_makes_the_next_wait_short(run: Evaluate) -> None:
    for failures, seconds, wait in (
        ("", 2, 1),
        (FAIL % 5, 8, 24),
        (FAIL % 5, 9, 1),
    ):
        closings = f"{failures} socket().hello(); clock.advance({seconds}); socket().drop();"
        assert waits(run, "{ random: () => 1 }", closings)[-1] == wait


def test_a_goodbye_says_when_to_come_back(run: Evaluate) -> None:
    seen = run("""
        const { socket, sockets, clock, statuses } = await start();
        socket().hello();
        socket().say({
            type: "goodbye", code: "shutting_down", message: "about to stop", reconnect_in: 1.7,
        });
        socket().drop(1012);
        const status = statuses.at(-1);
        clock.advance(1.6);
        const before = sockets.length;
        clock.advance(0.2);
        return [status, before, sockets.length];
    """)
    why = {"reason": "about to stop", "code": "shutting_down"}
    assert seen == [{"state": "waiting", "seconds": 1.7, **why}, 1, 2]


def test_a_goodbye_counts_once(run: Evaluate) -> None:
    closings = """
        socket().hello();
        socket().say({
            type: "goodbye", code: "shutting_down", message: "about to stop", reconnect_in: 9,
        });
        socket().drop(1012);
        clock.advance(9);
        socket().drop();
    """
    assert waits(run, "{ random: () => 1 }", closings) == [9, 9]


def test_what_the_server_tells_everybody_comes_before_the_random_time(run: Evaluate) -> None:
    refused = """
        socket().say({ type: "error", code: "node_full", message: "full", retry_after: 7 });
        socket().drop(4503);
    """
    assert waits(run, "{}", refused) == [7.5]


def test_a_channel_is_asked_for_again_when_the_server_says(run: Evaluate) -> None:
    sent = run("""
        const { hub, socket, clock } = await start();
        hub.subscribe("a.b");
        socket().hello();
        const code = "broker_unavailable";
        socket().say({ type: "error", ref: 1, code, message: "later", retry_after: 2 });
        const counts = [];
        for (const seconds of [2.4, 0.2]) {
            clock.advance(seconds);
            counts.push(socket().sent.length);
        }
        return counts;
    """)
    assert sent == [1, 2]
