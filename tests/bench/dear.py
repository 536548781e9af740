"""`python -m tests.bench.dear`: how long an honest subscriber waits while ten strangers send the
most expensive inputs that are known.

The server has one core to itself, all clients share another. Each stranger has an address of its
own and sends one kind of input as fast as the server reads it. The strangers that publish over HTTP
have an API key, because nobody else gets that far.
"""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from eventhub.auth.keys import hash_key
from tests.bench import cores
from tests.fuzz.dear import EVENT, MESSAGES, PUBLISH, RECORDS, Recipe, corpus
from tests.harness.clients import masked, metric
from tests.harness.eventhub import EventHubServer
from tests.harness.witness import Witness

STRANGERS, SECONDS = 10, 5.0
KEY = "ehk_producer-0123456789"
CONFIG = f"""
log: {{level: warning}}
auth: {{public_metrics: true, keys: [{{name: producer, hash: "{hash_key(KEY)}", publish: ['>']}}]}}
channels:
  witness: {{publish: [producer], anonymous: [subscribe, publish]}}
  json: {{publish: [client, producer]{{more}}}}
  chat: {{payload: chat, publish: [client, producer]}}
  log: {{payload: log, publish: [client, producer]}}
  room: {{anonymous: [subscribe, presence]}}
  union: {{payload: "unions:Rows"}}
"""
UNIONS = """
from typing import Literal
from pydantic import BaseModel
class A(BaseModel):
    kind: Literal["a"]; x: int; y: int
class B(BaseModel):
    kind: Literal["b"]; z: str; y: str
class C(BaseModel):
    kind: Literal["c"]; z: str; w: list[int]
class Rows(BaseModel):
    rows: list[A | B | C]
"""
"""A model of a deployment's own, which nothing bounds but `limits.event_bytes` (SECURITY.md)."""
JOIN = '{"type":"subscribe","channel":"room.a","presence":true,"member":"'
FIELDS = ",".join(f'"x{number}":1' for number in range(6000))
ATTACKS: dict[str, list[Recipe]] = {
    "dear messages": [
        *corpus()["message"],
        Recipe(MESSAGES[0], '"~":1,', "}"),
        Recipe(PUBLISH + '"json.a","data":1,"attributes":{', '"~":1,', "}}"),
    ],
    "arrays of dear items": [
        Recipe("[", "[" + "[]," * 21_000 + "1],", "]"),
        Recipe("[", "{" + FIELDS + "},", "]"),
    ],
    "streams of refused and blank lines": [Recipe("", "x\n", ""), Recipe("", "\n", "")],
    "joins and leaves as messages": [
        Recipe("", JOIN + name + '~"}¦{"type":"unsubscribe","channel":"room.a"}¦', "")
        for name in "abcdefghij"
    ],
    "events of a union": [Recipe('{"rows":[', "{},", "]}")],
}


def main() -> None:
    """Measure each input, and print how long the honest client waited."""
    if len(sys.argv) > 1:
        return attack(int(sys.argv[1]), sys.argv[2])
    print("| ten strangers send | p50 | p99 | longest | paced | core |\n|---|---|---|---|---|---|")  # noqa: T201
    for kind in ("nothing", "harmless messages", *ATTACKS):
        with tempfile.TemporaryDirectory() as name:
            Path(name, "unions.py").write_text(UNIONS, encoding="utf-8")
            server = EventHubServer(Path(name), CONFIG.replace("{more}", ""), lane="started")
            with cores.pinned(cores.SERVER):
                server.start()
            try:
                print(measured(server, kind), flush=True)  # noqa: T201
            finally:
                server.kill()


def measured(server: EventHubServer, kind: str) -> str:
    """A line of the table."""
    assert server.process is not None
    with cores.pinned(cores.CLIENT), Witness(server) as witness, foes(server.port, kind):
        time.sleep(1)  # they are at work
        begun, used = time.monotonic(), busy(server.process.pid)
        count = len(witness.delays)
        time.sleep(SECONDS)
        share = (busy(server.process.pid) - used) / (time.monotonic() - begun)
        delays = sorted(witness.delays[count:])
        paced = metric(server.url, 'eventhub_refused_total{limit="commands"}')
    middle, late = statistics.median(delays), delays[int(len(delays) * 0.99)]
    return (
        f"| {kind} | {middle * 1000:.1f} ms | {late * 1000:.1f} ms | {delays[-1] * 1000:.1f} ms "
        f"| {paced:,.0f} | {share:.0%} |"
    )


def busy(pid: int) -> float:
    """CPU seconds of the server."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def foes(port: int, kind: str) -> Iterator[None]:
    """Runs the strangers."""
    if kind == "nothing":
        yield
        return
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.dear", str(port), kind], stdout=subprocess.PIPE
    )
    assert process.stdout is not None  # PIPE
    with process:
        try:
            if process.stdout.readline() != b"at work\n":
                raise RuntimeError("the strangers could not connect")
            yield
        finally:
            process.kill()


def attack(port: int, kind: str) -> None:
    """What the strangers do, until they are killed."""
    from tests.harness.clients import raw, upgrade  # beside what they send

    os.sched_setscheduler(
        0, os.SCHED_IDLE, os.sched_param(0)
    )  # they share a core with the honest clients, whose delays must come from the server
    recipes = ATTACKS.get(kind, [RECORDS])
    websocket = kind.endswith("messages")
    size = 4_000_000 if kind.startswith("arrays") else EVENT
    bodies = [recipe.made(size) for recipe in recipes]

    def connect(number: int) -> socket.socket:
        source = f"127.0.1.{number + 1}"
        sock = upgrade(port, source=source) if websocket else raw(port, source=source)
        sock.setblocking(False)  # noqa: FBT003  # the library's signature
        return sock

    channel = "union.a" if kind.endswith("union") else "chat.a"
    head = (
        f"POST /v1/channels/{channel} HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {KEY}\r\nContent-Type: "
    )
    pending = []
    for number in range(STRANGERS):
        body = bodies[number % len(bodies)]
        if websocket:
            pending.append(b"".join(map(masked, body[:size].split("¦".encode()))) * 8)
        else:
            media = "application/x-ndjson" if kind.startswith("streams") else "application/json"
            length = f"{media}\r\nContent-Length: {len(body)}\r\n\r\n"
            pending.append((head + length).encode() + body)
    socks = [connect(number) for number in range(STRANGERS)]
    print("at work", flush=True)  # noqa: T201
    sent = [0] * STRANGERS
    while True:
        for number, data in enumerate(pending):
            try:
                exchange(socks[number], data, sent, number)
            except OSError:  # the server has ended it
                socks[number].close()
                with suppress(OSError):  # the next turn tries again
                    socks[number], sent[number] = connect(number), 0
        time.sleep(0.002)  # between turns


def exchange(sock: socket.socket, data: bytes, sent: list[int], number: int) -> None:
    """Send and read what is possible at once. Raises OSError if the connection has ended."""
    with suppress(BlockingIOError):
        sent[number] += sock.send(data[sent[number] % len(data) :])
    with suppress(BlockingIOError):
        if not sock.recv(1 << 20):
            raise ConnectionResetError


if __name__ == "__main__":
    main()
