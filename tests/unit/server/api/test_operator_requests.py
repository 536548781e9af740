"""server/api/operator_routes.py: what an operator asks over HTTP, and bodies that do not fit."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from eventhub.auth.keys import hash_key
from eventhub.config.settings import Settings
from eventhub.errors import RequestTimeout
from eventhub.observability import log_setup
from eventhub.server.api.operator_routes import BODY_BYTES, _read_body
from eventhub.server.connections.operator_requests import Verbosity
from tests.harness.virtual_time import in_virtual_time
from tests.unit.server.api.requests import request, requests

KEY = "ehk_operator-0123456789"
OPERATOR = {"headers": {"authorization": f"Bearer {KEY}"}}
BLOCKS = "/v1/admin/blocks"
SETTINGS = Settings.model_validate(
    {"auth": {"keys": [{"name": "boss", "hash": hash_key(KEY), "operator": True}]}}
)


def ask(method: str, path: str, **options: Any) -> httpx.Response:
    return request(method, path, SETTINGS, **OPERATOR, **options)


def test_connections_are_listed_by_what_is_asked_for() -> None:
    found = ask("GET", "/v1/admin/connections?limit=5&subject=ana").json()
    assert (found["connections"], found["complete"]) == ([], True)
    assert ask("GET", "/v1/admin/connections?limit=0").status_code == 400
    assert ask("GET", "/v1/admin/connections?who=ana").status_code == 400


def test_a_disconnect_tells_how_many_there_were() -> None:
    found = ask("POST", "/v1/admin/disconnect", content='{"subject":"ana"}')
    assert (found.status_code, found.json()["disconnected"]) == (200, 0)


def test_a_block_is_made_listed_and_lifted_once() -> None:
    blocked = {**OPERATOR, "content": '{"subject":"ana","for":"15m"}'}
    made, listed, lifted, again, rest = requests(
        ("POST", BLOCKS, blocked),
        ("GET", BLOCKS, OPERATOR),
        ("DELETE", f"{BLOCKS}?subject=ana", OPERATOR),
        ("DELETE", f"{BLOCKS}?subject=ana", OPERATOR),
        ("GET", BLOCKS, OPERATOR),
        settings=SETTINGS,
    )
    assert (made.status_code, made.json()["subject"]) == (201, "ana")
    assert [row["subject"] for row in listed.json()["blocks"]] == ["ana"]
    assert (lifted.status_code, lifted.content) == (204, b"")
    assert (again.status_code, again.json()["code"]) == (404, "not_found")
    assert rest.json() == {"blocks": []}


def test_an_operator_cannot_block_itself() -> None:
    assert ask("POST", BLOCKS, content='{"key":"boss"}').status_code == 400


@pytest.fixture
def _own_level() -> Iterator[None]:
    level = log_setup.level()
    yield
    log_setup.set_level(level)


@pytest.mark.usefixtures("_own_level")
def test_the_log_level_is_told_and_set() -> None:
    (changed,) = ask("PUT", "/v1/admin/log", content='{"level":"error"}').json()["nodes"].values()
    (told,) = ask("GET", "/v1/admin/log").json()["nodes"].values()
    assert (changed, told) == ("error", "error")


@pytest.mark.parametrize("size", [BODY_BYTES, BODY_BYTES + 1])
def test_a_body_has_its_bound(size: int) -> None:
    body = b'{"subject":"ana"}'.ljust(size)
    response = ask("POST", "/v1/admin/disconnect", content=body)
    assert response.status_code == (200 if size == BODY_BYTES else 413)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"subject":"ana","key":"b"}', b'{"x":1}'])
def test_a_body_that_does_not_fit_is_located(body: bytes) -> None:
    response = ask("POST", "/v1/admin/disconnect", content=body)
    assert response.status_code == 400
    assert response.json()["details"][0]["pointer"].startswith("/body")


class SlowRequest:
    """A request whose body comes in parts, a second apart."""

    def __init__(self, *parts: bytes) -> None:
        self._parts = parts

    async def stream(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            await asyncio.sleep(1)
            yield part


@in_virtual_time
async def test_a_body_must_come_in_time() -> None:
    slow: Any = SlowRequest(b'{"level":', b'"info"}')
    assert (await _read_body(slow, Verbosity, 2.5)).level == "info"
    with pytest.raises(RequestTimeout, match=r"after 1\.5 seconds") as caught:
        await _read_body(slow, Verbosity, 1.5)
    assert caught.value.limit == "body_seconds"
