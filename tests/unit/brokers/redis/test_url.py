"""brokers/redis/url.py: the forms of a URL, and refusals without secrets."""

import pytest

from eventhub.brokers.redis.url import Deployment, ServerAddress, parse
from eventhub.errors import (
    ConfigurationError,
)


def test_the_forms_of_a_url() -> None:
    single = parse("redis://ana:p%40ss@[::1]:7000/3")
    assert (single.kind, single.addresses, single.login.db) == (
        Deployment.SINGLE,
        (ServerAddress("::1", 7000),),
        3,
    )
    assert (single.login.username, single.login.password, single.login.tls) == ("ana", "p@ss", None)
    sentinel = parse(
        "rediss+sentinel://:secret@h1,h2:9/mymaster/2?sentinel_password=other&ssl_cert_reqs=none"
    )
    assert (sentinel.kind, sentinel.addresses, sentinel.master) == (
        Deployment.SENTINEL,
        (ServerAddress("h1", 26379), ServerAddress("h2", 9)),
        "mymaster",
    )
    assert (sentinel.login.password, sentinel.login.db, sentinel.sentinel_login.password) == (
        "secret",
        2,
        "other",
    )
    assert sentinel.login.tls is not None
    assert parse("redis+cluster://a:1,b").addresses == (
        ServerAddress("a", 1),
        ServerAddress("b", 6379),
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://:hush@h",
        "redis+magic://:hush@h",
        "redis://:hush@h1,h2",
        "redis://:hush@h:port",
        "redis://:hush@h/zero",
        "redis://:hush@h?retry=hush",
        "redis+sentinel://:hush@h",
        "redis+cluster://:hush@h/1",
        "rediss://:hush@h?ssl_ca_certs=/nowhere",
        "rediss://:hush@h?ssl_cert_reqs=perhaps",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        parse(url)
    assert "hush" not in str(error.value)


def test_a_login_shows_no_password() -> None:
    assert "hush" not in repr(parse("redis://:hush@h?sentinel_password=hush"))
