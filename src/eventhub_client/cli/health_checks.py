"""The checks of `eventhub doctor`: each says what it found, or raises Sick with advice."""

import asyncio
import json
import resource
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus

from eventhub_client.cli.sick import Sick
from eventhub_client.cli.target import Target
from eventhub_client.errors import HubError, Problem, error
from eventhub_client.steps import Message, Received
from eventhub_client.wire import FAILED, TRANSIENT, WEBSOCKET_OPTIONS, answer_of, message_of

SECONDS = 5.0
"""How long one check may take."""
CLOCK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Visit:
    """What the checks are given."""

    target: Target
    channel: str
    event: str
    origin: str | None


Check = Callable[[Visit], str]


def _network(visit: Visit) -> str:
    url = visit.target.address.http
    try:
        begin = time.monotonic()
        httpx.get(f"{url}/healthz", timeout=SECONDS)
        return f"{url} answers in {(time.monotonic() - begin) * 1000:.0f} ms"
    except TRANSIENT as failure:
        said = f"{url}: {type(failure).__name__}: {failure}"
        raise Sick(said, _network_advice(url, said)) from None


def _network_advice(url: str, said: str) -> str:
    host, port = httpx.URL(url).host, httpx.URL(url).port
    port = port or (443 if url.startswith("https") else 80)
    try:
        socket.getaddrinfo(host, port)
    except OSError:
        return f"the name {host} is not known here; check the address and DNS"
    try:
        socket.create_connection((host, port), SECONDS).close()
    except OSError:
        return (
            f"nothing accepts connections at {host}:{port}; is the server started, does it listen "
            "on this address (`host`), and does a firewall allow it?"
        )
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return (
            "the certificate is for another name, or of an authority that is not trusted here; "
            "SSL_CERT_FILE=authority.pem trusts one"
        )
    return "the port is open, but it does not speak HTTP like this; http or https?"


def _ready(visit: Visit) -> str:
    answer = httpx.get(f"{visit.target.address.http}/readyz", timeout=SECONDS)
    if answer.status_code == 200:
        return "the server and its broker are ready"
    advice = "see its log, and docs/runbooks"
    if answer.status_code == 404:
        advice = "this does not look like EventHub; check the address and the proxy's paths"
    said = " ".join(answer.text.split())[:200]  # a proxy's page has lines
    raise Sick(f"/readyz answers {answer.status_code}: {said}", advice)


def _clock(visit: Visit) -> str:
    before = time.time()
    answer = httpx.get(f"{visit.target.address.http}/healthz", timeout=SECONDS)
    if "date" not in answer.headers:
        return "the server does not say its time"
    there = parsedate_to_datetime(answer.headers["date"]).timestamp() + 0.5
    apart = there - (before + time.time()) / 2
    if abs(apart) > CLOCK_SECONDS:
        raise Sick(
            f"the clocks are {apart:+.0f} seconds apart",
            "synchronise both (NTP): tokens seem to expire early, and `since=10m` is wrong",
        )
    return "within two seconds of this machine's"


def _credential(visit: Visit) -> str:
    try:
        visit.target.request("GET", "/v1/channels", query={"match": visit.channel, "limit": 1})
    except HubError as failure:
        raise Sick(str(failure), "see `eventhub token new` and `eventhub key new`") from None
    if not visit.target.headers:
        return "none is given, and none is needed to look"
    return asyncio.run(_authenticated(visit))


async def _authenticated(visit: Visit) -> str:
    kind = "the token" if visit.target.token else "the API key"
    auth = {"type": "auth", "token": visit.target.token or visit.target.api_key}
    try:
        async with _opened(visit) as connection:
            await connection.send(json.dumps(auth))
            answer = await _next(connection, "authenticated")
    except Sick as refused:  # although the request with it was answered
        return f"{kind} is ignored: {refused}"
    except FAILED:
        return f"{kind} is accepted"  # the check of the WebSocket says what is wrong
    until = f", for {answer['expires_in']:.0f} more seconds" if "expires_in" in answer else ""
    return f"{kind} is accepted as {answer['principal']!r}{until}"


def _configuration(visit: Visit) -> str:
    types = {each["name"]: each for each in visit.target.request("GET", "/v1/types")["types"]}
    name = visit.channel.partition(".")[0]
    listed = ", ".join(types) or "none"
    if name not in types:
        raise Sick(
            f"the channel type {name!r} is not declared; declared are: {listed}",
            f"declare it in eventhub.yaml (channels: {{{name}: …}}), or give --channel and --event",
        )
    if "producer" not in types[name]["publish"]:
        raise Sick(
            f"channels of the type {name!r} accept no events over HTTP",
            f"add producer to channels.{name}.publish, or give --channel and --event",
        )
    return f"channel types: {listed}"


def _websocket(visit: Visit) -> str:
    async def check() -> str:
        async with _opened(visit) as connection:
            hello = await _next(connection, "hello")
            limits = ", ".join(f"{name} {value}" for name, value in hello["limits"].items())
            return f"version {hello['version']}; {limits}"

    try:
        return asyncio.run(check())
    except InvalidStatus as refused:
        status, body = refused.response.status_code, refused.response.body or b""
        said = f"the handshake is answered with {status}"
        raise Sick(said, _handshake_advice(status if b'"code"' in body else 0)) from None
    except FAILED as failure:
        raise Sick(f"{type(failure).__name__}: {failure}", _handshake_advice(0)) from None


def _handshake_advice(status: int) -> str:
    if status == 403:
        return "the origin is not listed in `origins`, or the credential is refused"
    if status in (401, 429, 503):
        return "the server itself refuses; see PROTOCOL.md, Errors"
    return (
        "a proxy in between must pass the headers Upgrade and Connection, HTTP/1.1, and allow "
        "connections that stay open (for nginx: proxy_http_version 1.1, proxy_read_timeout)"
    )


def _stream(visit: Visit) -> str:
    url = f"{visit.target.address.http}/v1/sse"
    try:
        with httpx.stream(
            "GET",
            url,
            params={"channel": visit.channel},
            headers=visit.target.headers,
            timeout=SECONDS,
        ) as answer:
            if answer.status_code != 200:
                answer.read()
                problem = Problem.of(answer_of(answer).fields, answer.status_code)
                raise Sick.refused(problem.code, error(problem))
            for line in answer.iter_lines():
                if line == "event: subscribed":
                    return "Server-Sent Events arrive at once"
    except TRANSIENT as failure:
        raise Sick(
            f"no event arrives: {type(failure).__name__}",
            "a proxy buffers the answer (for nginx: proxy_buffering off)",
        ) from None
    raise Sick("the stream ended", "a proxy may not allow answers that stay open")


def _delivery(visit: Visit) -> str:
    async def check() -> str:
        async with _opened(visit) as connection:
            position = await _subscribe(connection, visit.channel, "latest")
            begin = time.monotonic()
            await asyncio.to_thread(_publish, visit)
            await _next(connection, "event")
            late = (time.monotonic() - begin) * 1000
        await asyncio.to_thread(_publish, visit)
        async with _opened(visit) as connection:  # the first event again, and the second
            await _subscribe(connection, visit.channel, position)
            await _next(connection, "event")
            await _next(connection, "event")
        return f"an event arrives after {late:.0f} ms; a new connection gets what it missed"

    try:
        return asyncio.run(check())
    except HubError as failure:
        raise Sick.refused(failure.code, failure) from None
    except (*FAILED, asyncio.TimeoutError) as failure:
        advice = "do all nodes use the same broker and prefix? Does the type keep a history?"
        if isinstance(failure, InvalidHandshake):
            advice = "it needs a WebSocket: see that check"
        raise Sick(f"the event did not arrive: {type(failure).__name__}", advice) from None


def _origin(visit: Visit) -> str:
    if visit.origin is None:
        return "not checked (--origin https://app.example)"

    async def check() -> str:
        async with _opened(visit, origin=visit.origin) as connection:
            await _subscribe(connection, visit.channel, "latest")
            return f"pages of {visit.origin} may connect"

    try:
        return asyncio.run(check())
    except (Sick, *FAILED) as failure:
        advice = f"add it to eventhub.yaml: origins: [{visit.origin}]"
        raise Sick(f"pages of {visit.origin} are refused: {failure}", advice) from None


def _files(visit: Visit) -> str:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 1024:
        raise Sick(f"this shell may open {soft} files", "ulimit -n 65536")
    return f"this shell may open {soft} files"


CHECKS: dict[str, Check] = {
    "network": _network,
    "broker": _ready,
    "clock": _clock,
    "credential": _credential,
    "configuration": _configuration,
    "websocket": _websocket,
    "stream": _stream,
    "delivery and resume": _delivery,
    "origin": _origin,
    "limits": _files,
}
NEEDED = (_network, _ready, _configuration)
"""After these, the others would only repeat that they failed."""


def _opened(visit: Visit, origin: str | None = None) -> Any:
    given: dict[str, Any] = {} if origin is None else {"origin": origin}
    return connect(
        visit.target.address.websocket,
        additional_headers=visit.target.headers,
        open_timeout=SECONDS,
        **WEBSOCKET_OPTIONS,
        **given,
    )


async def _subscribe(connection: ClientConnection, channel: str, since: str) -> str:
    message = {"type": "subscribe", "channel": channel, "since": since}
    await connection.send(json.dumps(message))
    return str((await _next(connection, "subscribed"))["position"])


async def _next(connection: ClientConnection, kind: str) -> Message:
    async def receive() -> Message:
        while True:
            reply = message_of(await connection.recv())
            if not isinstance(reply, Received):
                raise Sick("what comes is no message", "check the address and the proxy's paths")
            message = reply.message
            if message["type"] == "error":
                said = f"{message['code']}: {message['message']}"
                raise Sick.refused(message["code"], said)
            if message["type"] == kind:
                return message

    return await asyncio.wait_for(receive(), SECONDS)


def _publish(visit: Visit) -> None:
    event = json.loads(visit.event.replace("${mark}", uuid.uuid4().hex))
    with visit.target.hub() as hub:
        hub.publish(visit.channel, event, timeout=SECONDS)
