"""The page of readings with a real server."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, WebSocketRoute, expect

from tests.browser.conftest import Visitor
from tests.conftest import Start
from tests.harness.clients import http
from tests.harness.eventhub import EventHubServer

Visit = Callable[..., Visitor]


def publish(server: EventHubServer, channel: str, *values: float, **fields: Any) -> None:
    readings = [{"value": value, **fields} for value in values]
    http.post(f"{server.url}/v1/channels/{channel}", json=readings).raise_for_status()


def opened(visitor: Visitor, address: str) -> Page:
    page = visitor.open(f"/iot/{address}")
    expect(page.locator("#status")).to_have_attribute("data-state", "open")
    return page


def tile(page: Page, name: str) -> Locator:
    return page.locator(".tile", has=page.get_by_role("button", name=name, exact=True))


def said(page: Page) -> Locator:
    """What the charts say of themselves."""
    return page.get_by_role("img", name="Chart")


def test_the_newest_value_of_each_sensor_and_a_chart_for_each_unit(
    server: EventHubServer, identity: Visit
) -> None:
    publish(server, "iot.house.t", 20, 21.5, unit="Cel", sensor="in")
    publish(server, "iot.house.t", 5, unit="Cel", sensor="out")
    publish(server, "iot.house.h", 55, unit="%", quality="uncertain")
    page = opened(identity(server), "iot.house.>")
    expect(tile(page, "house.t in").locator(".value")).to_have_text("21.5 °C")
    expect(tile(page, "house.t out").locator(".value")).to_have_text("5 °C")
    expect(tile(page, "house.h").locator(".quality")).to_have_text("uncertain")
    expect(page.locator(".chart h2")).to_have_text(["%", "°C"])
    expect(said(page).nth(1)).to_have_attribute(
        "aria-label", re.compile("house.t in from 20 to 21.5, house.t out from 5 to 5")
    )
    publish(server, "iot.house.t", 30.25, unit="Cel", sensor="in", quality="bad")
    expect(tile(page, "house.t in").locator(".value")).to_have_text("30.25 °C")
    expect(tile(page, "house.t in").locator(".quality")).to_have_text("bad")
    tile(page, "house.t out").get_by_role("button").click()
    expect(said(page).nth(1)).not_to_have_attribute("aria-label", re.compile("house.t out"))
    expect(page.locator("#counts")).to_contain_text("3 sensors")


def test_with_keys_the_state_is_read_however_old_it_is(start: Start, identity: Visit) -> None:
    iot = "{payload: reading, key: sensor, history: {events: 3, latest: true}}"
    server = start(f"channels: {{iot: {iot}, meters: {iot}}}")
    publish(server, "meters.a", 1, unit="kW", sensor="first")
    publish(server, "meters.a", 2, 3, 4, 5, unit="kW", sensor="second")
    visitor = identity(server)
    asked: list[Any] = []
    visitor.context.on(
        "page",
        lambda page: page.on(
            "websocket", lambda socket: socket.on("framesent", lambda frame: asked.append(frame))
        ),
    )
    page = opened(visitor, "meters.>")
    expect(page.locator(".tile .value")).to_have_text(["1 kW", "5 kW"])
    expect(page.get_by_role("heading", level=1)).to_have_text("meters.>")
    assert '"since":"state"' in "".join(map(str, asked))


def test_thresholds_mark_values_and_stay_in_the_address(
    server: EventHubServer, identity: Visit
) -> None:
    publish(server, "iot.limits.a", 25, unit="Cel")
    publish(server, "iot.limits.b", 15, unit="Cel")
    page = opened(identity(server), "iot.limits.*")
    expect(page.locator(".tile")).to_have_count(2)
    page.get_by_text("Thresholds").click()
    page.get_by_role("textbox", name="Below").fill("18")
    page.get_by_role("textbox", name="Above").fill("24.5")
    page.keyboard.press("Enter")
    expect(tile(page, "limits.a").locator(".breach")).to_have_text("above 24.5")
    expect(page).to_have_url(re.compile("limits=Cel%3A18%3A24.5"))
    page.reload()
    expect(tile(page, "limits.b").locator(".breach")).to_have_text("below 18")


def test_the_charts_move_through_time_with_buttons_keys_and_pointer(
    server: EventHubServer, identity: Visit
) -> None:
    publish(server, "iot.time", 1, 9, unit="V")
    page = opened(identity(server), "iot.time?since=5m")
    chart = said(page)
    expect(chart).to_have_attribute("aria-label", re.compile("from 1 to 9"))
    page.get_by_role("button", name="Back in time").click()
    live = page.get_by_role("button", name="Live")
    expect(live).to_have_attribute("aria-pressed", "false")
    expect(chart).to_have_attribute("aria-label", re.compile("nothing"))
    expect(page.get_by_role("combobox", name="Time range")).to_have_value("fixed")
    publish(server, "iot.time", 5, unit="V")
    expect(tile(page, "time").locator(".value")).to_have_text("5 V")
    chart.focus()
    page.keyboard.press("End")
    expect(live).to_have_attribute("aria-pressed", "true")
    expect(chart).to_have_attribute("aria-label", re.compile("from 1 to 9"))
    page.keyboard.press("ArrowLeft")
    expect(live).to_have_attribute("aria-pressed", "false")
    live.click()
    box = page.locator(".u-over").bounding_box()
    assert box
    page.mouse.move(box["x"] + 20, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 120, box["y"] + 60)
    page.mouse.up()
    expect(chart).to_have_attribute("aria-label", re.compile("nothing"))


def test_what_was_left_out_for_a_slow_page_is_told(server: EventHubServer, identity: Visit) -> None:
    visitor = identity(server)

    def connect(route: WebSocketRoute) -> None:
        upstream = route.connect_to_server()
        upstream.on_message(lambda message: answer(route, str(message)))

    def answer(route: WebSocketRoute, text: str) -> None:
        route.send(text)
        message = json.loads(text)
        if message["type"] == "event" and message["data"]["value"] == 7:
            route.send(json.dumps({
                "type": "gap", "channel": "iot.slow", "after": message["id"], "skipped": 41,
                "before": None, "position": message["id"], "reason": "conflated",
            }))  # fmt: skip

    visitor.context.route_web_socket("**/v1/ws", connect)
    page = opened(visitor, "iot.slow")
    expect(page.get_by_text("No readings yet")).to_be_visible()
    publish(server, "iot.slow", 7)
    expect(tile(page, "slow").locator(".skipped")).to_have_text("41 left out")


def test_a_flood_of_readings_leaves_a_bounded_page(server: EventHubServer, identity: Visit) -> None:
    page = opened(identity(server), "iot.many.>?since=1m")
    for start in range(0, 3000, 1000):
        readings = [
            {"value": number, "sensor": f"s{number % 110:03}"}
            for number in range(start, start + 1000)
        ]
        http.post(f"{server.url}/v1/channels/iot.many.x", json=readings).raise_for_status()
    expect(page.locator("#counts")).to_contain_text("100 sensors")
    expect(page.locator("#beyond")).to_contain_text("10 more sensors are not shown")
    expect(tile(page, "many.x s029").locator(".number")).to_have_text("2,999")
    expect(page.locator("canvas")).to_have_count(1)


def test_without_a_network_the_values_stay_and_a_restart_goes_on(
    fragile_server: EventHubServer, identity: Visit
) -> None:
    visitor = identity(fragile_server)
    publish(fragile_server, "iot.away", 1)
    page = opened(visitor, "iot.away")
    expect(tile(page, "away").locator(".number")).to_have_text("1")
    visitor.context.set_offline(True)
    expect(page.locator("#banner")).to_contain_text("last ones known")
    fragile_server.restart()
    publish(fragile_server, "iot.away", 2)
    visitor.context.set_offline(False)
    expect(tile(page, "away").locator(".number")).to_have_text("2")
    expect(page.locator("#banner")).to_be_hidden()


@pytest.mark.parametrize(
    ("width", "scheme"), [(360, "dark"), pytest.param(1600, "light", marks=pytest.mark.proof)]
)
def test_the_numbers_fill_the_screen_and_nothing_is_wider(
    server: EventHubServer, identity: Visit, width: int, scheme: str
) -> None:
    channel = f"iot.a-rather-long-name-of-a-room-{width}.with-another-part"
    publish(server, channel, 123456.789, unit="kW", sensor="s" * 40)
    size = {"width": width, "height": 740}
    page = opened(identity(server, viewport=size, color_scheme=scheme), channel)
    expect(page.locator(".tile")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    small = page.locator(".number").bounding_box()
    page.get_by_role("button", name="Big numbers").click()
    expect(page.locator(".charts")).to_be_hidden()
    large = page.locator(".number").bounding_box()
    assert small
    assert large
    assert large["height"] > small["height"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.reload()
    expect(page.get_by_role("button", name="Big numbers")).to_have_attribute("aria-pressed", "true")
