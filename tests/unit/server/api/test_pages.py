"""server/api/pages.py: pages and their files, with the headers that browsers need."""

import re
from dataclasses import replace

import pytest

from eventhub.server.api.pages import PAGES, first_type, web_directory
from tests.harness.builders import channel_type
from tests.unit.server.api.requests import request


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_a_content_security_policy(path: str) -> None:
    response = request("GET", path)
    assert (response.status_code, response.headers["x-frame-options"]) == (200, "DENY")
    assert "default-src 'none'" in response.headers["content-security-policy"]


@pytest.mark.parametrize(("path", "location"), [("/logs", "logs/logs.%3E"), ("/logs/", "logs.%3E")])
def test_a_bare_address_leads_to_all_channels_below_any_prefix(path: str, location: str) -> None:
    response = request("GET", path)
    assert (response.status_code, response.headers["location"]) == (307, location)


def test_a_bare_address_leads_to_the_usual_type_or_to_one_with_its_payload() -> None:
    def leads_to(**payloads: str) -> str:
        types = [
            replace(channel_type(), name=name, payload=payload)
            for name, payload in payloads.items()
        ]
        return first_type(types, "log", "logs")

    assert leads_to(audit="log", logs="log") == "logs"
    assert leads_to(logs="json", audit="log", more="log") == "audit"
    assert leads_to(chat="chat") == "logs"


def test_no_file_outside_of_the_web_directory_is_served() -> None:
    assert request("GET", "/static/%2e%2e/pyproject.toml").status_code == 404


@pytest.mark.parametrize("name", sorted({*PAGES.values()} - {"chat/chat.html"}))
def test_every_page_has_the_same_header(name: str) -> None:
    """But for the mark of the page itself, the connection's status and the way up."""

    def header(name: str) -> str:
        text = (web_directory() / "pages" / name).read_text(encoding="utf-8")
        [found] = re.findall(r'  <a class="skip".*?</nav>\n', text, re.DOTALL)
        return re.sub(r' aria-current="page"', "", found).replace("../", "")

    assert header(name) == header("landing/landing.html")
