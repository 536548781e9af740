"""EventHub nodes of every kind that Prometheus scrapes, under load, and their faults, one method
for each.
"""

import json
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from itertools import count
from pathlib import Path
from typing import Any, Self

import httpx

from eventhub.auth.keys import hash_key
from tests.deploy.expressions import CHART
from tests.deploy.prometheus import Prometheus
from tests.harness import yaml_text
from tests.harness.background import repeated
from tests.harness.certificates import Authority
from tests.harness.clients import WsClient, frame, http, metric, raw, upgrade
from tests.harness.eventhub import EventHubServer
from tests.harness.eventually import eventually
from tests.harness.ports import free_port
from tests.harness.redis_servers import RedisServer

BACKEND, OPERATOR = "ehk_backend-0123456789", "ehk_operator-0123456789"
BEARER = {"Authorization": f"Bearer {BACKEND}"}
KEYS = f"""
auth:
  keys:
  - {{name: backend, hash: "{hash_key(BACKEND)}", publish: ['>'], subscribe: ['>']}}
  - {{name: operator, hash: "{hash_key(OPERATOR)}", operator: true}}
"""
SHARED = f"channels: {{chat: {{}}, late: {{}}, orders: {{payload: order.json}}}}\n{KEYS}"
CONNECTIONS = 20
CHANNELS = 20
HISTORY = 1024 * 1024
ALONE = f"""
limits: {{history_bytes: {HISTORY}, buffer_bytes: 16384, connections: {CONNECTIONS},
          channels: {CHANNELS}, head_seconds: 300}}
channels:
  strict: {{history: {{events: 100000}}, slow: disconnect}}
  newest: {{history: {{events: 100000}}, slow: latest}}
  lossy: {{history: {{events: 100000}}, slow: drop}}
  short: {{history: {{events: 1}}}}
"""
ENCRYPTED = f"""
tls: {{certificate: cert.pem, key: key.pem}}
{KEYS}
  tokens: {{jwks: "http://127.0.0.1:{free_port()}/keys", issuer: nobody, audience: eventhub}}
"""
PATIENT = {"scrape_interval": "2s", "scrape_timeout": "2s"}
"""A scrape waits a second for a worker that hangs."""
PAD = "x" * 500
ROUNDS = 60
"""Batches of a hundred events: 3.6 MB, more than a stalled reader's buffers hold."""


class Scene:
    """Two nodes on a Redis, the second with two workers; one node alone with the memory broker; one
    with TLS. Prometheus scrapes all.
    """

    def __init__(self, directory: Path) -> None:
        self._stack = ExitStack()
        self.redis = RedisServer(directory / "redis")
        authority = Authority(directory)
        shared = f"broker: {self.redis.url}\n{SHARED}"
        configs = {
            "one": shared,
            "two": f"workers: 2\n{shared}",
            "alone": ALONE,
            "encrypted": ENCRYPTED,
        }
        self.one, self.two, self.alone, self.encrypted = (
            _server(directory / name, config) for name, config in configs.items()
        )
        for name in ("one", "two"):
            (directory / name / "order.json").write_text('{"type": "object"}')
        for name, text in authority.issue("server", days=1).files().items():
            (directory / "encrypted" / name).write_text(text)
        self.encrypted.ready = 503  # its keys cannot be had
        self.prometheus = Prometheus(
            directory, self._scrapes(authority), _without_for((CHART / "alerts.yaml").read_text())
        )

    def __enter__(self) -> Self:
        enter = self._stack.enter_context
        enter(self.redis)
        enter(self.prometheus)
        with ThreadPoolExecutor() as pool:
            list(pool.map(enter, (self.one, self.two, self.alone, self.encrypted)))
        self.reader = enter(
            WsClient(
                f"{self.one.ws_url}?channel=chat.x&channel=late.x",
                additional_headers=BEARER,
                max_queue=None,
            )
        )
        enter(_repeated(lambda: _post(self.one, "[1,2,3]")))
        enter(_repeated(lambda: _post(self.two, "[1,2,3]")))
        enter(
            _repeated(
                lambda: http.post(
                    f"{self.alone.url}/v1/channels/short.x",
                    content='"no JSON\n' * 100,  # more than are kept a second
                    headers={"Content-Type": "application/x-ndjson"},
                )
            )
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def troubles_of_readers(self) -> None:
        """At the node that is alone: every fault of readers, then the largest load."""
        self._slow_readers()
        self._late_readers()
        self._full_history()
        self._full_of_channels()
        self._held()
        self._crowd()

    def troubles_of_workers(self) -> None:
        """One hangs until it is seen; then all are killed, three times.

        The one that Prometheus is connected to is not seen but times out, and is replaced; then it
        is another's turn.
        """
        stopped = set[int]()

        def unreachable() -> object:
            if (pid := self._workers()[0]) not in stopped:
                os.kill(pid, signal.SIGSTOP)
                stopped.add(pid)
            return self.prometheus.query("eventhub_workers_unreachable > 0")

        eventually("a scrape that tells of a worker that hangs", unreachable, seconds=120)
        for killed in (2, 4, 6):
            for pid in self._workers():
                os.kill(pid, signal.SIGKILL)
            self.prometheus.until(
                f'sum(changes(process_start_time_seconds{{job="events"}}[5m])) >= {killed}'
            )

    def troubles_of_the_broker(self) -> None:
        """The broker is slow, then it is gone; then a node is gone as well."""
        self.redis.send_signal(signal.SIGSTOP)
        with ThreadPoolExecutor() as pool:
            waiting = [pool.submit(self._publish, self.one, "late.x", "1") for _ in range(4)]
            time.sleep(1.5)  # longer than a user waits
            self.redis.send_signal(signal.SIGCONT)
            for publish in waiting:
                publish.result()
        self.prometheus.until('ALERTS{alertname="EventHubDeliveryLag"}')
        self.redis.kill()
        for alert in ("BrokerLost", "Down"):
            self.prometheus.until(f'ALERTS{{alertname="EventHub{alert}",job="events"}}')
        self.one.kill()
        self.prometheus.until('ALERTS{alertname="EventHubNodeDown"}')

    def _slow_readers(self) -> None:
        """Several slow readers of each policy.

        Those that stay connected read in the end and get their gaps.
        """
        for kind in ("strict", "lossy", "newest"):
            with ExitStack() as stack:
                sockets = [
                    stack.enter_context(
                        upgrade(self.alone.port, f"?channel={kind}.x", receive_buffer=4096)
                    )
                    for _ in range(6)
                ]
                body = json.dumps([{"n": number, "pad": PAD} for number in range(100)])
                for _ in range(ROUNDS):
                    self._publish(self.alone, f"{kind}.x", body)
                for sock in sockets if kind != "strict" else ():
                    while b'"gap"' not in frame(sock)[1]:
                        pass

    def _late_readers(self) -> None:
        """Some readers reconnect too late, some in time, some with positions of another log."""
        with WsClient(self.alone.ws_url) as client:
            for number in range(8):
                channel = f"short.{number}"
                first, _, last = (self._publish(self.alone, channel, "1")["id"] for _ in range(3))
                client.subscribe(channel, since=first)
                client.send(type="unsubscribe", channel=channel)
                client.until("unsubscribed")
                client.subscribe(channel, since=last)
            for _ in range(8):
                client.subscribe("strict.0", since="0ther-1")
                client.send(type="unsubscribe", channel="strict.0")
                client.until("unsubscribed")

    def _full_history(self) -> None:
        """Fill the history almost to its bound; above it, events are removed and it holds less."""
        while metric(self.alone.url, "eventhub_history_bytes") < 0.95 * HISTORY:
            self._publish(self.alone, "strict.z", json.dumps(PAD * 30))

    def _full_of_channels(self) -> None:
        """Use more channels than it holds, so that publishing fails, until two scrapes have seen
        it: a rate needs two.
        """
        names = count()
        with _repeated(
            lambda: http.post(f"{self.alone.url}/v1/channels/lossy.{next(names)}", json=[0] * 100)
        ):
            self.prometheus.until('ALERTS{alertname="EventHubPublishesFail"}')

    def _held(self) -> None:
        """Take the node's CPU time away, again and again."""
        process = self.alone.process
        assert process is not None
        for _ in range(5):
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.4)
            process.send_signal(signal.SIGCONT)
            time.sleep(0.1)  # it looks at its loop ten times a second

    def _crowd(self) -> None:
        """Open as many silent connections as the node accepts; further ones are refused."""
        for _ in range(CONNECTIONS - 3):  # the scrape and the load use connections, too
            self._stack.enter_context(upgrade(self.alone.port, "?channel=strict.y"))
        in_vain = 0
        while in_vain < 12:
            if http.get(f"{self.alone.url}/readyz").status_code == 503:
                in_vain += 1
            else:  # one was accepted
                self._stack.enter_context(raw(self.alone.port))

    def _workers(self) -> list[int]:
        """The processes of the second node's workers."""
        return [line["pid"] for line in self.two.lines("worker_started")][-2:]

    def _publish(self, node: EventHubServer, channel: str, body: str) -> Any:
        answer = http.post(
            f"{node.url}/v1/channels/{channel}",
            content=body,
            headers=BEARER if node is not self.alone else {},
        )
        assert answer.status_code == 201, answer.text
        return answer.json()

    def _scrapes(self, authority: Authority) -> list[dict[str, Any]]:
        operator = {"authorization": {"credentials": OPERATOR}}
        pods = [
            _target(node, namespace="prod", pod=f"events-{number}")
            for number, node in enumerate((self.one, self.two))
        ]
        return [
            {"job_name": "events", "static_configs": pods, **PATIENT, **operator},
            {"job_name": "alone", "static_configs": [_target(self.alone)]},
            {
                "job_name": "encrypted",
                "static_configs": [_target(self.encrypted)],
                "scheme": "https",
                "tls_config": {"ca_file": str(authority.file)},
                **operator,
            },
        ]


def _server(directory: Path, config: str) -> EventHubServer:
    directory.mkdir()
    return EventHubServer(directory, config)


def _post(node: EventHubServer, events: str) -> None:
    http.post(f"{node.url}/v1/channels/chat.x", content=events, headers=BEARER)


def _target(node: EventHubServer, **labels: str) -> dict[str, Any]:
    return {"targets": [f"127.0.0.1:{node.port}"], "labels": labels}


def _repeated(work: Callable[[], object]) -> AbstractContextManager[None]:
    """Repeat it, because servers may be away."""
    return repeated(work, 0.05, ignoring=(httpx.TransportError,))


def _without_for(rules: str) -> str:
    """The same alerts without `for`, so that they fire at once.

    promtool's test covers how long they wait.
    """
    document = yaml_text.read(rules)
    for group in document["groups"]:
        for rule in group["rules"]:
            del rule["for"]
    return json.dumps(document)
