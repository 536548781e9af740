"""The JavaScript client on pages that are frozen, kept for the back button, throttled or refused,
and the age of what waits to be published.
"""

from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, Route

from tests.browser.conftest import WEB, Evaluate
from tests.browser.elsewhere import Elsewhere
from tests.harness.clients import http
from tests.harness.eventhub import EventHubServer

FOLLOW = """async (server) => {
    const { EventHub } = await import("/static/client.js");
    globalThis.got = [];
    globalThis.statuses = [];
    globalThis.hub = new EventHub(server, { onStatus: (status) => statuses.push(status) });
    hub.subscribe("logs.page", { onEvent: ({ data }) => got.push(data.message) });
}"""


def publish(server: EventHubServer, message: str) -> None:
    event = {"level": "info", "message": message}
    http.post(f"{server.url}/v1/channels/logs.page", json=event).raise_for_status()


def follow(page: Page, server: EventHubServer) -> None:
    page.goto(server.url)
    page.evaluate(FOLLOW, server.url)
    subscribed(server, 1)


def subscribed(server: EventHubServer, count: int) -> None:
    def found() -> int:
        channels = http.get(f"{server.url}/v1/channels?match=logs.page").json()["channels"]
        return sum(each["subscribers"] for each in channels)

    server.eventually(f"{count} subscribers", found, lambda seen: seen == count)


def got(page: Page, *messages: str) -> None:
    page.wait_for_function(f"() => got.length >= {len(messages)}", timeout=60_000)
    assert page.evaluate("() => got") == list(messages)


def test_a_frozen_page_has_no_connection_and_resumes_when_it_is_thawed(
    fragile_server: EventHubServer, browser: Browser
) -> None:
    page = browser.new_page()
    follow(page, fragile_server)
    publish(fragile_server, "before")
    got(page, "before")
    tell = "() => document.dispatchEvent(new Event('{}'))"
    page.evaluate(tell.format("freeze"))  # Chromium without a window freezes no page by itself
    subscribed(fragile_server, 0)
    publish(fragile_server, "frozen")
    page.evaluate(tell.format("resume"))
    got(page, "before", "frozen")
    states = page.evaluate("() => statuses.map(({ state, reason }) => reason ?? state)")
    page.close()
    assert states == ["connecting", "open", "the page is frozen", "connecting", "open"]


def test_a_page_that_is_kept_for_the_back_button_closes_its_connection(
    fragile_server: EventHubServer, browser: Browser
) -> None:
    page = browser.new_page()
    follow(page, fragile_server)
    event = "() => dispatchEvent(new PageTransitionEvent('{}', {{ persisted: {} }}))"
    page.evaluate(event.format("pagehide", "false"))  # it goes for good
    page.evaluate(event.format("pageshow", "false"))
    assert page.evaluate("() => hub.status.state") == "open"
    page.evaluate(event.format("pagehide", "true"))  # Chromium without a window keeps no page
    subscribed(fragile_server, 0)
    publish(fragile_server, "away")
    page.evaluate(event.format("pageshow", "true"))
    got(page, "away")
    page.close()


def test_timers_that_are_a_minute_late_end_no_live_connection(run: Evaluate) -> None:
    states, sockets, pings = run("""
        const { hub, socket, sockets, statuses, clock } = await start();
        hub.subscribe("a.b");
        socket().hello();
        accept(socket(), "a.b", "k-0");
        for (let minute = 1; minute < 6; minute += 1) {
            socket().say(event("a.b", `k-${minute}`));
            clock.late(60);
            if (socket().sent.at(-1).type === "ping") socket().say({ type: "pong" });
        }
        const pings = socket().sent.filter(({ type }) => type === "ping").length;
        return [statuses.map(({ state }) => state), sockets.length, pings > 0];
    """)
    assert (states, sockets, pings) == (["connecting", "open"], 1, True)


def test_a_page_of_another_origin_learns_what_the_server_must_list(
    fragile_server: EventHubServer, browser: Browser
) -> None:
    def from_disk(route: Route) -> None:
        file = WEB / urlsplit(route.request.url).path.removeprefix("/static/")
        route.fulfill(body=file.read_bytes(), content_type="text/javascript")

    page = browser.new_page()
    page.route("**/static/**", from_disk)
    with Elsewhere() as elsewhere:
        page.goto(elsewhere.origin)
        page.evaluate(FOLLOW, fragile_server.url)
        page.wait_for_function("() => statuses.at(-1).state === 'stopped'", timeout=60_000)
        status = page.evaluate("() => statuses.at(-1)")
        page.close()
    assert status["code"] == "origin_not_allowed"
    assert elsewhere.origin in status["reason"]
    assert "`origins` in the configuration" in status["reason"]


MAX_AGE = """
    const { hub, socket, clock } = await start();
    const sent = () => socket().sent.map(({ data }) => data);
    const again = () => {
        clock.advance(60);
        while (hub.status.state !== "connecting") clock.advance(1);
        socket().hello();
    };
"""


def test_what_waits_longer_than_its_age_is_not_published(run: Evaluate) -> None:
    first, second, sent = run(f"""{MAX_AGE}
        const first = outcome(hub.publish("a.b", "typing", {{ maxAge: 5 }}));
        const second = outcome(hub.publish("a.b", "order", {{ maxAge: 5 }}));
        clock.advance(3);
        socket().hello();
        const ref = socket().sent[0].ref;
        socket().say({{ type: "published", ref, channel: "a.b", id: "k-1", time: "" }});
        socket().drop();
        again();
        hub.publish("a.b", "lasting");
        return [await first, await second, sent()];
    """)
    assert first["value"]["id"] == "k-1"
    assert second["code"] == "too_old"
    assert sent == ["lasting"]


def test_what_is_sent_is_answered_however_old_it_is(run: Evaluate) -> None:
    found = run(f"""{MAX_AGE}
        socket().hello();
        const waiting = outcome(hub.publish("a.b", 1, {{ maxAge: 1 }}));
        clock.advance(5);
        const {{ ref }} = socket().sent[0];
        socket().say({{ type: "published", ref, channel: "a.b", id: "k-1", time: "" }});
        return (await waiting).value.id;
    """)
    assert found == "k-1"


def test_an_age_counts_while_the_machine_sleeps(run: Evaluate) -> None:
    code, sent = run("""
        const { hub, socket, clock } = await start({ maxAge: 30 });
        const waiting = outcome(hub.publish("a.b", 1));
        clock.set += 3_600_000; // the other clock, and its timers, stood still
        socket().hello();
        return [(await waiting).code, socket().sent];
    """)
    assert (code, sent) == ("too_old", [])
