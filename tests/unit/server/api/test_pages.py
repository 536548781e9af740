"""server/api/pages.py: pages and their files, with the headers that browsers need."""

import re
from dataclasses import replace

import pytest

from eventhub.server.api.pages import PAGES, first_type, version_of, web_directory
from tests.harness.builders import channel_type
from tests.unit.server.api.requests import request, requests


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


@pytest.mark.parametrize("path", ["/chat/a/b", "/logs/a/b", "/explore/", "/docs/x", "/operate/x"])
def test_a_path_below_a_page_is_no_page(path: str) -> None:
    assert request("GET", path).status_code == 404


@pytest.mark.parametrize("path", ["/", "/docs", "/chat/lobby", "/static/client.js"])
def test_pages_and_files_have_get_and_head(path: str) -> None:
    got, head, post = requests(("GET", path, {}), ("HEAD", path, {}), ("POST", path, {}))
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers == got.headers
    assert got.headers["content-encoding"] == "gzip"  # httpx accepts it
    assert got.headers["cache-control"] == "no-cache"
    assert (post.status_code, post.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", PAGES)
def test_what_a_page_loads_never_changes_below_its_address(path: str) -> None:
    text = request("GET", path).text
    root = "../" * (path.count("/") - 1)
    addresses = set(re.findall(r'(?:href|src)="([^"]*static/[^"]*)"', text))
    assert len(addresses) > 4
    assert "<!--" not in text
    for address in addresses:
        assert address.startswith(f"{root}static/v-")
    answers = requests(*(("GET", f"/{each.removeprefix(root)}", {}) for each in addresses))
    for answer in answers:
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_file_of_another_version_is_asked_for_again() -> None:
    text = request("GET", "/docs").text
    found = re.search(r"static/(v-\w+)/", text)
    assert found
    known, other, without = requests(
        *(
            ("GET", f"/static/{version}pages/common/dom.js", {})
            for version in (f"{found[1]}/", "v-1/", "")
        )
    )
    assert known.text == other.text == without.text
    caching = [each.headers["cache-control"] for each in (known, other, without)]
    assert caching == ["public, max-age=31536000, immutable", "no-cache", "no-cache"]


def test_another_byte_is_another_version() -> None:
    versions = [version_of({name: body}) for name, body in (("a", b"b"), ("a", b"c"), ("b", b"b"))]
    assert len(set(versions)) == 3
    assert version_of({"a": b"b"}) == versions[0]


@pytest.mark.parametrize("name", sorted(PAGES.values()))
def test_every_page_has_the_shared_parts(name: str) -> None:
    text = (web_directory() / "pages" / name).read_text(encoding="utf-8")
    assert "<head>\n  <!-- head -->\n" in text
    assert "<!-- header -->" in text or "<!-- nav -->" in text
    assert not re.search(r'<nav aria-label="Pages"|name="viewport"', text)
