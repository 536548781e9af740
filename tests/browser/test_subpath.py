"""Below a path of a proxy, as docs/operations.md says: pages in Chromium, and every transport,
behind real nginx and HAProxy.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.test_landing import Visit, line, shell
from tests.deploy.nginx import Nginx
from tests.harness.clients import WsClient, http, ndjson, sse
from tests.harness.eventhub import EventHubServer
from tests.harness.haproxy import HAProxy

PAGE = (Path(__file__).parents[2] / "docs/operations.md").read_text()


def directives(language: str) -> str:
    """What the page says to add to a proxy's file."""
    [block] = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(block)


@pytest.fixture(scope="module", params=["nginx", pytest.param("haproxy", marks=pytest.mark.proof)])
def hub(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SimpleNamespace]:
    """The address below which a server is."""
    with EventHubServer(tmp_path_factory.mktemp("hub"), "proxies: [127.0.0.1]") as server:
        directory = tmp_path_factory.mktemp(request.param)
        front = (
            Nginx(directory, [server.port] * 2, directives("nginx"))
            if request.param == "nginx"
            else HAProxy(directory, [server], directives("haproxy"))
        )
        with front:
            yield SimpleNamespace(
                url=f"{front.url}/hub",
                ws_url=f"ws://127.0.0.1:{front.port}/hub/v1/ws",
                direct=server.url,
            )


def test_every_link_of_every_page_leads_somewhere_below_the_path(
    hub: SimpleNamespace, identity: Visit
) -> None:
    seen = set()
    for path, ready in (
        ("/", "#channels li"),
        ("/chat", "#status"),
        ("/explore", "#status"),
        ("/logs", "#levels button"),
        ("/iot", "#status"),
        ("/docs", "#channel-types .links a, #channel-types p a"),
    ):
        page = identity(hub).open(path)
        expect(page.locator(ready).first).to_be_attached()
        seen |= set(page.locator("a[href]").evaluate_all("(all) => all.map(({ href }) => href)"))
        forms = page.locator("form[action]").evaluate_all(
            "(all) => all.map(({ action }) => action)"
        )
        assert all(form.startswith(f"{hub.url}/") for form in forms)
    inside = {
        address.partition("#")[0] for address in seen if address.startswith("http://127.0.0.1")
    }
    assert {f"{hub.url}/", f"{hub.url}/docs", f"{hub.url}/openapi.json"} <= inside
    assert all(address.startswith(f"{hub.url}/") for address in inside)
    answers = {address: http.get(address, follow_redirects=True) for address in inside}
    statuses = {address: answer.status_code for address, answer in answers.items()}
    assert statuses.pop(f"{hub.url}/metrics") == 404  # which both files keep to themselves
    assert statuses == dict.fromkeys(statuses, 200)


def test_people_talk_in_the_chat(hub: SimpleNamespace, identity: Visit) -> None:
    ana, ben = (identity(hub).chat(name, "subpath") for name in ("ana", "ben"))
    ana.get_by_role("textbox", name="Message").fill("hello below a path")
    ana.keyboard.press("Enter")
    expect(ben.locator("#log")).to_contain_text("hello below a path")


def test_the_lines_of_the_landing_page_name_the_path_and_work(
    hub: SimpleNamespace, identity: Visit
) -> None:
    page = identity(hub).open("/")
    expect(page.locator(".line")).to_have_count(6)
    assert json.loads("".join(shell(line(page, "Publish an event"))))["channel"] == "chat.lobby"
    assert f"{hub.ws_url}?channel=" in line(page, "Follow it over WebSocket")


def test_logs_are_followed(hub: SimpleNamespace, identity: Visit) -> None:
    page = identity(hub).open("/logs/logs.subpath.>")
    http.post(
        f"{hub.url}/v1/channels/logs.subpath.a", json={"level": "info", "message": "found"}
    ).raise_for_status()
    expect(page.locator(".line:visible")).to_contain_text("found")


def test_explore_publishes_and_shows(hub: SimpleNamespace, identity: Visit) -> None:
    page = identity(hub).open("/explore/chat.subpath-explored?since=-5")
    expect(page.locator("#status")).to_have_attribute("data-state", "open")
    http.post(
        f"{hub.url}/v1/channels/chat.subpath-explored", json={"sender": "ana", "text": "found"}
    ).raise_for_status()
    expect(page.locator("#rows")).to_contain_text("found")


def test_every_transport_is_there(hub: SimpleNamespace) -> None:
    channel = f"{hub.url}/v1/channels/chat.subpath-streams"
    with (
        WsClient(hub.ws_url) as client,
        sse(f"{channel}/sse") as blocks,
        ndjson(f"{channel}/ndjson") as lines,
    ):
        client.subscribe("chat.subpath-streams")
        messages = (block.message for block in blocks if block.message)
        assert next(lines)["type"] == next(messages)["type"] == "subscribed"
        http.put(channel, content=b'{"sender":"ana","text":"x"}').raise_for_status()
        assert (
            client.until("event")["data"]
            == next(lines)["data"]
            == next(messages)["data"]
            == {"sender": "ana", "text": "x"}
        )


def test_the_openapi_document_leads_to_the_interface(hub: SimpleNamespace) -> None:
    [server] = http.get(f"{hub.url}/openapi.json").json()["servers"]
    base = str(httpx.URL(f"{hub.url}/openapi.json").join(server["url"])).rstrip("/")
    assert http.get(f"{base}/v1/types").json() == http.get(f"{hub.direct}/v1/types").json()


def test_without_its_last_slash_it_leads_to_the_page(hub: SimpleNamespace) -> None:
    answer = http.get(hub.url)
    assert (answer.status_code, str(httpx.URL(hub.url).join(answer.headers["location"]))) == (
        301,
        f"{hub.url}/",
    )
