"""Signals in the JavaScript client, on a fake socket, and who is typing on the chat page."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Evaluate, Visitor
from tests.harness.eventhub import EventHubServer

Visit = Callable[..., Visitor]
TYPING = """
    const { Typing, describeTyping } = await import("/static/pages/chat/typing.js");
    const { clock } = await start();
    const shown = [], sent = [];
    let refuses = false;
    const send = async () => { sent.push(clock.now()); if (refuses) throw new Error("refused"); };
    const typing = new Typing((names) => shown.push(names.join()), send, clock);
"""


def test_a_subscription_gets_signals_which_move_no_cursor(run: Evaluate) -> None:
    seen = run("""
        const { hub, socket, log, handlers } = await start();
        const subscription = hub.subscribe("a.b", handlers);
        const plain = hub.subscribe("c.d");
        socket().hello();
        const signal = { type: "signal", channel: "a.b", time: "…", data: { n: 1 } };
        socket().say(signal);
        accept(socket(), "a.b", "k-9");
        accept(socket(), "c.d", "k-9");
        socket().say(signal, { ...signal, channel: "c.d" }, { ...signal, channel: "e.f" });
        return { log: log.filter(([name]) => name === "signal"), cursor: subscription.cursor };
    """)
    assert seen == {"log": [["signal", {"n": 1}]], "cursor": "k-9"}


def test_a_signal_is_sent_once_and_told_whether_it_was_accepted(run: Evaluate) -> None:
    seen = run("""
        const { hub, socket, clock } = await start();
        const early = await hub.signal("a.b", 0);
        socket().hello();
        const accepted = hub.signal("a.b", { n: 1 });
        const sent = socket().sent.at(-1);
        socket().say({ type: "signaled", ref: sent.ref, channel: "a.b" });
        const refused = hub.signal("a.b", 2).catch(({ code }) => code);
        const { ref } = socket().sent.at(-1);
        socket().say({ type: "error", ref, code: "forbidden", message: "" });
        const lost = hub.signal("a.b", 3);
        socket().drop();
        clock.advance(1);
        socket().hello();
        delete sent.ref;
        return {
            early, sent, accepted: await accepted, refused: await refused, lost: await lost,
            again: socket().sent,
        };
    """)
    assert seen == {
        "early": False,
        "sent": {"type": "publish", "channel": "a.b", "data": {"n": 1}, "signal": True},
        "accepted": True,
        "refused": "forbidden",
        "lost": False,
        "again": [],
    }


def test_a_signal_that_would_close_the_connection_is_not_sent(run: Evaluate) -> None:
    assert run("""
        const { hub, socket } = await start();
        socket().hello({ message_bytes: 100 });
        const code = await hub.signal("a.b", "x".repeat(100)).catch(({ code }) => code);
        return [code, socket().sent.length];
    """) == ["payload_too_large", 0]


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], ""),
        (["ana"], "ana is typing…"),
        (["ana", "bob"], "ana and bob are typing…"),
        (["ana", "bob", "eva"], "Several people are typing…"),
    ],
)
def test_those_who_are_typing_are_a_sentence(run: Evaluate, names: list[str], text: str) -> None:
    assert run(TYPING + f"return describeTyping({names});") == text


def test_a_signal_is_believed_for_five_seconds_or_until_the_message(run: Evaluate) -> None:
    shown = run(
        TYPING
        + """
        const heard = (sender) => typing.heard({ sender, typing: true }, "me");
        heard("ana"); clock.advance(3); heard("bob"); clock.advance(1); heard("ana");
        typing.spoke("bob"); typing.spoke("eva");
        clock.advance(4); shown.push("|"); clock.advance(1);
        return shown;
    """
    )
    assert shown == ["ana", "ana,bob", "ana,bob", "ana", "ana", "ana", "|", ""]


def test_anything_else_that_comes_as_a_signal_shows_nobody(run: Evaluate) -> None:
    shown = run(
        TYPING
        + """
        const good = { sender: "ana", typing: true };
        const names = [1, "", "x".repeat(65), "me"];
        const bad = names.map((sender) => ({ ...good, sender }));
        for (const data of [null, 1, "ana", [], {}, { ...good, typing: 1 }, ...bad])
            typing.heard(data, "me");
        for (let number = 0; number < 100; number += 1)
            typing.heard({ ...good, sender: `${number}` }, "me");
        return [shown[0], shown.at(-1).split(",").length];
    """
    )
    assert shown == ["0", 20]


def test_typing_is_announced_every_three_seconds_and_at_once_after_a_message(run: Evaluate) -> None:
    sent = run(
        TYPING
        + """
        const type = async (seconds, text = "oi") => {
            clock.advance(seconds); await typing.changed(text);
        };
        await type(0, " "); await type(1); await type(2); await type(1); await type(1);
        typing.sent(); await type(1);
        refuses = true; await type(4); await type(4);
        return sent;
    """
    )
    assert sent == [1000, 4000, 6000, 10000]


def test_the_room_sees_who_is_typing(server: EventHubServer, identity: Visit) -> None:
    ana, bob = identity(server).chat("ana", "typing"), identity(server).chat("bob", "typing")
    box = bob.get_by_role("textbox", name="Message", exact=True)
    box.press_sequentially("o")
    expect(ana.locator("#typing")).to_have_text("bob is typing…")
    expect(bob.locator("#typing")).to_have_text("")
    box.press_sequentially("i")
    bob.keyboard.press("Enter")
    expect(ana.locator("#log .text")).to_have_text(["oi"])
    expect(ana.locator("#typing")).to_have_text("")
