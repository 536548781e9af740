"""server/api/parameters.py: no query parameter is ignored silently."""

import pytest

from tests.unit.server.api.requests import request


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("sinse=earliest", "'sinse' is unknown; expected since and limit"),
        ("since=earliest&since=latest", "'since' is given more than once"),
    ],
)
def test_an_unknown_or_repeated_parameter_is_refused(query: str, words: str) -> None:
    response = request("GET", f"/v1/channels/chat.a?{query}")
    assert response.status_code == 400
    assert words in response.json()["detail"]


def test_a_route_without_parameters_says_so() -> None:
    assert "expected none" in request("GET", "/v1/types?all=1").json()["detail"]
