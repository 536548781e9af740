"""The page of logs with a real server."""

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Locator, Page, WebSocket, WebSocketRoute, expect

from tests.browser.conftest import Visitor
from tests.harness.clients import http
from tests.harness.eventhub import EventHubServer

Visit = Callable[..., Visitor]


def publish(server: EventHubServer, channel: str, *records: dict[str, Any]) -> list[str]:
    answer = http.post(f"{server.url}/v1/channels/{channel}", json=list(records))
    return [result["id"] for result in answer.raise_for_status().json()["results"]]


def record(message: str, level: str = "info", **fields: Any) -> dict[str, Any]:
    return {"level": level, "message": message, **({"fields": fields} if fields else {})}


def opened(visitor: Visitor, address: str) -> Page:
    page = visitor.open(f"/logs/{address}")
    expect(page.locator("#status")).to_have_attribute("data-state", "open")
    return page


def messages(page: Page) -> Locator:
    return page.locator(".line:visible .message")


def test_lines_of_several_services_are_interleaved_by_time_each_in_its_colour(
    server: EventHubServer, identity: Visit
) -> None:
    for number in range(4):
        publish(server, f"logs.mix.{'ab'[number % 2]}", record(f"line {number}", at=number))
    page = opened(identity(server), "logs.mix.>")
    texts = [f"line {number} at={number}" for number in range(4)]
    expect(messages(page)).to_have_text(texts)
    publish(server, "logs.mix.c", record("live", "error"))
    expect(messages(page)).to_have_text([*texts, "live "])
    services = page.locator("#services .name")
    expect(services).to_have_text(["mix.a", "mix.b", "mix.c"])
    hues = page.locator(".line:visible").evaluate_all("(all) => all.map((e) => e.dataset.hue)")
    assert (hues[0], hues[1], len(set(hues))) == (hues[2], hues[3], 3)
    expect(page.locator("#histogram")).to_have_attribute(
        "aria-label", re.compile("1 error, 4 info")
    )


def test_the_bare_address_and_short_names_lead_to_the_channels_of_logs(
    server: EventHubServer, identity: Visit
) -> None:
    page = identity(server).open("/logs")
    expect(page).to_have_url(f"{server.url}/logs/logs.%3E")
    expect(page.get_by_role("heading", level=1)).to_have_text("logs.>")
    page.get_by_role("combobox", name="Channels").fill("short")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("logs.short")
    expect(page.get_by_text("No lines yet")).to_be_visible()
    command = page.locator("#state pre").text_content() or ""
    assert command.startswith("curl -d")
    assert command.endswith("/v1/channels/logs.short")
    publish(server, "logs.short", record("found"))
    expect(messages(page)).to_have_text(["found "])
    expect(page.locator("#state")).to_be_hidden()


def test_level_text_service_and_expression_are_filters_of_the_server(
    server: EventHubServer, identity: Visit
) -> None:
    publish(server, "logs.filter.a", record("Alpha", "error", n=1), record("beta", n=2))
    publish(server, "logs.filter.b", record("alphabet", n=3), record("gamma", n=4))
    visitor = identity(server)
    received: list[str] = []

    def listen(socket: WebSocket) -> None:
        socket.on("framereceived", lambda frame: received.append(str(frame)))

    visitor.context.on("page", lambda page: page.on("websocket", listen))
    page = opened(visitor, "logs.filter.>")
    expect(messages(page)).to_have_count(4)
    received.clear()
    page.get_by_role("searchbox", name="Text").fill("ALPHA")
    expect(messages(page)).to_have_text(["Alpha n=1", "alphabet n=3"])
    page.get_by_role("button", name="filter.b").click()
    expect(messages(page)).to_have_text(["alphabet n=3"])
    publish(server, "logs.filter.b", record("gamma again"), record("alpha again", n=5))
    expect(messages(page)).to_have_text(["alphabet n=3", "alpha again n=5"])
    page.get_by_role("textbox", name="Filter expression").fill("data.fields.n > 4")
    page.keyboard.press("Enter")
    expect(messages(page)).to_have_text(["alpha again n=5"])
    page.get_by_role("button", name="error").click()  # now all but errors
    expect(page).to_have_url(re.compile("level=debug%2Cinfo%2Cwarning%2Ccritical"))
    expect(messages(page)).to_have_text(["alpha again n=5"])
    assert not [frame for frame in received if "gamma" in frame]
    page.reload()
    expect(messages(page)).to_have_text(["alpha again n=5"])


def test_a_wrong_expression_is_explained_at_its_field(
    server: EventHubServer, identity: Visit
) -> None:
    publish(server, "logs.wrong", record("here", n=1), record("without"))
    page = opened(identity(server), "logs.wrong")
    field = page.get_by_role("textbox", name="Filter expression")
    field.fill("data.level = 1")
    field.press("Enter")
    expect(page.locator("#fault")).to_contain_text("column 12")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_text("The filter is wrong")).to_be_visible()
    field.fill("data.fields.n == 1")
    field.press("Enter")
    expect(messages(page)).to_have_text(["here n=1"])
    expect(page.locator("#fault")).to_be_hidden()
    expect(page.locator("#warning")).to_contain_text("fields")


def test_scrolling_up_holds_the_lines_and_new_ones_are_counted(
    server: EventHubServer, identity: Visit
) -> None:
    publish(server, "logs.hold", *(record(f"old {number}") for number in range(100)))
    page = opened(identity(server), "logs.hold")
    expect(messages(page).last).to_have_text("old 99 ")
    page.locator("#scroller").hover()
    page.mouse.wheel(0, -600)
    expect(page.get_by_role("button", name="To the newest")).to_be_visible()
    before = messages(page).all_text_contents()
    publish(server, "logs.hold", *(record(f"new {number}") for number in range(30)))
    newer = page.get_by_role("button", name="30 new lines")
    expect(newer).to_be_visible()
    assert messages(page).all_text_contents() == before
    newer.click()
    expect(messages(page).last).to_have_text("new 29 ")
    expect(page.locator("#newer")).to_be_hidden()
    publish(server, "logs.hold", record("followed"))
    expect(messages(page).last).to_have_text("followed ")


def test_a_flood_leaves_few_elements_and_every_line_counted(
    server: EventHubServer, identity: Visit
) -> None:
    page = opened(identity(server), "logs.river")
    expect(page.get_by_text("No lines yet")).to_be_visible()
    for start in range(0, 6000, 1000):
        publish(server, "logs.river", *(record(f"{n}") for n in range(start, start + 1000)))
    expect(page.locator("#counts")).to_contain_text("6,000 lines")
    expect(messages(page).last).to_have_text("5999 ")
    assert page.locator(".line").count() < 60


def test_the_fields_of_a_line_can_be_read_filtered_copied_and_linked(
    server: EventHubServer, identity: Visit
) -> None:
    records = [record(f"request {n}", status=200 + n % 2, user={"id": n}) for n in range(9)]
    ids = publish(server, "logs.fields", *records)
    visitor = identity(server, permissions=["clipboard-read", "clipboard-write"])
    page = opened(visitor, "logs.fields")
    page.get_by_role("option", name="request 4").click()
    details = page.get_by_role("complementary")
    expect(details.locator("dt")).to_have_text(
        ["channel", "received", "level", "message", "fields.status", "fields.user.id", "id"]
    )
    details.get_by_role("button", name="Copy JSON").click()
    expect(page.locator("#said")).to_have_text("Copied as JSON")
    copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert (copied["id"], copied["data"]) == (ids[4], records[4])
    details.get_by_role("button", name="Copy link").click()
    expect(page.locator("#said")).to_have_text("Link copied")
    link = page.evaluate("navigator.clipboard.readText()")
    details.get_by_role("button", name="Only this fields.status").click()
    expect(messages(page)).to_have_count(5)
    page.get_by_role("option", name="request 4").click()
    details.get_by_role("button", name="Not this fields.user.id").click()
    expect(messages(page)).to_have_count(4)
    linked = visitor.open(link.removeprefix(server.url))
    expect(linked.locator(".line[aria-selected=true] .message")).to_contain_text("request 4")
    expect(linked.get_by_role("complementary")).to_contain_text(ids[4])
    expect(messages(linked)).to_have_count(9)  # those around it


def test_a_time_range_that_ends_shows_its_lines_and_no_later_ones(
    server: EventHubServer, identity: Visit
) -> None:
    publish(server, "logs.range", record("then"))
    [event] = http.get(f"{server.url}/v1/channels/logs.range").json()["events"]
    time = datetime.fromisoformat(event["time"])
    times = {"from": time - timedelta(hours=1), "to": time + timedelta(milliseconds=1)}
    query = urlencode({name: each.isoformat() for name, each in times.items()})
    page = opened(identity(server), f"logs.range?{query}")
    expect(messages(page)).to_have_text(["then "])
    expect(page.get_by_role("combobox", name="Time range")).to_have_value("fixed")
    publish(server, "logs.range", record("later"))
    page.get_by_role("button", name="Wrap").click()
    expect(messages(page)).to_have_text(["then "])
    page.get_by_role("button", name="Back to live").click()
    expect(messages(page)).to_have_text(["then ", "later "])


def test_everything_is_done_with_the_keyboard(server: EventHubServer, identity: Visit) -> None:
    publish(server, "logs.keys", *(record(f"line {number}") for number in range(5)))
    page = opened(identity(server), "logs.keys")
    expect(messages(page)).to_have_count(5)
    lines = page.get_by_role("listbox", name="Lines")
    lines.focus()
    for key in ("ArrowUp", "ArrowUp", "Enter"):
        page.keyboard.press(key)
    selected = page.locator(".line[aria-selected=true]")
    expect(selected).to_contain_text("line 3")
    expect(lines).to_have_attribute("aria-activedescendant", selected.get_attribute("id") or "?")
    expect(page.locator("#details-title")).to_have_text("line 3")
    page.keyboard.press("ArrowUp")
    expect(page.locator("#details-title")).to_have_text("line 2")
    page.keyboard.press("Escape")
    expect(page.get_by_role("complementary")).to_be_hidden()
    page.keyboard.press("w")
    expect(page.get_by_role("button", name="Wrap")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("End")
    expect(page.locator("#newer")).to_be_hidden()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Text")).to_be_focused()


def test_a_restart_is_a_note_and_without_a_network_the_lines_stay(
    fragile_server: EventHubServer, identity: Visit
) -> None:
    visitor = identity(fragile_server)
    page = opened(visitor, "logs.restart")
    publish(fragile_server, "logs.restart", record("before"))
    expect(messages(page)).to_have_text(["before "])
    visitor.context.set_offline(True)
    expect(page.locator("#banner")).to_contain_text("No connection")
    expect(messages(page)).to_have_text(["before "])
    fragile_server.restart()
    publish(fragile_server, "logs.restart", record("after"))
    visitor.context.set_offline(False)
    expect(messages(page).last).to_have_text("after ")
    expect(page.locator(".line.note")).to_contain_text("a new log")
    expect(page.locator("#banner")).to_be_hidden()


@pytest.mark.parametrize(
    ("code", "title"),
    [("unknown_channel", "No such channel type"), ("forbidden", "These lines cannot be shown")],
)
def test_a_refusal_is_explained(
    server: EventHubServer, identity: Visit, code: str, title: str
) -> None:
    visitor = identity(server)

    def answer(route: WebSocketRoute, message: str) -> None:
        ref = json.loads(message)["ref"]
        route.send(json.dumps({"type": "error", "ref": ref, "code": code, "message": "why"}))

    def connect(route: WebSocketRoute) -> None:
        route.send(json.dumps({"type": "hello", "session": "s", "version": "0", "limits": {}}))
        route.on_message(lambda message: answer(route, str(message)))

    visitor.context.route_web_socket("**/v1/ws", connect)
    page = visitor.open("/logs/logs.refused")
    expect(page.get_by_role("heading", name=title)).to_be_visible()
    assert page.locator("#token").is_visible() == (code == "forbidden")


@pytest.mark.parametrize(
    ("width", "scheme"), [(360, "dark"), pytest.param(1280, "light", marks=pytest.mark.proof)]
)
def test_nothing_is_wider_than_the_screen_and_long_lines_wrap(
    server: EventHubServer, identity: Visit, width: int, scheme: str
) -> None:
    channel = f"logs.a-channel-with-a-rather-long-name-{width}.and-another-part"
    publish(server, channel, record("w" * 3000, "critical"), record("<b>not bold</b>"))
    size = {"width": width, "height": 720}
    page = opened(identity(server, viewport=size, color_scheme=scheme), f"{channel}?wrap")
    expect(messages(page).last).to_have_text("<b>not bold</b> ")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    row = page.locator(".line:visible").first
    box, text = row.bounding_box(), row.locator(".message").bounding_box()
    assert box
    assert text
    assert text["height"] <= box["height"] > 100
    row.click(position={"x": 40, "y": 10})
    expect(page.get_by_role("complementary")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
