"""The chat page with a real server: edits, deletions, reactions, older messages, drafts, rooms."""

import re
import time
from collections.abc import Callable, Iterator

import jwt
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor, settled
from tests.browser.test_chat import box, post, say, texts
from tests.harness.clients import http
from tests.harness.eventhub import EventHubServer

Visit = Callable[..., Visitor]
SECRET = "a secret of at least thirty-two bytes"
GUARDED = f"""
auth: {{tokens: {{keys: [{{algorithm: HS256, secret: {SECRET}}}]}}}}
channels:
  chat: {{payload: chat, presence: true, publish: [client, producer]}}
"""


def change(page: Page, text: str) -> None:
    box(page).fill(text)
    page.keyboard.press("Enter")


def test_an_edit_a_reaction_and_a_deletion_reach_everybody(
    server: EventHubServer, identity: Visit
) -> None:
    ana, rui = identity(server).chat("ana", "changes"), identity(server).chat("rui", "changes")
    say(ana, "helo")
    say(ana, "to be deleted")
    expect(texts(rui)).to_have_text(["helo", "to be deleted"])
    first, last = ana.locator("#log .message").first, ana.locator("#log .message").last
    box(ana).fill("half a draft")
    first.hover()
    first.get_by_role("button", name="Edit").click()
    expect(box(ana)).to_have_value("helo")
    change(ana, "hello **there**")
    expect(box(ana)).to_have_value("half a draft")
    last.hover()
    last.get_by_role("button", name="Delete").click()
    ana.get_by_role("dialog").get_by_role("button", name="Delete").click()
    theirs = rui.locator("#log .message").first
    theirs.hover()
    expect(theirs.get_by_role("button", name="Edit")).to_be_hidden()
    theirs.get_by_role("button", name="React").click()
    rui.get_by_role("dialog").get_by_role("button", name="🎉").click()
    late = identity(server).chat("eva", "changes")
    for page in (ana, rui, late):
        expect(texts(page)).to_have_text(["hello there", "This message was deleted."])
        expect(page.locator("#log strong")).to_have_text("there")
        expect(page.locator("#log .edited:visible")).to_have_count(1)
        expect(page.get_by_role("button", name="🎉 1: rui")).to_have_text(re.compile("1"))
    rui.get_by_role("button", name="🎉 1: rui").click()
    for page in (ana, rui, late):
        expect(page.locator("#log .reaction")).to_have_count(0)


def test_the_newest_message_stays_in_sight_when_it_gets_a_reaction(
    server: EventHubServer, identity: Visit
) -> None:
    page = identity(server, viewport={"width": 360, "height": 480}).chat("ana", "in-sight")
    post(server, "in-sight", *(f"message {number}" for number in range(12)), sender="rui")
    last = page.locator("#log .message").last
    expect(last).to_contain_text("message 11")
    expect(last).to_be_in_viewport(ratio=1)
    target = {"refers": last.get_attribute("data-id"), "relation": "reaction"}
    url = f"{server.url}/v1/channels/chat.in-sight"
    reaction = {"sender": "rui", "text": "+1"}
    http.post(url, json=reaction, params=target).raise_for_status()
    expect(last.get_by_role("button", name="+1 1: rui")).to_be_in_viewport(ratio=1)


def test_changes_by_keyboard_alone(server: EventHubServer, identity: Visit) -> None:
    page = identity(server).chat("ana", "by-key")
    say(page, "one")
    say(page, "two")
    expect(page.locator("#log .message")).to_have_count(2)
    expect(page.locator("#log .changeable")).to_have_count(2)
    page.keyboard.press("ArrowUp")
    expect(box(page)).to_have_value("two")
    page.keyboard.press("Escape")
    expect(box(page)).to_have_value("")
    page.keyboard.press("Escape")
    expect(page.locator("#log .message").last).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("r")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="❤️ 1: ana")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#log .message").first).to_be_focused()
    page.keyboard.press("e")
    expect(box(page)).to_have_value("one")
    change(page, "first")
    expect(texts(page).first).to_have_text("first")
    page.keyboard.press("Escape")
    page.keyboard.press("Delete")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(texts(page)).to_have_text(["first", "This message was deleted."])
    page.keyboard.press("Escape")
    expect(box(page)).to_be_focused()
    page.keyboard.type("on my way :roc")
    expect(page.get_by_role("option")).to_have_text(["🚀 rocket"])
    page.keyboard.press("Enter")
    expect(box(page)).to_have_value("on my way 🚀 ")


def test_an_edit_that_is_refused_says_so(server: EventHubServer, identity: Visit) -> None:
    page = identity(server).chat("ana", "refused-edit")
    say(page, "short")
    expect(page.locator("#log .changeable")).to_have_count(1)
    page.keyboard.press("ArrowUp")
    change(page, "x" * 4001)
    expect(page.get_by_role("alert").filter(has_text="edit was not stored")).to_contain_text("4000")
    expect(texts(page)).to_have_text(["short"])


def test_older_messages_come_when_they_are_scrolled_to(
    server: EventHubServer, identity: Visit
) -> None:
    sent = [f"message {number}" for number in range(250)]
    post(server, "older", *sent)
    channel = f"{server.url}/v1/channels/chat.older"
    first = http.get(channel, params={"limit": 1}).json()["events"][0]["id"]
    edited = {"sender": "producer", "text": "edited later"}
    http.post(channel, json=edited, params={"refers": first, "relation": "edit"})
    page = identity(server).chat("ana", "older")
    expect(texts(page)).to_have_text(sent[151:])  # the edit is one of the last hundred events
    page.locator("#scroller").evaluate("(it) => { it.scrollTop = 0; }")
    expect(texts(page)).to_have_text(sent[51:])
    page.locator("#scroller").evaluate("(it) => { it.scrollTop = 0; }")
    expect(texts(page)).to_have_text(["edited later", *sent[1:]])
    expect(page.locator("#log .day")).to_have_text(["Today"])
    expect(page.get_by_text("Nothing older is kept.")).to_be_visible()


def test_older_messages_come_when_newer_events_are_reactions(
    server: EventHubServer, identity: Visit
) -> None:
    sent = [f"message {number}" for number in range(30)]
    post(server, "liked", *sent)
    channel = f"{server.url}/v1/channels/chat.liked"
    last = http.get(channel, params={"since": "-1"}).json()["events"][0]["id"]
    about = {"refers": last, "relation": "reaction"}
    for number in range(110):
        reaction = {"sender": f"fan {number}", "text": "🎉"}
        http.post(channel, json=reaction, params=about).raise_for_status()
    page = identity(server).chat("ana", "liked")
    expect(texts(page)).to_have_text(sent)
    expect(page.locator("#log .reaction .count")).to_have_text("110")


def test_a_draft_is_kept_for_its_room(server: EventHubServer, identity: Visit) -> None:
    ana = identity(server)
    page = ana.chat("ana", "draft-a")
    box(page).fill("not finished")
    page.goto(f"{server.url}/chat/draft-b")
    expect(box(settled(page))).to_have_value("")
    page.goto(f"{server.url}/chat/draft-a")
    expect(box(settled(page))).to_have_value("not finished")
    page.keyboard.press("Enter")
    expect(texts(page)).to_have_text(["not finished"])
    page.reload()
    expect(box(settled(page))).to_have_value("")


def test_rooms_have_counts_of_what_is_unread(server: EventHubServer, identity: Visit) -> None:
    ana = identity(server)
    page = ana.chat("ana", "unread-a")
    post(server, "unread-a", "seen")
    expect(texts(page)).to_have_text(["seen"])
    page.wait_for_function("() => localStorage.getItem('eventhub.read.chat.unread-a')")
    page.goto(f"{server.url}/chat/unread-b")
    post(server, "unread-a", "one", "two")
    settled(page).reload()
    room = settled(page).get_by_role("link", name="unread-a")
    expect(room.get_by_role("img", name="2 unread")).to_be_visible()
    room.click()
    expect(page.locator("#log :is(.text, .notice)")).to_have_text(
        ["seen", "While you were away: 2 messages", "one", "two"]
    )


def test_the_bare_address_and_the_earlier_one_lead_to_a_room(
    server: EventHubServer, identity: Visit
) -> None:
    page = identity(server).open("/chat?room=team.a")
    expect(page).to_have_url(f"{server.url}/chat/team.a")
    expect(page.get_by_role("heading", name="team.a")).to_be_visible()
    page.goto(f"{server.url}/chat")
    expect(page).to_have_url(f"{server.url}/chat/lobby")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    with EventHubServer(tmp_path_factory.mktemp("guarded"), GUARDED) as running:
        yield running


def token(sub: str, **more: list[str]) -> str:
    grants = {action: [">"] for action in ("subscribe", "publish", "presence")} | more
    claims = {"sub": sub, "exp": time.time() + 600, "channels": grants}
    return jwt.encode(claims, SECRET, algorithm="HS256")


def test_with_tokens_names_are_checked_and_only_the_author_changes(
    guarded: EventHubServer, identity: Visit
) -> None:
    ana = settled(identity(guarded).open(f"/chat/names#token={token('ana')}"))
    rui = settled(identity(guarded).open(f"/chat/names#token={token('rui')}"))
    say(ana, "it is me")
    channel = f"{guarded.url}/v1/channels/chat.names"
    headers = {"Authorization": f"Bearer {token('eve')}"}
    http.post(channel, json={"sender": "ana", "text": "it is not"}, headers=headers)
    expect(texts(rui)).to_have_text(["it is me", "it is not"])
    expect(
        rui.locator("#log .message").first.get_by_role("img", name="name checked")
    ).to_be_visible()
    expect(ana.locator("#log .changeable .text")).to_have_text(["it is me"])
    expect(rui.locator("#log .changeable")).to_have_count(0)
    expect(rui.locator("#log .by").last).to_have_text("by eve")


def test_a_moderator_edits_and_deletes_what_others_wrote(
    guarded: EventHubServer, identity: Visit
) -> None:
    ana = settled(identity(guarded).open(f"/chat/moderated#token={token('ana')}"))
    for text in ("too long", "too rude"):
        say(ana, text)
    expect(ana.locator("#log .changeable")).to_have_count(2)
    moderator = token("mod", moderate=["chat.*"])
    mod = settled(identity(guarded).open(f"/chat/moderated#token={moderator}"))
    expect(mod.locator("#log .changeable:not(.own)")).to_have_count(2)
    first, last = mod.locator("#log .message").first, mod.locator("#log .message").last
    first.hover()
    first.get_by_role("button", name="Edit").click()
    change(mod, "shorter")
    last.hover()
    last.get_by_role("button", name="Delete").click()
    mod.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(texts(ana)).to_have_text(["shorter", "This message was deleted."])
    box(mod).focus()
    mod.keyboard.press("ArrowUp")
    expect(box(mod)).to_have_value("")  # there is no message of the moderator's own
