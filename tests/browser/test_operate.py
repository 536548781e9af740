"""The page of operators with a real server: figures, connections, blocks, the log level."""

import re
import time
from collections.abc import Callable, Iterator

import jwt
import pytest
from playwright.sync_api import Page, expect

from eventhub.auth.keys import hash_key
from tests.browser.conftest import Evaluate, Visitor
from tests.harness.clients import WsClient, http
from tests.harness.eventhub import EventHubServer

Visit = Callable[..., Visitor]
SECRET = "a secret of at least thirty-two bytes"
OPERATOR = "ehk_operator-0123456789"
HEADERS = {"Authorization": f"Bearer {OPERATOR}"}
CONFIG = f"""
auth:
  keys: [{{name: boss, hash: "{hash_key(OPERATOR)}", operator: true, subscribe: ['>']}}]
  tokens: {{keys: [{{algorithm: HS256, secret: {SECRET}}}]}}
channels:
  chat: {{payload: json, publish: [client, producer], anonymous: [subscribe, publish]}}
"""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    with EventHubServer(tmp_path_factory.mktemp("guarded"), CONFIG) as running:
        yield running


def reader(server: EventHubServer, sub: str) -> WsClient:
    claims = {"sub": sub, "exp": time.time() + 600, "channels": {"subscribe": [">"]}}
    headers = {"Authorization": f"Bearer {jwt.encode(claims, SECRET, algorithm='HS256')}"}
    return WsClient(f"{server.ws_url}?channel=chat.{sub}", additional_headers=headers)


def operate(identity: Visit, server: EventHubServer) -> Page:
    page = identity(server).open(f"/operate#token={OPERATOR}")
    expect(page.locator("#content")).to_be_visible()
    return page


def test_without_a_key_the_page_asks_for_one(guarded: EventHubServer, identity: Visit) -> None:
    page = identity(guarded).open("/operate")
    expect(page.get_by_role("heading", name="Only operators see this page")).to_be_visible()
    page.get_by_role("textbox", name="API key").fill(OPERATOR)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Slowest readers, on all nodes")).to_be_visible()
    expect(page.locator("#token")).to_be_hidden()


def test_a_server_without_authentication_asks_for_no_key(
    server: EventHubServer, identity: Visit
) -> None:
    page = identity(server).open("/operate")
    expect(page.get_by_role("heading", name="This server has no operators")).to_be_visible()
    expect(page.locator("#state")).to_contain_text("operator: true (auth.keys)")
    expect(page.locator("#token")).to_be_hidden()


def test_the_figures_agree_with_the_metrics(guarded: EventHubServer, identity: Visit) -> None:
    with reader(guarded, "eva") as client:
        client.until("subscribed")
        page = operate(identity, guarded)
        for number in range(3):
            http.post(f"{guarded.url}/v1/channels/chat.eva", json=number).raise_for_status()
        expect(page.locator("#busiest tr").filter(has_text="chat.eva")).to_contain_text("3")
        text = http.get(f"{guarded.url}/metrics", headers=HEADERS).text
        for label, name in (
            ("subscriptions", "subscriptions"),
            ("channels with subscribers", "channels"),
        ):
            values = re.findall(rf"^eventhub_{name}(?:{{.*}})? ([0-9.e+]+)$", text, re.MULTILINE)
            figure = page.locator("#figures div").filter(has=page.get_by_text(label, exact=True))
            expect(figure.locator("dd")).to_have_text(f"{sum(map(float, values)):g}")
        expect(page.locator("#nodes tr")).to_have_count(1)


def test_a_reader_is_disconnected_blocked_and_let_in_again(
    guarded: EventHubServer, identity: Visit
) -> None:
    with reader(guarded, "ana") as client:
        client.until("subscribed")
        page = operate(identity, guarded)
        page.get_by_role("button", name="Disconnect ana").click()
        assert client.until("error")["code"] == "disconnected"
    expect(page.get_by_text("ana was disconnected")).to_be_visible()
    with reader(guarded, "ana") as client:
        client.until("subscribed")
        page.get_by_role("button", name="Block ana").click()
        expect(page.locator("#block-name")).to_have_value("ana")
        page.locator("#block-for").fill("5m")
        page.keyboard.press("Enter")
        assert client.until("error")["code"] == "revoked"
    expect(page.locator("#blocks tr")).to_contain_text(["ana"])
    page.get_by_role("button", name="Remove the block of ana").click()
    expect(page.locator("#blocks")).to_have_text("Nobody is blocked")
    assert http.get(f"{guarded.url}/v1/admin/blocks", headers=HEADERS).json() == {"blocks": []}


def test_a_fault_of_the_operator_is_explained(guarded: EventHubServer, identity: Visit) -> None:
    page = operate(identity, guarded)
    page.get_by_label("Kind").select_option("key")
    page.get_by_label("Name").fill("boss")
    page.get_by_role("button", name="Block", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="is this operator")).to_be_visible()


def test_the_level_of_the_log_is_changed(guarded: EventHubServer, identity: Visit) -> None:
    page = operate(identity, guarded)
    page.get_by_label("Log level of all nodes").select_option("error")
    expect(page.get_by_text("All nodes log from the level error")).to_be_visible()
    expect(page.locator("#nodes")).to_contain_text("error")
    answer = http.get(f"{guarded.url}/v1/admin/log", headers=HEADERS).json()
    assert set(answer["nodes"].values()) == {"error"}


def test_over_a_restart_old_figures_are_marked_and_new_ones_follow(
    guarded: EventHubServer, identity: Visit
) -> None:
    page = operate(identity, guarded)
    guarded.stop()
    expect(page.get_by_text("The server does not answer: these figures are old.")).to_be_visible()
    expect(page.locator("#nodes tr")).to_have_count(1)
    guarded.start()
    expect(page.locator("#updated.stale")).to_have_count(0)
    with reader(guarded, "mei") as client:
        client.until("subscribed")
        expect(page.locator("#slowest")).to_contain_text("mei")


def test_rates_are_counted_between_two_looks(run: Evaluate) -> None:
    script = """
        const { sumsOf, figuresOf, busiest, targetOf } =
            await import("/static/pages/operate/figures.js");
        const text = (n) => `# HELP eventhub_gaps x
eventhub_events_published_total{type="a"} ${n}
eventhub_events_published_total{type="b"} 1.5e+02
eventhub_connections{transport="websocket"} 7
`;
        const figures = figuresOf(sumsOf(text(10)), sumsOf(text(30)), 4);
        const channels = [
            { name: "a", head: "e-10", subscribers: 1 },
            { name: "b", head: "e-4", subscribers: 9 },
            { name: "c", head: "f-90", subscribers: 2 },
        ];
        const before = [{ name: "a", head: "e-2" }, { name: "c", head: "e-1" }];
        return [
            figures.filter(([, value]) => value),
            busiest(before, channels, 2, 2).map(({ name, rate }) => [name, rate]),
            [targetOf({ kind: "token", name: "x" }), targetOf({ kind: "anonymous" })],
        ];
    """
    assert run(script) == [
        [["published/s", 5], ["connections", 7]],
        [["a", 4], ["b", 0]],
        [{"subject": "x"}, None],
    ]
