"""An event that a broker cannot write does not disturb the events published with it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from eventhub.brokers.redis import metadata, state_codec
from eventhub.brokers.redis.codec import KeyNames, history_arguments
from eventhub.errors import EventHubError
from eventhub.events.event import NewEvent, Receipt
from tests.contract.conftest import BROKERS, Node
from tests.contract.test_unreadable import Shared

UNWRITABLE = {"subject": "\ud800"}
"""No JSON can hold it: nothing that came from outside does, so that only a fault of ours brings it
here.
"""


@pytest.fixture(params=[name for name in BROKERS if name != "memory"])
def shared(request: pytest.FixtureRequest) -> Shared:
    """All brokers that encode events."""
    return BROKERS[request.param]


async def publish(
    node: Node, channel: str, attributes: dict[str, str] | None = None
) -> Receipt | BaseException:
    try:
        async with asyncio.timeout(5):
            (result,) = await node.broker.publish(
                [NewEvent(channel, b"1", node.clock(), attributes)]
            )
    except Exception as error:
        return error
    return result


def test_events_published_with_an_unwritable_one_are_stored_and_its_channel_goes_on(
    shared: Shared,
) -> None:
    async def main() -> None:
        async with shared(1) as (node,):
            together = ["many.a", "many.bad", "many.bad", "many.bad", "many.z"]
            results = await asyncio.gather(
                *(
                    publish(node, channel, UNWRITABLE if index == 2 else None)
                    for index, channel in enumerate(together)
                )
            )
            bad = results.pop(2)
            assert isinstance(bad, Exception)
            assert not isinstance(bad, TimeoutError)
            assert not isinstance(bad, EventHubError) or bad.code == "internal"
            assert [type(result) for result in results] == [Receipt] * 4
            for channel in together:
                assert isinstance(await publish(node, channel), Receipt)
            assert node.broker.unready() is None

    asyncio.run(main())


def test_a_channel_that_cannot_be_refreshed_at_redis_does_not_disturb_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One task for all channels keeps the subscribed ones from expiring."""
    asked: list[str] = []
    enough = asyncio.Event()

    def arguments(
        names: KeyNames, channel: str, *rest: Any, **named: Any
    ) -> Sequence[str | bytes | int]:
        if named:  # of a refresh
            asked.append(channel)
            if asked.count("many.beside") > 1:
                enough.set()
            if channel == "many.bad":
                raise LookupError(channel)
        return history_arguments(names, channel, *rest, **named)

    monkeypatch.setattr(metadata, "REFRESH_SECONDS", 0.01)
    monkeypatch.setattr(state_codec, "history_arguments", arguments)

    async def main() -> None:
        async with BROKERS["redis"](1) as (node,):
            for channel in ("many.bad", "many.beside"):
                await node.broker.subscribe(channel)
            async with asyncio.timeout(10):
                await enough.wait()
            assert asked.count("many.bad") > 1
            assert isinstance(await publish(node, "many.beside"), Receipt)
            assert node.broker.unready() is None

    asyncio.run(main())
