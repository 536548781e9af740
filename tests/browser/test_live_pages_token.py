"""The pages of logs and readings where the server asks who one is."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor
from tests.browser.test_token import SECRET, token, use
from tests.harness.clients import http
from tests.harness.eventhub import EventHubServer

Visit = Callable[..., Visitor]
CONFIG = f"""
auth: {{tokens: {{keys: [{{algorithm: HS256, secret: {SECRET}}}], leeway: 0}}}}
channels:
  logs: {{payload: log, publish: [producer]}}
  iot: {{payload: reading, publish: [producer]}}
"""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    with EventHubServer(tmp_path_factory.mktemp("guarded"), CONFIG) as running:
        headers = {"Authorization": f"Bearer {token()}"}
        for channel, event in (
            ("logs.secret", {"level": "info", "message": "seen"}),
            ("iot.secret", {"value": 7}),
        ):
            address = f"{running.url}/v1/channels/{channel}"
            http.post(address, json=event, headers=headers).raise_for_status()
        yield running


def refused(page: Page) -> None:
    expect(page.locator("#state")).to_have_attribute("data-kind", "refused")
    expect(page.locator("#token")).to_be_visible()


@pytest.mark.parametrize(
    ("path", "shown"), [("/logs/secret", ".line:visible"), ("/iot/secret", ".tile")]
)
def test_a_page_asks_for_a_token_and_goes_on_with_it(
    guarded: EventHubServer, identity: Visit, path: str, shown: str
) -> None:
    page = identity(guarded).open(path)
    refused(page)
    use(page, token())
    expect(page.locator(shown)).to_have_count(1)
    expect(page.locator("#token")).to_be_hidden()
    expect(page.locator("#state")).to_be_hidden()


def test_a_token_that_does_not_allow_the_pattern_is_refused_and_another_one_helps(
    guarded: EventHubServer, identity: Visit
) -> None:
    page = identity(guarded).open(f"/logs/logs.>#token={token(pattern='logs.secret')}")
    refused(page)
    assert "token" not in page.url
    use(page, token())
    expect(page.locator(".line:visible")).to_contain_text("seen")


def test_history_is_loaded_with_the_token(guarded: EventHubServer, identity: Visit) -> None:
    page = identity(guarded).open(f"/iot/iot.secret?since=1m#token={token()}")
    expect(page.locator(".tile")).to_have_count(1)
    with page.expect_websocket() as other:
        page.get_by_role("button", name="Zoom out").click()
        other.value.wait_for_event("close")
    expect(page.get_by_role("img", name="secret from 7 to 7")).to_be_visible()
