"""The landing page: its links lead somewhere and its terminal lines work as they stand."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from websockets.sync.client import connect

from tests.browser.conftest import Visitor
from tests.conftest import Start
from tests.harness.clients import http
from tests.harness.eventhub import EventHubServer

Visit = Callable[..., Visitor]


def line(page: Page, title: str) -> str:
    heading = page.get_by_role("heading", name=title, exact=True)
    return page.locator(".line", has=heading).locator("code").text_content() or ""


def shell(command: str) -> list[str]:
    finished = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=60, check=True
    )
    return finished.stdout.splitlines()


def test_the_channel_types_of_this_server_are_shown_and_a_channel_is_opened_by_its_name(
    server: EventHubServer, identity: Visit
) -> None:
    page = identity(server).open("/")
    expect(page.get_by_role("heading", level=2).first).to_have_text("Channel types on this server")
    expect(page.locator("#channels h3")).to_have_text(["chat", "logs", "iot"])
    described = "chat events · keeps the newest 500 for 1 day · shows who is there"
    expect(page.locator("#channels .muted").first).to_have_text(described)
    expect(page.locator("#channels .links").get_by_role("link")).to_have_text(
        ["Open the chat", "Read the logs", "See the readings"]
    )
    card = page.locator("#channels li").nth(2)
    name = card.get_by_role("textbox", name="Channel")
    expect(name).to_have_value("iot.")
    card.get_by_role("button", name="Explore live").click()
    expect(page).to_have_url(f"{server.url}/")  # as that is no name
    for wrong in ("iot.a b", "logs.a", "iot..a"):
        name.fill(wrong)
        assert not name.evaluate("(field) => field.checkValidity()"), wrong
    name.fill("iot.kitchen.t-1")
    name.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("iot.kitchen.t-1")
    page.go_back()
    page.locator("#channels").get_by_role("link", name="Open the chat").click()
    expect(page).to_have_url(re.compile(r"/chat/lobby$"))


def test_channels_that_exist_are_shown_and_no_others(start: Start, identity: Visit) -> None:
    server = start("channels: {chat: {payload: chat}, iot: {}, logs: {}}")
    for number in range(6):
        http.post(f"{server.url}/v1/channels/iot.t{number}", content="[1,2]")
    with connect(f"{server.url.replace('http', 'ws')}/v1/ws?channel=logs.api") as reader:
        while json.loads(reader.recv())["type"] != "subscribed":
            pass
        page = identity(server).open("/")
        cards = page.locator("#channels li")
        iot, logs = cards.nth(1).locator(".existing"), cards.nth(2).locator(".existing")
        expect(iot.get_by_role("link")).to_have_text([f"iot.t{number}" for number in range(5)])
        expect(iot.locator(".muted").first).to_have_text("2 events")
        expect(iot.locator(".more")).to_have_text("and others: enter a name")
        expect(logs).to_have_text("logs.api0 events, 1 listening")
    expect(cards.nth(0).locator(".existing")).to_be_hidden()
    iot.get_by_role("link", name="iot.t3").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("iot.t3")
    options = page.locator("#channel-names option")
    expect(options.filter(has_text="iot.t5")).to_have_count(1)


def test_a_server_without_the_sample_types_links_to_none_of_their_channels(
    start: Start, identity: Visit
) -> None:
    page = identity(start("channels: {orders: {}}")).open("/")
    expect(page.locator("#channels h3")).to_have_text(["orders"])
    expect(page.get_by_role("link", name="Open the chat")).to_have_count(0)
    expect(page.get_by_role("link", name="Watch logs live")).to_have_count(0)


def test_every_link_leads_somewhere(server: EventHubServer, identity: Visit) -> None:
    page = identity(server).open("/")
    expect(page.locator("#channels li")).to_have_count(3)
    targets = page.get_by_role("link").evaluate_all("(all) => all.map(({ href }) => href)")
    assert {f"{server.url}/docs", f"{server.url}/metrics"} <= set(targets)
    answers = {target: http.get(target, follow_redirects=True) for target in targets}
    statuses = {target: answer.status_code for target, answer in answers.items()}
    assert statuses == dict.fromkeys(targets, 200)


def test_the_publishing_lines_work_in_a_shell(server: EventHubServer, identity: Visit) -> None:
    page = identity(server).open("/")
    expect(page.locator(".line")).to_have_count(6)
    one = json.loads("".join(shell(line(page, "Publish an event"))))
    assert one["channel"] == "chat.lobby"
    build_many = json.loads("".join(shell(line(page, "Publish many at once"))))
    assert (build_many["accepted"], build_many["rejected"]) == (2, 0)
    last = json.loads(shell(line(page, "Stream events, one a line"))[-1])
    assert (last["accepted"], last["rejected"], last["done"]) == (2, 0, True)


def test_a_growing_file_is_streamed_and_a_refusal_shows_at_once(
    server: EventHubServer, identity: Visit, tmp_path: Path
) -> None:
    page = identity(server).open("/")
    expect(page.locator(".line")).to_have_count(6)
    records = tmp_path / "app.log.jsonl"
    records.write_text('{"level":"info","message":"started"}\n')
    command = line(page, "Stream a file as it grows")
    with subprocess.Popen(
        ["bash", "-c", command], cwd=tmp_path, stdout=subprocess.PIPE, start_new_session=True
    ) as streaming:
        assert streaming.stdout
        assert json.loads(streaming.stdout.readline())["accepted"] == 1
        with records.open("a") as growing:
            growing.write('{"level":"loud","message":"not a level"}\n')
        answer = json.loads(streaming.stdout.readline())
        os.killpg(streaming.pid, signal.SIGTERM)
    assert (answer["line"], answer["error"]["code"]) == (2, "invalid_event")


def test_the_following_lines_work_too(server: EventHubServer, identity: Visit) -> None:
    page = identity(server).open("/")
    expect(page.locator(".line")).to_have_count(6)
    follow = f"exec {line(page, 'Follow a channel')} -s"
    with subprocess.Popen(["bash", "-c", follow], stdout=subprocess.PIPE) as follower:
        assert follower.stdout
        first = json.loads(follower.stdout.readline())
        follower.terminate()
    assert (first["type"], first["channel"]) == ("subscribed", "logs.api")
    address = re.search(r"'(ws://.*)'", line(page, "Follow it over WebSocket"))
    assert address
    with connect(address[1]) as socket:
        assert [json.loads(socket.recv())["type"] for _ in range(2)] == ["hello", "subscribed"]


def test_a_line_can_be_copied(server: EventHubServer, identity: Visit) -> None:
    visitor = identity(server, permissions=["clipboard-read", "clipboard-write"])
    page = visitor.open("/")
    button = page.get_by_role("button", name="Copy: Publish an event")
    button.click()
    expect(button).to_have_text("Copied")
    expect(page.get_by_role("status")).to_have_text("Copied to the clipboard")
    assert page.evaluate("navigator.clipboard.readText()") == line(page, "Publish an event")


@pytest.mark.parametrize("width", [360, pytest.param(1280, marks=pytest.mark.proof)])
def test_nothing_is_wider_than_the_screen(
    server: EventHubServer, identity: Visit, width: int
) -> None:
    page = identity(server, viewport={"width": width, "height": 800}).open("/")
    expect(page.locator(".line")).to_have_count(6)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_without_the_types_the_page_says_so_and_shows_the_sample_lines(
    server: EventHubServer, identity: Visit
) -> None:
    visitor = identity(server)
    visitor.context.route("**/v1/types", lambda route: route.fulfill(status=200, body="not json"))
    page = visitor.open("/")
    expect(page.get_by_role("alert")).to_contain_text("The channels cannot be shown")
    expect(page.locator(".line")).to_have_count(6)
