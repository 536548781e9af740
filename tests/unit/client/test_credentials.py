"""eventhub_client/credentials.py: when a token function is asked."""

import asyncio
from itertools import count

import pytest

from eventhub_client.credentials import Credentials, authorization


def test_a_function_is_asked_at_each_renewal_and_the_newest_token_is_kept() -> None:
    numbers = count(1)
    credentials = Credentials(lambda: f"token-{next(numbers)}", None)
    assert asyncio.run(credentials.newest()) == "token-1"
    assert asyncio.run(credentials.newest()) == "token-1"
    assert asyncio.run(credentials.renew()) == "token-2"
    assert credentials.newest_now() == "token-2"
    assert credentials.renew_now() == "token-3"
    assert credentials.are_renewable


def test_a_function_may_be_asynchronous_where_there_is_a_loop() -> None:
    async def token() -> str:
        return "token"

    assert asyncio.run(Credentials(token, None).renew()) == "token"


def test_an_asynchronous_function_is_refused_without_a_loop() -> None:
    class Later:
        def __await__(self) -> object:
            raise AssertionError

    with pytest.raises(TypeError, match="expected a plain one here"):
        Credentials(Later, None).renew_now()  # type: ignore[arg-type]  # an Awaitable


def test_a_token_that_is_no_text_is_told_by_its_kind_alone() -> None:
    with pytest.raises(TypeError, match="a token that is a bytes; expected a str"):
        Credentials(lambda: b"secret", None).renew_now()  # type: ignore[arg-type]


def test_a_key_or_a_token_or_none() -> None:
    assert authorization(Credentials(None, "ehk_1").newest_now()) == {
        "authorization": "Bearer ehk_1"
    }
    assert authorization(Credentials(None, None).newest_now()) == {}
    with pytest.raises(ValueError, match="expected at most one"):
        Credentials("token", "key")
