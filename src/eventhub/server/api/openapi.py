"""What the OpenAPI document says beyond what FastAPI finds by itself: problems, credentials, and the models of answers."""

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from eventhub.config.auth_settings import AuthSettings
from eventhub.server.messages.problem import PROBLEM_TYPE

MODELS = "#/components/schemas"
GUARDED = ("/v1/channels", "/v1/sse", "/v1/admin", "/metrics")
OPERATORS = ("/v1/admin", "/metrics")
BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "A JSON Web Token, or an API key (PROTOCOL.md, Authentication)",
}
REFUSALS: dict[str, dict[str, Any]] = {
    "401": {
        "description": "A credential is needed, or the one that was sent is not good",
        "headers": {
            "WWW-Authenticate": {
                "required": True,
                "description": "RFC 6750, 3",
                "schema": {"type": "string"},
            }
        },
    },
    "403": {"description": "It is not granted, or the channel type does not allow it"},
    "429": {
        "description": "Too much at a time",
        "headers": {
            "Retry-After": {
                "required": True,
                "description": "In seconds",
                "schema": {"type": "string"},
            }
        },
    },
}
"""Beside the problem in the body, where authentication is configured."""


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


class Batch(BaseModel):
    """What became of an array: one result an item, in order. Each has `id` and `time`, or `error`."""

    channel: str
    accepted: int
    rejected: int
    results: list[dict[str, Any]]


def complete(api: FastAPI, auth: AuthSettings) -> None:
    """Complete the OpenAPI document. FastAPI documents models as application/json; problems have a media type of their own."""
    plain = api.openapi

    def document() -> dict[str, Any]:
        found = plain()
        found["components"]["securitySchemes"] = {"bearer": BEARER}
        for path, operations in found["paths"].items():
            guarded = path.startswith(GUARDED) and not (path == "/metrics" and auth.public_metrics)
            for operation in operations.values():
                for answer in operation["responses"].values():
                    for media in answer.get("content", {}).values():
                        media.get("schema", {}).pop(
                            "title", None
                        )  # of the function: no two methods would be the same
                content = operation["responses"]["default"]["content"]
                if "application/json" in content:
                    content[PROBLEM_TYPE] = content.pop("application/json")
                if (
                    guarded and auth.configured
                ):  # without a credential, a channel type may still allow it to anyone
                    operation["security"] = (
                        [{"bearer": []}] if path.startswith(OPERATORS) else [{"bearer": []}, {}]
                    )
                    operation["responses"] |= {
                        status: {**answer, "content": content}
                        for status, answer in REFUSALS.items()
                    }
        return found

    api.openapi = document  # type: ignore[method-assign]  # FastAPI's own way to extend the document
