"""The publish form of the explorer, made from a JSON Schema, with a real server."""

import json
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.conftest import Visitor
from tests.browser.test_explore import ids, opened
from tests.harness.clients import http
from tests.harness.eventhub import EventHubServer

Visit = Callable[..., Visitor]
CARD = {
    "type": "object",
    "title": "Card",
    "required": ["kind", "last4"],
    "properties": {"kind": {"const": "card"}, "last4": {"type": "string", "pattern": "^[0-9]{4}$"}},
}
TRANSFER = {
    "type": "object",
    "title": "Transfer",
    "required": ["kind", "iban"],
    "properties": {"kind": {"const": "transfer"}, "iban": {"type": "string"}},
}
ORDER = {
    "type": "object",
    "required": ["id", "total", "payment", "lines"],
    "properties": {
        "id": {"type": "string", "minLength": 1},
        "total": {"type": "number", "minimum": 0},
        "note": {"type": ["string", "null"]},
        "gift": {"type": "boolean"},
        "payment": {"oneOf": [CARD, TRANSFER]},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
    },
    "$defs": {
        "line": {
            "type": "object",
            "required": ["sku"],
            "properties": {"sku": {"type": "string", "minLength": 1}, "parts": {"type": "array"}},
        }
    },
}
CONFIG = """
channels:
  orders: {payload: order.json}
  chat: {payload: chat, publish: [client], signals: {publish: [client]}}
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    directory = tmp_path_factory.mktemp("shop")
    (directory / "order.json").write_text(json.dumps(ORDER))
    with EventHubServer(directory, CONFIG) as running:
        yield running


def send(page: Page) -> Locator:
    """Presses the button, and returns what is answered."""
    page.get_by_role("button", name="Publish", exact=True).click()
    return page.locator("#answer")


def stored(server: EventHubServer, channel: str) -> list[dict[str, object]]:
    answer = http.get(f"{server.url}/v1/channels/{channel}").raise_for_status()
    return list(answer.json()["events"])


def named(page: Page, name: str) -> Locator:
    return page.locator("#form").get_by_label(name, exact=True)


def test_nothing_is_published_before_the_type_of_the_channel_is_known(
    shop: EventHubServer, identity: Visit
) -> None:
    visitor, held = identity(shop), list[Route]()
    visitor.context.route("**/v1/types/orders", lambda route: held.append(route))
    page = opened(visitor, "orders.early")
    button = page.get_by_role("button", name="Publish", exact=True)
    expect(button).to_be_disabled()
    page.locator("#to").press("Control+Enter")
    expect(page.locator("#answer")).to_be_hidden()
    held[0].continue_()
    expect(button).to_be_enabled()


def test_a_form_is_filled_in_and_its_faults_are_at_their_fields(
    shop: EventHubServer, identity: Visit
) -> None:
    page = opened(identity(shop), "orders.form")
    expect(send(page)).to_contain_text("422 invalid_event")
    total = page.locator(".slot", has=page.locator(".slot-name", has_text="total")).last
    expect(total.locator(".fault")).to_contain_text("required")
    expect(named(page, "id")).to_have_attribute("aria-invalid", "true")
    named(page, "id").fill("17")
    named(page, "total").fill("much")
    expect(send(page)).to_contain_text("/total: ")
    expect(named(page, "total")).to_be_focused()
    expect(named(page, "id")).not_to_have_attribute("aria-invalid", "true")
    named(page, "total").fill("12.5")
    page.get_by_role("combobox", name="Which of these").select_option("Transfer")
    named(page, "iban").fill("PT50")
    named(page, "note").fill("two\nlines")
    page.get_by_role("button", name="Add item").first.click()
    expect(named(page, "sku")).to_be_focused()
    expect(send(page)).to_contain_text("/lines/0/sku: ")
    expect(named(page, "sku")).to_be_focused()
    page.keyboard.type("a")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#answer")).to_contain_text("201 Created")
    expect(ids(page)).to_have_count(1)
    assert [event["data"] for event in stored(shop, "orders.form")] == [
        {
            "id": "17",
            "total": 12.5,
            "note": "two\nlines",
            "payment": {"kind": "transfer", "iban": "PT50"},
            "lines": [{"sku": "a"}],
        }
    ]


def test_form_and_json_keep_the_value(shop: EventHubServer, identity: Visit) -> None:
    page = opened(identity(shop), "orders.both")
    as_form = page.get_by_role("button", name="Form", exact=True)
    as_json = page.get_by_role("button", name="JSON", exact=True)
    body = page.get_by_label("JSON event")
    as_json.click()
    value = (
        '{"id":"x","total":12345678901234567890,"note":null,"payment":{"kind":"card","last4":"1"},'
        '"lines":[{"sku":7,"parts":[[],{"__proto__":1}]}],"more":{"a":[]}}'
    )
    body.fill(value)
    as_form.click()
    expect(named(page, "total")).to_have_value("12345678901234567890")
    expect(page.get_by_role("button", name="note is null")).to_have_attribute(
        "aria-pressed", "true"
    )
    expect(named(page, "sku")).to_have_value("7")
    expect(named(page, "other fields").locator("visible=true")).to_have_value(
        '{\n  "more": {\n    "a": []\n  }\n}'
    )
    as_json.click()
    assert "".join(body.input_value().split()) == value
    body.fill('{"id":')
    as_form.click()
    expect(page.locator("#body-fault")).to_contain_text("not JSON")
    expect(body).to_be_focused()


def test_several_events_and_one_that_is_repeated(shop: EventHubServer, identity: Visit) -> None:
    page = opened(identity(shop), "orders.many")
    page.get_by_role("button", name="JSON", exact=True).click()
    body = page.get_by_label("JSON event")
    order = {"id": "1", "total": 1, "payment": {"kind": "card", "last4": "1234"}, "lines": []}
    body.fill(json.dumps([order, {**order, "id": ""}]))
    answer = send(page)
    expect(answer).to_contain_text("207 Multi-Status: 1 stored, 1 refused")
    expect(answer).to_contain_text("2: invalid_event")
    page.get_by_label("Each item is an event of its own").uncheck()
    expect(send(page)).to_contain_text("422")
    body.fill(json.dumps(order))
    page.get_by_text("Attributes, key, signal").click()
    page.get_by_label("Idempotency key").fill("once")
    page.get_by_label("subject", exact=True).fill('a "b" ç')
    expect(send(page)).to_contain_text("201 Created")
    expect(send(page)).to_contain_text("it was stored before")
    events = stored(shop, "orders.many")
    assert [event.get("attributes") for event in events] == [None, {"subject": 'a "b" ç'}]


def test_a_publish_without_an_answer_is_repeated_with_its_key(
    shop: EventHubServer, identity: Visit
) -> None:
    visitor = identity(shop)
    keys: list[str | None] = []

    def lose(route: Route) -> None:
        keys.append(route.request.headers.get("idempotency-key"))
        route.fetch()
        route.abort("connectionrefused")

    visitor.context.route("**/v1/channels/orders.lost", lose, times=1)
    page = opened(visitor, "orders.lost")
    page.get_by_role("button", name="JSON", exact=True).click()
    page.get_by_label("JSON event").fill(
        '{"id":"1","total":1,"payment":{"kind":"card","last4":"1234"},"lines":[]}'
    )
    expect(send(page)).to_contain_text("Not sent")
    expect(send(page)).to_contain_text("it was stored before")
    expect(send(page)).to_contain_text("201 Created")
    assert len(stored(shop, "orders.lost")) == 2
    assert keys != [None]


def test_a_type_for_websocket_clients_is_published_to_over_the_websocket(
    shop: EventHubServer, identity: Visit
) -> None:
    page = opened(identity(shop), "chat.form")
    named(page, "text").fill("")
    expect(send(page)).to_contain_text("/text: ")
    expect(named(page, "text")).to_be_focused()
    named(page, "text").fill("over the socket")
    expect(send(page)).to_contain_text("Stored")
    expect(page.locator("#rows")).to_contain_text("over the socket")
    page.get_by_text("Attributes, key, signal").click()
    page.get_by_label("As a signal").check()
    expect(named(page, "text")).to_have_value("over the socket")
    expect(send(page)).to_contain_text("The signal was sent")
    expect(page.locator("#rows tr .id").first).to_have_text("signal")
