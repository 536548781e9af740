"""The client module under authentication, in a real browser, on a fake socket and a fake clock."""

import pytest

from tests.browser.conftest import Evaluate

ACCEPT = """
    const accepted = (socket, fields = {}) => {
        const { ref } = socket.sent.findLast(({ type }) => type === "auth");
        socket.say({ type: "authenticated", ref, principal: "ana", ...fields });
    };
    const refused = (socket, code) => {
        const { ref } = socket.sent.findLast(({ type }) => type === "auth");
        socket.say({ type: "error", ref, code, message: `it is ${code}` });
    };
    const settled = () => new Promise((resolve) => setTimeout(resolve));
    const sent = (socket) =>
        socket.sent.map(({ type, token, channel }) => token ?? channel ?? type);
"""


def test_the_token_goes_first_and_nothing_waits_for_its_answer(run: Evaluate) -> None:
    seen = run(f"""{ACCEPT}
        const {{ hub, socket, clock, sockets }} = await start({{ token: "t1" }});
        hub.subscribe("a.b");
        hub.publish("a.c", 1);
        const early = socket().sent.length;
        socket().hello();
        socket().drop();
        clock.advance(1);
        socket().hello();
        return {{
            early,
            first: sockets[0].sent[0],
            sent: sockets.map(sent),
            urls: sockets.map(({{ url }}) => url),
        }};
    """)
    assert seen["early"] == 0
    assert seen["first"] == {"type": "auth", "ref": "token-1", "token": "t1"}
    assert seen["sent"] == [["t1", "a.b", "a.c"]] * 2
    assert seen["urls"] == ["ws://hub.test/v1/ws"] * 2


@pytest.mark.parametrize("token", ["null", '""', "() => null", "async () => ''"])
def test_without_a_token_nothing_is_said_about_one(run: Evaluate, token: str) -> None:
    script = f"""{ACCEPT}
        const {{ hub, socket }} = await start({{ token: {token} }});
        hub.subscribe("a.b");
        await settled();
        socket().hello();
        return sent(socket());
    """
    assert run(script) == ["a.b"]


def test_a_function_is_asked_for_each_connection_before_it_is_made(run: Evaluate) -> None:
    seen = run(f"""{ACCEPT}
        let count = 0;
        let answer;
        const held = new Promise((resolve) => (answer = resolve));
        const {{ hub, socket, sockets, clock }} = await start({{
            token: async () => ((count += 1), await held, `t${{count}}`),
        }});
        const early = [count, sockets.length, hub.status.state];
        answer();
        await settled();
        hub.subscribe("a.b");
        socket().hello();
        socket().drop();
        clock.advance(1);
        await settled();
        socket().hello();
        return {{ early, sent: sockets.map(sent) }};
    """)
    assert seen == {"early": [1, 0, "connecting"], "sent": [["t1", "a.b"], ["t2", "a.b"]]}


@pytest.mark.parametrize(
    "fails",
    ["async () => { throw new Error('no network'); }", "() => { throw new Error('no network'); }"],
)
def test_a_function_that_fails_is_told_and_asked_again_later(run: Evaluate, fails: str) -> None:
    seen = run(f"""{ACCEPT}
        const told = [];
        let asked = 0;
        const fails = {fails};
        const token = () => {{ asked += 1; return fails(); }};
        const {{ hub, sockets, clock, statuses }} = await start({{
            token,
            onTokenError: ({{ message }}) => told.push(message),
        }});
        await settled();
        const state = hub.status.state;
        clock.advance(1);
        await settled();
        return {{ state, asked, told, sockets: sockets.length }};
    """)
    assert seen == {"state": "waiting", "asked": 2, "told": ["no network"] * 2, "sockets": 0}


def test_a_function_that_never_answers_is_given_up_and_its_late_answer_is_ignored(
    run: Evaluate,
) -> None:
    seen = run(f"""{ACCEPT}
        const answers = [];
        const {{ hub, sockets, clock }} = await start({{
            token: () => new Promise((resolve) => answers.push(resolve)),
        }});
        await settled();
        clock.advance(10);
        const state = hub.status.state;
        clock.advance(1);
        await settled();
        answers[0]("late");
        await settled();
        const stale = sockets.length;
        answers[1]("t2");
        await settled();
        sockets[0].hello();
        return {{ state, stale, sent: sockets.map(sent) }};
    """)
    assert seen == {"state": "waiting", "stale": 0, "sent": [["t2"]]}


def test_who_it_is_is_told(run: Evaluate) -> None:
    seen = run(f"""{ACCEPT}
        const who = [];
        const onAuthenticated = ({{ principal, expires_in }}) => who.push([principal, expires_in]);
        const {{ socket }} = await start({{ token: "t1", onAuthenticated }});
        socket().hello();
        accepted(socket(), {{ expires_in: 60 }});
        return who;
    """)
    assert seen == [["ana", 60]]


@pytest.mark.parametrize(
    "code", ["unauthorized", "invalid_token", "token_expired", "forbidden", "revoked"]
)
@pytest.mark.parametrize("token", ["'t1'", "async () => 't1'"])
def test_a_refused_token_is_a_stop_that_says_why_and_a_new_one_leads_out(
    run: Evaluate, code: str, token: str
) -> None:
    seen = run(f"""{ACCEPT}
        const {{ hub, socket, sockets, clock, wake, log, handlers }} = await start({{
            token: {token},
        }});
        hub.subscribe("a.b", handlers);
        await settled();
        socket().hello();
        refused(socket(), "{code}");
        const status = hub.status;
        const message = "of the subscription behind it";
        socket().say({{ type: "error", ref: 1, code: "unauthorized", message }});
        clock.advance(3600);
        wake();
        const stayed = sockets.length;
        hub.setToken("t2");
        socket().hello();
        accepted(socket());
        return {{
            status,
            stayed,
            closed: sockets[0].closed,
            sent: sockets.map(sent),
            state: hub.status.state,
            log,
        }};
    """)
    why = {"reason": f"it is {code}", "code": code}
    assert seen["status"] == {
        "state": "stopped",
        **why,
        "advice": "get another token, and call setToken()",
    }
    assert (seen["stayed"], seen["closed"], seen["state"]) == (1, True, "open")
    assert seen["sent"] == [["t1", "a.b"], ["t2", "a.b"]], "what was followed is followed again"
    assert seen["log"] == []


@pytest.mark.parametrize("code", ["too_many_connections", "internal", "shutting_down"])
def test_a_token_that_cannot_be_taken_now_is_tried_again(run: Evaluate, code: str) -> None:
    seen = run(f"""{ACCEPT}
        const {{ hub, socket, sockets, clock }} = await start({{ token: "t1" }});
        socket().hello();
        refused(socket(), "{code}");
        const state = hub.status.state;
        clock.advance(1);
        return [state, sockets.length];
    """)
    assert seen == ["waiting", 2]


def test_a_closing_for_the_tokens_sake_is_a_stop_with_its_code(run: Evaluate) -> None:
    seen = run(f"""{ACCEPT}
        const {{ hub, socket }} = await start({{ token: "t1" }});
        socket().hello();
        accepted(socket());
        socket().say({{ type: "error", code: "revoked", message: "shut out" }});
        socket().drop(4403, "revoked");
        return hub.status;
    """)
    assert seen == {"state": "stopped", "reason": "shut out", "code": "revoked"}


def test_a_token_that_expired_in_use_is_no_stop_where_a_function_has_another(run: Evaluate) -> None:
    seen = run(f"""{ACCEPT}
        const ends = [];
        for (const token of ["t1", async () => "t1"]) {{
            const {{ hub, socket }} = await start({{ token }});
            await settled();
            socket().hello();
            accepted(socket());
            socket().drop(4401, "token_expired");
            ends.push(hub.status.state);
        }}
        return ends;
    """)
    assert seen == ["stopped", "waiting"]


def test_an_expiring_token_is_renewed_through_the_function_on_the_same_connection(
    run: Evaluate,
) -> None:
    seen = run(f"""{ACCEPT}
        let count = 0;
        const warned = [];
        const token = () => `t${{(count += 1)}}`;
        const {{ socket, sockets, clock }} = await start({{
            token,
            onExpiring: ({{ expires_in }}) => warned.push(expires_in),
        }});
        await settled();
        socket().hello();
        accepted(socket(), {{ expires_in: 60 }});
        clock.advance(10);
        socket().say({{ type: "expiring", expires_in: 18 }});
        await settled();
        return {{ sent: sockets.map(sent), warned }};
    """)
    assert seen == {"sent": [["t1", "t2"]], "warned": [18]}


def test_short_lived_tokens_are_renewed_at_half_their_time_and_the_same_one_is_not_sent_again(
    run: Evaluate,
) -> None:
    seen = run(f"""{ACCEPT}
        let count = 0;
        const {{ socket, clock }} = await start({{
            token: () => `t${{Math.min(2, (count += 1))}}`,
        }});
        await settled();
        socket().hello();
        const asked = [];
        for (let round = 0; round < 2; round += 1) {{
            accepted(socket(), {{ expires_in: 10 }});
            socket().say({{ type: "expiring", expires_in: 10 }});
            await settled();
            asked.push(count);
            clock.advance(5);
            await settled();
            asked.push(count);
        }}
        return {{ asked, sent: sent(socket()) }};
    """)
    assert seen == {"asked": [1, 2, 2, 3], "sent": ["t1", "t2"]}


def test_a_string_that_expires_is_told_and_not_sent_again(run: Evaluate) -> None:
    seen = run(f"""{ACCEPT}
        const warned = [];
        const {{ hub, socket, clock }} = await start({{
            token: "t1",
            onExpiring: ({{ expires_in }}) => warned.push(expires_in),
        }});
        socket().hello();
        accepted(socket());
        clock.advance(14);
        socket().say({{ type: "expiring", expires_in: 10 }});
        await settled();
        const before = sent(socket());
        hub.setToken("t2");
        await settled();
        return {{ warned, before, after: sent(socket()) }};
    """)
    assert seen == {"warned": [10], "before": ["t1"], "after": ["t1", "t2"]}


def test_a_stranger_who_gets_a_token_keeps_the_connection(run: Evaluate) -> None:
    seen = run(f"""{ACCEPT}
        const {{ hub, socket, sockets }} = await start();
        socket().hello();
        hub.setToken("t1");
        await import("/static/client/authentication.js");
        await settled();
        return sockets.map(sent);
    """)
    assert seen == [["t1"]]


def test_somebody_elses_token_gets_a_connection_of_its_own(run: Evaluate) -> None:
    seen = run(f"""{ACCEPT}
        const {{ hub, socket, sockets }} = await start({{ token: "t1" }});
        hub.subscribe("a.b");
        socket().hello();
        accepted(socket());
        hub.setToken("t2");
        await settled();
        refused(socket(), "forbidden");
        socket().hello();
        return {{
            sent: sockets.map(sent),
            closed: sockets.map(({{ closed }}) => closed),
            state: hub.status.state,
        }};
    """)
    assert seen == {
        "sent": [["t1", "a.b", "t2"], ["t2", "a.b"]],
        "closed": [True, False],
        "state": "open",
    }


def test_no_token_any_more_is_a_new_connection_as_a_stranger(run: Evaluate) -> None:
    seen = run(f"""{ACCEPT}
        const {{ hub, socket, sockets }} = await start({{ token: "t1" }});
        socket().hello();
        accepted(socket());
        hub.setToken(null);
        socket().hello();
        return sockets.map(sent);
    """)
    assert seen == [["t1"], []]


def test_a_subscription_that_a_new_token_does_not_allow_has_ended(run: Evaluate) -> None:
    seen = run(f"""{ACCEPT}
        const {{ hub, socket, clock, log, handlers }} = await start({{ token: "t1" }});
        hub.subscribe("a.b", handlers);
        socket().hello();
        accept(socket(), "a.b", "k-1");
        socket().say({{ type: "unsubscribed", channel: "a.b", reason: "forbidden" }});
        socket().drop();
        clock.advance(1);
        socket().hello();
        return {{ log: log.at(-1), sent: sent(socket()) }};
    """)
    assert seen == {"log": ["error", "forbidden", False], "sent": ["t1"]}
