"""Patterns in the JavaScript client: on a fake socket, and on a real server that is killed."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import Evaluate
from tests.harness.clients import http
from tests.harness.eventhub import EventHubServer

POSITIONS = """(positions, complete = true) =>
    socket().say({ type: "positions", channel: "iot.>", positions, complete })"""
BEGIN = f"""
    const {{ hub, socket, log, handlers, clock }} = await start();
    const places = {POSITIONS};
    const open = async (count = 1) => {{
        const request = await asked(socket(), "iot.>", count);
        socket().say({{ type: "subscribed", ref: request.ref, channel: "iot.>", channels: 2 }});
        return request;
    }};
    const again = async () => {{
        socket().drop();
        clock.advance(2);
        socket().hello();
        return (await open()).since;
    }};
    socket().hello();
"""


def test_a_pattern_resumes_each_channel_where_it_stood(run: Evaluate) -> None:
    log, first, since = run(f"""{BEGIN}
        hub.subscribe("iot.>", handlers);
        const {{ since }} = await open();
        places({{ "iot.a": "k-1", "iot.b": "k-7" }}, false);
        places({{ "iot.c": "k-3" }});
        socket().say(event("iot.a", "k-2"), event("iot.new.one", "n-1"));
        socket().say({{ type: "gap", channel: "iot.b", position: "k-9", reason: "expired" }});
        socket().say({{ type: "position", channel: "iot.c", position: "k-30" }});
        socket().say(event("iot.a", "k-2"));
        return [log, since, await again()];
    """)
    assert first == "latest"
    assert since == {"iot.a": "k-2", "iot.b": "k-9", "iot.c": "k-30", "iot.new.one": "n-1"}
    assert [each for each in log if each[0] in ("event", "gap", "replayed")] == [
        ["replayed", 0, False],
        ["event", "k-2", False],
        ["event", "n-1", False],
        ["gap", "k-9", "expired"],
    ]


@pytest.mark.parametrize(
    ("said", "since"),
    [
        ("", "-5"),
        ('places({ "iot.a": "k-1" }, false);', "-5"),
        ('socket().say(event("iot.a", "k-1"));', {"iot.a": "k-1"}),
        ("places({});", {}),
    ],
)
def test_a_pattern_that_knows_no_position_begins_as_before(
    run: Evaluate, said: str, since: object
) -> None:
    found = run(f"""{BEGIN}
        hub.subscribe("iot.>", {{ since: "-5", ...handlers }});
        await open();
        {said}
        return again();
    """)
    assert found == since


def test_positions_that_fit_into_no_message_go_in_parts(run: Evaluate) -> None:
    parts, again = run(f"""{BEGIN}
        const positions = Object.fromEntries(
            Array.from({{ length: 2000 }}, (_, number) => [`iot.a${{number}}`, `k-${{number}}`]));
        hub.subscribe("iot.>", {{ since: positions, where: "data > 1", ...handlers }});
        await asked(socket(), "iot.>", 3);
        const parts = socket().sent.filter(({{ type }}) => type === "subscribe");
        const size = Math.max(...parts.map((part) => JSON.stringify(part).length));
        const all = Object.assign({{}}, ...parts.map((part) => part.since));
        return [
            parts.map(({{ more }}) => more ?? false),
            [size < 16384, JSON.stringify(all) === JSON.stringify(positions)],
        ];
    """)
    assert parts == [True, True, False]
    assert again == [True, True]


def test_subscribers_of_a_pattern_share_it_and_each_gets_all_from_where_it_began(
    run: Evaluate,
) -> None:
    log, sent = run(f"""{BEGIN}
        const note = (name) => ({{ onEvent: ({{ id }}) => log.push([name, id]) }});
        hub.subscribe("iot.>", note("one"));
        await open();
        places({{ "iot.a": "k-5" }});
        socket().say(event("iot.a", "k-6"));
        hub.subscribe("iot.>", {{ since: "earliest", ...note("two") }});
        const second = await open(2);
        for (const id of ["k-4", "k-5", "k-6", "k-7"]) socket().say(event("iot.a", id));
        places({{ "iot.a": "k-7" }});
        const third = await open(3);
        for (const id of ["k-7", "k-8"]) socket().say(event("iot.a", id));
        hub.subscribe("iot.>", note("three"));
        await import("/static/client/patterns.js");
        await new Promise((later) => setTimeout(later));
        socket().say(event("iot.a", "k-9"));
        return [log, [second.since, third.since]];
    """)
    assert [number for name, number in log if name == "one"] == ["k-6", "k-7", "k-8", "k-9"]
    assert [number for name, number in log if name == "two"] == [f"k-{n}" for n in range(4, 10)]
    assert [number for name, number in log if name == "three"] == ["k-9"]
    assert sent == ["earliest", {"iot.a": "k-6"}]


def test_a_part_of_the_states_is_forgotten_before_they_come_again(run: Evaluate) -> None:
    log, since = run(f"""{BEGIN}
        hub.subscribe("iot.>", {{ since: "state", ...handlers }});
        await open();
        socket().say(event("iot.a", "k-1"));
        return [log, await again()];
    """)
    assert [each for each in log if each[0] != "subscribed"] == [
        ["event", "k-1", True],
        ["gap", "k-1", "reset"],
    ]
    assert since == "state"


def test_a_state_of_a_channel_is_read_again_after_a_live_gap(run: Evaluate) -> None:
    since = run(f"""{BEGIN}
        hub.subscribe("iot.>", {{ since: "state", ...handlers }});
        await open();
        socket().say({{ ...event("iot.a", "k-1"), key: "x" }});
        places({{ "iot.a": "k-1", "iot.b": "k-2" }});
        socket().say({{ type: "gap", channel: "iot.a", position: "n-9", reason: "reset" }});
        const reset = (await open(2)).since;
        socket().say({{ ...event("iot.a", "n-9"), key: "x" }});
        places({{ "iot.a": "n-9" }});
        socket().say({{ type: "gap", channel: "iot.a", position: "n-20", reason: "slow" }});
        return [reset, (await open(3)).since];
    """)
    assert since == [
        {"iot.a": "state", "iot.b": "k-2"},
        {"iot.a": "state:n-9", "iot.b": "k-2"},
    ]


def test_a_pattern_that_is_ended_before_its_module_has_come_is_not_subscribed_to(
    run: Evaluate,
) -> None:
    sent = run(f"""{BEGIN}
        hub.unsubscribe(hub.subscribe("iot.>", handlers));
        hub.subscribe("iot.>", handlers);
        hub.unsubscribe("iot.>");
        hub.subscribe("iot.*", handlers);
        await asked(socket(), "iot.*");
        return socket().sent.map(({{ channel }}) => channel);
    """)
    assert sent == ["iot.*"]


def test_a_loop_over_a_pattern_gets_events_of_its_channels(run: Evaluate) -> None:
    found = run(f"""{BEGIN}
        const next = hub.events("iot.>", {{ since: "earliest" }}).next();
        await open();
        socket().say(event("iot.a", "k-1"));
        return (await next).value.channel;
    """)
    assert found == "iot.a"


CONFIG = """
broker: sqlite:///events.db
channels:
  iot: {payload: json, history: {events: 1000}, publish: [producer], key: /id}
"""
CHANNELS = [f"iot.hall.{number}" for number in range(60)]
FOLLOW = """async () => {
    const { EventHub } = await import("/static/client.js");
    const hub = new EventHub(location.origin, { backoff: { base: 0.1, cap: 1 } });
    globalThis.got = [];
    globalThis.replayed = 0;
    hub.subscribe("iot.>", {
        since: "state",
        where: "deleted != null || data.id != 'hidden'",
        onEvent: ({ channel, data, deleted }) => got.push([channel, data?.value ?? deleted]),
        onGap: (gap) => got.push(["gap", gap.reason]),
        onReplayed: () => (globalThis.replayed += 1),
    });
}"""


@pytest.fixture(name="kept")
def kept_fixture(tmp_path: Path) -> Iterator[EventHubServer]:
    with EventHubServer(tmp_path, CONFIG) as running:
        yield running


def publish(server: EventHubServer, value: int, channels: list[str] = CHANNELS) -> None:
    items = [{"channel": each, "data": {"id": "a", "value": value}} for each in channels]
    items.append({"channel": channels[0], "data": {"id": "hidden", "value": value}})
    answer = http.post(f"{server.url}/v1/events", content=json.dumps(items))
    assert answer.status_code == 201, answer.text


def test_the_state_of_a_pattern_and_every_change_come_once_through_a_kill(
    kept: EventHubServer, browser: Browser
) -> None:
    publish(kept, 1)
    publish(kept, 2)
    page = browser.new_page()  # whose console tells of the broken connection
    page.goto(kept.url)
    page.evaluate(FOLLOW)
    page.wait_for_function("() => replayed === 1", timeout=60_000)
    publish(kept, 3)
    kept.kill()
    kept.start()
    publish(kept, 4, [*CHANNELS, "iot.born"])
    http.delete(f"{kept.url}/v1/channels/iot.born?key=a").raise_for_status()
    page.wait_for_function("() => got.some(([, value]) => value === 'a')", timeout=60_000)
    page.wait_for_function("() => replayed >= 2", timeout=60_000)
    got = page.evaluate("() => got")
    page.close()
    for channel in CHANNELS:
        assert [value for name, value in got if name == channel] == [2, 3, 4]
    assert [value for name, value in got if name == "iot.born"] == [4, "a"]
    assert len(got) == 3 * len(CHANNELS) + 2
