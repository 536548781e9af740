"""The explorer's live view of a channel or pattern, with a real server."""

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, WebSocketRoute, expect

from tests.browser.conftest import Visitor
from tests.harness.clients import http
from tests.harness.eventhub import EventHubServer

Visit = Callable[..., Visitor]


def opened(visitor: Visitor, channel: str, since: str = "-50") -> Page:
    page = visitor.open(f"/explore/{channel}?since={since}")
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
    expect(page.locator("#state[data-kind=empty]")).to_be_visible()
    readings = [{"value": value, "unit": "Cel", "sensor": f"s{value}"} for value in range(20)]
    sent = [publish(server, "iot.live", reading)[0] for reading in readings]
    expect(ids(page)).to_have_text(sent[::-1])
    expect(page.locator("#rows pre").first).to_have_text(
        '{ "value": 19, "unit": "Cel", "sensor": "s19" }'
    )
    expect(page.locator("#count")).to_have_text("20 events")
    expect(page.locator("#state")).to_be_hidden()


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
    page.get_by_role("searchbox", name="Find").fill("BETA")
    publish(
        server,
        "logs.filter",
        {"level": "error", "message": "beta again"},
        {"level": "info", "message": "gamma"},
    )
    expect(page.locator("#count")).to_have_text("4 events · 2 shown")
    expect(page.locator("#rows tr:visible")).to_have_count(2)
    page.get_by_role("searchbox", name="Find").fill("")
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


@pytest.mark.parametrize(
    ("path", "field", "words"),
    [
        ("nope.x", "channel", "nope"),
        ("a..b", "channel", "a..b"),
        ("iot.x?since=yesterday", "since", "yesterday"),
        ("iot.x?where=data.value+%3E", "where", "column"),
    ],
)
def test_what_the_server_refuses_is_told_at_the_field(
    server: EventHubServer, identity: Visit, path: str, field: str, words: str
) -> None:
    page = identity(server).open(f"/explore/{path}")
    expect(page.locator(f"#{field}-fault")).to_contain_text(words)
    expect(page.locator(f"#{field}")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#state")).to_have_attribute("data-kind", "refused")
    expect(page.locator("#status")).to_have_attribute("data-state", "refused")
    if field == "where":
        page.locator("#where").fill("data.value > 1.0")
        page.keyboard.press("Enter")
        expect(page.locator("#where-fault")).to_be_hidden()
        expect(page.locator("#status")).to_have_attribute("data-state", "open")


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
    page = visitor.open("/explore/iot.again")
    expect(page.locator("#status")).to_have_attribute("data-state", "refused")
    page.get_by_role("button", name="Try now").click()
    expect(page.locator("#status")).to_have_attribute("data-state", "open")
    expect(page.locator("#channel-fault")).to_be_hidden()
    expect(page.locator("#state")).to_have_attribute("data-kind", "empty")


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
    publish(server, "iot.first", {"value": 1})
    expect(ids(page)).to_have_count(1)
    page.get_by_role("combobox", name="Channel or pattern").fill("logs.second")
    page.get_by_role("combobox", name="Begin with").fill("10m")
    page.keyboard.press("Enter")
    page.wait_for_url("**/explore/logs.second?since=10m")
    expect(page.get_by_role("heading", level=1)).to_have_text("logs.second")
    expect(page.locator("#state")).to_have_attribute("data-kind", "empty")
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("iot.first")
    expect(ids(page)).to_have_count(1)


def test_a_pattern_names_the_channel_and_shows_what_an_event_has_besides_data(
    server: EventHubServer, identity: Visit
) -> None:
    page = opened(identity(server), "logs.wide.>")
    [first] = publish(server, "logs.wide.a", {"level": "info", "message": "helo"})
    expect(ids(page)).to_have_count(1)
    http.post(
        f"{server.url}/v1/channels/logs.wide.b",
        json={"level": "info", "message": "x"},
        headers={"ce-subject": "orders/7"},
    ).raise_for_status()
    row = page.locator("#rows tr", has_text="logs.wide.b")
    expect(row.locator(".chip")).to_have_text(["channel logs.wide.b", "subject orders/7"])
    http.post(
        f"{server.url}/v1/channels/logs.wide.a?refers={first}&relation=edit",
        json={"level": "info", "message": "hello"},
    ).raise_for_status()
    edit = page.locator("#rows tr", has_text="hello")
    expect(edit.locator(".chip")).to_have_text(["channel logs.wide.a", f"edit {first}"])


def test_a_phone_shows_everything(server: EventHubServer, identity: Visit) -> None:
    channel = "logs.a-channel-with-a-rather-long-name.and-another"
    page = opened(identity(server, viewport={"width": 360, "height": 640}), channel)
    publish(server, channel, {"level": "info", "message": "w" * 500})
    expect(ids(page)).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.get_by_role("tab", name="Publish").click()
    expect(ids(page)).to_be_hidden()
    expect(page.get_by_role("button", name="Publish")).to_be_visible()


def test_roles_and_names_tell_the_page(server: EventHubServer, identity: Visit) -> None:
    page = opened(identity(server), "iot.roles")
    publish(server, "iot.roles", {"value": 1})
    expect(ids(page)).to_have_count(1)
    expect(page.locator("main")).to_match_aria_snapshot("""
        - main:
          - link "Channels"
          - heading "iot.roles" [level=1]
          - paragraph: 1 event
          - link "Open in Readings"
          - form "What to follow":
            - combobox "Channel or pattern"
            - combobox "Begin with (since)"
            - textbox "Only events that fit (where)"
            - button "Follow"
          - region "iot.roles":
            - searchbox "Find in what is shown"
            - button "Pause"
            - button "Clear"
            - group "Events":
              - table "Events, newest first":
                - rowgroup:
                  - row "Time Id Data"
                - rowgroup:
                  - row
          - tablist "Tools":
            - tab "Publish" [selected]
            - tab "Schema"
            - tab "Code"
            - tab "Frames"
          - tabpanel "Publish"
    """)
