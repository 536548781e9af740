"""server/api/operator_routes.py: only operators are served, and faults of a body are located."""

import pytest
from fastapi.exceptions import RequestValidationError

from eventhub.server.api.operator_routes import parse_body
from eventhub.server.connections.operator_requests import BlockRequest
from tests.unit.server.api.requests import request


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/admin/connections?limit=x"),
        ("POST", "/v1/admin/disconnect"),
        ("GET", "/v1/admin/blocks"),
        ("POST", "/v1/admin/blocks"),
        ("DELETE", "/v1/admin/blocks"),
        ("GET", "/v1/admin/log"),
        ("PUT", "/v1/admin/log"),
    ],
)
def test_the_credential_is_checked_before_anything_else(method: str, path: str) -> None:
    assert request(method, path).status_code in (401, 403)


def test_a_fault_in_a_body_is_located_in_it() -> None:
    with pytest.raises(RequestValidationError) as caught:
        parse_body(b'{"principal":"ana","seconds":-1}', BlockRequest)
    assert {fault["loc"][0] for fault in caught.value.errors()} == {"body"}
