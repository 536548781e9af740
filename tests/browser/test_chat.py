"""The chat page with a real server: what people who talk to each other see."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, WebSocketRoute, expect

from tests.browser.conftest import Visitor, settled
from tests.harness.clients import http
from tests.harness.eventhub import EventHubServer

Visit = Callable[..., Visitor]
HOSTILE = [
    "<img src=x onerror=\"window.harmed = 'img'\">",
    "<script>window.harmed = 'script'</script>",
    "javascript:window.harmed='link'",
    "\u202eright to left override\u202c שלום עולם مرحبا",
    "👩‍👩‍👧‍👦 🏳️‍🌈 e\u0301 Z\u0310\u0330a\u0325l\u0323g\u0327o\u0328",
    "w" * 4000,
    "{{constructor}} ${window.harmed='template'} &lt;b&gt; \\u003cb\\u003e",
]


def texts(page: Page) -> Locator:
    return page.locator("#log .text")


def lines(page: Page) -> Locator:
    """Texts of people and notices, in order."""
    return page.locator("#log :is(.text, .notice)")


def box(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Message", exact=True)


def say(page: Page, text: str) -> None:
    box(page).fill(text)
    page.keyboard.press("Enter")


def post(server: EventHubServer, room: str, *said: str, sender: str = "producer") -> None:
    body = [{"sender": sender, "text": text} for text in said]
    http.post(f"{server.url}/v1/channels/chat.{room}", json=body).raise_for_status()


def test_two_people_talk(server: EventHubServer, identity: Visit) -> None:
    ana, bob = identity(server).chat("ana", "talk"), identity(server).chat("bob", "talk")
    say(ana, "oi")
    expect(texts(bob)).to_have_text(["oi"])
    say(bob, "tudo bem?")
    say(ana, "tudo")
    for page in (ana, bob):
        expect(texts(page)).to_have_text(["oi", "tudo bem?", "tudo"])
    expect(bob.locator("#log .sender")).to_have_text(["ana", "bob", "ana"])
    expect(ana.locator("#log .own .text")).to_have_text(["oi", "tudo"])
    expect(ana.locator("#log .own").get_by_role("img", name="delivered")).to_have_count(2)
    expect(ana.locator("#outbox > *")).to_have_count(0)


def test_several_tabs_of_one_person_are_one_member(server: EventHubServer, identity: Visit) -> None:
    ana, bob = identity(server), identity(server).chat("bob", "tabs")
    first = ana.chat("ana", "tabs")
    second = settled(ana.open("/chat/tabs"))
    expect(bob.locator("#members .sender")).to_have_text(["bob", "ana"])
    say(first, "from the first tab")
    expect(second.locator("#log .own .text")).to_have_text(["from the first tab"])
    first.close()
    say(second, "still here")
    expect(texts(bob)).to_have_count(2)
    expect(bob.locator("#members .sender")).to_have_text(["bob", "ana"])
    second.close()
    expect(bob.locator("#members .sender")).to_have_text(["bob"])


def test_the_name_is_asked_once_kept_and_changeable(
    server: EventHubServer, identity: Visit
) -> None:
    ana, bob = identity(server), identity(server).chat("bob", "names")
    page = ana.open("/chat/names")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="What is your name?")).to_be_visible()
    expect(page.locator(".status-text")).to_have_text("not connected yet")
    page.get_by_role("textbox", name="Name", exact=True).fill("  ana  ")
    page.get_by_role("button", name="Continue").click()
    expect(bob.locator("#members .sender")).to_have_text(["bob", "ana"])
    settled(page).reload()
    say(settled(page), "hello")
    page.get_by_role("button", name="Change your name, now ana").click()
    page.get_by_role("textbox", name="Name", exact=True).fill("anabela")
    page.keyboard.press("Enter")
    expect(box(page)).to_be_focused()
    expect(bob.locator("#members .sender")).to_have_text(["bob", "anabela"])
    say(page, "it is me")
    expect(texts(page)).to_have_text(["hello", "it is me"])
    expect(bob.locator("#log .sender")).to_have_text(["ana", "anabela"])


def test_history_is_there_on_arrival(server: EventHubServer, identity: Visit) -> None:
    post(server, "past", *(f"message {number}" for number in range(120)))
    page = identity(server).chat("ana", "past")
    expect(texts(page)).to_have_text([f"message {number}" for number in range(20, 120)])
    expect(texts(page).last).to_be_in_viewport()
    expect(page.locator("#log .day")).to_have_text(["Today"])
    expect(page.locator("#log .notice")).to_have_count(0)


def test_hostile_text_is_shown_as_it_is(server: EventHubServer, identity: Visit) -> None:
    name = '<b onclick="x">eve</b>'
    visitor = identity(server, viewport={"width": 360, "height": 740})
    page = visitor.chat(name, "hostile")
    for text in HOSTILE:
        say(page, text)
    expect(page.locator(".pending")).to_have_count(0)  # the server has all before the next ones
    post(server, "hostile", *HOSTILE, sender="<i>mallory</i>\u202e")
    expect(texts(page)).to_have_text(HOSTILE * 2, use_inner_text=False)
    assert (
        page.locator("#log .text").evaluate_all("(all) => all.map((each) => each.textContent)")
        == HOSTILE * 2
    )
    assert page.locator("#log .text *").count() == 0
    assert page.evaluate("window.harmed") is None
    assert page.locator("#my-name").text_content() == name
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator("#scroller").evaluate("(it) => it.scrollWidth <= it.clientWidth")


def test_a_refused_message_says_why_and_can_be_edited(
    server: EventHubServer, identity: Visit
) -> None:
    page = identity(server).chat("ana", "refused")
    say(page, "x" * 4001)
    expect(page.get_by_role("alert").filter(has_text="Not sent: text:")).to_contain_text("4000")
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("alert").filter(has_text="Not sent: text:")).to_be_visible()
    page.get_by_role("button", name="Edit").click()
    expect(box(page)).to_be_focused()
    expect(box(page)).to_have_value("x" * 4001)
    say(page, "shorter")
    expect(texts(page)).to_have_text(["shorter"])
    expect(page.locator("#outbox > *")).to_have_count(0)


def test_a_message_too_large_for_the_wire_does_not_break_the_connection(
    server: EventHubServer, identity: Visit
) -> None:
    page = identity(server).chat("ana", "large")
    say(page, "x" * 70_000)
    expect(page.get_by_role("alert").filter(has_text="Not sent")).to_contain_text("at most")
    say(page, "small")
    expect(texts(page)).to_have_text(["small"])


def test_an_impossible_room_is_explained(server: EventHubServer, identity: Visit) -> None:
    page = identity(server).open("/chat/not%20a%20room")
    page.get_by_role("textbox", name="Name", exact=True).fill("ana")
    page.keyboard.press("Enter")
    expect(page.locator("#problem")).to_contain_text("chat.not a room")
    expect(page.locator("#status")).to_have_attribute("data-state", "refused")
    expect(page.locator(".status-text")).to_have_text("refused: invalid channel")
    page.get_by_role("button", name="Try now").click()
    expect(page.locator(".status-text")).to_have_text("refused: invalid channel")


def test_the_log_is_bounded(server: EventHubServer, identity: Visit) -> None:
    page = identity(server).chat("ana", "long")
    for start in range(0, 600, 100):
        post(server, "long", *(f"message {number}" for number in range(start, start + 100)))
    expect(texts(page).last).to_have_text("message 599")
    expect(page.locator("#log > *")).to_have_count(500)
    expect(texts(page).last).to_be_in_viewport()


def test_reading_back_is_not_disturbed(server: EventHubServer, identity: Visit) -> None:
    post(server, "back", *(f"message {number}" for number in range(60)))
    page = identity(server).chat("ana", "back")
    expect(texts(page)).to_have_count(60)
    expect(texts(page).last).to_be_in_viewport()
    texts(page).first.scroll_into_view_if_needed()
    newer = page.get_by_role("button", name="new message")
    post(server, "back", "one")
    expect(newer).to_have_text("1 new message ↓")
    post(server, "back", "two")
    expect(newer).to_have_text("2 new messages ↓")
    expect(texts(page).first).to_be_in_viewport()
    newer.click()
    expect(texts(page).last).to_be_in_viewport()
    expect(newer).to_be_hidden()
    post(server, "back", "three")
    expect(texts(page).last).to_have_text("three")
    expect(texts(page).last).to_be_in_viewport()


def test_everything_can_be_done_with_the_keyboard(server: EventHubServer, identity: Visit) -> None:
    page = identity(server).open("/chat/keys")
    page.keyboard.type("ana")
    page.keyboard.press("Enter")
    expect(box(settled(page))).to_be_focused()
    page.keyboard.type("two")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("lines")
    page.keyboard.press("Enter")
    expect(texts(page)).to_have_text(["two\nlines"], use_inner_text=True)
    expect(box(page)).to_be_focused()
    page.keyboard.type("by the button")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Send")).to_be_focused()
    page.keyboard.press("Space")
    expect(texts(page)).to_have_count(2)
    expect(box(page)).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("region", name="Message history")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    me = page.get_by_role("button", name="Change your name, now ana")
    expect(me).to_be_focused()
    assert me.evaluate("(it) => getComputedStyle(it).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.keyboard.type("anabela")
    page.keyboard.press("Enter")
    expect(page.locator("#members .sender")).to_have_text(["anabela"])


def test_focus_stays_in_the_text_box(server: EventHubServer, identity: Visit) -> None:
    page = identity(server).chat("ana", "focus")
    box(page).fill("half a sent")
    post(server, "focus", *(f"message {number}" for number in range(20)))
    expect(texts(page)).to_have_count(20)
    expect(box(page)).to_be_focused()
    expect(box(page)).to_have_value("half a sent")


def test_roles_and_names_tell_the_page(server: EventHubServer, identity: Visit) -> None:
    page = identity(server).chat("ana", "roles")
    say(page, "oi")
    expect(texts(page)).to_have_text(["oi"])
    expect(page.locator("body")).to_match_aria_snapshot("""
        - banner:
          - link "EventHub"
          - heading "roles" [level=1]
          - status: connected
          - button "Change your name, now ana"
        - main:
          - region "Conversation":
            - region "Message history":
              - log "Messages":
                - article:
                  - paragraph: oi
                  - img "delivered"
            - textbox "Message"
            - button "Send"
          - complementary "Here now":
            - heading "Here now" [level=2]
            - list:
              - listitem: ana you
            - textbox "Another room"
            - button "Go"
    """)
    expect(page.locator("#log")).to_have_attribute("aria-live", "polite")


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.proof)])
def test_a_phone_shows_everything(server: EventHubServer, identity: Visit, scheme: str) -> None:
    page = identity(server, viewport={"width": 360, "height": 640}, color_scheme=scheme).chat(
        "a" * 64, f"phone-{scheme}"
    )
    post(server, f"phone-{scheme}", "w" * 300, "short", sender="n" * 64)
    expect(texts(page)).to_have_count(2)
    people = page.get_by_role("button", name="1 here")
    send, heading = (
        page.get_by_role("button", name="Send"),
        page.get_by_role("heading", name=f"phone-{scheme}"),
    )
    for control in (box(page), send, people, heading):
        expect(control).to_be_in_viewport(ratio=1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    people.click()
    expect(people).to_have_attribute("aria-expanded", "true")
    expect(page.locator("#members .sender")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_missed_messages_arrive_and_are_counted(server: EventHubServer, identity: Visit) -> None:
    visitor = identity(server)
    connections: list[WebSocketRoute] = []
    away = False

    def connect(route: WebSocketRoute) -> None:
        if away:
            route.close(code=1012)
        else:
            route.connect_to_server()
            connections.append(route)

    visitor.context.route_web_socket("**/v1/ws", connect)
    page = visitor.chat("ana", "missed")
    say(page, "before")
    expect(texts(page)).to_have_text(["before"])
    away = True
    connections[-1].close(code=1012)
    expect(page.locator("#status")).to_have_attribute("data-state", "waiting")
    expect(page.locator(".status-text")).to_have_text("reconnecting in 1 s…")
    expect(page.locator(".status-spoken")).to_have_text("connection lost, reconnecting")
    post(server, "missed", "one", "two", "three")
    say(page, "written while away")
    expect(page.locator("#outbox .pending .text")).to_have_text("written while away")
    away = False
    expect(texts(page)).to_have_text(["before", "one", "two", "three", "written while away"])
    expect(lines(page)).to_have_text(
        ["before", "While you were away: 3 messages", "one", "two", "three", "written while away"]
    )
    expect(page.locator("#outbox > *")).to_have_count(0)


RECORD_STATES = """() => {
    const status = document.querySelector("#status");
    window.states = [];
    new MutationObserver(() => states.push(status.dataset.state)).observe(status, {
        attributeFilter: ["data-state"],
    });
}"""


def test_offline_is_said_at_once_and_what_is_written_waits(
    server: EventHubServer, identity: Visit
) -> None:
    visitor = identity(server)
    page = visitor.chat("ana", "offline")
    say(page, "before")
    expect(texts(page)).to_have_text(["before"])
    visitor.context.set_offline(True)
    expect(page.locator(".status-text")).to_have_text("offline")
    expect(page.locator(".status-spoken")).to_have_text(
        "offline, connects when the network is back"
    )
    say(page, "written offline")
    expect(page.locator("#outbox .pending time")).to_have_text("waiting for the connection…")
    post(server, "offline", "one")
    page.evaluate(RECORD_STATES)
    visitor.context.set_offline(False)
    expect(lines(page)).to_have_text(
        ["before", "While you were away: 1 message", "one", "written offline"]
    )
    expect(page.locator("#log .own").get_by_role("img", name="delivered")).to_have_count(2)
    assert page.evaluate("states") == ["connecting", "open"]
    events = http.get(f"{server.url}/v1/channels/chat.offline").json()["events"]
    assert [event["data"]["text"] for event in events] == ["before", "one", "written offline"]


def test_a_page_opened_without_a_network_says_offline(
    server: EventHubServer, identity: Visit
) -> None:
    visitor = identity(server)
    visitor.context.add_init_script(
        "Object.defineProperty(navigator, 'onLine', { get: () => false })"
    )
    visitor.context.route_web_socket("**/v1/ws", lambda route: route.close(code=1012))
    page = visitor.open("/chat/nowhere")
    page.get_by_role("textbox", name="Name", exact=True).fill("ana")
    page.keyboard.press("Enter")
    expect(page.locator(".status-text")).to_have_text("offline")


HIDE = """(hidden) => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    Object.defineProperty(document, "visibilityState", {
        value: hidden ? "hidden" : "visible",
        configurable: true,
    });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_messages_of_a_hidden_tab_are_marked_although_the_connection_held(
    server: EventHubServer, identity: Visit
) -> None:
    page = identity(server).chat("ana", "hidden")
    post(server, "hidden", "seen")
    expect(texts(page)).to_have_text(["seen"])
    page.evaluate(HIDE, arg=True)
    post(server, "hidden", "one", "two")
    expect(lines(page)).to_have_text(["seen", "While you were away", "one", "two"])
    expect(page).to_have_title("(2) #hidden · EventHub")
    page.evaluate(HIDE, arg=False)
    expect(lines(page)).to_have_text(["seen", "While you were away: 2 messages", "one", "two"])
    post(server, "hidden", "here again")
    expect(lines(page)).to_have_count(5)
    page.evaluate(HIDE, arg=True)
    page.evaluate(HIDE, arg=False)
    expect(page.locator(".away")).to_have_text("While you were away: 2 messages")
    page.evaluate(HIDE, arg=True)
    post(server, "hidden", "three")
    expect(lines(page)).to_have_text(
        ["seen", "one", "two", "here again", "While you were away", "three"]
    )


def test_messages_of_a_sleeping_machine_are_marked_although_the_connection_held(
    server: EventHubServer, identity: Visit
) -> None:
    page = identity(server).chat("ana", "asleep")
    post(server, "asleep", "seen")
    expect(texts(page)).to_have_text(["seen"])
    page.evaluate("const real = Date.now; Date.now = () => real() + 3_600_000;")
    post(server, "asleep", "one")
    expect(lines(page)).to_have_text(["seen", "While you were away: 1 message", "one"])
    post(server, "asleep", "awake")
    expect(lines(page)).to_have_text(["seen", "While you were away: 1 message", "one", "awake"])


def test_more_missed_than_the_page_keeps_are_marked_at_its_top(
    server: EventHubServer, identity: Visit
) -> None:
    page = identity(server).chat("ana", "flood")
    page.evaluate(HIDE, arg=True)
    for start in range(0, 600, 100):
        post(server, "flood", *(f"message {number}" for number in range(start, start + 100)))
    expect(texts(page).last).to_have_text("message 599")
    page.evaluate(HIDE, arg=False)
    expect(lines(page).first).to_have_text("While you were away: 600 messages")


def test_an_answer_lost_with_the_connection_does_not_double_the_message(
    server: EventHubServer, identity: Visit
) -> None:
    visitor = identity(server)
    connections: list[WebSocketRoute] = []

    def connect(route: WebSocketRoute) -> None:
        upstream = route.connect_to_server()
        connections.append(route)
        if len(connections) == 1:
            upstream.on_message(lambda message: None if published(message) else route.send(message))

    def published(message: str | bytes) -> bool:
        return '"type":"event"' in str(message) or '"type":"published"' in str(message)

    visitor.context.route_web_socket("**/v1/ws", connect)
    page = visitor.chat("ana", "answer")
    say(page, "only once")
    channel = f"{server.url}/v1/channels/chat.answer"
    expect(page.locator("#outbox .pending")).to_have_count(1)
    page.wait_for_function(
        "async (url) => (await (await fetch(url)).json()).events.length === 1", arg=channel
    )
    connections[-1].close(code=1012)
    expect(texts(page)).to_have_text(["only once"])
    expect(page.locator("#log").get_by_role("img", name="delivered")).to_have_count(1)
    expect(page.locator("#outbox > *")).to_have_count(0)
    assert len(http.get(channel).json()["events"]) == 1


def test_a_refusal_stops_with_its_reason_and_can_be_tried_again(
    server: EventHubServer, identity: Visit
) -> None:
    visitor = identity(server)
    refused = True

    def connect(route: WebSocketRoute) -> None:
        if refused:
            route.close(code=4403, reason="origin_not_allowed")
        else:
            route.connect_to_server()

    visitor.context.route_web_socket("**/v1/ws", connect)
    page = visitor.open("/chat/stopped")
    page.get_by_role("textbox", name="Name", exact=True).fill("ana")
    page.keyboard.press("Enter")
    expect(page.locator(".status-text")).to_have_text("stopped: origin_not_allowed")
    say(page, "too early")
    expect(page.get_by_role("alert").filter(has_text="Not sent: not connected")).to_be_visible()
    refused = False
    page.get_by_role("button", name="Try now").click()
    settled(page)
    page.get_by_role("button", name="Retry").click()
    expect(texts(page)).to_have_text(["too early"])


@pytest.mark.parametrize("how", [pytest.param("stop", marks=pytest.mark.proof), "kill"])
def test_a_restart_is_survived(fragile_server: EventHubServer, identity: Visit, how: str) -> None:
    """The memory broker forgets: the pages say so, and what was written meanwhile arrives once."""
    ana, bob = (
        identity(fragile_server).chat("ana", "lobby"),
        identity(fragile_server).chat("bob", "lobby"),
    )
    say(ana, "before")
    expect(texts(bob)).to_have_text(["before"])
    getattr(fragile_server, how)()
    expect(ana.locator("#status")).to_have_attribute("data-state", "waiting")
    say(ana, "while down")
    expect(ana.locator("#outbox .pending .text")).to_have_text("while down")
    fragile_server.start()
    for page in (ana, bob):
        expect(texts(page)).to_have_text(["before", "while down"])
        expect(page.locator(".notice").first).to_have_text(
            "The server lost its history; messages may be missing here."
        )
        expect(page.locator("#members .sender")).to_have_count(2)
    say(bob, "after")
    for page in (ana, bob):
        expect(texts(page)).to_have_text(["before", "while down", "after"])
    events = http.get(f"{fragile_server.url}/v1/channels/chat.lobby").json()["events"]
    assert [event["data"]["text"] for event in events] == ["while down", "after"]
