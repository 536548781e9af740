"""server/api/error_handlers.py: whatever a route raises becomes a problem document."""

import pytest

from tests.unit.server.api.requests import request


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "words"),
    [
        ("GET", "/nothing", 404, "not_found", "nothing is at '/nothing'"),
        ("DELETE", "/v1/types", 405, "method_not_allowed", "expected one of GET"),
        ("GET", "/v1/types/none", 404, "unknown_channel", "none"),
        ("GET", "/v1/channels/chat.a?limit=x", 400, "invalid_request", "received 'x'"),
        ("GET", "/v1/channels/chat.a?limit=9999999", 400, "invalid_request", "(limits.page)"),
    ],
)
def test_an_error_is_a_problem(method: str, path: str, status: int, code: str, words: str) -> None:
    response = request(method, path)
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert words in response.json()["detail"]


def test_a_method_that_is_not_allowed_is_answered_with_those_that_are() -> None:
    assert request("PATCH", "/v1/channels/chat.a").headers["allow"] == "DELETE, GET, POST, PUT"
