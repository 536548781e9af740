"""The explorer with a real server."""

import json
from collections.abc import Callable

from playwright.sync_api import Locator, Page, WebSocketRoute, expect

from tests.browser.conftest import Visitor
from tests.harness.clients import http
from tests.harness.eventhub import EventHubServer

Visit = Callable[..., Visitor]


def opened(visitor: Visitor, channel: str, since: str = "-50") -> Page:
    page = visitor.open(f"/explore?channel={channel}&since={since}")
    expect(page.locator("#status")).to_have_attribute("data-state", "open")
    return page


def publish(server: EventHubServer, channel: str, *payloads: object) -> list[str]:
    answer = http.post(
        f"{server.url}/v1/channels/{channel}", json=list(payloads)
    ).raise_for_status()
    return [result["id"] for result in answer.json()["results"]]


def ids(page: Page) -> Locator:
    return page.locator("#rows .id")


def test_events_appear_while_the_page_is_open_newest_first(
    server: EventHubServer, identity: Visit
) -> None:
    page = opened(identity(server), "iot.live")
    expect(page.get_by_text("Waiting for events")).to_be_visible()
    readings = [{"value": value, "unit": "Cel", "sensor": f"s{value}"} for value in range(20)]
    sent = [publish(server, "iot.live", reading)[0] for reading in readings]
    expect(ids(page)).to_have_text(sent[::-1])
    expect(page.locator("#rows pre").first).to_have_text(
        '{ "value": 19, "unit": "Cel", "sensor": "s19" }'
    )
    expect(page.locator("#count")).to_have_text("20 events")
    expect(page.get_by_text("Waiting for events")).to_be_hidden()


def test_history_is_there_on_arrival(server: EventHubServer, identity: Visit) -> None:
    sent = publish(
        server,
        "logs.history",
        *({"level": "info", "message": f"line {number}"} for number in range(10)),
    )
    expect(ids(opened(identity(server), "logs.history", "-3"))).to_have_text(sent[:-4:-1])


def test_pause_holds_the_table_and_resume_catches_up(
    server: EventHubServer, identity: Visit
) -> None:
    page = opened(identity(server), "iot.pause")
    sent = publish(server, "iot.pause", {"value": 1})
    expect(ids(page)).to_have_text(sent)
    page.get_by_role("button", name="Pause").click()
    sent += publish(server, "iot.pause", {"value": 2}, {"value": 3})
    resume = page.get_by_role("button", name="Resume (2 new)")
    expect(resume).to_be_visible()
    expect(ids(page)).to_have_count(1)
    resume.click()
    expect(ids(page)).to_have_text(sent[::-1])


def test_filter_hides_what_does_not_match_now_and_later(
    server: EventHubServer, identity: Visit
) -> None:
    page = opened(identity(server), "logs.filter")
    publish(
        server,
        "logs.filter",
        {"level": "info", "message": "alpha"},
        {"level": "error", "message": "beta"},
    )
    expect(ids(page)).to_have_count(2)
    page.get_by_role("searchbox", name="Filter").fill("BETA")
    publish(
        server,
        "logs.filter",
        {"level": "error", "message": "beta again"},
        {"level": "info", "message": "gamma"},
    )
    expect(page.locator("#count")).to_have_text("4 events · 2 shown")
    expect(page.locator("#rows tr:visible")).to_have_count(2)
    page.get_by_role("searchbox", name="Filter").fill("")
    expect(page.locator("#rows tr:visible")).to_have_count(4)
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#count")).to_have_text("0 events")


def test_the_table_is_bounded(server: EventHubServer, identity: Visit) -> None:
    page = opened(identity(server), "logs.many")
    for start in range(0, 700, 100):
        records = [
            {"level": "info", "message": str(number)} for number in range(start, start + 100)
        ]
        publish(server, "logs.many", *records)
    expect(page.locator("#count")).to_have_text("700 events · newest 500 kept")
    expect(ids(page)).to_have_count(500)
    expect(page.locator("#rows pre").first).to_contain_text('"699"')


def test_hostile_data_is_shown_as_it_is(server: EventHubServer, identity: Visit) -> None:
    message = '<img src=x onerror="window.harmed=1"></pre><script>window.harmed=1</script>\u202e'
    page = opened(identity(server), "logs.hostile")
    publish(server, "logs.hostile", {"level": "info", "message": message})
    expect(ids(page)).to_have_count(1)
    shown = json.loads(page.locator("#rows pre").text_content() or "")
    assert shown["message"] == message
    assert page.evaluate("window.harmed") is None


def test_the_form_publishes_and_shows_the_answer(server: EventHubServer, identity: Visit) -> None:
    page = opened(identity(server), "iot.form")
    body = page.get_by_role("textbox", name="JSON event")
    expect(body).to_have_value('{ "value": 21.5, "unit": "Cel", "sensor": "t1" }')
    page.get_by_role("button", name="Publish").click()
    answer = page.locator("#answer")
    expect(answer).to_contain_text("201 Created")
    expect(ids(page)).to_have_count(1)
    expect(answer).to_contain_text(ids(page).text_content() or "?")
    body.fill('{"value": "warm"}')
    body.press("Control+Enter")
    expect(answer).to_contain_text("422 invalid_event")
    expect(answer).to_contain_text("/value: ")
    body.fill("{")
    page.get_by_role("button", name="Publish").click()
    expect(answer).to_contain_text("400 invalid_json")
    expect(ids(page)).to_have_count(1)


def test_an_unknown_channel_is_explained(server: EventHubServer, identity: Visit) -> None:
    page = identity(server).open("/explore?channel=nope.x")
    expect(page.get_by_role("alert")).to_contain_text("nope")
    expect(page.locator("#status")).to_have_attribute("data-state", "refused")
    expect(page.get_by_role("status").first).to_have_text("refused: unknown channel")
    expect(page.locator("#empty")).to_have_text("This channel is not being followed.")


def test_a_connection_closed_for_an_unknown_channel_says_so(
    server: EventHubServer, identity: Visit
) -> None:
    visitor = identity(server)
    visitor.context.route_web_socket(
        "**/v1/ws", lambda route: route.close(code=4404, reason="unknown_channel")
    )
    page = visitor.open("/explore?channel=nope.x")
    expect(page.locator("#status")).to_have_attribute("data-state", "stopped")
    expect(page.locator(".status-text")).to_have_text("stopped: unknown_channel")
    expect(page.locator("#empty")).to_have_text("This channel is not being followed.")


def test_a_refused_channel_can_be_tried_again(server: EventHubServer, identity: Visit) -> None:
    visitor = identity(server)
    asked: list[str] = []

    def connect(route: WebSocketRoute) -> None:
        upstream = route.connect_to_server()
        route.on_message(lambda message: answer(route, upstream, str(message)))

    def answer(route: WebSocketRoute, upstream: WebSocketRoute, message: str) -> None:
        asked.append(message)
        if len(asked) > 1:
            return upstream.send(message)
        refusal = {
            "type": "error",
            "ref": json.loads(message)["ref"],
            "code": "unknown_channel",
            "message": "not yet",
        }
        route.send(json.dumps(refusal))

    visitor.context.route_web_socket("**/v1/ws", connect)
    page = visitor.open("/explore?channel=iot.again")
    expect(page.locator("#status")).to_have_attribute("data-state", "refused")
    page.get_by_role("button", name="Try now").click()
    expect(page.locator("#status")).to_have_attribute("data-state", "open")
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.locator("#empty")).to_contain_text("Waiting for events")


def test_watching_makes_nobody_a_member(server: EventHubServer, identity: Visit) -> None:
    visitor = identity(server)
    ana = visitor.chat("ana", "watched")
    watcher = opened(visitor, "chat.watched")
    post = {"sender": "producer", "text": "seen by both"}
    publish(server, "chat.watched", post)
    expect(ids(watcher)).to_have_count(1)
    expect(ana.locator("#log .text")).to_have_text(["seen by both"])
    expect(ana.locator("#members .sender")).to_have_text(["ana"])
    members = http.get(f"{server.url}/v1/channels/chat.watched/presence").json()["members"]
    assert members == [{"id": "ana"}]


def test_another_channel_can_be_opened(server: EventHubServer, identity: Visit) -> None:
    page = opened(identity(server), "iot.first")
    page.get_by_role("combobox", name="Name").fill("logs.second")
    page.get_by_role("textbox", name="Begin with").fill("10m")
    page.keyboard.press("Enter")
    page.wait_for_url("**/explore?channel=logs.second&since=10m")
    expect(page.get_by_role("heading", level=1)).to_have_text("logs.second")


def test_a_lost_log_is_a_gap_row(fragile_server: EventHubServer, identity: Visit) -> None:
    page = opened(identity(fragile_server), "iot.gap")
    before = publish(fragile_server, "iot.gap", {"value": 1})
    expect(ids(page)).to_have_text(before)
    fragile_server.restart()
    after = publish(fragile_server, "iot.gap", {"value": 2})
    expect(ids(page)).to_have_text([*after, *before])
    expect(page.locator("#rows .gap")).to_have_count(1)
    expect(page.locator("#rows .gap")).to_contain_text(f"Gap after {before[0]}")


def test_a_phone_shows_everything(server: EventHubServer, identity: Visit) -> None:
    channel = "logs.a-channel-with-a-rather-long-name.and-another"
    page = opened(identity(server, viewport={"width": 360, "height": 640}), channel)
    publish(server, channel, {"level": "info", "message": "w" * 500})
    expect(ids(page)).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.locator("summary", has_text="Publish").click()
    expect(page.get_by_role("button", name="Publish")).to_be_visible()


def test_roles_and_names_tell_the_page(server: EventHubServer, identity: Visit) -> None:
    page = opened(identity(server), "iot.roles")
    publish(server, "iot.roles", {"value": 1})
    expect(ids(page)).to_have_count(1)
    expect(page.locator("main")).to_match_aria_snapshot("""
        - main:
          - heading "iot.roles" [level=1]
          - status: connected
          - region "iot.roles":
            - searchbox "Filter"
            - button "Pause"
            - button "Clear"
            - table "Events, newest first":
              - rowgroup:
                - row "Id Time Data"
              - rowgroup:
                - row
          - group:
            - combobox "Name"
            - textbox "Begin with (since)"
            - button "Open"
          - group:
            - textbox "JSON event, or an array of them"
            - button "Publish"
    """)
