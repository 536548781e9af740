"""schemathesis sends requests that the OpenAPI document allows or forbids, and compares the answers
with the document.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from eventhub.auth.keys import hash_key
from tests import SETTINGS
from tests.harness.clients import SECONDS, http
from tests.harness.credentials import SECRET, token
from tests.harness.eventhub import EventHubServer

EXAMPLES = int(SETTINGS.get("EVENTHUB_TEST_EXAMPLES", "8"))
CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance,
    response_headers_conformance, response_schema_conformance,
]  # fmt: skip
KEY = "ehk_everything-0123456789"
CHANNELS = """
channels:
  chat: {payload: chat, presence: true}
  iot: {payload: reading, anonymous: [subscribe, publish, presence]}
  free: {payload: json}
"""
AUTH = f"""
auth:
  keys: [{{name: all, hash: "{hash_key(KEY)}", publish: ['>'], subscribe: ['>'],
           presence: ['>'], operator: true}}]
  tokens: {{keys: [{{algorithm: HS256, secret: "{SECRET.decode()}"}}]}}
"""
CREDENTIALS = st.sampled_from(
    [
        "",
        f"Bearer {KEY}",
        f"Bearer {token(exp=4_000_000_000)}",
        "Bearer x",
        "Basic eA==",
        "Bearer",
        KEY,
    ]
)
NAMES = st.sampled_from(["chat.lobby", "iot.a.b", "free", "nothing.x"])
OPERATIONS = [
    "DELETE /v1/admin/blocks", "DELETE /v1/channels/{channel}",
    "DELETE /v1/refused/{type}/{id}",
    "GET /asyncapi.json", "GET /livez", "GET /metrics", "GET /readyz",
    "GET /v1/admin/blocks", "GET /v1/admin/connections", "GET /v1/admin/log", "GET /v1/channels",
    "GET /v1/channels/{channel}", "GET /v1/channels/{channel}/count",
    "GET /v1/channels/{channel}/ndjson", "GET /v1/channels/{channel}/presence",
    "GET /v1/channels/{channel}/sse", "GET /v1/events", "GET /v1/ndjson", "GET /v1/presence",
    "GET /v1/refused", "GET /v1/refused/{type}/{id}", "GET /v1/sse", "GET /v1/types",
    "GET /v1/types/{name}", "GET /v1/types/{name}/versions",
    "GET /v1/types/{name}/versions/{version}", "GET /v1/ws",
    "POST /v1/admin/blocks", "POST /v1/admin/disconnect", "POST /v1/channels/{channel}",
    "POST /v1/events", "POST /v1/refused/{type}/{id}", "PUT /v1/admin/log",
    "PUT /v1/channels/{channel}",
]  # fmt: skip
STREAMS = ("/sse", "/ndjson")
RESTRICTED = (
    "GET /v1/channels/{channel}", "GET /v1/events", "GET /v1/ndjson", "GET /v1/presence",
    "GET /v1/sse",
)  # fmt: skip
"""Operations with a parameter that can be wrong."""
CASES = [(label, GenerationMode.POSITIVE) for label in OPERATIONS] + [
    (label, GenerationMode.NEGATIVE) for label in RESTRICTED
]


@pytest.fixture(scope="module", params=["open", "guarded"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EventHubServer]:
    """A server without authentication, and one with."""
    config = CHANNELS + (AUTH if request.param == "guarded" else "")
    with EventHubServer(tmp_path_factory.mktemp(request.param), config) as found:
        yield found
        assert "Traceback" not in found.log.read_text()


@pytest.fixture(scope="module")
def document(server: EventHubServer) -> Any:
    return schemathesis.openapi.from_dict(http.get(f"{server.url}/openapi.json").json())


def test_every_operation_is_among_those_that_schemathesis_checks(document: Any) -> None:
    assert sorted(operation.ok().label for operation in document.get_all_operations()) == OPERATIONS


@pytest.mark.parametrize(("label", "mode"), CASES)
def test_an_operation_answers_as_the_document_says(
    server: EventHubServer, document: Any, label: str, mode: GenerationMode
) -> None:
    operation = document[label.split()[1]][label.split()[0]]
    cases = operation.as_strategy(generation_mode=mode)

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, credential=CREDENTIALS, channel=st.none() | NAMES)
    def judge(case: Any, credential: str, channel: str | None) -> None:
        if channel is not None and "channel" in (case.path_parameters or {}):
            case.path_parameters["channel"] = channel  # generated names are never a declared type
        if credential:
            case.headers["Authorization"] = credential
        check(case, server.url)

    judge()
    assert http.get(f"{server.url}/livez").status_code == 200


def check(case: Any, url: str) -> None:
    """Raise what schemathesis finds. Of a stream, only the head is read."""
    options = case.as_transport_kwargs(base_url=url)
    with (
        requests.Session() as session,
        session.request(**options, stream=True, timeout=SECONDS, allow_redirects=False) as response,
    ):
        if response.status_code == 200 and case.operation.path.endswith(STREAMS):
            documented = case.operation.definition.raw["responses"]["200"]["content"]
            assert response.headers["content-type"].partition(";")[0] in documented
        else:
            case.validate_response(response, checks=CHECKS)
