"""server/security/jwks.py: when a key set is fetched, in virtual time and without a server."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from eventhub.auth.verification_keys import VerificationKey
from eventhub.server.security import jwks as module
from eventhub.server.security.jwks import COOLDOWN, REFRESH, SECONDS, KeySet
from tests.harness.virtual_time import in_virtual_time, turns

EMPTY = b'{"keys": []}'


class Fetched:
    """A key set, and when it was fetched. `fails` says whether the server does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._loop = asyncio.get_running_loop()
        self.begin = self._loop.time()
        self.replaced: list[Sequence[VerificationKey]] = []
        self.keys = KeySet("https://keys.example", self.replaced.append)
        self.times: list[float] = []
        self.fails = False
        self.seconds = 0.0
        monkeypatch.setattr(self.keys, "_document", self._document)
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=self._loop.time))
        self.running = asyncio.create_task(self.keys.run())

    async def _document(self) -> bytes:
        self.times.append(self._loop.time() - self.begin)
        await asyncio.sleep(self.seconds)
        if self.fails:
            raise OSError("away")
        return EMPTY

    def state(self) -> tuple[bool, str | None]:
        """Whether the last fetch failed, and why there are no keys."""
        return self.keys.failing, self.keys.trouble

    async def end(self) -> None:
        self.running.cancel()
        await asyncio.wait([self.running])


@in_virtual_time
async def test_keys_are_fetched_again_from_time_to_time(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Fetched(monkeypatch)
    assert one.state() == (True, "the JSON Web Key Set has not been fetched yet")
    await asyncio.sleep(2.5 * REFRESH)
    assert one.times == [0, REFRESH, 2 * REFRESH]
    assert len(one.replaced) == 3
    assert one.state() == (False, None)
    await one.end()


@in_virtual_time
async def test_a_server_that_is_away_is_asked_less_and_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = Fetched(monkeypatch)
    one.fails = True
    await asyncio.sleep(200)
    assert one.times == [0, 1, 3, 7, 15, 31, 63, 123, 183]
    assert one.state() == (True, "the JSON Web Key Set cannot be fetched: OSError")
    one.fails = False
    await asyncio.sleep(60)
    assert (one.times[-1], one.state()) == (243, (False, None))
    one.fails = True
    await asyncio.sleep(REFRESH)
    begin = 243 + REFRESH
    assert one.times[-5:] == [begin + since for since in (0, 1, 3, 7, 15)]
    assert one.state() == (True, None), "the known keys are kept"
    await one.end()


@in_virtual_time
async def test_an_unknown_key_causes_one_fetch_and_not_too_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = Fetched(monkeypatch)
    await asyncio.sleep(COOLDOWN - 1)
    assert await one.keys.refresh() is False
    await asyncio.sleep(1)
    assert one.times == [0]
    assert await one.keys.refresh() is True
    assert one.times == [0, COOLDOWN]
    assert await one.keys.refresh() is False
    await asyncio.sleep(REFRESH / 2)
    assert one.times == [0, COOLDOWN]
    await one.end()


@in_virtual_time
async def test_tokens_wait_for_a_fetch_that_is_under_way_and_no_longer_than_its_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = Fetched(monkeypatch)
    one.seconds = 3.0
    await turns()
    loop = asyncio.get_running_loop()
    begin = loop.time()
    assert all(await asyncio.gather(one.keys.refresh(), one.keys.refresh()))
    assert loop.time() - begin == 3
    await asyncio.sleep(COOLDOWN)
    one.seconds = 100.0
    begin = loop.time()
    assert await one.keys.refresh() is True
    assert loop.time() - begin == SECONDS
    assert len(one.times) == 2
    await one.end()
