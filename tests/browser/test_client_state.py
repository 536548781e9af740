"""`since: "state"` in the JavaScript client, alone and beside subscribers of all events."""

from tests.browser.conftest import Evaluate

BEGIN = """
    const { hub, socket, log, handlers, clock } = await start();
    const again = () => {
        socket().drop();
        clock.advance(2);
        socket().hello();
    };
    const sent = () => socket().sent.map(({ type, since }) => since ?? type);
    const subscribed = (count = 1) => asked(socket(), "a.b", count);
    const note = (name) => ({
        onEvent: ({ id }) => log.push([name, id]),
        onGap: ({ position }) => log.push([name, position]),
    });
    socket().hello();
"""


def test_a_state_goes_on_with_what_has_changed_since(run: Evaluate) -> None:
    partly, whole = run(f"""{BEGIN}
        hub.subscribe("a.b", {{ since: "state", ...handlers }});
        await subscribed();
        accept(socket(), "a.b", "k-0", {{ head: "k-9" }});
        socket().say(event("a.b", "k-3"));
        again();
        const partly = sent();
        accept(socket(), "a.b", "k-3", {{ head: "k-9" }});
        socket().say(event("a.b", "k-9"));
        again();
        return [partly, sent()];
    """)
    assert (partly, whole) == (["state:k-3"], ["state:k-9"])


def test_a_state_is_read_again_after_a_gap_that_no_state_follows(run: Evaluate) -> None:
    sent, events = run(f"""{BEGIN}
        const gap = (position, reason) =>
            socket().say({{ type: "gap", channel: "a.b", position, reason }});
        hub.subscribe("a.b", {{ since: "state", ...note("one") }});
        await subscribed();
        accept(socket(), "a.b", "k-0", {{ head: "k-9" }});
        gap("n-0", "reset");
        socket().say(event("a.b", "n-9"));
        const before = sent().length;
        gap("n-12", "expired");
        socket().say(event("a.b", "n-13"));
        accept(socket(), "a.b", "n-0", {{ head: "n-13" }});
        socket().say(event("a.b", "n-13"));
        gap("n-20", "slow");
        return [[before, sent()], log.map(([, id]) => id)];
    """)
    assert sent == [1, ["state", "unsubscribe", "state", "unsubscribe", "state:n-13"]]
    assert events == ["n-0", "n-9", "n-12", "n-13", "n-20"]


def test_a_state_takes_no_events_from_a_subscriber_beside_it(run: Evaluate) -> None:
    log, sent = run(f"""{BEGIN}
        hub.subscribe("a.b", note("all"));
        accept(socket(), "a.b", "k-5");
        socket().say(event("a.b", "k-6"));
        hub.subscribe("a.b", {{ since: "state", ...note("state") }});
        await subscribed(2);
        accept(socket(), "a.b", "k-0", {{ head: "k-8" }});
        socket().say(event("a.b", "k-2"), event("a.b", "k-8")); // 7 was of the key of 8
        accept(socket(), "a.b", "k-6", {{ head: "k-8" }});
        for (const id of ["k-7", "k-8", "k-9"]) socket().say(event("a.b", id));
        again();
        return [log, sent()];
    """)
    assert [event for name, event in log if name == "all"] == ["k-6", "k-7", "k-8", "k-9"]
    assert [event for name, event in log if name == "state"] == ["k-2", "k-8", "k-9"]
    assert sent == ["k-9"]


def test_a_part_of_a_state_goes_on_before_those_that_wait_for_its_end(run: Evaluate) -> None:
    first, then = run(f"""{BEGIN}
        const state = hub.subscribe("a.b", {{ since: "state" }});
        await subscribed();
        accept(socket(), "a.b", "k-0", {{ head: "k-9" }});
        socket().say(event("a.b", "k-3"));
        hub.subscribe("a.b", {{ since: "-2", ...note("all") }});
        again();
        const first = sent();
        hub.unsubscribe(state);
        return [first, sent()];
    """)
    assert first == ["state:k-3"]
    assert then == ["state:k-3", "unsubscribe", "-2"]


def test_a_deletion_and_a_test_of_the_newest_are_published(run: Evaluate) -> None:
    sent, found = run("""
        const { hub, socket } = await start();
        socket().hello();
        const refused = outcome(hub.delete("a.b", "17", { ifMatch: "k-4", key: "once" }));
        hub.publish("a.b", { id: "18" }, { ifMatch: "none", attributes: { source: "/x" } });
        const [first, second] = socket().sent;
        const { ref } = first;
        socket().say({ type: "error", ref, code: "precondition_failed", message: "m", id: "k-5" });
        delete second.key;
        return [[first, second], await refused];
    """)
    deletion = {"deleted": "17", "if_match": "k-4", "key": "once"}
    attributes = {"source": "/x"}
    assert sent == [
        {"type": "publish", "ref": 1, "channel": "a.b", **deletion},
        {
            "type": "publish", "ref": 2, "channel": "a.b", "data": {"id": "18"},
            "attributes": attributes, "if_match": "none",
        },
    ]  # fmt: skip
    assert (found["code"], found["id"]) == ("precondition_failed", "k-5")


def test_an_event_that_refers_to_another_is_published_with_its_relation(run: Evaluate) -> None:
    sent = run("""
        const { hub, socket } = await start();
        socket().hello();
        hub.publish("a.b", 1, { refers: "k-4", relation: "edit", key: "one" });
        hub.publish("a.b", null, { refers: "k-4", relation: "delete", key: "two" });
        return socket().sent;
    """)
    common = {"type": "publish", "channel": "a.b", "refers": "k-4"}
    assert sent == [
        {**common, "ref": 1, "data": 1, "relation": "edit", "key": "one"},
        {**common, "ref": 2, "data": None, "relation": "delete", "key": "two"},
    ]
