"""Fetches a JSON Web Key Set (RFC 7517) from a URL.

It is fetched at the start, every REFRESH seconds, and when a token names an unknown key. There is
one fetch at a time and one in COOLDOWN seconds, however many unknown keys tokens name. A fetch is
bounded by SECONDS and BYTES. A failed fetch keeps the known keys. A fetch that hangs is abandoned,
and no other begins until it has ended.
"""

import asyncio
import json
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from http.client import HTTPMessage
from typing import IO, Any

import jwt
import structlog

from eventhub.auth.tokens import KEYS, TOKEN_DEPTH
from eventhub.auth.verification_keys import VerificationKey, check_key
from eventhub.common.daemon_thread import run_in_daemon_thread
from eventhub.common.nesting import check_depth
from eventhub.errors import TooDeep

REFRESH = 600.0
RETRY = (1.0, 60.0)
COOLDOWN = 10.0
SECONDS = 5.0
BYTES = 256 * 1024
ALGORITHMS = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
"""By `kty` and `crv`. A public document must not hold symmetric keys."""

log = structlog.get_logger("eventhub.jwks")


class KeySet:
    """Keeps the keys of `url`. Calls `replace` with them after each fetch."""

    def __init__(self, url: str, replace: Callable[[Sequence[VerificationKey]], None]) -> None:
        self._url, self._replace = url, replace
        self._wanted = asyncio.Event()
        self._fetched = asyncio.Event()
        self._next = 0.0  # no fetch before this time of the monotonic clock
        self._fetching = True  # `run` begins with a fetch
        # The last fetch. It may go on after it has been abandoned.
        self._fetch: Future[bytes] | None = None
        self.trouble: str | None = "the JSON Web Key Set has not been fetched yet"
        """The reason why there are no keys; None once there are some."""
        self.failing = True
        """The last fetch failed, so a key that is unknown here may be valid."""

    async def refresh(self) -> bool:
        """Fetch now, and wait for SECONDS at most. False if the last fetch was too recent."""
        if not self._fetching:
            if time.monotonic() < self._next:
                return False
            self._wanted.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(SECONDS):
                await self._fetched.wait()
        return True

    async def run(self) -> None:
        """Fetch the keys again and again until cancelled."""
        delay, longest = RETRY
        while True:
            self._fetching = True
            self._wanted.clear()
            self._next = time.monotonic() + COOLDOWN
            try:
                keys = list(read(await self._document()))
            # A bad server or document must not end this loop.
            except Exception as error:
                log.error("jwks_unavailable", reason=str(error)[:200] or type(error).__name__)
                self.failing = True
                if self.trouble:
                    self.trouble = f"the JSON Web Key Set cannot be fetched: {type(error).__name__}"
                pause, delay = delay, min(2 * delay, longest)
            else:
                self._replace(keys)
                self.trouble, delay, pause = None, RETRY[0], REFRESH
                self.failing = False
            self._fetching = False
            self._fetched.set()
            self._fetched.clear()
            await self._pause(pause)

    async def _document(self) -> bytes:
        """Raises OSError, ValueError, HTTPException."""
        if self._fetch is not None and not self._fetch.done():  # one thread at a time
            raise TimeoutError("the fetch before this one has not ended yet")
        self._fetch = run_in_daemon_thread(partial(_fetch, self._url), "jwks")
        try:
            # Neither a slow response head nor a name lookup has a timeout of its own.
            async with asyncio.timeout(2 * SECONDS):
                return await asyncio.wrap_future(self._fetch)
        finally:
            if self._fetch.done():
                self._fetch = None  # its exception would keep the connection alive

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wanted.wait()


def read(document: bytes) -> Iterator[VerificationKey]:
    """Yield the usable keys of a document. Raises ValueError if it is no key set."""
    try:
        check_depth(document, TOKEN_DEPTH)
        # From bytes, json would also accept UTF-16, whose depth was not checked.
        found = json.loads(document.decode("utf-8-sig"))
    except TooDeep as error:
        raise ValueError(error.message) from None
    if (
        not isinstance(found, dict)
        or not isinstance(keys := found.get("keys"), list)
        or len(keys) > KEYS
    ):
        raise ValueError(f"expected a JSON Web Key Set of at most {KEYS} keys (RFC 7517, 5)")
    for key in keys:
        if isinstance(key, dict) and (usable := _usable(key)) is not None:
            yield usable


def _usable(key: dict[str, Any]) -> VerificationKey | None:
    kind, curve = key.get("kty"), key.get("crv")
    if not isinstance(kind, str) or not isinstance(curve, (str, type(None))):
        return None
    algorithm = ALGORITHMS.get((kind, None if kind == "RSA" else curve))
    if (
        algorithm is None
        or key.get("alg", algorithm) != algorithm
        or key.get("use", "sig") != "sig"
    ):
        return None
    if "verify" not in (
        operations if isinstance(operations := key.get("key_ops", ["verify"]), list) else ()
    ):  # RFC 7517, 4.3
        return None
    key_id = key.get("kid")
    try:
        return check_key(
            key_id if isinstance(key_id, str) else None, algorithm, jwt.PyJWK(key, algorithm).key
        )
    except Exception:  # libraries raise undocumented exceptions for foreign input
        return None


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Refuses redirects from https to http, where an attacker could answer with other keys."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if not newurl.startswith(("https:",) if req.type == "https" else ("https:", "http:")):
            raise ValueError(f"it redirects from {req.type} to another scheme")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _fetch(url: str) -> bytes:
    """Raises OSError, ValueError, HTTPException."""
    deadline = time.monotonic() + SECONDS
    document = b""
    opener = urllib.request.build_opener(_Redirects)
    with opener.open(url, timeout=SECONDS) as response:  # settings allow http and https only
        while len(document) <= BYTES and (part := response.read1(BYTES)):
            document += part
            # The timeout is for each read; a slow server could go on for ever.
            if time.monotonic() > deadline:
                raise TimeoutError(f"the document did not come within {SECONDS:g} seconds")
    if len(document) > BYTES:
        raise ValueError(f"the document has more than {BYTES} bytes")
    return document
