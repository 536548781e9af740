"""server/security/jwks.py: the keys of a document, and the times at which it is fetched."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.request import Request

import jwt
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from eventhub.auth.tokens import TokenVerifier
from eventhub.server.security import jwks as module
from eventhub.server.security.jwks import BYTES, KeySet, read
from tests.harness.credentials import jwk, private, token
from tests.harness.eventually import async_eventually
from tests.harness.jwks_server import JwksServer, Respond, reply
from tests.harness.loop import in_loop


def ids(*keys: Any) -> list[str | None]:
    return [key.id for key in read(json.dumps({"keys": keys}).encode())]


# Documents


def test_public_keys_of_all_three_kinds_are_loaded() -> None:
    keys = list(
        read(
            json.dumps({"keys": [jwk("RS256", "r"), jwk("ES256", "e"), jwk("EdDSA", "d")]}).encode()
        )
    )
    assert [(key.id, key.algorithm) for key in keys] == [
        ("r", "RS256"),
        ("e", "ES256"),
        ("d", "EdDSA"),
    ]


def test_alg_use_and_key_ops_are_optional_and_unknown_members_are_ignored() -> None:
    plain = {name: value for name, value in jwk("ES256", "e").items() if name not in ("alg", "use")}
    assert ids(plain, {**plain, "key_ops": ["verify"]}, {**plain, "x5t": "AA", "x-more": {}}) == [
        "e",
        "e",
        "e",
    ]


def test_a_key_without_an_id_verifies_tokens_without_an_id() -> None:
    assert ids(jwk("RS256"), jwk("RS256", kid=5), jwk("RS256", kid=None)) == [None, None, None]


def test_several_keys_may_have_the_same_id() -> None:
    assert ids(jwk("RS256", "a", 1), jwk("RS256", "a", 2), jwk("ES256", "a")) == ["a", "a", "a"]


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "oct", "k": "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB", "kid": "a"},
        {"kty": "oct", "k": "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB", "kid": "a",
         "alg": "HS256", "crv": "P-256"},
        jwk("RS256", alg="HS256"), jwk("RS256", alg="RS512"), jwk("RS256", alg="none"),
        jwk("RS256", alg=None), jwk("RS256", alg=["RS256"]), jwk("RS256", use="enc"),
        jwk("RS256", use=None), jwk("RS256", key_ops=["encrypt"]), jwk("RS256", key_ops=[]),
        jwk("RS256", key_ops="verify"), jwk("RS256", d="AQAB"), jwk("ES256", d="AQAB"),
        jwk("EdDSA", d="AQAB"), jwk("RS256", n="AQAB"), jwk("RS256", n=5), jwk("RS256", n=None),
        jwk("RS256", n=""), jwk("RS256", n="é"), jwk("RS256", e="AA"), jwk("RS256", e="Ag"),
        jwk("RS256", e=[]), jwk("RS256", e="A" * 4000), jwk("ES256", x="AA"),
        jwk("ES256", x=jwk("ES256")["y"]), jwk("ES256", y={}), jwk("ES256", crv="P-384"),
        jwk("ES256", crv="P-521"), jwk("ES256", crv="secp256k1"), jwk("ES256", crv=None),
        jwk("ES256", crv=["P-256"]), jwk("ES256", kty="RSA"), jwk("RS256", kty="EC"),
        jwk("EdDSA", crv="Ed448"), jwk("EdDSA", crv="X25519"), jwk("EdDSA", x="AA"),
        jwk("EdDSA", x="!!"), jwk("RS256", kty=["RSA"]), jwk("RS256", kty={}),
        jwk("RS256", kty=None), {}, [], None, 5, "key", True, [[]], {"kid": "a"},
    ],
)  # fmt: skip
def test_an_unusable_key_is_skipped_and_the_others_are_loaded(key: Any) -> None:
    assert ids(jwk("RS256", "before"), key, jwk("ES256", "after")) == ["before", "after"]


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_private_key_that_is_published_is_not_trusted(algorithm: str) -> None:
    whole: Any = private(algorithm)
    published = jwt.get_algorithm_by_name(algorithm).to_jwk(whole, as_dict=True)
    published.pop("key_ops", None)
    assert "d" in published
    assert ids({**published, "kid": "private"}, jwk(algorithm, "public")) == ["public"]


@pytest.mark.parametrize(
    "document",
    [
        b"", b"{", b"[]", b"{}", b"null", b'{"keys":{}}', b'{"keys":null}', b'{"keys":"a"}',
        b"<html>", b"\xff\xfe\x00", b"\x00", b'{"keys":[' + b",".join([b"{}"] * 101) + b"]}",
        b'{"keys":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b"[" * BYTES,
        b'{"keys":' + b"1" * 5000 + b"}", b'{"keys":[],"x":' + b"[" * 32 + b"]" * 32 + b"}",
        '{"keys":[]}'.encode("utf-16"),
    ],
)  # fmt: skip
def test_a_document_that_is_no_key_set_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError, match=r".") as found:
        list(read(document))
    assert len(str(found.value)) < 200


VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.lists(st.text(max_size=3), max_size=2)
)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["RS256", "ES256", "EdDSA"]),
    st.dictionaries(st.sampled_from([*jwk("RS256"), "crv", "x", "y", "d", "kid"]), VALUES),
)
def test_a_malformed_key_does_not_affect_the_others(algorithm: str, fields: dict[str, Any]) -> None:
    assert ids(jwk("ES256", "good"), {**jwk(algorithm), **fields})[0] == "good"


# Fetching


class Fetched(list[list[str | None]]):
    """The ids of the keys of each fetch."""

    def __call__(self, keys: Any) -> None:
        self.append([key.id for key in keys])


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the periods, so that the test does not wait."""
    monkeypatch.setattr(module, "RETRY", (0.05, 0.1))


@asynccontextmanager
async def running(url: str) -> AsyncIterator[tuple[KeySet, Fetched]]:
    fetched = Fetched()
    keys = KeySet(url, fetched)
    task = asyncio.create_task(keys.run())
    yield keys, fetched
    assert not task.done(), "no response may end the server"
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def until(reached: Callable[[], object]) -> None:
    """What a thread brings about."""
    await async_eventually("what is asked here", reached)


@in_loop
async def test_keys_are_fetched_at_the_start() -> None:
    with JwksServer(jwk("RS256", "a")) as server:
        async with running(server.url) as (keys, fetched):
            assert await keys.refresh()
            assert (fetched, keys.trouble, keys.failing) == ([["a"]], None, False)


@in_loop
async def test_a_key_set_is_fetched_on_request_but_not_too_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "COOLDOWN", 60)
    with JwksServer(jwk("RS256", "a")) as server:
        async with running(server.url) as (keys, fetched):
            await keys.refresh()
            server.keys.append(jwk("RS256", "b"))
            assert not await keys.refresh(), "the last fetch was too recent"
            assert len(server.requests) == 1
            keys._next = 0
            assert await keys.refresh()
            assert fetched == [["a"], ["a", "b"]]


@in_loop
async def test_simultaneous_requests_share_one_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COOLDOWN", 0.0)
    with JwksServer(jwk("RS256", "a")) as server:
        async with running(server.url) as (keys, fetched):
            await keys.refresh()
            server.open.clear()
            waiting = [asyncio.create_task(keys.refresh()) for _ in range(200)]
            await asyncio.to_thread(server.asked.wait)
            waiting += [asyncio.create_task(keys.refresh()) for _ in range(200)]
            await asyncio.sleep(0)
            server.open.set()
            assert all(await asyncio.gather(*waiting))
            assert len(server.requests) == len(fetched) == 2


@in_loop
async def test_a_wait_for_a_fetch_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.2)
    with JwksServer(jwk("RS256", "a")) as server:
        server.open.clear()
        async with running(server.url) as (keys, fetched):
            assert await keys.refresh()
            assert fetched == []
            await until(lambda: len(server.requests) > 1)
            server.open.set()
            await until(lambda: fetched)
            assert keys.trouble is None


def status(code: int) -> Respond:
    return lambda request: reply(request, b"{}", code)


def location(to: str) -> Respond:
    return lambda request: reply(request, b"", 302, Location=to)


def document(body: bytes) -> Respond:
    return lambda request: reply(request, body)


def raw(data: bytes) -> Respond:
    def respond(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(data)
        request.close_connection = True

    return respond


BAD = {
    "a 500": status(500),
    "a 404": status(404),
    "a 304": status(304),
    "a redirection to itself": location("/jwks.json"),
    "a redirection to a file": location("file:///etc/hostname"),
    "a redirection to nowhere": location("http://127.0.0.1:1/"),
    "a redirection to nonsense": location("http://[/"),
    "no HTTP": raw(b"SSH-2.0-OpenSSH_9\r\n"),
    "nothing": raw(b""),
    "half a head": raw(b"HTTP/1.1 200 OK\r\nContent-"),
    "a line without end": raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000),
    "headers without end": raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000),
    "half a body": raw(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"keys":[]'),
    "broken chunks": raw(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b'5\r\n{"key\r\nzz\r\n'
    ),
    "chunks that end early": raw(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b'5\r\n{"key'
    ),
    "too much": document(b'{"keys":[]}' + b" " * BYTES),
    "much too much": raw(b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 50 * BYTES),
    "HTML": document(b"<html>maintenance</html>"),
    "deep nesting": document(b"[" * 100_000),
    "a compressed body": document(b"\x1f\x8b\x08"),
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD)
@in_loop
async def test_a_bad_response_is_retried_and_keeps_the_known_keys(
    monkeypatch: pytest.MonkeyPatch, bad: str
) -> None:
    monkeypatch.setattr(module, "COOLDOWN", 0.0)
    with JwksServer(jwk("RS256", "a")) as server:
        server.respond = BAD[bad]
        async with running(server.url) as (keys, fetched):
            await until(lambda: len(server.requests) > 1)
            assert keys.trouble is not None
            assert "127.0.0.1" not in keys.trouble
            assert keys.failing
            server.respond = None
            await until(lambda: fetched)
            assert keys.trouble is None
            server.respond = BAD[bad]
            await keys.refresh()
            await until(lambda: keys.failing)
            assert keys.trouble is None, "the old keys are still known"
            assert all(found == ["a"] for found in fetched)


@in_loop
async def test_an_unreachable_server_is_retried_until_it_answers() -> None:
    with JwksServer() as first:
        port = first.port
    async with running(f"http://127.0.0.1:{port}/jwks.json") as (keys, fetched):
        await keys.refresh()
        assert keys.trouble == "the JSON Web Key Set cannot be fetched: URLError"
        with JwksServer(jwk("EdDSA", "a"), port=port):
            await until(lambda: fetched)


@in_loop
async def test_a_server_that_sends_single_bytes_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.3)

    def drip(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            request.wfile.write(b" ")
            time.sleep(0.05)  # that is what is tested

    with JwksServer(jwk("RS256", "a")) as server:
        server.respond = drip
        async with running(server.url) as (_, fetched):
            await until(lambda: len(server.requests) > 1)
            server.respond = None
            await until(lambda: fetched)


def dribble(peer_ends: threading.Event) -> Respond:
    """A response head that continues for ten seconds, or until it is told to end. Each byte
    restarts the library's time-out.
    """

    def respond(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        for _ in range(200):
            if peer_ends.wait(0.05):
                break
            request.wfile.write(b"x")

    return respond


def fetching() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "jwks"]


def test_an_endless_response_head_uses_one_thread_and_does_not_delay_the_exit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.3)
    monkeypatch.setattr(module, "COOLDOWN", 0.0)
    peer_ends = threading.Event()

    async def main() -> None:
        async with running(server.url) as (keys, _):
            while len(lines) < 4:
                await keys.refresh()
                assert len(fetching()) <= 1
            assert keys.trouble == "the JSON Web Key Set cannot be fetched: TimeoutError"
            assert keys.failing

    with JwksServer(jwk("RS256", "a")) as server, structlog.testing.capture_logs() as lines:
        server.respond = dribble(peer_ends)
        begin = time.monotonic()
        asyncio.run(main())
        assert time.monotonic() - begin < 8
        assert len(fetching()) == 1, "the peer goes on"
        peer_ends.set()
        assert [line["reason"] for line in lines[:3]] == [
            "TimeoutError",
            *["the fetch before this one has not ended yet"] * 2,
        ]
        assert len(server.requests) == 1
        for thread in fetching():
            thread.join(10)


@in_loop
async def test_after_an_abandoned_fetch_has_ended_the_next_one_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.3)
    peer_ends = threading.Event()
    with JwksServer(jwk("RS256", "a")) as server, structlog.testing.capture_logs() as lines:
        server.respond = dribble(peer_ends)
        async with running(server.url) as (keys, fetched):
            await until(lambda: len(lines) > 1)
            server.respond = None
            peer_ends.set()
            await until(lambda: fetched)
            assert keys.trouble is None


@in_loop
async def test_a_redirect_is_followed_but_not_from_https_to_http() -> None:
    with JwksServer(jwk("RS256", "a")) as server:

        def respond(request: BaseHTTPRequestHandler) -> None:
            document(json.dumps({"keys": server.keys}).encode())(
                request
            ) if request.path == "/b" else location("/b")(request)

        server.respond = respond
        async with running(server.url) as (keys, fetched):
            await keys.refresh()
            assert fetched == [["a"]]
    request = Request("https://issuer.example/keys")
    with pytest.raises(ValueError, match="from https to another scheme"):
        module._Redirects().redirect_request(
            request,
            None,  # type: ignore[arg-type]
            302,
            "",
            None,  # type: ignore[arg-type]
            "http://issuer.example/keys",
        )


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:99999/x",
        "http://a b/",
        "http://127.0.0.1:x/",
        "http://[::1/",
        "http://\u2100/",
    ],
)
@in_loop
async def test_a_malformed_url_does_not_end_the_server(url: str) -> None:
    async with running(url) as (keys, _):
        await until(lambda: keys.trouble is not None and "cannot be fetched" in keys.trouble)


@in_loop
async def test_fetched_keys_verify_tokens() -> None:
    verifier = TokenVerifier([], None, None, 0)
    with JwksServer(jwk("ES256", "a", 7), jwk("EdDSA", "b", 7)) as server:
        keys = KeySet(server.url, verifier.replace)
        task = asyncio.create_task(keys.run())
        await keys.refresh()
        task.cancel()
    for algorithm, key_id in (("ES256", "a"), ("EdDSA", "b")):
        assert (
            verifier.verify(token(algorithm, private(algorithm, 7), header={"kid": key_id})).name
            == "ana"
        )
