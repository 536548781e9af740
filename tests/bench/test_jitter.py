"""The short form of `make jitter`: clients whose connections are cut get every message once."""

from tests.bench.jitter import Jitter, measure


def test_the_javascript_client_gets_every_message_once_through_cuts() -> None:
    busy = 300_000  # it ends when all have all
    outcome = measure("eventhub", Jitter(clients=60, messages=30, pause=100, cut=500, quiet=busy))
    assert (outcome.delivered, outcome.doubled, outcome.disorder) == (1, 0, 0)
    assert outcome.replayed > 0
    assert outcome.over_http == 0


def test_a_client_that_does_not_resume_is_seen_to_lose_messages() -> None:
    outcome = measure("ws", Jitter(clients=60, messages=30, pause=100, cut=500, quiet=3000))
    assert outcome.delivered < 1
