"""The pages of logs and readings where their address names several channels."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor
from tests.browser.test_live_pages_token import CONFIG, guarded
from tests.browser.test_token import token, use
from tests.harness.eventhub import EventHubServer

__all__ = ["CONFIG", "guarded"]

Visit = Callable[..., Visitor]


def refused(page: Page, said: str) -> None:
    state = page.locator("#state")
    expect(state).to_have_attribute("data-kind", "refused")
    expect(state).to_contain_text(said)
    expect(page.locator("#status")).to_have_attribute("data-state", "refused")


@pytest.mark.parametrize(
    "path", ["/logs/nosuch.>,a..b", "/logs/logs.api,logs.a..b", "/iot/api,a..b"]
)
def test_a_list_with_a_name_that_is_none_is_refused_as_that_name_alone_is(
    server: EventHubServer, identity: Visit, path: str
) -> None:
    page = identity(server).open(path)
    name = "iot.a..b" if path.startswith("/iot") else "logs.a..b"
    refused(page, f"channel is '{name}'; expected tokens of A-Z a-z 0-9 _ - joined by dots")
    expect(page.get_by_role("heading", name="This is not the name of a channel")).to_be_visible()


def test_a_token_that_allows_only_one_of_a_list_is_refused_and_another_one_helps(
    guarded: EventHubServer, identity: Visit
) -> None:
    page = identity(guarded).open(
        f"/logs/logs.secret,logs.other#token={token(pattern='logs.secret')}"
    )
    refused(page, "logs.other")
    expect(page.locator("#token")).to_be_visible()
    seen = page.locator(".line")
    expect(seen).to_have_count(1)
    use(page, token())
    expect(page.locator("#state")).to_be_hidden()
    expect(seen).to_have_count(1)  # what was there before is not read again
    expect(seen).to_contain_text("seen")
