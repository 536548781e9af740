"""server/api/pages.py: pages and their files, with the headers that browsers need."""

import pytest

from eventhub.server.api.pages import PAGES
from tests.unit.server.api.requests import request


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_a_content_security_policy(path: str) -> None:
    response = request("GET", path)
    assert (response.status_code, response.headers["x-frame-options"]) == (200, "DENY")
    assert "default-src 'none'" in response.headers["content-security-policy"]


def test_no_file_outside_of_the_web_directory_is_served() -> None:
    assert request("GET", "/static/%2e%2e/pyproject.toml").status_code == 404
