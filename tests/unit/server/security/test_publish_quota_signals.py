"""server/security/publish_quota.py: the rates of signals, and of pages with stored cursors."""

import pytest

from eventhub.errors import RateLimited
from eventhub.server.security.publish_quota import PAGE_RECORDS
from tests.unit.server.security.test_publish_quota import ANA, Network, kind


def test_signals_have_a_rate_of_their_own_which_all_nodes_share() -> None:
    network = Network(2, 10)
    for rates in network.rates:
        rates._signals = 2
    first, second = (rates.signal_charge_for(ANA, "", kind()) for rates in network.rates)
    assert first is not None
    assert second is not None
    for _ in range(2):
        first.check()
        first.pay(1)
    with pytest.raises(RateLimited) as caught:
        first.check()
    assert "more than 2 signals per second were sent to channels of type 'chat'" in str(
        caught.value
    )
    assert (caught.value.limit, caught.value.retry_after is not None) == ("signal_rate", True)
    assert network.publish(), "events have another bucket"
    assert second.wait() == 0
    network.pass_on()
    assert second.wait() > 0
    other = network.rates[0].signal_charge_for(ANA, "", kind("other"))
    assert other is not None
    assert other.wait() == 0


def test_without_a_rate_of_signals_they_are_free() -> None:
    assert Network(1, 10).rates[0].signal_charge_for(ANA, "", kind()) is None


def test_pages_whose_cursor_is_stored_have_a_bucket_of_their_own_on_all_nodes() -> None:
    network = Network(2, 10)
    first, second = (rates.page_charge_for(ANA, "") for rates in network.rates)
    for _ in range(round(PAGE_RECORDS)):
        first.check()
        first.pay(1)
    with pytest.raises(RateLimited, match="more than 20 pages per second") as caught:
        first.check()
    assert caught.value.retry_after is not None
    assert network.publish(), "events have another bucket"
    assert second.wait() == 0
    network.pass_on()
    assert second.wait() > 0
