"""brokers/nats/url.py: servers, options and logins of a URL, and refusals without secrets."""

import pytest

from eventhub.brokers.nats import NatsBroker
from eventhub.brokers.nats.url import NatsUrl
from eventhub.errors import ConfigurationError
from eventhub.events.channel_types import Retention


def test_servers_and_options() -> None:
    url = NatsUrl.parse("nats://ana:p%40ss@a:4333,[::1]/?prefix=hub&replicas=3&max_bytes=1000")
    assert url.servers == ("nats://a:4333", "nats://[::1]:4222")
    assert (url.prefix, url.replicas, url.max_bytes) == ("hub", 3, 1000)
    assert url.login == {"user": "ana", "password": "p@ss"}


def test_a_token_and_the_defaults() -> None:
    url = NatsUrl.parse("nats://s3cret@localhost")
    assert (url.prefix, url.replicas, url.max_bytes, url.login) == (
        "eventhub",
        None,
        -1,
        {"token": "s3cret"},
    )


def test_tls_verifies_the_server() -> None:
    context = NatsUrl.parse("tls://localhost").login["tls"]
    assert context.check_hostname


@pytest.mark.parametrize(
    "url",
    [
        "redis://u:s3cret@h",
        "nats://",
        "nats://u:s3cret@h:99999",
        "nats://u:s3cret@h ost",
        "nats://u:s3cret@h?prefix=a.b",
        "nats://u:s3cret@h?replicas=2",
        "nats://u:s3cret@h?max_bytes=-1",
        "nats://u:s3cret@h?verify=no",
        "tls://u:s3cret@h?ca=/nowhere",
        "nats://u:s3cret@h?credentials=/nowhere",
        "nats://u:s3cret@h?nkey=/nowhere",
        "nats://u:s3cret@h?credentials=/c&nkey=/n",
    ],
)
def test_what_does_not_fit_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        NatsBroker(url, lambda channel: Retention(1, None), lambda: 0)
    assert "s3cret" not in str(refusal.value)
    assert "s3cret" not in repr(NatsUrl.parse("nats://u:s3cret@h"))
