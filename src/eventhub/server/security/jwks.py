"""A JSON Web Key Set (RFC 7517) at a URL: fetched at the start, from time to time, and when a token names a key that is not in it.

Bounded in every way: one fetch at a time and one in COOLDOWN seconds, however many unknown keys strangers name; SECONDS and BYTES a fetch;
what cannot be had or read leaves the keys as they are. A fetch that does not end is given up, and is the only one until it has ended.
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
"""By `kty` and `crv`. Symmetric keys have no place in a document that is public."""

log = structlog.get_logger("eventhub.jwks")


class KeySet:
    """The keys at `url`, given to `replace` whenever they have been fetched."""

    def __init__(self, url: str, replace: Callable[[Sequence[VerificationKey]], None]) -> None:
        self._url, self._replace = url, replace
        self._wanted = asyncio.Event()
        self._fetched = asyncio.Event()
        self._next = 0.0  # on the monotonic clock: no fetch before
        self._fetching = True  # as soon as it runs
        self._fetch: Future[bytes] | None = (
            None  # the last one, which may be under way when nobody waits for it any more
        )
        self.trouble: str | None = "the JSON Web Key Set has not been fetched yet"
        """Why there are no keys, until there are some."""
        self.failing = True
        """They could not be had the last time: a key that is not known may well be good."""

    async def refresh(self) -> bool:
        """Fetch them now, or find that this was just done (False). Waits for SECONDS at most."""
        if not self._fetching:
            if time.monotonic() < self._next:
                return False
            self._wanted.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(SECONDS):
                await self._fetched.wait()
        return True

    async def run(self) -> None:
        """Keep the keys until cancelled."""
        delay, longest = RETRY
        while True:
            self._fetching = True
            self._wanted.clear()
            self._next = time.monotonic() + COOLDOWN
            try:
                keys = list(read(await self._document()))
            # whatever is wrong with who answers there, or with the answer, costs no more than its
            # keys
            except Exception as error:
                log.error("jwks_unavailable", reason=str(error)[:200] or type(error).__name__)
                self.failing = True
                if self.trouble:
                    self.trouble = f"the JSON Web Key Set cannot be had: {type(error).__name__}"
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
        if self._fetch is not None and not self._fetch.done():  # threads would add up
            raise TimeoutError("the fetch before this one has not ended yet")
        self._fetch = run_in_daemon_thread(partial(_fetch, self._url), "jwks")
        try:
            async with asyncio.timeout(
                2 * SECONDS
            ):  # a head that dribbles has no end of its own, nor has looking a name up
                return await asyncio.wrap_future(self._fetch)
        finally:
            if self._fetch.done():
                self._fetch = None  # its error would keep the connection

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wanted.wait()


def read(document: bytes) -> Iterator[VerificationKey]:
    """The keys of a document that can be used; the others are left out. Raises ValueError when it is no key set."""
    try:
        check_depth(document, TOKEN_DEPTH)
        found = json.loads(
            document.decode("utf-8-sig")
        )  # of bytes it would take UTF-16, in which depth cannot be counted
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
        or "d" in key
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
    except Exception:  # of a stranger's document; libraries raise more kinds than they say
        return None


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows no way from https to anything less: who answers there could give keys of their own."""

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
    with opener.open(url, timeout=SECONDS) as response:  # http and https alone pass the settings
        while len(document) <= BYTES and (part := response.read1(BYTES)):
            document += part
            if (
                time.monotonic() > deadline
            ):  # the time-out is for each read, and a server that sends a byte now and then has no end
                raise TimeoutError(f"the document did not come within {SECONDS:g} seconds")
    if len(document) > BYTES:
        raise ValueError(f"the document has more than {BYTES} bytes")
    return document
