"""The servers under load, each in a process of its own on the server's core: EventHub, the C
program that sets the limit, and the tutorial.
"""

import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

import httpx
import jwt

from tests.bench import cores
from tests.bench.load import Door, Envelope
from tests.harness.eventhub import EventHubServer
from tests.harness.eventually import eventually
from tests.harness.otlp import Collector
from tests.harness.ports import free_port
from tests.harness.redis_servers import RedisServer

HERE = Path(__file__).parent
NODE_MODULES = HERE.parent / "conformance" / "node_modules"
Start = Callable[[], AbstractContextManager[Door]]

CONFIG = """
broker: {broker}
log: {{level: {level}}}
native: {native}
workers: {workers}
compression: {compression}
heartbeat: {heartbeat}
limits:
  buffer_bytes: {buffer_bytes}
  connections_per_address: {connections_per_address}
  connections_per_principal: 100000
  publish_rate: 1.0e+9
channels:
  bench: {{payload: '{payload}', slow: {slow}, history: {{events: 10000, age: 1h}}}}
  crowd: {{payload: 'payload:Event'}}
  bare: {{payload: 'payload:Event', history: {{events: 0}}}}
  kept: {{payload: 'payload:Event', history: {{events: 1000000}}}}
  orders: {{key: /id, history: {{events: 1000, latest: true}}}}
"""
AUTH = """
auth: {{public_metrics: true, tokens: {{keys: [{{algorithm: HS256, secret: {secret}}}]}}}}
"""


@dataclass(frozen=True, slots=True)
class EventHub:
    """`eventhub serve` with one channel type. The other defaults are EventHub's own.

    `payload`: events are validated with the model of `payload.py`, or may be any `json`.
    """

    heartbeat: float = 25
    buffer_bytes: int = 1024 * 1024
    slow: str = "disconnect"
    native: bool = True
    compression: bool = False
    broker: str = "memory://"
    connections_per_address: int = 100_000
    auth: bool = False
    """Everybody has a token, which is checked with all that belongs to it."""
    sample: float | None = None
    """The share of publishes that are traced, to a collector on the load's core; None: tracing is
    off.
    """

    workers: int = 1
    level: str = "warning"
    payload: Literal["payload:Event", "json"] = "payload:Event"
    lane: str = "started"

    @contextmanager
    def start(self, directory: Path) -> Iterator[Door]:
        values = {field.name: str(getattr(self, field.name)).lower() for field in fields(self)}
        config = CONFIG.format_map({**values, "payload": self.payload})
        header = ""
        if self.auth:
            secret = secrets.token_hex()
            config += AUTH.format(secret=secret)
            claims = {
                "sub": "bench",
                "exp": time.time() + 3600,
                "channels": {"subscribe": ["bench.>"], "publish": ["bench.>"]},
            }
            header = f"Authorization: Bearer {jwt.encode(claims, secret, 'HS256')}"
        shutil.copy(HERE / "payload.py", directory)
        with ExitStack() as stack:
            if self.sample is not None:
                collector = stack.enter_context(Collector())
                config += f"tracing: {{endpoint: '{collector.url}', sample: {self.sample}}}\n"
            server = EventHubServer(directory, config, lane=self.lane)
            with cores.pinned(cores.SERVER):
                server.start()
            stack.callback(server.kill)
            assert server.process is not None  # started
            listen, publish = "/v1/ws?channel=bench.{}", "/v1/channels/bench.{}"
            ready = '{"type":"subscribed"'
            yield Door(
                server.process.pid,
                server.port,
                listen,
                publish,
                ready,
                header=header,
                counters=lambda: _counters(server.url),
            )


@contextmanager
def two_nodes(directory: Path) -> Iterator[Door]:
    """Two nodes on one Redis: events go to one, subscribers to the other, whose CPU time is
    measured.
    """
    with ExitStack() as stack:
        with cores.pinned(cores.SERVER):
            redis = stack.enter_context(RedisServer(directory / "redis"))
        node = EventHub(broker=redis.url)
        doors = []
        for name in ("publish", "listen"):
            (directory / name).mkdir()
            doors.append(stack.enter_context(node.start(directory / name)))
        yield replace(doors[1], publish_port=doors[0].port)


@dataclass(frozen=True, slots=True)
class Limit:
    """`climit`: writes `frames` frames of `size` bytes to each of `subscribers` sockets at once."""

    program: Path
    subscribers: int
    size: int
    frames: int = 1
    rate: float = 0
    lockstep: bool = False

    @contextmanager
    def start(self) -> Iterator[Door]:
        port = free_port()
        words = [
            "-p",
            port,
            "-n",
            self.subscribers,
            "-s",
            self.size,
            "-k",
            self.frames,
            "-r",
            self.rate,
            *["-w"] * self.lockstep,
        ]
        with cores.pinned(cores.SERVER):
            process = subprocess.Popen(
                [str(word) for word in (self.program, *words)], stdout=subprocess.PIPE
            )
        assert process.stdout is not None  # PIPE
        with process, process.stdout:
            try:
                process.stdout.readline()  # "listening"
                yield Door(process.pid, port)
            finally:
                process.kill()


@contextmanager
def tutorial(directory: Path) -> Iterator[Door]:
    """`tutorial.py` under uvicorn."""
    with program([sys.executable, "-W", "ignore", "-m", "tests.bench.tutorial"]) as (pid, port):
        yield Door(pid, port, "/ws", "/publish")


@contextmanager
def fastapi_route(directory: Path) -> Iterator[Door]:
    """The tutorial's route with a pydantic body, which does for an event what EventHub promises
    without a reader: validate and keep it.
    """
    with program([sys.executable, "-W", "ignore", "-m", "tests.bench.tutorial"]) as (pid, port):
        yield Door(pid, port, "/ws", "/events")


@contextmanager
def socket_io(directory: Path) -> Iterator[Door]:
    """Socket.IO on Node.js, `emit` to all."""
    with program(["node", str(HERE / "socket_io.js")], NODE_PATH=str(NODE_MODULES)) as (pid, port):
        yield Door(
            pid, port, "/socket.io/?EIO=4&transport=websocket", "/publish", ready="40{", greet="40"
        )


CENTRIFUGO = HERE / ".peers" / "v6.9.1" / "centrifugo"
"""Built by `make bench-peers`. The folder is the version."""
CENTRIFUGO_CONFIG = """{{
  "http_server": {{"address": "127.0.0.1", "port": "{port}"}}, "log": {{"level": "error"}},
  "http_api": {{"insecure": true}}, "health": {{"enabled": true}},
  "client": {{"insecure": true, "allowed_origins": ["*"]}},
  "channel": {{"without_namespace": {{
    "history_size": 10000, "history_ttl": "1h", "allow_subscribe_for_client": true
  }}}}
}}"""


@contextmanager
def centrifugo(directory: Path, batch: int = 1) -> Iterator[Door]:
    """Centrifugo on one core, as EventHub is set here: in memory, the same history, no tokens.

    `batch`: events in a request, which decides what is asked of it.
    """
    port = free_port()
    config = directory / "centrifugo.json"
    config.write_text(CENTRIFUGO_CONFIG.format(port=port))
    event = '{"channel":"bench.{}","data":', "}"
    several = Envelope(('{"publish":' + event[0], "}}"), ('{"parallel":false,"commands":[', "]}"))
    hello = '{"id":1,"connect":{"name":"b"}}\n{"id":2,"subscribe":{"channel":"bench.{}"}}'
    command = [str(CENTRIFUGO), "-c", str(config)]
    with program(command, port, GOMAXPROCS="1") as (pid, _):
        yield Door(
            pid,
            port,
            "/connection/websocket",
            "/api/batch" if batch > 1 else "/api/publish",
            ready='"subscribe":{',
            greet=hello,
            envelope=several if batch > 1 else Envelope(event),
        )


@contextmanager
def nchan(directory: Path) -> Iterator[Door]:
    """nginx with nchan, from Debian: nginx, libnginx-mod-nchan. One process."""
    port = free_port()
    config = directory / "nginx.conf"
    config.write_text(NGINX.format(directory=directory, port=port))
    with program(["nginx", "-p", str(directory), "-c", str(config)], port) as (pid, _):
        yield Door(pid, port, "/sub/{}", "/pub/{}")


NGINX = """
load_module /usr/lib/nginx/modules/ngx_nchan_module.so;
daemon off; master_process off; pid {directory}/nginx.pid; error_log {directory}/error.log;
events {{ worker_connections 12000; }}
http {{
  access_log off;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi; keepalive_requests 1000000000;
  server {{
    listen 127.0.0.1:{port};
    location ~ /sub/(.*)$ {{
      nchan_subscriber websocket; nchan_channel_id $1; nchan_subscriber_first_message newest;
    }}
    location ~ /pub/(.*)$ {{
      nchan_publisher; nchan_channel_id $1; nchan_message_buffer_length 1000;
    }}
    location / {{ return 200; }}
  }}
}}
"""


@contextmanager
def program(
    command: list[str], port: int | None = None, **environment: str
) -> Iterator[tuple[int, int]]:
    """Process id and port of a server that takes its port as the last argument, or has one."""
    words = command if port else [*command, str(free_port())]
    port = port or int(words[-1])
    with cores.pinned(cores.SERVER):
        process = subprocess.Popen(
            words,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **environment},
        )
    try:
        url = f"http://127.0.0.1:{port}/"
        eventually(
            f"{words[0]} to answer",
            lambda: httpx.get(url, timeout=1),
            lambda answer: True,
            not_yet=(httpx.TransportError,),
        )
        yield process.pid, port
    finally:
        process.kill()
        process.wait()


def _counters(url: str) -> dict[str, float]:
    text = httpx.get(f"{url}/metrics").text
    return {
        "writes": _counter(text, "eventhub_fanout_seconds_count"),
        "given_up": _counter(text, "eventhub_slow_disconnects_total"),
        "subscribed": sum(
            float(found)
            for found in re.findall(r"^eventhub_subscriptions\{.*\} (\S+)", text, re.MULTILINE)
        ),
        "flushed": _counter(text, "eventhub_publish_to_socket_seconds_count"),
        "flushed_10ms": _counter(text, "eventhub_publish_to_socket_seconds_bucket", 'le="0.01",'),
    }


def _counter(text: str, name: str, label: str = "") -> float:
    found = re.search(rf'^{name}\{{{label}type="bench"\}} (\S+)', text, re.MULTILINE)
    assert found is not None, f"/metrics has no {name} for the channel type"
    return float(found[1])
