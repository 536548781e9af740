"""Filters, and the data of members, in the JavaScript client on a fake socket."""

from tests.browser.conftest import Evaluate

POSITION = """{ type: "position", channel: "a.b", position: "k-9" }"""


def test_a_position_moves_the_cursor_and_ends_the_replay(run: Evaluate) -> None:
    log, cursor, since = run(f"""
        const {{ hub, socket, log, handlers, clock }} = await start();
        const one = hub.subscribe("a.b", {{ since: "earliest", where: "data > 1", ...handlers }});
        socket().hello();
        accept(socket(), "a.b", "k-0", {{ head: "k-9" }});
        socket().say(event("a.b", "k-2"), {POSITION});
        const {{ cursor }} = one;
        socket().drop();
        clock.advance(1);
        socket().hello();
        return [log, cursor, socket().sent[0]];
    """)
    assert log == [
        ["subscribed", "k-0"],
        ["event", "k-2", True],
        ["replayed", 1, False],
    ]
    assert cursor == "k-9"
    assert (since["since"], since["where"]) == ("k-9", "data > 1")


def test_a_position_moves_no_cursor_back(run: Evaluate) -> None:
    cursors = run(f"""
        const {{ hub, socket }} = await start();
        const first = hub.subscribe("a.b");
        socket().hello();
        accept(socket(), "a.b", "k-5");
        socket().say(event("a.b", "k-12"));
        const second = hub.subscribe("a.b", {{ since: "earliest" }});
        accept(socket(), "a.b", "k-0", {{ head: "k-12" }});
        socket().say({POSITION});
        return [first.cursor, second.cursor];
    """)
    assert cursors == ["k-12", "k-9"]


def test_subscribers_with_one_filter_share_and_another_filter_is_refused(run: Evaluate) -> None:
    sent, faults, again = run("""
        const { hub, socket } = await start();
        const all = [hub.subscribe("a.b", { where: "x" }), hub.subscribe("a.b", { where: "x" })];
        socket().hello();
        accept(socket(), "a.b", "k-1");
        const faults = [];
        for (const where of ["y", undefined]) {
            try { hub.subscribe("a.b", { where }); }
            catch ({ code, message }) { faults.push([code, message]); }
        }
        const sent = socket().sent.map(({ type, where }) => [type, where]);
        hub.unsubscribe("a.b");
        hub.subscribe("a.b", { where: "y" });
        return [sent, faults, socket().sent.at(-1).where];
    """)
    assert sent == [["subscribe", "x"]]
    assert [code for code, _ in faults] == ["already_subscribed"] * 2
    assert "has the filter x; received y; expected the same" in faults[0][1]
    assert "received (none)" in faults[1][1]
    assert again == "y", "without subscribers, the channel takes another filter"


def test_a_loop_has_a_filter_and_is_told_of_another_one(run: Evaluate) -> None:
    where, code = run("""
        const { hub, socket } = await start();
        socket().hello();
        hub.events("a.b", { where: "x" }).next();
        await asked(socket(), "a.b");
        const other = await hub.events("a.b").next().catch(({ code }) => code);
        return [socket().sent[0].where, other];
    """)
    assert (where, code) == ("x", "already_subscribed")


def test_a_subscriber_is_told_that_its_filter_failed(run: Evaluate) -> None:
    told = run("""
        const { hub, socket } = await start();
        const told = [];
        const onFilterFailed = ({ reason }) => told.push(reason);
        hub.subscribe("a.b", { where: "data.x", onFilterFailed });
        socket().hello();
        accept(socket(), "a.b", "k-1");
        socket().say({ type: "filter_failed", channel: "a.b", id: "k-2", reason: "no 'x'" });
        return told;
    """)
    assert told == ["no 'x'"]


def test_a_member_has_data_and_updates_are_told(run: Evaluate) -> None:
    member, told = run("""
        const { hub, socket } = await start();
        const told = [];
        const member = { id: "ana", data: { status: "here" } };
        hub.subscribe("a.b", { presence: true, member, onUpdate: (one) => told.push(one) });
        socket().hello();
        accept(socket(), "a.b", "k-1");
        const other = { id: "rui", data: { status: "away" } };
        socket().say({ type: "update", channel: "a.b", member: other });
        return [socket().sent[0].member, told];
    """)
    assert member == {"id": "ana", "data": {"status": "here"}}
    assert told == [{"id": "rui", "data": {"status": "away"}}]


MEMBER = """
    const { hub, socket, sockets, clock } = await start();
    hub.subscribe("a.b", { member: "ana" });
    socket().hello();
    accept(socket(), "a.b", "k-1");
    const answer = (fields) => socket().say({ ref: socket().sent.at(-1).ref, ...fields });
    const update = (data) => hub.updateMember("a.b", data).catch(({ code }) => code);
    const reconnect = () => {
        const { length } = sockets;
        socket().drop();
        while (sockets.length === length) clock.advance(1);
        socket().hello();
    };
    const given = () => socket().sent[0].member;
"""


def test_an_update_is_sent_once_and_given_again_by_the_next_connection(run: Evaluate) -> None:
    sent, results, given = run(f"""{MEMBER}
        const first = update({{ n: 1 }});
        const sent = socket().sent.at(-1);
        answer({{ type: "updated", channel: "a.b" }});
        reconnect();
        const all = [socket().sent.map(({{ type }}) => type), given()];
        accept(socket(), "a.b", "k-1");
        const second = update({{ n: 2 }});
        reconnect();
        all.push(given());
        const third = update(null);
        answer({{ type: "updated", channel: "a.b" }});
        reconnect();
        all.push(given());
        return [sent, [await first, await second, await third], all];
    """)
    assert sent == {"type": "update", "ref": "signal-2", "channel": "a.b", "data": {"n": 1}}
    assert results == [True, False, True]
    assert given == [
        ["subscribe"],
        {"id": "ana", "data": {"n": 1}},
        {"id": "ana", "data": {"n": 2}},
        "ana",
    ]


def test_an_update_that_is_refused_is_not_given_again(run: Evaluate) -> None:
    results, given = run(f"""{MEMBER}
        const first = update({{ n: 1 }});
        answer({{ type: "updated", channel: "a.b" }});
        await first;
        const second = update({{ n: 2 }});
        answer({{ type: "error", code: "rate_limited", message: "" }});
        const results = [await second];
        reconnect();
        return [results, given()];
    """)
    assert results == ["rate_limited"]
    assert given == {"id": "ana", "data": {"n": 1}}


def test_what_a_new_connection_gave_holds_when_the_next_update_is_refused(run: Evaluate) -> None:
    early, given = run(f"""{MEMBER}
        socket().drop();
        const early = await update({{ n: 1 }});
        while (sockets.length === 1) clock.advance(1);
        socket().hello();
        accept(socket(), "a.b", "k-1");
        const refused = update({{ n: 2 }});
        answer({{ type: "error", code: "rate_limited", message: "" }});
        await refused;
        reconnect();
        return [early, given()];
    """)
    assert early is False
    assert given == {"id": "ana", "data": {"n": 1}}


def test_a_later_update_holds_when_the_one_before_it_is_refused(run: Evaluate) -> None:
    given = run(f"""{MEMBER}
        const first = update({{ n: 1 }});
        const {{ ref }} = socket().sent.at(-1);
        const second = update({{ n: 2 }});
        socket().say({{ type: "error", ref, code: "rate_limited", message: "" }});
        answer({{ type: "updated", channel: "a.b" }});
        await Promise.all([first, second]);
        reconnect();
        return given();
    """)
    assert given == {"id": "ana", "data": {"n": 2}}


def test_without_a_member_nothing_is_sent(run: Evaluate) -> None:
    codes, sent = run("""
        const { hub, socket } = await start();
        hub.subscribe("a.b");
        socket().hello();
        const update = (channel) => hub.updateMember(channel, {}).catch(({ code }) => code);
        return [[await update("a.b"), await update("c.d")], socket().sent.length];
    """)
    assert codes == ["not_subscribed"] * 2
    assert sent == 1
