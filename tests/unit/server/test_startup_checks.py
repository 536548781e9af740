"""server/startup_checks.py: settings that are refused before anything starts."""

from pathlib import Path
from typing import Any

import pytest

from eventhub.config.settings import Settings
from eventhub.errors import ConfigurationError
from eventhub.server.startup_checks import check_auth, check_exposure, check_workers


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


KEY = {"name": "it", "hash": f"sha256:{'0' * 64}"}


@pytest.mark.parametrize(
    "safe",
    [{"host": "127.0.0.1"}, {"insecure": True}, {"auth": {"keys": [KEY]}}],
    ids=["loopback", "insecure", "auth"],
)
def test_other_machines_reach_only_a_server_with_authentication_or_one_that_is_said_to_be_open(
    safe: dict[str, Any],
) -> None:
    with pytest.raises(ConfigurationError, match=r"host is 0\.0\.0\.0"):
        check_exposure(Settings(host="0.0.0.0"))
    check_exposure(Settings.model_validate({"host": "0.0.0.0", **safe}))


def test_a_key_that_cannot_be_used_is_told_and_looked_for_in_the_directory(tmp_path: Path) -> None:
    auth = {"tokens": {"keys": [{"algorithm": "HS256", "file": "secret"}]}}
    configured = Settings.model_validate({"auth": auth})
    with pytest.raises(ConfigurationError, match="secret"):
        check_auth(configured, tmp_path)
    (tmp_path / "secret").write_bytes(b"s" * 32)
    check_auth(configured, tmp_path)
