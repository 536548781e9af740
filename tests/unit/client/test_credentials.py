"""eventhub_client/credentials.py: when a token function is asked."""

import asyncio
from collections.abc import Callable
from itertools import count

import pytest

from eventhub_client.async_transport import AsyncRuntime
from eventhub_client.credentials import Credentials, Token, authorization
from eventhub_client.sync_transport import SyncRuntime
from eventhub_client.transport import run


def numbered() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"token-{next(numbers)}"


def plain(token: Token | None, key: str | None = None) -> Credentials:
    return Credentials(token, key, SyncRuntime().alone)


def test_a_function_is_asked_at_each_renewal_and_the_newest_token_is_kept() -> None:
    credentials = plain(numbered())
    assert credentials.are_renewable
    found = [
        run(each())
        for each in (
            credentials.newest,
            credentials.newest,
            credentials.renew,
            credentials.newest,
        )
    ]
    assert found == ["token-1", "token-1", "token-2", "token-2"]


def test_a_token_that_has_ended_is_replaced_once_for_all_that_used_it() -> None:
    credentials = plain(numbered())
    ended = run(credentials.newest())
    assert [run(credentials.replace(ended)) for _ in range(3)] == ["token-2"] * 3


def test_many_requests_that_need_the_first_token_ask_for_one() -> None:
    asked: list[int] = []

    async def token() -> str:
        asked.append(1)
        await asyncio.sleep(0)
        return f"token-{len(asked)}"

    async def requests() -> list[str | None]:
        credentials = Credentials(token, None, AsyncRuntime().alone)
        return await asyncio.gather(*(credentials.newest() for _ in range(20)))

    assert asyncio.run(requests()) == ["token-1"] * 20


def test_a_token_function_is_asked_by_one_at_a_time() -> None:
    asking: list[int] = []

    async def token() -> str:
        asking.append(1)
        await asyncio.sleep(0)
        assert asking == [1]
        asking.pop()
        return "token"

    async def renewals() -> None:
        credentials = Credentials(token, None, AsyncRuntime().alone)
        await asyncio.gather(*(credentials.renew() for _ in range(3)), credentials.replace("old"))

    asyncio.run(renewals())


def test_an_asynchronous_function_is_refused_without_a_loop_and_leaves_nothing_locked() -> None:
    async def token() -> str:
        await asyncio.sleep(0)
        return "token"

    credentials = plain(token)
    for _ in range(2):
        with pytest.raises(TypeError, match="expected a plain one"):
            run(credentials.renew())


def test_a_token_that_is_no_text_is_told_by_its_kind_alone() -> None:
    with pytest.raises(TypeError, match="a token that is a bytes; expected a str"):
        run(plain(lambda: b"secret").renew())  # type: ignore[arg-type]


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "ключ", "tab\t"])
def test_a_token_that_no_header_can_hold_is_told_without_showing_it(token: str) -> None:
    with pytest.raises(ValueError, match="visible ASCII characters only") as caught:
        run(plain(token).newest())
    assert token not in str(caught.value)


def test_a_key_or_a_token_or_none() -> None:
    assert authorization(run(plain(None, "ehk_1").newest())) == {"authorization": "Bearer ehk_1"}
    assert authorization(run(plain(None).newest())) == {}
    with pytest.raises(ValueError, match="expected at most one"):
        plain("token", "key")
