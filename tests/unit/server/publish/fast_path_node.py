"""A node with a memory broker for `PublishFastPath`."""

import json
from typing import Any

from eventhub.auth.principal import ANYONE, Principal
from eventhub.server.publish.fast_path import PublishFastPath
from eventhub.server.publish.request import PublishRequest
from eventhub.server.publish.response import PublishResponse
from eventhub.server.publish.waiting_publish import WaitingPublish
from tests.unit.server.connections.manager_builder import build

EVENT = b'{"sender":"ana","text":"oi"}'


class Node:
    """A node with a memory broker, and what it counted."""

    def __init__(self, **settings: Any) -> None:
        self.manager = build(**settings)
        self.fast_path = PublishFastPath(self.manager)
        self.rejected: list[tuple[str, str]] = []
        self.answered: list[str] = []
        hub: Any = self.manager.hub
        hub.rejected = lambda channel, error, received=None: self.rejected.append(
            (channel, error.code)
        )
        hub.publisher.rejected = hub.rejected
        hub.answered = lambda channel, seconds: self.answered.append(channel)

    def request(
        self,
        headers: dict[bytes, bytes] | None = None,
        query: bytes = b"",
        principal: Principal = ANYONE,
        channel: str = "chat.a",
    ) -> PublishRequest:
        headers = headers or {}
        scope: dict[str, Any] = {
            "path": f"/v1/channels/{channel}",
            "query_string": query,
            "headers": list(headers.items()),
            "client": ("127.0.0.1", 1),
        }
        return PublishRequest(self.manager, scope, headers, principal)

    def publish(
        self,
        body: bytes = EVENT,
        key: bytes | None = None,
        request: PublishRequest | None = None,
    ) -> PublishResponse:
        response = self.try_publish(body, key, request)
        assert isinstance(response, PublishResponse)
        return response

    def try_publish(
        self,
        body: bytes = EVENT,
        key: bytes | None = None,
        request: PublishRequest | None = None,
    ) -> PublishResponse | WaitingPublish | None:
        return self.fast_path.publish(request or self.request(), key, body)


def code(response: PublishResponse) -> tuple[int, str]:
    return response.status, json.loads(response.body)["code"]
