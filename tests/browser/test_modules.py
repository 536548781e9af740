"""The pure modules of the pages, in a real browser."""

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Evaluate

OUTBOX = """
    const { Outbox } = await import("/static/pages/chat/outbox.js");
    const outbox = new Outbox();
    const mine = (text) => outbox.add({ sender: "ana", text, key: text });
    const event = (id, text, sender = "ana") => ({ id, data: { sender, text } });
"""


def test_an_event_before_its_answer_is_known_by_sender_and_text(run: Evaluate) -> None:
    script = (
        'mine("a"); mine("b"); '
        'return ["k-1", "k-2"].map((id) => outbox.claim(event(id, "b"))?.key);'
    )
    assert run(OUTBOX + script) == ["b", None]


def test_somebody_elses_same_words_are_theirs(run: Evaluate) -> None:
    assert run(OUTBOX + 'mine("a"); return outbox.claim(event("k-1", "a", "bob")) === undefined;')


def test_an_event_after_its_answer_is_known_by_its_id(run: Evaluate) -> None:
    script = """
        const first = mine("a"), second = mine("a");
        outbox.acknowledge(second, "k-2");
        return [
            outbox.claim(event("k-2", "a")) === second,
            outbox.claim(event("k-1", "a")) === first,
        ];
    """
    assert run(OUTBOX + script) == [True, True]


def test_an_acknowledged_message_is_not_taken_for_another_event(run: Evaluate) -> None:
    assert run(
        OUTBOX
        + (
            'outbox.acknowledge(mine("a"), "k-2"); '
            'return outbox.claim(event("k-1", "a")) === undefined;'
        )
    )


def test_a_gap_releases_what_lies_in_it_and_in_logs_that_are_gone(run: Evaluate) -> None:
    script = """
        const ids = { old: "j-9", within: "k-3", at: "k-5", beyond: "k-6" };
        for (const [text, id] of Object.entries(ids)) outbox.acknowledge(mine(text), id);
        mine("unanswered");
        return [outbox.release("k-5").map(({ text }) => text), outbox.release("k-5").length];
    """
    assert run(OUTBOX + script) == [["old", "within", "at"], 0]


ABSENCE = """
    const { Absence } = await import("/static/pages/chat/absence.js");
    const absence = new Absence();
"""


def test_what_comes_while_nobody_is_away_is_not_missed(run: Evaluate) -> None:
    assert run(ABSENCE + 'return [absence.missed(), absence.end("network")];') == [False, 0]


def test_an_absence_ends_with_its_last_reason_and_counts_anew(run: Evaluate) -> None:
    script = """
        absence.begin("hidden");
        const first = [absence.missed(), absence.missed()];
        absence.begin("network");
        const ends = [absence.end("hidden"), absence.missed(), absence.end("network")];
        absence.begin("hidden");
        return [first, ends, absence.missed(), absence.end("hidden")];
    """
    assert run(ABSENCE + script) == [[True, False], [0, False, 3], True, 1]


@pytest.mark.parametrize(
    ("moments", "missed"),
    [
        ([0, 5, 10, 15], 0),
        ([0, 5, 3600], 1),
        ([0, 5, 3600, 3601, 3604], 3),
        ([0, 5, 3600, 3601, 3605, 3606], 2),
    ],
)
def test_a_clock_that_jumps_is_an_absence_of_a_few_seconds(
    run: Evaluate, moments: list[int], missed: int
) -> None:
    script = f"""
        const awake = (seconds) => absence.awake(1e12 + seconds * 1000);
        const message = (seconds) => [awake(seconds), absence.missed()][0];
        const ended = {moments}.map(message).reduce((sum, each) => sum + each);
        return ended + awake({moments[-1] + 10});
    """
    assert run(ABSENCE + script) == missed


def test_the_slow_clock_of_a_hidden_page_is_no_sleep(run: Evaluate) -> None:
    script = """
        const moments = [0, 60_000, 120_000];
        absence.begin("hidden");
        for (const now of moments) absence.awake(now);
        absence.missed();
        return absence.end("hidden");
    """
    assert run(ABSENCE + script) == 1


@pytest.mark.parametrize(
    ("gap", "words"),
    [
        ("{ reason: 'reset' }", "The server lost its history; messages may be missing here."),
        (
            "{ reason: 'expired' }",
            "Some messages were lost: the room keeps them for a limited time.",
        ),
        (
            "{ reason: 'expired', skipped: 1 }",
            "1 message was lost: the room keeps them for a limited time.",
        ),
        (
            "{ reason: 'slow', skipped: 1200 }",
            "1,200 messages were lost: this page read too slowly.",
        ),
        ("{ reason: 'conflated', skipped: 2 }", "2 messages were lost: this page read too slowly."),
        ("{ reason: 'of tomorrow' }", "Some messages were lost."),
    ],
)
def test_a_gap_is_told_in_words(run: Evaluate, gap: str, words: str) -> None:
    assert run(f"return (await import('/static/pages/chat/gaps.js')).describeGap({gap})") == words


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-03-10T00:00:00", "Today"),
        ("2026-03-09T23:59:59", "Yesterday"),
        ("2026-03-09T00:00:00", "Yesterday"),
        ("2026-03-08T23:59:59", "Sunday, March 8, 2026"),
    ],
)
def test_days_have_names(modules: Page, moment: str, expected: str) -> None:
    dates = "new Date(text), new Date('2026-03-10T09:00:00')"
    script = f"async (text) => (await import('/static/pages/chat/timeline.js')).dayName({dates})"
    assert modules.evaluate(script, moment) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("{ a: [1, 'x\\ny'] }", '{ "a": [ 1, "x\\ny" ] }'),
        ("'text'", '"text"'),
        ("{ a: 'x'.repeat(80) }", '{\n  "a": "' + "x" * 80 + '"\n}'),
        ("{ a: 12345678901234567890n, b: [] }", '{ "a": 12345678901234567890, "b": [] }'),
    ],
)
def test_short_data_takes_one_line(run: Evaluate, data: str, expected: str) -> None:
    assert run(f"return (await import('/static/pages/explore/json.js')).pretty({data})") == expected


@pytest.mark.parametrize(
    ("given", "socket"),
    [
        ("http://hub.example", "ws://hub.example/v1/ws"), ("https://hub.example/", "wss://hub.example/v1/ws"),
        ("https://hub.example:8443/hub//", "wss://hub.example:8443/hub/v1/ws"),
        ("http://hub.example/v1/ws", "ws://hub.example/v1/ws"),
        ("ws://hub.example", "ws://hub.example/v1/ws"), ("wss://hub.example/v1/ws?channel=a", "wss://hub.example/v1/ws?channel=a"),
        ("wss://hub.example/socket", "wss://hub.example/socket"), ("HTTPS://hub.example#x", "wss://hub.example/v1/ws"),
        ("/v1/ws", "wss://page.example/v1/ws"), ("/hub/", "wss://page.example/hub/v1/ws"),
        ("//hub.example", "wss://hub.example/v1/ws"),
    ],
)  # fmt: skip
def test_the_address_of_a_server_leads_to_its_websocket(
    run: Evaluate, given: str, socket: str
) -> None:
    assert (
        run(
            f"return (await import('/static/client/address.js')).socketAddress({given!r}, 'https://page.example/a/b')"
        )
        == socket
    )


@pytest.mark.parametrize("given", ["ftp://hub.example", "localhost:8000", "http://", "mailto:x"])
def test_an_address_that_leads_nowhere_is_an_error_at_once(run: Evaluate, given: str) -> None:
    fault = run(f"""
        const {{ EventHub }} = await import("/static/client.js");
        try {{ new EventHub({given!r}); return "none"; }}
        catch (error) {{ return `${{error.name}}: ${{error.message}}`; }}
    """)
    assert fault.startswith("TypeError: the server's address is ")
    assert "expected https://hub.example" in fault
