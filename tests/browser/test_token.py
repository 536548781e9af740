"""The pages where the server asks who one is, and their content security policy, with a real
server.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Visitor, settled
from tests.harness.eventhub import EventHubServer

Visit = Callable[..., Visitor]
SECRET = "a secret of at least thirty-two bytes"
CONFIG = f"""
auth: {{tokens: {{keys: [{{algorithm: HS256, secret: {SECRET}}}], leeway: 0}}}}
channels:
  chat: {{payload: chat, presence: true, publish: [client, producer]}}
  open: {{payload: chat, anonymous: [subscribe]}}
"""
EVERYTHING = ["subscribe", "publish", "presence"]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    with EventHubServer(tmp_path_factory.mktemp("guarded"), CONFIG) as running:
        yield running


def token(
    sub: str = "ana", *, seconds: float = 600, pattern: str = ">", secret: str = SECRET, **more: Any
) -> str:
    grants = {action: [pattern] for action in EVERYTHING}
    return jwt.encode(
        {"sub": sub, "exp": time.time() + seconds, "channels": grants, **more},
        secret,
        algorithm="HS256",
    )


def field(page: Page) -> Locator:
    return page.get_by_label("Token or API key")


def reason(page: Page) -> Locator:
    return page.locator("#token .reason")


def use(page: Page, value: str) -> None:
    """As with a keyboard: the field has the focus when it is asked for."""
    expect(field(page)).to_be_visible()
    field(page).fill(value)
    page.keyboard.press("Enter")


def named(visitor: Visitor, path: str, name: str = "Ana M.") -> Page:
    page = visitor.open(path)
    page.get_by_role("textbox", name="Name", exact=True).fill(name)
    page.keyboard.press("Enter")
    return page


def kept(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate(
        "() => ({ tab: { ...sessionStorage }, browser: { ...localStorage }, "
        "cookies: document.cookie })"
    )
    return found


def connected(page: Page) -> Page:
    expect(page.locator("#status")).to_have_attribute("data-state", "open")
    return page


def test_a_stranger_is_asked_for_a_token_and_is_then_seen_under_its_name(
    guarded: EventHubServer, identity: Visit
) -> None:
    page = named(identity(guarded), "/chat/asked")
    expect(reason(page)).to_contain_text("This needs a token.")
    expect(field(page)).to_be_focused()
    expect(field(page)).to_have_attribute("type", "password")
    use(page, token("ana"))
    settled(page)
    expect(field(page)).to_be_hidden()
    expect(page.get_by_role("textbox", name="Message", exact=True)).to_be_focused()
    expect(page.locator("#members")).to_contain_text("ana")
    expect(page.locator("#members .you")).to_be_visible()
    page.get_by_role("textbox", name="Message", exact=True).fill("oi")
    page.keyboard.press("Enter")
    expect(page.locator("#log .sender")).to_have_text(["Ana M."])
    page.reload()
    settled(page)
    expect(page.locator("#log .text")).to_have_text(["oi"])


def test_a_link_brings_the_token_and_the_address_bar_does_not_keep_it(
    guarded: EventHubServer, identity: Visit
) -> None:
    visitor = identity(guarded)
    asked: list[str] = []
    visitor.context.on(
        "request", lambda request: asked.append(f"{request.url} {request.headers.get('referer')}")
    )
    visitor.context.on(
        "page", lambda page: page.on("websocket", lambda socket: asked.append(socket.url))
    )
    secret = token("bob")
    page = settled(visitor.open(f"/chat/link#token={secret}"))
    assert page.url == f"{guarded.url}/chat/link"
    expect(page.get_by_role("button", name="Change your name, now bob")).to_be_visible()
    assert kept(page) == {"tab": {"eventhub.token": secret}, "browser": {}, "cookies": ""}
    assert visitor.context.cookies() == []
    page.goto(f"{guarded.url}/explore/chat.link")
    connected(page)
    expect(field(page)).to_be_hidden()
    page.go_back()
    assert page.url == f"{guarded.url}/chat/link"
    assert asked
    assert [each for each in asked if secret in each] == []
    other = visitor.open("/explore/chat.link")
    expect(field(other)).to_be_visible()


def test_another_link_in_the_same_tab_is_another_person(
    guarded: EventHubServer, identity: Visit
) -> None:
    page = settled(identity(guarded).open(f"/chat/switch#token={token('ana')}"))
    expect(page.locator("#members .sender")).to_have_text(["ana"])
    page.evaluate("(token) => { location.hash = `token=${token}`; }", token("bob"))
    expect(page.locator("#members .sender")).to_have_text(["bob"])
    assert page.url == f"{guarded.url}/chat/switch"
    settled(page)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (token(secret="another secret of thirty-two bytes"), "That token is not accepted."),
        ("rubbish", "That token is not accepted."),
        (token(seconds=-60), "The token has expired."),
        (
            token(pattern="chat.elsewhere"),
            "The token does not allow this. The server says: token 'ana' has no grant",
        ),
    ],
)
@pytest.mark.parametrize(
    "path",
    ["/chat/refused", pytest.param("/explore/chat.refused", marks=pytest.mark.proof)],
)
def test_a_refusal_is_told_in_words_and_another_token_mends_it(
    guarded: EventHubServer, identity: Visit, path: str, value: str, words: str
) -> None:
    page = identity(guarded).open(f"{path}#token={value}")
    expect(page.get_by_role("alert").filter(has_text=words)).to_be_visible()
    expect(field(page)).to_have_attribute("aria-invalid", "true")
    assert value not in (page.locator("body").text_content() or "")
    use(page, token())
    connected(page)
    expect(field(page)).to_be_hidden()
    expect(page.locator("#problem, #channel-fault")).to_be_hidden()


def test_without_a_token_one_sees_what_anyone_may_see(
    guarded: EventHubServer, identity: Visit
) -> None:
    page = identity(guarded).open("/explore/open.a#token=rubbish")
    use(page, "")
    connected(page)
    expect(field(page)).to_be_hidden()
    assert kept(page)["tab"] == {}
    page.get_by_role("button", name="JSON", exact=True).click()
    page.get_by_label("JSON event").fill('{"sender":"x","text":"y"}')
    page.get_by_role("button", name="Publish", exact=True).click()
    expect(page.locator("#answer")).to_contain_text("401 unauthorized")
    use(page, token())
    expect(field(page)).to_be_hidden()
    page.get_by_role("button", name="Publish", exact=True).click()
    expect(page.locator("#answer")).to_contain_text("201 Created")
    expect(page.locator("#rows .id")).to_have_count(1)


def test_a_server_that_takes_no_tokens_says_so_and_one_goes_on_without(
    server: EventHubServer, identity: Visit
) -> None:
    page = identity(server).open(f"/chat/none#token={token()}")
    expect(reason(page)).to_contain_text("no authentication configured")
    use(page, "")
    page.get_by_role("textbox", name="Name", exact=True).fill("ana")
    page.keyboard.press("Enter")
    settled(page)
    expect(page.locator("#members .sender")).to_have_text(["ana"])


def test_without_authentication_nobody_is_asked(server: EventHubServer, identity: Visit) -> None:
    for page in (
        identity(server).chat("ana", "unasked"),
        connected(identity(server).open("/explore/iot.unasked")),
    ):
        expect(page.locator("#token")).to_be_hidden()
        assert "eventhub.token" not in str(kept(page))


def test_before_a_token_expires_a_new_one_keeps_the_connection(
    guarded: EventHubServer, identity: Visit
) -> None:
    visitor = identity(guarded)
    sockets: list[str] = []
    visitor.context.on(
        "page", lambda page: page.on("websocket", lambda socket: sockets.append(socket.url))
    )
    page = settled(
        visitor.open(f"/chat/expiring#token={token(seconds=34)}")
    )  # warned 30 seconds before
    page.get_by_role("textbox", name="Message", exact=True).fill("in the middle of")
    expect(reason(page)).to_contain_text("about to expire")
    expect(page.get_by_role("textbox", name="Message", exact=True)).to_be_focused()
    use(page, token())
    expect(field(page)).to_be_hidden()
    connected(page)
    assert len(sockets) == 1


def test_a_token_that_expires_ends_the_connection_and_is_asked_for(
    guarded: EventHubServer, identity: Visit
) -> None:
    page = identity(guarded).open("/explore/chat.end#token=rubbish")
    expect(field(page)).to_be_visible()
    use(page, token(seconds=15))  # from now on, and not while the page was loading
    connected(page)
    expect(page.locator("#status")).to_have_attribute("data-state", "stopped")
    expect(reason(page)).to_contain_text("The token has expired.")
    use(page, token())
    connected(page)


@pytest.mark.parametrize(
    "path", ["/chat/narrow", pytest.param("/explore/chat.narrow", marks=pytest.mark.proof)]
)
def test_the_field_fits_a_phone_and_has_its_roles(
    guarded: EventHubServer, identity: Visit, path: str
) -> None:
    page = identity(guarded, viewport={"width": 360, "height": 640}).open(f"{path}#token=rubbish")
    expect(field(page)).to_be_in_viewport()
    expect(page.get_by_role("button", name="Use it")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    told = "It stays in this tab until you close it. Leave it empty to continue without a token."
    expect(page.locator("#token")).to_match_aria_snapshot(f"""
        - alert: /That token is not accepted/
        - text: Token or API key
        - textbox "Token or API key"
        - button "Use it"
        - paragraph: {told}
    """)


INJECTED = """() => new Promise((resolve) => {
    const violations = [];
    document.addEventListener("securitypolicyviolation", ({ effectiveDirective, blockedURI }) => {
        violations.push([effectiveDirective, blockedURI]);
        if (violations.length === 3) resolve({ violations, harmed: window.harmed ?? null });
    });
    const script = document.createElement("script");
    script.textContent = "window.harmed = 'script'";
    document.body.append(script);
    const holder = document.createElement("div");
    holder.innerHTML = `<img src="/static/none" onerror="window.harmed = 'image'">`;
    document.body.append(holder);
    fetch("http://elsewhere.example/").catch(() => {});
})"""


@pytest.mark.parametrize("path", ["/", "/chat", "/explore", "/docs"])
def test_injected_script_does_not_run_and_nothing_is_sent_elsewhere(
    server: EventHubServer, identity: Visit, path: str
) -> None:
    visitor = identity(server)
    page = visitor.context.new_page()
    page.goto(server.url + path)
    seen = page.evaluate(INJECTED)
    assert seen["harmed"] is None
    assert sorted(directive for directive, _ in seen["violations"]) == [
        "connect-src",
        "script-src-attr",
        "script-src-elem",
    ]


def test_the_http_module_sends_the_token_in_a_header(modules: Page) -> None:
    seen = modules.evaluate("""async () => {
        const { Http } = await import("/static/client/http.js");
        const calls = [];
        const fetch = async (path, { method = "GET", headers, body }) =>
            calls.push([method, path, headers, body ?? null]);
        const http = new Http({ token: async () => "t1", fetch });
        await http.history("a.b", { since: "-5" });
        await http.presence("a/b");
        await http.types();
        await http.publish("a.b", "{}", { key: "k" });
        await new Http({ fetch }).types();
        return calls;
    }""")
    proof = {"Authorization": "Bearer t1"}
    assert seen == [
        ["GET", "v1/channels/a.b?since=-5", proof, None],
        ["GET", "v1/channels/a%2Fb/presence", proof, None],
        ["GET", "v1/types", proof, None],
        [
            "POST",
            "v1/channels/a.b",
            {"Content-Type": "application/json", "Idempotency-Key": "k", **proof},
            "{}",
        ],
        ["GET", "v1/types", {}, None],
    ]


@pytest.mark.parametrize(
    ("fragment", "found", "left"),
    [
        ("", None, ""),
        ("#x", None, "#x"),
        ("#token=a.b-c_", "a.b-c_", ""),
        ("#token=", None, ""),
        ("#token=a&x=1", "a", "#x=1"),
    ],
)
def test_a_token_is_taken_out_of_a_fragment(
    modules: Page, fragment: str, found: str | None, left: str
) -> None:
    script = (
        "async (fragment) => (await import('/static/pages/common/token.js')).takeToken(fragment)"
    )
    assert modules.evaluate(script, fragment) == {"token": found, "fragment": left}
