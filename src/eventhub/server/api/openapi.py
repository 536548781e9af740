"""What FastAPI cannot know of the OpenAPI document: problems, credentials, models of responses."""

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from eventhub.config.auth_settings import AuthSettings
from eventhub.server.messages.problem import PROBLEM_TYPE

MODELS = "#/components/schemas"
GUARDED = ("/v1/channels", "/v1/events", "/v1/sse", "/v1/refused", "/v1/admin", "/metrics")
"""How paths begin that a credential may be needed for."""
OPERATORS = ("/v1/admin", "/metrics")
"""How paths begin that an operator's credential is needed for."""
BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "A JSON Web Token, or an API key (PROTOCOL.md, Authentication)",
}
REFUSALS: dict[str, dict[str, Any]] = {
    "401": {
        "description": "A credential is needed, or the one that was sent is not valid",
        "headers": {
            "WWW-Authenticate": {
                "required": True,
                "description": "RFC 6750, 3",
                "schema": {"type": "string"},
            }
        },
    },
    "403": {"description": "The credential does not grant it, or the channel type forbids it"},
    "429": {
        "description": "A rate or a number of connections is exceeded",
        "headers": {
            "Retry-After": {
                "required": True,
                "description": "In seconds",
                "schema": {"type": "string"},
            }
        },
    },
}
"""Responses where authentication is configured; a problem is the body of each."""
PROBLEM_CONTENT: dict[str, Any] = {PROBLEM_TYPE: {"schema": {"$ref": f"{MODELS}/Problem"}}}
PROBLEM = {
    "description": "A problem: what was received, and what was expected",
    "content": PROBLEM_CONTENT,
}
"""The default response of each operation. It names the model by hand: FastAPI would build the model
again for each route, which was a third of the time in which a server starts.
"""


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    id: str | None = None
    details: list[dict[str, str]] = []


class Stored(BaseModel):
    """A stored event."""

    id: str
    channel: str
    time: str


class Signaled(BaseModel):
    """An accepted signal."""

    channel: str
    signal: bool


class Batch(BaseModel):
    """One result for each item of an array, in order: its `id` and `time`, or its `error`."""

    channel: str
    accepted: int
    rejected: int
    results: list[dict[str, Any]]


class ChannelsBatch(BaseModel):
    """One result for each item, in order: its `channel`, `id` and `time`, or its `error`.

    The result of a signal has `channel` and `signal`.
    """

    accepted: int
    rejected: int
    results: list[dict[str, Any]]


def complete_document(api: FastAPI, auth: AuthSettings) -> None:
    """Complete the document that FastAPI makes from the routes."""
    generate = api.openapi

    def document() -> dict[str, Any]:
        found = generate()
        components = found["components"]
        components["securitySchemes"] = {"bearer": BEARER}
        components["schemas"]["Problem"] = Problem.model_json_schema()
        for path, operations in found["paths"].items():
            guarded = path.startswith(GUARDED) and not (path == "/metrics" and auth.public_metrics)
            for operation in operations.values():
                _drop_titles(operation)
                if guarded and auth.configured:
                    _add_security(operation, path)
        return found

    api.openapi = document  # type: ignore[method-assign]  # FastAPI's own way to extend the document


def _drop_titles(operation: dict[str, Any]) -> None:
    """FastAPI's titles hold the operation's id, so that those of POST and PUT would differ."""
    for response in operation["responses"].values():
        for media in response.get("content", {}).values():
            media.get("schema", {}).pop("title", None)


def _add_security(operation: dict[str, Any], path: str) -> None:
    """The credential is optional for a channel, whose type may allow it to everybody."""
    bearer: dict[str, Any] = {"bearer": []}
    operation["security"] = [bearer] if path.startswith(OPERATORS) else [bearer, {}]
    operation["responses"] |= {
        status: {**response, "content": PROBLEM_CONTENT} for status, response in REFUSALS.items()
    }
