"""One reader for each transport."""

import json
from collections.abc import Callable
from typing import Any

from tests.harness.clients import (
    http,
)
from tests.harness.eventhub import EventHubServer

Channel = Callable[[str], str]
Start = Callable[..., EventHubServer]


def publish(hub: EventHubServer, channel: str, *values: float) -> list[str]:
    body = json.dumps([{"value": value} for value in values])
    results = http.post(f"{hub.url}/v1/channels/{channel}", content=body).json()["results"]
    return [result["id"] for result in results]


def values(messages: list[dict[str, Any]]) -> list[float]:
    return [message["data"]["value"] for message in messages]
