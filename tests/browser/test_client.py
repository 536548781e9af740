"""The client module in a real browser, on a fake socket and a fake clock."""

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Evaluate

CLOSED = "the connection was closed with code 1006"


def test_subscribes_once_the_server_has_said_hello(run: Evaluate) -> None:
    seen = run("""
        const { hub, socket, statuses, handlers } = await start();
        hub.subscribe("chat.lobby", { since: "-20", presence: true, member: "ana", ...handlers });
        const early = socket().sent.length;
        socket().hello();
        return { url: socket().url, early, sent: socket().sent, statuses };
    """)
    assert seen["url"] == "ws://hub.test/v1/ws"
    assert seen["early"] == 0
    fields = {"channel": "chat.lobby", "presence": True, "member": "ana", "since": "-20"}
    assert seen["sent"] == [{"type": "subscribe", "ref": 1, **fields}]
    assert seen["statuses"] == [{"state": "connecting"}, {"state": "open"}]


def test_a_plain_subscription_asks_for_nothing_but_what_comes_next(run: Evaluate) -> None:
    sent = run("""
        const { hub, socket } = await start();
        socket().hello();
        hub.subscribe("logs.api");
        return socket().sent;
    """)
    assert sent == [{"type": "subscribe", "ref": 1, "channel": "logs.api", "since": "latest"}]


def test_resumes_each_channel_from_where_it_stood(run: Evaluate) -> None:
    since = run("""
        const { hub, socket, clock } = await start();
        const channels = ["a.position", "a.event", "a.gap"];
        for (const channel of [...channels, "a.unanswered"])
            hub.subscribe(channel, { since: "-5" });
        socket().hello();
        for (const channel of channels) accept(socket(), channel, "k-10");
        socket().say(event("a.event", "k-12"));
        const gap = {
            type: "gap", channel: "a.gap", after: "k-10", before: "k-21",
            position: "k-20", reason: "slow",
        };
        socket().say(gap);
        socket().drop();
        clock.advance(1);
        socket().hello();
        return Object.fromEntries(socket().sent.map(({ channel, since }) => [channel, since]));
    """)
    assert since == {"a.position": "k-10", "a.event": "k-12", "a.gap": "k-20", "a.unanswered": "-5"}


def test_an_event_seen_before_a_reconnect_is_not_told_twice(run: Evaluate) -> None:
    events = run("""
        const { hub, socket, clock, log, handlers } = await start();
        hub.subscribe("a.b", handlers);
        socket().hello();
        accept(socket(), "a.b", "k-9");
        socket().say(event("a.b", "k-10"));
        socket().drop();
        clock.advance(1);
        socket().hello();
        accept(socket(), "a.b", "k-9");
        socket().say(event("a.b", "k-10"), event("a.b", "k-11"));
        return log.filter(([name]) => name === "event").map(([, id]) => id);
    """)
    assert events == ["k-10", "k-11"]


@pytest.mark.parametrize(
    ("position", "other", "answer"),
    [
        ("k-9", "k-10", "not reached"),
        ("k-10", "k-10", "reached"),
        ("k-11", "k-10", "reached"),
        ("k-9223372036854775806", "k-9223372036854775807", "not reached"),
        ("k-9223372036854775807", "k-9223372036854775806", "reached"),
        ("n-11", "k-10", "not reached"),
        ("n-1", "k-1", "not reached"),
    ],
)
def test_positions_compare_within_an_epoch_alone(
    modules: Page, position: str, other: str, answer: str
) -> None:
    script = "async ([a, b]) => (await import('/static/client/positions.js')).reached(a, b)"
    assert modules.evaluate(script, [position, other]) is (answer == "reached")


def test_a_new_log_begins_again_after_a_reset(run: Evaluate) -> None:
    log = run("""
        const { hub, socket, clock, log, handlers } = await start();
        hub.subscribe("a.b", handlers);
        socket().hello();
        accept(socket(), "a.b", "k-9");
        socket().drop();
        clock.advance(1);
        socket().hello();
        accept(socket(), "a.b", "k-9", { head: "n-2", recovered: false });
        socket().say({
            type: "gap", channel: "a.b", after: "k-9", before: "n-1",
            position: "n-0", reason: "reset",
        });
        socket().say(event("a.b", "n-1"), event("a.b", "n-2"), event("a.b", "n-3"));
        return log;
    """)
    assert log == [
        ["subscribed", "k-9"],
        ["replayed", 0, False],
        ["subscribed", "k-9"],
        ["gap", "n-0", "reset"],
        ["event", "n-1", True],
        ["event", "n-2", True],
        ["replayed", 2, True],
        ["event", "n-3", False],
    ]


def test_replay_ends_at_the_head(run: Evaluate) -> None:
    log = run("""
        const { hub, socket, log, handlers } = await start();
        hub.subscribe("a.b", { since: "-2", ...handlers });
        socket().hello();
        accept(socket(), "a.b", "k-7", { head: "k-9" });
        socket().say(event("a.b", "k-8"), event("a.b", "k-9"), event("a.b", "k-10"));
        return log;
    """)
    assert log == [
        ["subscribed", "k-7"],
        ["event", "k-8", True],
        ["event", "k-9", True],
        ["replayed", 2, False],
        ["event", "k-10", False],
    ]


def test_publish_resolves_with_what_the_server_stored(run: Evaluate) -> None:
    seen = run("""
        const { hub, socket } = await start();
        socket().hello();
        const published = hub.publish("chat.lobby", { text: "oi" });
        const [{ ref, ...sent }] = socket().sent;
        socket().say({ type: "published", ref, channel: "chat.lobby", id: "k-1", time: "now" });
        return { sent, answer: await published };
    """)
    assert seen["sent"].pop("key")
    assert seen["sent"] == {"type": "publish", "channel": "chat.lobby", "data": {"text": "oi"}}
    assert seen["answer"]["id"] == "k-1"


def test_what_was_not_answered_goes_out_again_with_its_key_and_in_order(run: Evaluate) -> None:
    first, second = run("""
        const { hub, socket, sockets, clock } = await start();
        socket().hello();
        const answered = hub.publish("a.b", 1);
        hub.publish("a.b", 2);
        const { ref } = socket().sent[0];
        socket().say({ type: "published", ref, channel: "a.b", id: "k-1", time: "now" });
        await answered;
        socket().drop();
        hub.publish("a.b", 3);
        clock.advance(1);
        socket().hello();
        return sockets.map(({ sent }) => sent);
    """)
    assert [message["data"] for message in second] == [2, 3]
    assert second[0] == first[1]


def test_each_publish_has_a_key_of_its_own_unless_given(run: Evaluate) -> None:
    keys = run("""
        const { hub, socket } = await start({ random: Math.random });
        socket().hello();
        for (let count = 0; count < 100; count += 1) hub.publish("a.b", 1);
        hub.publish("a.b", 1, { key: "mine" });
        return socket().sent.map(({ key }) => key);
    """)
    assert len(set(keys)) == 101
    assert keys[-1] == "mine"


def test_the_outstanding_queue_is_bounded(run: Evaluate) -> None:
    result, sent = run("""
        const { hub, socket } = await start({ outstanding: 2 });
        hub.publish("a.b", 1);
        hub.publish("a.b", 2);
        const refused = await outcome(hub.publish("a.b", 3));
        socket().hello();
        return [refused, socket().sent.map(({ data }) => data)];
    """)
    assert result["code"] == "queue_full"
    assert "2 events wait" in result["message"]
    assert sent == [1, 2]


def test_what_json_does_not_have_is_refused_and_not_sent(run: Evaluate) -> None:
    refused, sent = run("""
        const { hub, socket } = await start();
        socket().hello();
        const circle = {};
        circle.circle = circle;
        const values = [
          NaN, { deep: [-Infinity] }, { at: new Date("soon") }, [undefined], () => 1, { id: 1n },
          circle,
        ];
        const refused = [];
        for (const value of values) {
          for (const result of [hub.publish("a.b", value), hub.signal("a.b", value)]) {
            refused.push(await result.catch(({ name, message }) => [name, message]));
          }
        }
        hub.publish("a.b", { left: undefined, at: new Date(0), none: null, no: false });
        return [refused, socket().sent.map(({ data }) => data)];
    """)
    assert {name for name, _ in refused} == {"TypeError"}
    publishes, signals = refused[::2], refused[1::2]
    assert publishes == signals
    assert [message for _, message in publishes[:5]] == [
        '"data": JSON has no NaN',
        '"0": JSON has no -Infinity',
        '"at": JSON has no Invalid Date',
        '"0": JSON has no undefined',
        '"data": JSON has no () => 1',
    ]
    assert "BigInt" in publishes[5][1]
    assert "circular" in publishes[6][1]
    assert sent == [{"at": "1970-01-01T00:00:00.000Z", "none": None, "no": False}]


def test_a_refused_publish_rejects_with_code_and_details(run: Evaluate) -> None:
    result = run("""
        const { hub, socket } = await start();
        socket().hello();
        const result = outcome(hub.publish("a.b", {}));
        const details = [{ pointer: "/text", message: "required" }];
        socket().say({
            type: "error", ref: 1, code: "invalid_event", message: "does not fit", details,
        });
        return result;
    """)
    details = [{"pointer": "/text", "message": "required"}]
    assert result["id"] is None
    assert (result["code"], result["message"]) == ("invalid_event", "does not fit")
    assert result["details"] == details


def test_a_publish_met_by_a_shutdown_waits_for_the_next_server(run: Evaluate) -> None:
    result = run("""
        const { hub, socket, clock } = await start();
        socket().hello();
        const result = outcome(hub.publish("a.b", 1));
        socket().say({ type: "error", ref: 1, code: "shutting_down", message: "about to stop" });
        socket().say({
            type: "goodbye", code: "shutting_down", message: "about to stop", reconnect_in: 0,
        });
        socket().drop(1012);
        clock.advance(0);
        socket().hello();
        const { ref } = socket().sent[0];
        socket().say({ type: "published", ref, channel: "a.b", id: "k-1", time: "now" });
        return result;
    """)
    assert result["value"]["id"] == "k-1"


def test_an_event_over_the_servers_limit_never_reaches_the_wire(run: Evaluate) -> None:
    result, sent = run("""
        const { hub, socket } = await start();
        socket().hello({ message_bytes: 1000 });
        const result = await outcome(hub.publish("a.b", "é".repeat(500)));
        return [result, socket().sent];
    """)
    assert result["code"] == "payload_too_large"
    assert "at most 1000" in result["message"]
    assert sent == []


def state_after(run: Evaluate, steps: str) -> Any:
    return run(
        "const { hub, socket, clock, wake, unplug } = await start(); "
        f"{steps} return hub.status.state;"
    )


@pytest.mark.parametrize("code", [1000, 1001, 1005, 1006, 1011, 1012, 1013, 4408, 4429, 4500, 4503])
def test_comes_back_after(run: Evaluate, code: int) -> None:
    assert state_after(run, f"socket().hello(); socket().drop({code});") == "waiting"


@pytest.mark.parametrize(
    "code", [1002, 1003, 1007, 1008, 1009, 1010, 4400, 4401, 4403, 4404, 4409, 4413, 4415, 4422]
)
def test_stops_after(run: Evaluate, code: int) -> None:
    assert state_after(run, f"socket().hello(); socket().drop({code});") == "stopped"


def test_a_stop_says_why_rejects_what_waits_and_can_be_overcome(run: Evaluate) -> None:
    seen = run("""
        const { hub, socket, sockets, statuses } = await start();
        socket().hello();
        const lost = outcome(hub.publish("a.b", 1));
        socket().say({ type: "error", code: "forbidden", message: "not from here" });
        socket().drop(4403);
        const status = statuses.at(-1);
        const later = outcome(hub.publish("a.b", 2));
        hub.connect();
        socket().hello();
        return {
            status,
            lost: await lost,
            later: await later,
            sockets: sockets.length,
            state: hub.status.state,
        };
    """)
    assert seen["status"] == {"state": "stopped", "reason": "not from here", "code": "forbidden"}
    assert (seen["lost"]["code"], seen["later"]["code"]) == ("stopped", "stopped")
    assert (seen["sockets"], seen["state"]) == (2, "open")


def test_silence_is_questioned_and_then_given_up(run: Evaluate) -> None:
    seen = run("""
        const { hub, socket, sockets, clock } = await start();
        socket().hello();
        clock.advance(14.9);
        const quiet = socket().sent.length;
        clock.advance(0.2);
        const asked = socket().sent.at(-1);
        clock.advance(4.8);
        const patient = hub.status.state;
        clock.advance(0.2);
        return { quiet, asked, patient, given_up: hub.status.state, closed: sockets[0].closed };
    """)
    assert seen == {
        "quiet": 0,
        "asked": {"type": "ping"},
        "patient": "open",
        "given_up": "waiting",
        "closed": True,
    }


def test_an_answer_keeps_the_connection(run: Evaluate) -> None:
    seen = run("""
        const { hub, socket, sockets, clock } = await start();
        socket().hello();
        for (let pings = 0, second = 0; second < 100; second += 1) {
            clock.advance(1);
            if (socket().sent.length > pings) socket().say({ type: "pong" });
            pings = socket().sent.length;
        }
        return [hub.status.state, sockets.length, socket().sent.length];
    """)
    assert seen == ["open", 1, 6]


def test_a_busy_connection_is_not_pinged(run: Evaluate) -> None:
    sent = run("""
        const { hub, socket, clock } = await start();
        hub.subscribe("a.b");
        socket().hello();
        for (let count = 0; count < 10; count += 1) {
            clock.advance(10);
            socket().say(event("a.b", `k-${count}`));
        }
        return socket().sent.map(({ type }) => type);
    """)
    assert sent == ["subscribe"]


def test_waking_up_questions_the_connection_at_once(run: Evaluate) -> None:
    seen = run("""
        const { hub, socket, clock, wake } = await start();
        socket().hello();
        clock.advance(1);
        wake();
        wake();
        const sent = socket().sent.length;
        clock.advance(5);
        return [sent, hub.status.state];
    """)
    assert seen == [1, "waiting"]


def test_waking_up_ends_a_wait(run: Evaluate) -> None:
    states = run("""
        const { socket, statuses, wake } = await start();
        socket().drop();
        wake();
        return statuses.map(({ state }) => state);
    """)
    assert states == ["connecting", "waiting", "connecting"]


def test_waking_up_leaves_a_stopped_connection_alone(run: Evaluate) -> None:
    assert state_after(run, "socket().drop(4403); wake();") == "stopped"


def test_the_browsers_own_calls_wake_it(run: Evaluate) -> None:
    seen = run("""
        const { EventHub } = await import("/static/client.js");
        const { clock } = await start();
        const sockets = [];
        class Socket { constructor() { sockets.push(this); } close() {} }
        const hub = new EventHub("ws://hub.test/", { WebSocket: Socket, clock });
        for (const [target, name] of [[window, "online"], [document, "visibilitychange"]]) {
            sockets.at(-1).onclose({ code: 1006, reason: "" });
            target.dispatchEvent(new Event(name));
        }
        dispatchEvent(new Event("offline"));
        const unplugged = hub.status.state;
        hub.close();
        dispatchEvent(new Event("online"));
        return [sockets.length, unplugged, hub.status.state];
    """)
    assert seen == [3, "waiting", "stopped"]


LOSE_THE_NETWORK = """
    const kit = await start();
    const { hub, socket, sockets, clock, statuses } = kit;
    socket().hello();
    kit.online = false;
    kit.unplug();
"""


def test_without_a_network_it_is_offline_at_once(run: Evaluate) -> None:
    seen = run(LOSE_THE_NETWORK + "return [hub.status, sockets[0].closed];")
    assert seen == [{"state": "offline", "reason": "the network is gone"}, True]


def test_while_offline_it_tries_quietly_and_is_offline_all_the_while(run: Evaluate) -> None:
    seen = run(
        LOSE_THE_NETWORK
        + (
            "clock.advance(0.5); socket().drop(); clock.advance(1); "
            "return [statuses.at(-1), sockets.length];"
        )
    )
    assert seen == [{"state": "offline", "reason": "the network is gone"}, 3]


def test_a_server_that_needs_no_network_is_found_while_offline(run: Evaluate) -> None:
    script = "clock.advance(0.5); socket().hello(); return statuses.map(({ state }) => state);"
    assert run(LOSE_THE_NETWORK + script) == ["connecting", "open", "offline", "open"]


def test_a_failure_while_offline_is_no_countdown(run: Evaluate) -> None:
    script = (
        "const kit = await start(); kit.online = false; kit.socket().drop(); "
        "return kit.statuses.at(-1);"
    )
    assert run(script) == {"state": "offline", "reason": CLOSED}


def test_the_network_that_is_back_is_used_at_once_and_the_waits_begin_anew(run: Evaluate) -> None:
    seen = run(
        LOSE_THE_NETWORK
        + """
        for (let count = 0; count < 5; count += 1) { clock.advance(30); socket().drop(); }
        const before = sockets.length;
        kit.online = true;
        kit.wake();
        const during = [sockets.length - before, hub.status.state];
        socket().drop();
        return [...during, hub.status];
    """
    )
    assert seen == [1, "connecting", {"state": "waiting", "seconds": 0.5, "reason": CLOSED}]


def test_what_is_published_offline_goes_out_later(run: Evaluate) -> None:
    sent = run(
        LOSE_THE_NETWORK
        + """
        hub.publish("a.b", 1);
        kit.online = true;
        kit.wake();
        socket().hello();
        return sockets.map(({ sent }) => sent.map(({ data }) => data));
    """
    )
    assert sent == [[], [1]]


def test_trying_while_offline_is_shown(run: Evaluate) -> None:
    script = (
        "hub.connect(); const tried = hub.status.state; socket().drop(); "
        "return [tried, hub.status.state];"
    )
    assert run(LOSE_THE_NETWORK + script) == ["connecting", "offline"]


def test_a_stopped_connection_stays_stopped_offline(run: Evaluate) -> None:
    assert state_after(run, "socket().drop(4403); unplug();") == "stopped"


def test_a_connection_that_never_opens_is_given_up(run: Evaluate) -> None:
    assert state_after(run, "clock.advance(10);") == "waiting"


def test_after_unsubscribe_nothing_of_the_channel_is_told(run: Evaluate) -> None:
    log, last = run("""
        const { hub, socket, log, handlers } = await start();
        hub.subscribe("a.b", handlers);
        socket().hello();
        accept(socket(), "a.b", "k-1");
        hub.unsubscribe("a.b");
        socket().say(event("a.b", "k-2"));
        return [log, socket().sent.at(-1)];
    """)
    assert log == [["subscribed", "k-1"], ["replayed", 0, False]]
    assert last == {"type": "unsubscribe", "ref": 2, "channel": "a.b"}


def test_events_of_a_subscription_just_given_up_do_not_reach_its_successor(run: Evaluate) -> None:
    log = run("""
        const { hub, socket, log, handlers } = await start();
        const first = hub.subscribe("a.b");
        socket().hello();
        accept(socket(), "a.b", "k-1");
        hub.unsubscribe("a.b");
        hub.subscribe("a.b", { since: first.cursor, ...handlers });
        socket().say(event("a.b", "k-2"));
        accept(socket(), "a.b", "k-1", { head: "k-2" });
        socket().say(event("a.b", "k-2"));
        return log;
    """)
    assert log == [["subscribed", "k-1"], ["event", "k-2", True], ["replayed", 1, False]]


def test_a_refused_subscription_is_told_and_forgotten(run: Evaluate) -> None:
    log, sent = run("""
        const { hub, socket, clock, log, handlers } = await start();
        hub.subscribe("nope.b", handlers);
        socket().hello();
        socket().say({ type: "error", ref: 1, code: "unknown_channel", message: "no such type" });
        socket().drop();
        clock.advance(1);
        socket().hello();
        return [log, socket().sent];
    """)
    assert log == [["error", "unknown_channel", False]]
    assert sent == []


def test_a_subscription_the_broker_cannot_serve_now_is_asked_for_again(run: Evaluate) -> None:
    log, sent = run("""
        const { hub, socket, clock, log, handlers } = await start();
        hub.subscribe("a.b", handlers);
        socket().hello();
        const refuse = () =>
            socket().say({ type: "error", ref: 1, code: "broker_unavailable", message: "later" });
        refuse();
        clock.advance(0.6);
        refuse();
        clock.advance(1.1);
        accept(socket(), "a.b", "k-1");
        return [log.map(([name]) => name), socket().sent.length];
    """)
    assert log == ["error", "error", "subscribed", "replayed"]
    assert sent == 3


def test_a_reconnect_and_a_repeated_request_do_not_ask_twice(run: Evaluate) -> None:
    sent = run("""
        const { hub, socket, clock } = await start();
        hub.subscribe("a.b");
        socket().hello();
        socket().say({ type: "error", ref: 1, code: "broker_unavailable", message: "later" });
        socket().drop();
        clock.advance(0);
        hub.connect();
        socket().hello();
        clock.advance(1);
        return socket().sent.map(({ type }) => type);
    """)
    assert sent == ["subscribe"]


def test_cursors_outlive_the_page_when_there_is_storage(run: Evaluate) -> None:
    since = run("""
        const kept = new Map();
        const storage = {
            getItem: (name) => kept.get(name) ?? null,
            setItem: (name, value) => kept.set(name, value),
        };
        const first = await start({ storage });
        first.hub.subscribe("a.b", { since: "-5" });
        first.socket().hello();
        await asked(first.socket(), "a.b");
        accept(first.socket(), "a.b", "k-4");
        first.socket().say(event("a.b", "k-7"));
        while (!kept.get("eventhub.cursor.a.b")?.endsWith("7")) await new Promise(setTimeout);
        const second = await start({ storage });
        second.hub.subscribe("a.b", { since: "-5" });
        second.socket().hello();
        return (await asked(second.socket(), "a.b")).since;
    """)
    assert since == "k-7"


def test_a_position_is_stored_before_the_next_handler_unless_one_before_is_not_done(
    run: Evaluate,
) -> None:
    """So a process that is killed gets one event again, and not all that came together."""
    assert run("""
        const kept = new Map();
        const storage = {
            getItem: (name) => kept.get(name) ?? null,
            setItem: (name, value) => kept.set(name, value),
        };
        const { hub, socket } = await start({ storage });
        const seen = [];
        let finish;
        const results = [undefined, new Promise((resolve) => (finish = resolve)), undefined];
        const onEvent = () => {
            seen.push(kept.get("eventhub.cursor.a.b"));
            return results.shift();
        };
        hub.subscribe("a.b", { onEvent });
        socket().hello();
        await asked(socket(), "a.b");
        accept(socket(), "a.b", "k-4");
        for (const id of ["k-5", "k-6", "k-7"]) socket().say(event("a.b", id));
        seen.push(kept.get("eventhub.cursor.a.b"));
        finish();
        while (kept.get("eventhub.cursor.a.b") !== "k-7") await new Promise(setTimeout);
        return seen;
    """) == ["k-4", "k-5", "k-5", "k-5"]


def test_a_full_storage_does_not_stop_delivery(run: Evaluate) -> None:
    log = run("""
        const full = () => { throw new DOMException("full", "QuotaExceededError"); };
        const storage = { getItem: () => null, setItem: full };
        const { hub, socket, log, handlers } = await start({ storage });
        hub.subscribe("a.b", handlers);
        socket().hello();
        await asked(socket(), "a.b");
        accept(socket(), "a.b", "k-4");
        socket().say(event("a.b", "k-5"));
        return log.at(-1);
    """)
    assert log == ["event", "k-5", False]


def test_members_come_and_go(run: Evaluate) -> None:
    log = run("""
        const { hub, socket, log, handlers } = await start();
        hub.subscribe("a.b", { presence: true, ...handlers });
        socket().hello();
        accept(socket(), "a.b", "k-4", { members: [{ id: "ana" }] });
        socket().say({ type: "join", channel: "a.b", member: { id: "bob" } });
        socket().say({ type: "leave", channel: "a.b", member: { id: "ana" } });
        return log.slice(2).map(([name, { id }]) => [name, id]);
    """)
    assert log == [["join", "bob"], ["leave", "ana"]]


def test_close_is_final(run: Evaluate) -> None:
    seen = run("""
        const kit = await start();
        kit.socket().hello();
        const lost = outcome(kit.hub.publish("a.b", 1));
        kit.hub.close();
        kit.socket().drop();
        kit.clock.advance(100);
        return [
            kit.hub.status.state,
            kit.sockets.length,
            kit.socket().closed,
            kit.unwatched,
            (await lost).code,
        ];
    """)
    assert seen == ["stopped", 1, True, True, "stopped"]
