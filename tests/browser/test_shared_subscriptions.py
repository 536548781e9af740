"""Several subscribers of one channel, and `for await`, in a real browser on a fake socket."""

from tests.browser.conftest import Evaluate


def test_subscribers_that_want_what_comes_next_share_one_subscription(run: Evaluate) -> None:
    log, sent = run("""
        const { hub, socket, log, handlers } = await start();
        const one = hub.subscribe("a.b", handlers);
        hub.subscribe("a.b", { onEvent: (event) => log.push(["second", event.id]) });
        socket().hello();
        accept(socket(), "a.b", "k-1");
        socket().say(event("a.b", "k-2"));
        hub.subscribe("a.b", { onEvent: (event) => log.push(["third", event.id]) });
        socket().say(event("a.b", "k-3"));
        hub.unsubscribe(one);
        socket().say(event("a.b", "k-4"));
        return [log, socket().sent.map(({ type }) => type)];
    """)
    assert [each[:2] for each in log if each[0] != "replayed"] == [
        ["subscribed", "k-1"],
        ["event", "k-2"],
        ["second", "k-2"],
        ["event", "k-3"],
        ["second", "k-3"],
        ["third", "k-3"],
        ["second", "k-4"],
        ["third", "k-4"],
    ]
    assert sent == ["subscribe"]


def test_the_last_subscriber_ends_the_subscription(run: Evaluate) -> None:
    sent = run("""
        const { hub, socket } = await start();
        const all = [hub.subscribe("a.b"), hub.subscribe("a.b"), hub.subscribe("a.b")];
        socket().hello();
        accept(socket(), "a.b", "k-1");
        hub.unsubscribe(all[0]);
        hub.unsubscribe(all[0]);
        hub.unsubscribe(all[1]);
        const before = socket().sent.length;
        hub.unsubscribe(all[2]);
        return [before, socket().sent.slice(before).map(({ type }) => type)];
    """)
    assert sent == [1, ["unsubscribe"]]


def test_a_subscriber_that_wants_the_past_gets_it_and_the_others_nothing_twice(
    run: Evaluate,
) -> None:
    log, sent = run("""
        const { hub, socket, log } = await start();
        const note = (name) => ({ onEvent: ({ id }) => log.push([name, id]) });
        hub.subscribe("a.b", note("first"));
        socket().hello();
        accept(socket(), "a.b", "k-5");
        socket().say(event("a.b", "k-6"));
        hub.subscribe("a.b", { since: "-2", ...note("second") });
        accept(socket(), "a.b", "k-4", { head: "k-6" });
        for (const id of ["k-5", "k-6", "k-7"]) socket().say(event("a.b", id));
        return [log, socket().sent.map(({ type, since }) => since ?? type)];
    """)
    assert [event for name, event in log if name == "first"] == ["k-6", "k-7"]
    assert [event for name, event in log if name == "second"] == ["k-5", "k-6", "k-7"]
    assert sent == ["latest", "unsubscribe", "-2"]


def test_a_new_beginning_that_would_leave_out_events_of_others_is_moved_back(
    run: Evaluate,
) -> None:
    log, sent = run("""
        const { hub, socket, log } = await start();
        const note = (name) => ({ onEvent: ({ id }) => log.push([name, id]) });
        hub.subscribe("a.b", note("first"));
        socket().hello();
        accept(socket(), "a.b", "k-5");
        hub.subscribe("a.b", { since: "-1", ...note("second") });
        accept(socket(), "a.b", "k-7", { head: "k-8" });  // 6 and 7 came in between
        accept(socket(), "a.b", "k-5", { head: "k-8" });
        for (const id of ["k-6", "k-7", "k-8"]) socket().say(event("a.b", id));
        return [log, socket().sent.map(({ type, since }) => since ?? type)];
    """)
    assert [event for name, event in log if name == "first"] == ["k-6", "k-7", "k-8"]
    assert [event for name, event in log if name == "second"] == ["k-8"]
    assert sent == ["latest", "unsubscribe", "-1", "unsubscribe", "k-5"]


def test_a_reconnect_resumes_where_the_one_furthest_behind_stands(run: Evaluate) -> None:
    since = run("""
        const { hub, socket, clock } = await start();
        hub.subscribe("a.b");
        socket().hello();
        accept(socket(), "a.b", "k-50");
        hub.subscribe("a.b", { since: "earliest" });
        accept(socket(), "a.b", "k-0", { head: "k-50" });
        socket().say(event("a.b", "k-1"));
        socket().drop();
        clock.advance(1);
        socket().hello();
        return socket().sent[0].since;
    """)
    assert since == "k-1"


def test_presence_is_asked_for_when_one_of_them_wants_it(run: Evaluate) -> None:
    sent = run("""
        const { hub, socket } = await start();
        hub.subscribe("a.b");
        socket().hello();
        accept(socket(), "a.b", "k-1");
        hub.subscribe("a.b", { presence: true, member: "ana" });
        return socket().sent.at(-1);
    """)
    assert sent == {
        "type": "subscribe",
        "ref": 3,
        "channel": "a.b",
        "presence": True,
        "member": "ana",
        "since": "k-1",
    }


def test_an_error_reaches_all_of_them(run: Evaluate) -> None:
    codes = run("""
        const { hub, socket } = await start();
        const codes = [];
        for (const name of ["one", "two"])
            hub.subscribe("a.b", { onError: ({ code }) => codes.push([name, code]) });
        socket().hello();
        socket().say({ type: "error", ref: 1, code: "forbidden", message: "no" });
        return codes;
    """)
    assert codes == [["one", "forbidden"], ["two", "forbidden"]]


def test_for_await_gives_events_and_gaps_and_unsubscribes_at_its_end(run: Evaluate) -> None:
    found, sent = run("""
        const { hub, socket } = await start();
        const found = [];
        const loop = (async () => {
            for await (const item of hub.events("a.b", { since: "-5" })) {
                found.push(item.id ?? item.position);
                if (found.length === 3) break;
            }
        })();
        socket().hello();
        await asked(socket(), "a.b");
        accept(socket(), "a.b", "k-1");
        socket().say(event("a.b", "k-2"));
        socket().say({ type: "gap", channel: "a.b", position: "k-4", reason: "expired" });
        socket().say(event("a.b", "k-5"));
        await loop;
        return [found, socket().sent.map(({ type }) => type)];
    """)
    assert found == ["k-2", "k-4", "k-5"]
    assert sent == ["subscribe", "unsubscribe"]


def test_a_loop_that_is_slow_stops_the_channel_and_resumes_where_it_stood(run: Evaluate) -> None:
    found, sent = run("""
        const { hub, socket } = await start();
        const items = hub.events("a.b");
        const first = items.next();
        socket().hello();
        await asked(socket(), "a.b");
        accept(socket(), "a.b", "k-0");
        for (let number = 1; number <= 1200; number += 1)
            socket().say(event("a.b", `k-${number}`));
        const found = [(await first).value.id];
        while (found.length < 1000) found.push((await items.next()).value.id);
        const next = items.next();
        await asked(socket(), "a.b", 2);
        accept(socket(), "a.b", "k-1000", { head: "k-1200" });
        socket().say(event("a.b", "k-1001"));
        found.push((await next).value.id);
        await items.return();
        return [found, socket().sent.map(({ type, since }) => since ?? type)];
    """)
    assert found == [f"k-{number}" for number in range(1, 1002)]
    assert sent == ["latest", "unsubscribe", "k-1000", "unsubscribe"]


def test_for_await_throws_what_ends_the_subscription(run: Evaluate) -> None:
    code = run("""
        const { hub, socket } = await start();
        const next = hub.events("nope.b").next();
        socket().hello();
        await asked(socket(), "nope.b");
        socket().say({ type: "error", ref: 1, code: "unknown_channel", message: "no" });
        try { await next; } catch (error) { return error.code; }
    """)
    assert code == "unknown_channel"
