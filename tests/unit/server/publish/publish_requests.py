"""Publish requests whose heads were accepted."""

from functools import cache
from pathlib import Path

from eventhub.auth.principal import ANYONE
from eventhub.config.settings import Settings
from eventhub.server.app import create_app
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.publish.request import PublishRequest


@cache
def manager() -> ConnectionManager:
    return create_app(Settings(), Path()).manager


def publish_request(
    headers: dict[bytes, bytes] | None = None, query: bytes = b""
) -> PublishRequest:
    """A request that publishes to `chat.a`."""
    headers = headers or {}
    scope = {
        "path": "/v1/channels/chat.a",
        "query_string": query,
        "headers": list(headers.items()),
        "client": ("127.0.0.1", 1),
    }
    return PublishRequest(manager(), scope, headers, ANYONE)
