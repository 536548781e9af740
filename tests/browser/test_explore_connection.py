"""What the explorer shows of its connection: gaps, resumes, raw frames."""

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.conftest import Visitor
from tests.browser.test_explore import ids, opened, publish
from tests.harness.eventhub import EventHubServer

Visit = Callable[..., Visitor]


def test_a_lost_log_is_a_gap_row(fragile_server: EventHubServer, identity: Visit) -> None:
    page = opened(identity(fragile_server), "iot.gap")
    before = publish(fragile_server, "iot.gap", {"value": 1})
    expect(ids(page)).to_have_text(before)
    fragile_server.restart()
    after = publish(fragile_server, "iot.gap", {"value": 2})
    expect(ids(page)).to_have_text([*after, *before])
    expect(page.locator("#rows .gap")).to_have_count(1)
    expect(page.locator("#rows .gap")).to_contain_text(f"Gap after {before[0]}")
    expect(page.locator("#rows .lost")).to_have_count(1)


def test_a_resume_says_how_many_events_it_brought(server: EventHubServer, identity: Visit) -> None:
    visitor = identity(server)
    page = opened(visitor, "iot.away")
    first = publish(server, "iot.away", {"value": 1})
    expect(ids(page)).to_have_text(first)
    visitor.context.set_offline(True)
    expect(page.locator("#status")).to_have_attribute("data-state", "offline")
    expect(page.locator("#banner")).to_contain_text("No connection")
    missed = publish(server, "iot.away", {"value": 2}, {"value": 3})
    visitor.context.set_offline(False)
    expect(ids(page)).to_have_text([*missed[::-1], *first])
    expect(page.locator("#rows .mark").first).to_contain_text(
        "Resumed. The 2 events that came in the meantime are below."
    )
    expect(page.locator("#banner")).to_be_hidden()


def test_the_frames_of_the_connection_are_shown(server: EventHubServer, identity: Visit) -> None:
    visitor = identity(server, permissions=["clipboard-read", "clipboard-write"])
    page = opened(visitor, "iot.frames")
    page.get_by_role("tab", name="Publish").focus()
    page.keyboard.press("End")
    expect(page.get_by_role("tab", name="Frames")).to_be_focused()
    expect(page.locator("#frames .sent pre").last).to_contain_text('"type":"subscribe"')
    expect(page.locator("#frames .received pre").last).to_contain_text('"type":"hello"')
    publish(server, "iot.frames", {"value": 1})
    event = page.locator("#frames .received", has_text='"data":{"value":1.0}')
    expect(event).to_have_count(1)
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_text("Frames copied")).to_be_attached()
    lines = page.evaluate("navigator.clipboard.readText()").split("\n")
    assert [line.split()[1] for line in lines][:3] == ["·", "←", "→"]
    page.locator("#frames-clear").click()
    expect(page.locator("#frames li")).to_have_count(0)


def test_a_flood_leaves_the_page_usable(server: EventHubServer, identity: Visit) -> None:
    """Thousands of events come while somebody writes and publishes on the page."""
    page = opened(identity(server), "logs.flood")
    expect(page.locator("#state[data-kind=empty]")).to_be_visible()  # it has subscribed
    page.get_by_role("button", name="JSON", exact=True).click()
    batch = [{"level": "info", "message": f"line {number}"} for number in range(1000)]
    for _ in range(4):
        publish(server, "logs.flood", *batch)
    page.get_by_label("JSON event").fill('{"level":"error","message":"by hand"}')
    page.get_by_role("button", name="Publish", exact=True).click()
    expect(page.locator("#answer")).to_contain_text("201 Created")
    expect(page.locator("#count")).to_have_text("4,001 events · newest 500 kept")
    assert page.locator("#rows tr").count() <= 500
    expect(page.locator("#rows pre").first).to_contain_text("by hand")


def test_two_people_see_what_one_publishes(server: EventHubServer, identity: Visit) -> None:
    ana, ben = (opened(identity(server), "chat.both") for _ in range(2))
    text = ana.locator("#form").get_by_label("text", exact=True)
    text.fill("hello from ana")
    text.press("Control+Enter")
    for page in (ana, ben):
        expect(page.locator("#rows pre")).to_contain_text("hello from ana")
