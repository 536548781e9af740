"""server/startup_checks.py: settings that are refused before anything starts."""

import pytest

from eventhub.config.settings import Settings
from eventhub.errors import ConfigurationError
from eventhub.server.startup_checks import check_workers


def settings(broker: str, workers: int) -> Settings:
    """Not validated: the rule is about schemes, whatever brokers there are."""
    return Settings.model_construct(broker=broker, workers=workers)


@pytest.mark.parametrize("broker", ["memory://", "sqlite:////var/lib/eventhub.db"])
def test_workers_cannot_share_a_broker_of_one_process(broker: str) -> None:
    check_workers(settings(broker, 1))
    with pytest.raises(ConfigurationError) as refused:
        check_workers(settings(broker, 2))
    assert f"workers is 2, and broker is {broker.partition(':')[0]}://" in str(refused.value)
    assert "redis://, nats://" in str(refused.value)
    assert "eventhub.db" not in str(refused.value)


@pytest.mark.parametrize("broker", ["redis://a", "rediss://a", "redis+sentinel://a", "nats://a"])
def test_workers_can_share_a_broker_that_is_a_server(broker: str) -> None:
    check_workers(settings(broker, 2))
