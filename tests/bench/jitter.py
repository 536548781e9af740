"""`python -m tests.bench.jitter`: clients whose connections are cut for two seconds, again and
again, while messages are published: which share arrives, and how late are those that were missed?

In the spirit of AnyCable's jitter test. EventHub's JavaScript client beside centrifuge-js,
Socket.IO with connection state recovery, and a bare `ws`, each with its defaults. `make jitter`
builds Centrifugo first.
"""

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

from tests.bench.servers import CENTRIFUGO, CENTRIFUGO_CONFIG, NODE_MODULES, program
from tests.harness.eventhub import EventHubServer
from tests.harness.ports import free_port

HERE = Path(__file__).parent
CONFIG = """
limits: {connections_per_address: 100000}
channels: {bench: {payload: json, history: {events: 10000, age: 1h}}}
"""
RECOVERING = '"history_size": 10000, "force_recovery": true,'


@dataclass(frozen=True, slots=True)
class Jitter:
    """How many clients and messages; milliseconds between messages, of a cut, and without a message
    after which nothing more is expected.
    """

    clients: int = 2000
    messages: int = 120
    pause: int = 500
    cut: int = 2000
    quiet: int = 30_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """`delivered` is a share, `p50` and `p99` are milliseconds of the messages that were missed at
    first and came later; None if none came. `over_http`: clients that took the server's network for
    one that refuses WebSockets.
    """

    over_http: int
    delivered: float
    doubled: int
    disorder: int
    replayed: int
    p50: int | None
    p99: int | None


@contextmanager
def _eventhub(directory: Path) -> Iterator[int]:
    with EventHubServer(directory, CONFIG) as hub:
        yield hub.port


@contextmanager
def _centrifugo(directory: Path) -> Iterator[int]:
    port = free_port()
    config = directory / "centrifugo.json"
    text = CENTRIFUGO_CONFIG.format(port=port)
    config.write_text(text.replace('"history_size": 10000,', RECOVERING))
    with program([str(CENTRIFUGO), "-c", str(config)], port):
        yield port


def _node(kind: str) -> Callable[[Path], AbstractContextManager[int]]:
    @contextmanager
    def start(directory: Path) -> Iterator[int]:
        words = ["node", str(HERE / "jitter_server.cjs"), kind]
        with program(words, NODE_PATH=str(NODE_MODULES)) as (_, port):
            yield port

    return start


KINDS: dict[str, Callable[[Path], AbstractContextManager[int]]] = {
    "eventhub": _eventhub,
    "centrifugo": _centrifugo,
    "socket.io": _node("socket.io"),
    "ws": _node("ws"),
}


def measure(kind: str, jitter: Jitter) -> Outcome:
    """Start a server and its clients."""
    numbers = astuple(jitter)
    with tempfile.TemporaryDirectory() as directory, KINDS[kind](Path(directory)) as port:
        command = ["node", str(HERE / "jitter_clients.mjs"), kind, str(port), *map(str, numbers)]
        done = subprocess.run(command, stdout=subprocess.PIPE, timeout=600, check=True)
    return Outcome(**json.loads(done.stdout))


def row(kind: str, outcome: Outcome) -> str:
    """A row of the table in RESULTS.md."""
    times = [f"{value:,} ms" if value is not None else "-" for value in (outcome.p50, outcome.p99)]
    counts = f"{outcome.replayed:,} | {outcome.doubled:,} | {outcome.disorder:,}"
    return f"| {kind} | {outcome.delivered:.2%} | {counts} | {' | '.join(times)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", help=f"of {', '.join(KINDS)}; all by default")
    parser.add_argument("--clients", type=int, default=2000)
    parser.add_argument("--messages", type=int, default=120)
    options = parser.parse_args()
    jitter = Jitter(options.clients, options.messages)
    print("| client | delivered | replayed | doubled | out of order | p50 | p99 |")  # noqa: T201
    print("|---|---:|---:|---:|---:|---:|---:|")  # noqa: T201
    for kind in options.kinds or KINDS:
        print(row(kind, measure(kind, jitter)), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
