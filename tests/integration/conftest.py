"""A node that has another node beside it, so that it drains as nodes of several do."""

from collections.abc import Callable, Iterator

import pytest

from tests.harness.clients import WsClient, http
from tests.harness.eventhub import EventHubServer
from tests.harness.redis_servers import RedisServer

Start = Callable[..., EventHubServer]


@pytest.fixture(scope="module")
def stays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The broker of a node that stays while others come and go, with a member in a room."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as redis:
        broker = f"broker: {redis.url}"
        with (
            EventHubServer(tmp_path_factory.mktemp("stays"), broker) as node,
            WsClient(f"{node.ws_url}?channel=chat.room&member=stays"),
        ):
            yield broker


@pytest.fixture
def among_others(start: Start, stays: str) -> Start:
    """Starts a node, each worker of which knows another node."""

    def start_another(config: str = "", **options: str) -> EventHubServer:
        hub = start(f"{stays}\n{config}", **options)
        asked = 20 if "workers:" in config else 1
        presence = f"{hub.url}/v1/channels/chat.room/presence"
        hub.eventually(
            "each worker to know the other node",
            lambda: [
                http.get(presence, headers={"connection": "close"}).text for _ in range(asked)
            ],
            lambda seen: all("stays" in text for text in seen),
        )
        return hub

    return start_another
