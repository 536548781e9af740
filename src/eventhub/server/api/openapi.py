"""What FastAPI cannot know of the OpenAPI document: problems, credentials, models of responses."""

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from eventhub.config.auth_settings import AuthSettings
from eventhub.server.messages.problem import PROBLEM_TYPE

MODELS = "#/components/schemas"
GUARDED = ("/v1/channels", "/v1/events", "/v1/sse", "/v1/admin", "/metrics")
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
        found["components"]["securitySchemes"] = {"bearer": BEARER}
        for path, operations in found["paths"].items():
            guarded = path.startswith(GUARDED) and not (path == "/metrics" and auth.public_metrics)
            for operation in operations.values():
                _drop_titles(operation)
                content = _problem_content(operation)
                if guarded and auth.configured:
                    _add_security(operation, path, content)
        return found

    api.openapi = document  # type: ignore[method-assign]  # FastAPI's own way to extend the document


def _drop_titles(operation: dict[str, Any]) -> None:
    """FastAPI's titles hold the operation's id, so that those of POST and PUT would differ."""
    for response in operation["responses"].values():
        for media in response.get("content", {}).values():
            media.get("schema", {}).pop("title", None)


def _problem_content(operation: dict[str, Any]) -> Any:
    """The content of a problem, with its media type: FastAPI says application/json for a model."""
    content = operation["responses"]["default"]["content"]
    if "application/json" in content:
        content[PROBLEM_TYPE] = content.pop("application/json")
    return content


def _add_security(operation: dict[str, Any], path: str, content: Any) -> None:
    """The credential is optional for a channel, whose type may allow it to everybody."""
    bearer: dict[str, Any] = {"bearer": []}
    operation["security"] = [bearer] if path.startswith(OPERATORS) else [bearer, {}]
    operation["responses"] |= {
        status: {**response, "content": content} for status, response in REFUSALS.items()
    }
