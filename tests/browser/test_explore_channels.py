"""The explorer's list of channels and types, with a real server."""

import time
from collections.abc import Callable, Iterator

import jwt
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Visitor
from tests.browser.test_explore import publish
from tests.harness.clients import WsClient, http
from tests.harness.eventhub import EventHubServer

Visit = Callable[..., Visitor]
SECRET = "a secret of at least thirty-two bytes"
GUARDED = f"""
auth: {{tokens: {{keys: [{{algorithm: HS256, secret: {SECRET}}}]}}}}
channels: {{chat: {{payload: chat}}}}
"""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    """A server with 120 channels of logs and one of readings."""
    with EventHubServer(tmp_path_factory.mktemp("many")) as running:
        items = [
            {"channel": f"logs.n{number:03}", "data": {"level": "info", "message": "x"}}
            for number in range(120)
        ]
        http.post(f"{running.url}/v1/events", json=items).raise_for_status()
        publish(running, "iot.hall.t1", {"value": 1}, {"value": 2})
        yield running


def names(page: Page) -> Locator:
    return page.locator("#channels th")


def test_channels_are_listed_with_what_they_hold(many: EventHubServer, identity: Visit) -> None:
    with WsClient(many.ws_url) as client:
        client.subscribe("iot.hall.t1")
        page = identity(many).open("/explore?match=iot.>")
        row = page.locator("#channels tr")
        expect(row).to_have_count(1)
        expect(row.locator("th")).to_have_text("iot.hall.t1")
        expect(row.locator(".kept")).to_have_text("2")
        expect(row.locator(".subscribers")).to_have_text("1")
        expect(row.locator(".head")).to_contain_text("-2")
        expect(row.locator(".rate")).to_have_text("0")
        publish(many, "iot.hall.t1", {"value": 3})
        expect(row.locator(".kept")).to_have_text("3")
    row.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("iot.hall.t1")
    expect(page.locator("#rows .id")).to_have_count(3)


def test_pages_and_the_search_lead_to_every_channel(many: EventHubServer, identity: Visit) -> None:
    page = identity(many).open("/explore")
    expect(names(page)).to_have_count(100)
    page.get_by_role("button", name="Next").click()
    expect(names(page)).to_have_count(21)
    expect(names(page).last).to_have_text("logs.n119")
    page.get_by_role("button", name="Previous").click()
    expect(names(page).first).to_have_text("iot.hall.t1")
    search = page.get_by_role("searchbox", name="Search channels")
    search.fill("N11")
    expect(names(page)).to_have_count(10)
    search.fill("hall")
    expect(names(page)).to_have_text(["iot.hall.t1"])
    search.fill("iot.*.t1")
    expect(page.get_by_role("link", name="Follow iot.*.t1")).to_be_visible()
    search.fill("iot.>.t1")
    expect(page.locator("#search-fault")).to_contain_text("iot.>.t1")
    search.fill("nowhere")
    expect(page.get_by_role("heading", name="No channel fits")).to_be_visible()
    assert page.url.endswith("/explore?match=nowhere")


def test_types_open_to_their_fields(many: EventHubServer, identity: Visit) -> None:
    page = identity(many).open("/explore")
    page.locator("#types summary", has_text="iot").click()
    opened = page.locator("#types details[open]")
    expect(opened.locator("dt code")).to_have_text(["value", "unit", "sensor", "quality", "time"])
    expect(opened.locator(".need").first).to_have_text("required")
    opened.get_by_role("link", name="Follow iot.>").click()
    expect(page.locator("#rows .chip").first).to_have_text("channel iot.hall.t1")


def test_the_old_address_of_a_channel_leads_to_its_page(
    many: EventHubServer, identity: Visit
) -> None:
    page = identity(many).open("/explore?channel=iot.hall.t1&since=earliest")
    page.wait_for_url("**/explore/iot.hall.t1?since=earliest")
    expect(page.get_by_role("heading", level=1)).to_have_text("iot.hall.t1")


def test_without_a_network_the_numbers_stay_and_are_called_old(
    many: EventHubServer, identity: Visit
) -> None:
    visitor = identity(many)
    page = visitor.open("/explore?match=iot.>")
    expect(names(page)).to_have_count(1)
    visitor.context.set_offline(True)
    expect(page.locator("#looked")).to_contain_text("these numbers are old")
    expect(names(page)).to_have_count(1)
    visitor.context.set_offline(False)
    expect(page.locator("#looked")).to_have_text("1 channel")


def test_a_server_that_needs_a_token_asks_for_it(
    tmp_path_factory: pytest.TempPathFactory, identity: Visit
) -> None:
    with EventHubServer(tmp_path_factory.mktemp("guarded"), GUARDED) as guarded:
        page = identity(guarded).open("/explore")
        expect(page.locator("#channels-state")).to_have_attribute("data-kind", "refused")
        claims = {"sub": "ana", "exp": time.time() + 600, "channels": {"subscribe": [">"]}}
        page.get_by_label("Token or API key").fill(jwt.encode(claims, SECRET, algorithm="HS256"))
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="No channels yet")).to_be_visible()
        expect(page.locator("#token")).to_be_hidden()
