"""What a web page of somebody else can do with a server on this machine: nothing, unless the
configuration lists it.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from playwright.sync_api import Error as PlaywrightError

from tests.browser.elsewhere import Elsewhere
from tests.conftest import Start
from tests.harness.clients import WsClient, http
from tests.harness.eventhub import EventHubServer
from tests.harness.ports import free_port

BLOCKED = "chrome-error://chromewebdata/"
EVENT = '{"sender":"eve","text":"x"}'
TRIES = """
    const late = () => new Promise((_, reject) =>
        setTimeout(() => reject(new Error("nothing happened")), 30_000));
    const within = (steps) => Promise.race([steps, late()]);
    const socket = (url, protocols) => within(new Promise((resolve) => {
        const socket = new WebSocket(url, protocols);
        let said = "";
        socket.onmessage = ({ data }) =>
            (JSON.parse(data).type === "hello" ? resolve("open") : (said = JSON.parse(data).code));
        socket.onclose = ({ code }) => resolve([said, code]);
    }));
    const source = (url, options) => within(new Promise((resolve) => {
        const source = new EventSource(url, options);
        source.addEventListener("subscribed", () => { source.close(); resolve("open"); });
        source.onerror = () =>
            resolve(source.readyState === EventSource.CLOSED ? "closed" : "trying again");
    }));
    const asked = (url, options) => within(
        fetch(url, options).then(({ status, type }) => `${type} ${status}`, ({ name }) => name));
    const element = (name, fields) => within(new Promise((resolve) => {
        const made = Object.assign(document.createElement(name), fields);
        made.onload = () => resolve("load");
        made.onerror = () => resolve("error");
        document.body.append(made);
    }));
"""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    with Elsewhere() as running:
        yield running


class Foreign:
    """A tab of a foreign page, and the server that it would use."""

    def __init__(self, page: Page, server: EventHubServer, address: str) -> None:
        self.page = page
        self.server = server
        page.goto(address)

    def run(self, body: str) -> Any:
        """The body of an async function that has the helpers of TRIES, `base`, `ws` and `event`."""
        base, own = self.server.url, self.server.ws_url
        return self.page.evaluate(
            f"async ([base, ws, event]) => {{ {TRIES} {body} }}", [base, own, EVENT]
        )


@pytest.fixture
def foreign(browser: Browser, elsewhere: Elsewhere, server: EventHubServer) -> Iterator[Foreign]:
    """It is of another port and another name of this machine, and the server is as it comes."""
    context = browser.new_context()
    yield Foreign(context.new_page(), server, f"{elsewhere.origin}/")
    context.close()


def said(server: EventHubServer, channel: str) -> list[str]:
    events = http.get(f"{server.url}/v1/channels/{channel}").json()["events"]
    return [event["data"]["text"] for event in events]


@pytest.mark.parametrize(
    "offered", ["undefined", "'eventhub.v1'", "['eventhub.v1', 'eventhub.bearer.x']"]
)
def test_no_websocket_is_served_and_the_page_sees_why(foreign: Foreign, offered: str) -> None:
    assert foreign.run(f"return socket(`${{ws}}?channel=chat.hijack`, {offered});") == [
        "origin_not_allowed",
        4403,
    ]


@pytest.mark.parametrize(
    "path", ["/v1/channels/chat.hijack/sse", "/v1/sse?channel=chat.hijack&member=eve"]
)
def test_no_event_source_opens_and_it_does_not_try_again(foreign: Foreign, path: str) -> None:
    for options in ("undefined", "{ withCredentials: true }"):
        assert foreign.run(f"return source(`${{base}}{path}`, {options});") == "closed"


PUBLISHING = {
    "simple": "await asked(url, { method: 'POST', mode: 'no-cors', body: event });",
    "text/plain": (
        "await asked(url, { method: 'POST', body: event, "
        "headers: { 'Content-Type': 'text/plain' } });"
    ),
    "json": (
        "await asked(url, { method: 'POST', body: event, "
        "headers: { 'Content-Type': 'application/json' } });"
    ),
    "put": "await asked(url, { method: 'PUT', body: event });",
    "credentials": "await asked(url, { method: 'POST', body: event, credentials: 'include' });",
    "ndjson": (
        "await asked(url, { method: 'POST', mode: 'no-cors', "
        "body: new Blob([event + '\\n'], { type: 'application/x-ndjson' }) });"
    ),
    "no referrer": (
        "await asked(url, { method: 'POST', mode: 'no-cors', body: event, "
        "referrerPolicy: 'no-referrer' });"
    ),
    "beacon": "navigator.sendBeacon(url, event);",
}
"""Ways to send an event from a page."""


@pytest.mark.parametrize("way", PUBLISHING)
def test_nothing_is_published_whatever_kind_of_request_brings_it(
    foreign: Foreign, way: str
) -> None:
    path = f"/v1/channels/chat.csrf-{list(PUBLISHING).index(way)}"
    with WsClient(f"{foreign.server.ws_url}?channel={path.rpartition('/')[2]}") as listener:
        listener.until("subscribed")
        foreign.run(
            f"const url = `${{base}}{path}`; "
            f"{PUBLISHING[way]} await asked(`${{base}}/v1/types?after`, {{ mode: 'no-cors' }});"
        )
        listener.send(
            type="publish",
            channel=path.rpartition("/")[2],
            data={"sender": "ana", "text": "the first"},
        )
        assert listener.until("event")["data"]["text"] == "the first"
    assert said(foreign.server, path.rpartition("/")[2]) == ["the first"]


SUBMITTING = """([sandbox, content]) => {
    document.body.innerHTML = `<iframe ${sandbox}></iframe>`;
    document.body.firstChild.srcdoc = content;
}"""


@pytest.mark.parametrize("sandbox", ["", "sandbox='allow-forms allow-scripts'"])
def test_a_form_that_is_sent_publishes_nothing(foreign: Foreign, sandbox: str) -> None:
    """`{"sender":"eve","text":"=x"}` is what a form of type text/plain makes of such a field."""
    form = (
        f"<form method=post enctype=text/plain action='{foreign.server.url}/v1/channels/chat.form'>"
    )
    field = """<input name='{"sender":"eve","text":"' value='x"}'>"""
    content = f"{form}{field}</form><script>document.forms[0].submit()</script>"
    foreign.page.evaluate(SUBMITTING, [sandbox, content])
    (frame,) = foreign.page.frames[1:]
    frame.wait_for_url("**/v1/channels/chat.form")
    assert '"code":"origin_not_allowed"' in frame.content()
    assert said(foreign.server, "chat.form") == []


def test_history_and_presence_cannot_be_read(foreign: Foreign) -> None:
    http.post(
        f"{foreign.server.url}/v1/channels/chat.secret", json={"sender": "ana", "text": "secret"}
    ).raise_for_status()
    for path in (
        "/v1/channels/chat.secret",
        "/v1/channels/chat.secret/presence",
        "/v1/channels/chat.secret/ndjson?since=earliest",
    ):
        for options in (
            "{}",
            "{ credentials: 'include' }",
            "{ headers: { Authorization: 'Bearer x' } }",
        ):
            assert foreign.run(f"return asked(`${{base}}{path}`, {options});") == "TypeError", path
        assert (
            foreign.run(f"return asked(`${{base}}{path}`, {{ mode: 'no-cors' }});") == "TypeError"
        ), "not even unread"


@pytest.mark.parametrize("name", ["script", "img", "audio", "link"])
def test_answers_cannot_be_embedded(foreign: Foreign, name: str) -> None:
    """`link` as a style sheet: these too are asked for without an Origin."""
    where = "href" if name == "link" else "src"
    for path in (
        "/v1/channels/chat.embedded",
        "/v1/types",
        "/openapi.json",
        "/static/pages/common/base.css",
        "/static/pages/common/favicon.svg",
    ):
        fields = f"{{ {where}: `${{base}}{path}`, rel: 'stylesheet' }}"
        assert foreign.run(f"return element('{name}', {fields});") == "error", path


ASKING = {
    "image": "new Image().src = url;",
    "background": "document.body.style.backgroundImage = `url(${url})`;",
    "script": "add('script', { src: url });",
    "video": "add('video', { src: url });",
    "object": "add('object', { data: url });",
    "frame": "add('iframe', { src: url });",
    "prefetch": "add('link', { rel: 'prefetch', href: url });",
    "prefetched document": "add('link', { rel: 'prefetch', as: 'document', href: url });",
    "preload": "add('link', { rel: 'preload', as: 'fetch', href: url });",
    "prefetch rule": "rule({ prefetch: [{ source: 'list', urls: [url] }] });",
    "prerender": "rule({ prerender: [{ source: 'list', urls: [url] }] });",
    "fetch": "fetch(url, { mode: 'no-cors' }).catch(() => {});",
    "fetch as EventSource": (
        "fetch(url, { mode: 'no-cors', headers: { Accept: 'text/event-stream' } }).catch(() => {});"
    ),
    "event source": "new EventSource(url);",
    "window": "open(url);",
    "window without referrer": "open(url, '_blank', 'noreferrer');",
    "form": (
        "const form = add('form', { action: url, target: '_blank' }); "
        "form.innerHTML = '<input name=member value=eve>'; form.submit();"
    ),
    "navigation": "location.href = url;",
}
"""Ways in which a page has its visitor's browser ask for an address."""
HELPERS = """
    const add = (name, fields) =>
        document.body.appendChild(Object.assign(document.createElement(name), fields));
    const rule = (rules) =>
        add("script", { type: "speculationrules", text: JSON.stringify(rules) });
"""


ARRIVE = {
    "localhost": ASKING.keys(),
    "127.0.0.1": ASKING.keys(),
    "any.localhost": ASKING.keys(),
    "[::ffff:127.0.0.1]": ASKING.keys() - {"prefetch rule", "prerender"},
    "0.0.0.0": set(),  # it blocks all by itself
}
"""Which of them Chromium sends there."""


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        *(pytest.param(host, marks=pytest.mark.proof) for host in ARRIVE if host != "127.0.0.1"),
    ],
)
def test_no_page_makes_its_visitor_a_member(
    browser: Browser, elsewhere: Elsewhere, start: Start, host: str
) -> None:
    """Whatever it embeds, fetches ahead, opens or leads to: no request that the server answers
    becomes a stream.
    """
    server = start("log: {access: true}")
    rooms = {way: f"chat.asked-{number}" for number, way in enumerate(ASKING)}
    with WsClient(server.ws_url) as watcher, browser.new_context() as context:
        for room in rooms.values():
            assert watcher.subscribe(room, presence=True)["members"] == []
        for way, script in ASKING.items():
            page = context.new_page()
            page.goto(f"{elsewhere.origin}/")
            url = f"http://{host}:{server.port}/v1/channels/{rooms[way]}/sse?member=eve"
            with suppress(PlaywrightError):  # the page was left
                page.evaluate(f"(url) => {{ {HELPERS} {script} }}", url)

        def logged() -> dict[str, set[int]]:
            lines = server.lines("request")
            found = {
                way: {line["status"] for line in lines if f"/{room}/" in line["path"]}
                for way, room in rooms.items()
            }
            return {way: statuses for way, statuses in found.items() if statuses}

        statuses = server.eventually(
            f"requests by {ARRIVE[host]}, or nothing was shown",
            logged,
            lambda seen: ARRIVE[host] <= seen.keys(),
        )
        assert {way: found for way, found in statuses.items() if not found <= {403, 421}} == {}
        for room in rooms.values():
            watcher.send(type="unsubscribe", channel=room)
            assert watcher.receive()["type"] == "unsubscribed", "nobody has joined"


def test_a_visitor_who_opens_a_stream_is_a_member(browser: Browser, server: EventHubServer) -> None:
    with WsClient(server.ws_url) as watcher, browser.new_context() as context:
        watcher.subscribe("chat.opened", presence=True)
        page = context.new_page()
        page.goto(f"{server.url}/livez")
        page.evaluate(
            "() => { window.source = new EventSource('/v1/channels/chat.opened/sse?member=ana'); }"
        )
        assert watcher.until("join")["member"] == {"id": "ana"}


@pytest.mark.parametrize(
    "path", ["/", "/chat/framed", "/explore", "/docs", "/static/pages/landing/landing.js"]
)
def test_no_page_is_shown_in_a_frame(foreign: Foreign, path: str) -> None:
    foreign.run(f"await element('iframe', {{ src: `${{base}}{path}` }});")
    foreign.page.frames[1].wait_for_url(BLOCKED)


def test_an_opened_page_cannot_be_reached_from_the_one_that_opened_it(foreign: Foreign) -> None:
    with foreign.page.expect_popup() as popup:
        foreign.page.evaluate(
            "(url) => { window.opened = open(url); }", f"{foreign.server.url}/docs"
        )
    expect(popup.value.get_by_role("heading", level=1)).to_contain_text("API")
    assert foreign.page.evaluate("opened.closed"), "as it seems from there"
    assert popup.value.evaluate("opener === null")


# The same page, where the configuration lists it


@pytest.fixture
def listed(browser: Browser, elsewhere: Elsewhere, start: Start) -> Iterator[Foreign]:
    context = browser.new_context()
    yield Foreign(
        context.new_page(), start(f"origins: ['{elsewhere.origin}']"), f"{elsewhere.origin}/"
    )
    context.close()


def test_a_listed_page_connects_reads_and_publishes(listed: Foreign) -> None:
    assert listed.run("return socket(`${ws}?channel=chat.a`, 'eventhub.v1');") == "open"
    for options in ("undefined", "{ withCredentials: true }"):
        assert (
            listed.run(f"return source(`${{base}}/v1/channels/chat.a/sse`, {options});") == "open"
        )
    added = (
        "'Cache-Control': 'no-cache', 'X-Requested-With': 'XMLHttpRequest', baggage: 'a=b', "
        "tracestate: 'a=b', 'Last-Event-ID': ''"
    )
    for credentials in ("include", "omit"):
        asked = (
            "asked(`${base}/v1/channels/chat.a`, "
            f"{{ credentials: '{credentials}', headers: {{ {added} }} }})"
        )
        assert listed.run(f"return {asked};") == "cors 200"
    headers = "{ 'Idempotency-Key': 'k', Authorization: 'Bearer x' }"
    sent = (
        "asked(`${base}/v1/channels/chat.a`, "
        f"{{ method: 'POST', body: event, headers: {headers} }})"
    )
    assert listed.run(f"return {sent};") == "cors 201"
    read = listed.run(
        "const { events } = await (await fetch(`${base}/v1/channels/chat.a`)).json();"
        " return events.map(({ data }) => data.text);"
    )
    assert read == ["x"] == said(listed.server, "chat.a")


def test_a_listed_page_imports_the_client_module(listed: Foreign) -> None:
    script = """
        const { EventHub } = await import(`${base}/static/client.js`);
        const hub = new EventHub(ws);
        const followed = within(new Promise((resolve) =>
            hub.subscribe("chat.module", { onEvent: ({ data }) => resolve(data.text) })));
        await within(hub.publish("chat.module", JSON.parse(event)));
        return followed;
    """
    assert listed.run(script) == "x"


def test_a_listed_page_is_still_shown_in_no_frame(listed: Foreign) -> None:
    listed.run("await element('iframe', { src: `${base}/chat` });")
    listed.page.frames[1].wait_for_url(BLOCKED)


# DNS rebinding: a page of http://rebound.test:PORT, whose name now leads to another server


def attack(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate(
        f"""async (event) => {{ {TRIES}
        const url = "/v1/channels/chat.rebound";
        return {{
            socket: await socket(`ws://${{location.host}}/v1/ws?channel=chat.rebound`),
            source: await source(`${{url}}/sse?member=eve`),
            post: await asked(url, {{ method: "POST", body: event }}),
            history: await asked(url),
            page: await asked("/chat"),
            forwarded: await asked(url, {{
                headers: {{ "X-Forwarded-Host": "localhost", "X-Forwarded-For": "127.0.0.1" }},
            }}),
        }};
    }}""",
        EVENT,
    )
    return found


def test_a_page_whose_name_was_rebound_gets_nothing_although_it_is_of_our_origin(
    browser: Browser, tmp_path: Path
) -> None:
    port = free_port()
    origin = f"http://rebound.test:{port}"
    with (
        EventHubServer(tmp_path, f"origins: ['{origin}']", port=port) as server,
        browser.new_context() as context,
    ):
        page = context.new_page()
        page.goto(f"{origin}/livez")
        read = dict.fromkeys(("history", "page", "forwarded"), "basic 200")
        assert attack(page) == {"socket": "open", "source": "open", "post": "basic 201", **read}, (
            "where it is listed"
        )
        server.stop()
        server.config.write_text("")
        server.start()
        refused = dict.fromkeys(("post", "history", "page", "forwarded"), "basic 421")
        assert attack(page) == {
            "socket": ["misdirected_request", 4421],
            "source": "closed",
            **refused,
        }
        assert (
            page.evaluate("async () => (await (await fetch('/v1/types')).json()).code")
            == "misdirected_request"
        )
        assert said(server, "chat.rebound") == []
