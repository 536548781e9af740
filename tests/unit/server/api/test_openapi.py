"""server/api/openapi.py: problems and credentials in the OpenAPI document."""

from eventhub.config.settings import Settings
from tests.unit.server.api.requests import request


def test_errors_are_problems_with_a_media_type_of_their_own() -> None:
    paths = request("GET", "/openapi.json").json()["paths"]
    for path, operations in paths.items():
        for operation in operations.values():
            content = operation["responses"]["default"]["content"]
            assert list(content) == ["application/problem+json"], path


def test_without_authentication_no_credential_is_asked_for() -> None:
    paths = request("GET", "/openapi.json", Settings()).json()["paths"]
    assert not any(
        "security" in one for operations in paths.values() for one in operations.values()
    )
