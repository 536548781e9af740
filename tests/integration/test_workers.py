"""Several workers: all serve, all are counted, a dead one is replaced, and they end together."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import ConnectionClosed

from tests.harness.clients import SECONDS, WsClient, busiest, frame, goodbyes, http, raw, upgrade
from tests.harness.eventhub import EventHubServer
from tests.harness.eventually import eventually

Start = Callable[..., EventHubServer]
Families = dict[str, Any]
WORKERS = 3
CONFIG = f"workers: {WORKERS}"


def lines(hub: EventHubServer, event: str) -> list[dict[str, Any]]:
    """The log lines with this event."""
    return [
        line for line in map(json.loads, hub.log.read_text().splitlines()) if line["event"] == event
    ]


def pids(hub: EventHubServer) -> dict[int, int]:
    """Process ids by worker."""
    return {line["worker"]: line["pid"] for line in lines(hub, "worker_started")}


def is_replaced(hub: EventHubServer, worker: int, pid: int) -> None:
    """Wait until this worker is another process."""
    hub.eventually(f"another than {pid}", lambda: pids(hub)[worker], lambda seen: seen != pid)


def logs_of(hub: EventHubServer, event: str, count: int) -> None:
    """Wait until so many workers have logged it."""
    hub.eventually(
        f"{event} {count} times", lambda: lines(hub, event), lambda seen: len(seen) == count
    )


def scrape(hub: EventHubServer, missing: int = 0) -> Families:
    """Families by name, once this many workers are missing.

    A worker that hangs accepts nothing, so it tries again until another answers.
    """
    for _ in range(20):
        with suppress(httpx.TimeoutException):
            text = http.get(f"{hub.url}/metrics", timeout=1.5).text
            families = list(text_string_to_metric_families(text))
            assert len({family.name for family in families}) == len(families), "each family once"
            assert text.count("# TYPE ") == text.count("# HELP ") == len(families)
            found = {family.name: family for family in families}
            if unreachable(found) == missing:
                return found
    raise AssertionError(f"no worker answers for all but {missing}")


def by_worker(families: Families, name: str, **labels: str) -> dict[int, float]:
    """Values of one metric by worker."""
    found: dict[int, float] = {}
    for sample in families[name].samples:
        if labels.items() <= sample.labels.items():
            found[int(sample.labels["worker"])] = sample.value
    return found


def unreachable(families: Families) -> float:
    (sample,) = families["eventhub_workers_unreachable"].samples
    assert sample.labels == {}
    value: float = sample.value
    return value


def sockets(hub: EventHubServer) -> dict[int, float]:
    return by_worker(scrape(hub), "eventhub_connections", transport="websocket")


@contextmanager
def one_at_each(hub: EventHubServer) -> Iterator[dict[int, WsClient]]:
    """A client at each worker."""
    with ExitStack() as stack:
        clients: dict[int, WsClient] = {}
        counts = dict.fromkeys(range(WORKERS), 0.0)
        hub.eventually("no clients", lambda: sockets(hub), lambda seen: seen == counts)
        for _ in range(100):
            client = stack.enter_context(WsClient(f"{hub.ws_url}?channel=chat.a"))
            client.until("subscribed")
            before, counts = counts, sockets(hub)
            (worker,) = [number for number in counts if counts[number] > before[number]]
            clients.setdefault(worker, client)
            if len(clients) == WORKERS:
                break
        yield clients


def state(pid: int) -> str:
    """A letter, as proc_pid_stat(5) says."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def is_alive(pid: int) -> bool:
    """Whether the process runs. A zombie does not count."""
    try:
        return state(pid) != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop the process for the time of the context, so that it hangs."""
    os.kill(pid, signal.SIGSTOP)
    try:
        eventually(f"{pid} to stand still", lambda: state(pid), lambda seen: seen == "T")
        yield
    finally:
        if is_alive(pid):
            os.kill(pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    """A server whose workers all serve, shared: each test leaves it that way."""
    with EventHubServer(
        tmp_path_factory.mktemp("workers"), f"{CONFIG}\nlog: {{access: true}}", lane="workers"
    ) as hub:
        hub.logs('"listening"')
        yield hub
        assert hub.stop() == 0, "workers that died earlier do not matter"


@pytest.fixture
def own_hub(start: Start) -> EventHubServer:
    """The same, for tests that end it."""
    hub = start(f"{CONFIG}\nshutdown: {{grace: 30}}", lane="workers")
    hub.logs('"listening"')
    return hub


def test_all_workers_serve_and_a_scrape_of_any_counts_all(hub: EventHubServer) -> None:
    assert len(lines(hub, "listening")) == 1
    assert hub.process is not None
    assert len(list(Path(f"/proc/{hub.process.pid}/task").iterdir())) == 1, (
        "no thread in a process that forks"
    )
    with one_at_each(hub) as clients:
        assert set(clients) == set(range(WORKERS))
        before = sum(by_worker(scrape(hub), "eventhub_events_published", type="chat").values())
        for number in range(20):
            assert (
                http.post(
                    f"{hub.url}/v1/channels/chat.a", content=f'{{"sender":"a","text":"{number}"}}'
                ).status_code
                == 201
            )
        families = scrape(hub)
        assert (
            sum(by_worker(families, "eventhub_events_published", type="chat").values())
            == before + 20
        )
    documented = Path("docs/metrics.md").read_text()
    for name, family in families.items():
        assert f"`{name}`" in documented
        if name not in (
            "eventhub_workers_unreachable",
            "eventhub_events_rejected",
            "eventhub_faults",
            "eventhub_signals_rejected",
            "eventhub_schema_version",
            "eventhub_schema_newest_version",
        ):  # nothing went wrong, and no type has a schema of its own
            assert {sample.labels["worker"] for sample in family.samples} == {"0", "1", "2"}, name
    requests = lines(hub, "request")
    assert {line["worker"] for line in requests if line["status"] == 101} == set(range(WORKERS))
    assert all("worker" in line for line in requests)


def test_a_worker_that_hangs_is_left_out_of_a_scrape_and_counted(hub: EventHubServer) -> None:
    with stopped(pids(hub)[1]):
        assert set(by_worker(scrape(hub, missing=1), "eventhub_build_info")) == {0, 2}
    assert set(by_worker(scrape(hub), "eventhub_build_info")) == {0, 1, 2}


def test_a_worker_that_dies_is_replaced_while_the_others_go_on(hub: EventHubServer) -> None:
    before = pids(hub)
    with one_at_each(hub) as clients:
        os.kill(before[1], signal.SIGKILL)
        with pytest.raises(ConnectionClosed):
            clients[1].until("never")
        with WsClient(f"{hub.ws_url}?channel=chat.a") as again:
            again.until("subscribed")
        is_replaced(hub, 1, before[1])
        for survivor in (clients[0], clients[2]):
            survivor.send(type="ping")
            survivor.until("pong")
        assert sockets(hub).keys() == {0, 1, 2}
    (death,) = [line for line in lines(hub, "worker_ended") if line["pid"] == before[1]]
    assert (death["worker"], death["signal"]) == (1, "Killed")
    assert {number: pid for number, pid in pids(hub).items() if number != 1} == {
        0: before[0],
        2: before[2],
    }
    with one_at_each(hub) as clients:
        assert set(clients) == {0, 1, 2}


def test_a_worker_that_hangs_is_replaced_and_waiting_connections_are_served(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANG_SECONDS", "8")
    hub = start("workers: 2", lane="workers")
    hub.logs('"listening"')
    before = pids(hub)
    os.kill(before[1], signal.SIGSTOP)
    with ExitStack() as stack:
        waiting = [stack.enter_context(raw(hub.port)) for _ in range(20)]
        for sock in waiting:
            sock.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert [sock.recv(12) for sock in waiting] == [b"HTTP/1.1 200"] * 20
    is_replaced(hub, 1, before[1])
    (found,) = lines(hub, "worker_hangs")
    assert (found["worker"], found["pid"]) == (1, before[1])
    assert pids(hub)[0] == before[0]
    assert hub.process is not None
    everybody = [hub.process.pid, *pids(hub).values()]
    for number in (signal.SIGSTOP, signal.SIGCONT):  # Ctrl-Z and fg: no worker counts as hung
        for pid in everybody:
            os.kill(pid, number)
        if number is signal.SIGSTOP:
            time.sleep(8.5)  # longer than HANG_SECONDS
    time.sleep(1.5)  # the supervisor looks every second
    assert len(lines(hub, "worker_hangs")) == 1
    assert hub.stop() == 0


def test_connections_that_wait_for_a_dead_worker_are_served_by_its_replacement(
    hub: EventHubServer,
) -> None:
    pid = pids(hub)[0]
    with stopped(pid), ExitStack() as stack:
        waiting = [stack.enter_context(raw(hub.port)) for _ in range(30)]
        for sock in waiting:
            sock.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        os.kill(pid, signal.SIGKILL)
        assert [sock.recv(12) for sock in waiting] == [b"HTTP/1.1 200"] * 30
    is_replaced(hub, 0, pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_drains_all_workers(own_hub: EventHubServer, number: signal.Signals) -> None:
    hub = own_hub
    with one_at_each(hub) as clients:
        assert hub.process is not None
        for pid in pids(
            hub
            # as a terminal or systemd sends it: to all processes, and not again when the supervisor
            # passes it on
        ).values():
            os.kill(pid, number)
        hub.process.send_signal(number)
        for client in clients.values():
            assert client.until("goodbye")["code"] == "shutting_down"
            with pytest.raises(ConnectionClosed) as closed:
                client.receive()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
    assert hub.process.wait(SECONDS) == 0
    assert (
        {line["worker"] for line in lines(hub, "draining")}
        == {line["worker"] for line in lines(hub, "stopped")}
        == {0, 1, 2}
    )
    assert "Traceback" not in hub.log.read_text()


def test_a_draining_node_accepts_no_streams_and_a_second_signal_ends_it_at_once(
    among_others: Start,
) -> None:
    hub = among_others(CONFIG, lane="workers")
    with upgrade(hub.port) as stays:
        assert hub.process is not None
        hub.process.send_signal(signal.SIGTERM)
        while json.loads(frame(stays)[1])["type"] != "goodbye":
            pass
        logs_of(hub, "draining", WORKERS)
        # Workers without clients have ended; before, one may hold a connection that none accepts.
        hub.eventually(
            "one worker to be left",
            lambda: [pid for pid in pids(hub).values() if is_alive(pid)],
            lambda seen: len(seen) == 1,
        )
        assert (
            http.get(f"{hub.url}/readyz").status_code
            == http.get(f"{hub.url}/v1/channels/chat.a/ndjson").status_code
            == 503
        )
        assert (
            http.post(
                f"{hub.url}/v1/channels/chat.a", content='{"sender":"a","text":"b"}'
            ).status_code
            == 201
        )
        hub.process.send_signal(signal.SIGHUP)
        assert hub.process.poll() is None
        assert hub.stop() == 1
    assert not any(map(is_alive, pids(hub).values()))


def test_workers_of_one_supervisor_do_not_count_as_other_nodes(own_hub: EventHubServer) -> None:
    hub = own_hub
    sockets = [upgrade(hub.port) for _ in range(30)]
    assert hub.process is not None
    hub.process.send_signal(signal.SIGTERM)
    assert len(list(goodbyes(sockets))) == 30
    assert hub.process.wait(SECONDS) == 0
    assert [line["alone"] for line in lines(hub, "draining")] == [True] * WORKERS


def test_each_worker_sends_its_share_away_over_the_same_time(among_others: Start) -> None:
    hub = among_others("workers: 2\nshutdown: {spread: 2}", lane="workers")
    hub.logs('"listening"')
    sockets = [upgrade(hub.port) for _ in range(480)]
    begin = time.monotonic()
    assert hub.process is not None
    hub.process.send_signal(signal.SIGTERM)
    moments = [moment - begin for moment, _, _ in goodbyes(sockets)]
    assert hub.process.wait(SECONDS) == 0
    assert 1.5 < moments[-1] < 15
    assert busiest(moments, 1) < 330, "half of all, and some play"
    assert {line["worker"] for line in lines(hub, "stopped")} == {0, 1}


def test_workers_whose_supervisor_was_killed_drain_and_end(own_hub: EventHubServer) -> None:
    hub = own_hub
    workers = pids(hub)
    with one_at_each(hub) as clients:
        hub.kill()
        for client in clients.values():
            client.until("goodbye")
    eventually(
        "no worker to be left",
        lambda: [pid for pid in workers.values() if is_alive(pid)],
        lambda seen: not seen,
    )
    assert {line["worker"] for line in lines(hub, "supervisor_gone")} == {0, 1, 2}


def ending(tmp_path: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A server that must fail to start."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(
        command,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_a_port_in_use_is_reported_with_several_workers_too(
    hub: EventHubServer, tmp_path: Path, workers: int
) -> None:
    done = ending(
        tmp_path,
        "tests.harness.workers",
        "serve",
        "--workers",
        str(workers),
        "--port",
        str(hub.port),
    )
    assert done.returncode == 2
    assert "Address already in use; choose others with --host and --port" in done.stderr


def test_workers_listen_on_every_address_of_a_name(start: Start) -> None:
    hub = start("{workers: 2, host: localhost}", lane="workers")
    hub.logs('"listening"')
    addresses = {
        address[0]
        for *_, address in socket.getaddrinfo("localhost", hub.port, type=socket.SOCK_STREAM)
    }
    assert len(lines(hub, "listening")) == len(addresses)


def test_workers_that_cannot_start_are_given_up(tmp_path: Path) -> None:
    broken = (
        "import os, pydantic\nos.register_at_fork(after_in_child=lambda: os._exit(7))\n"
        "class Model(pydantic.BaseModel): ...\n"
    )
    (tmp_path / "broken.py").write_text(broken)
    (tmp_path / "eventhub.yaml").write_text("{port: 0, channels: {a: {payload: 'broken:Model'}}}")
    done = ending(tmp_path, "tests.harness.workers", "serve", "--workers", "2")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert {event["exit_code"] for event in events if event["event"] == "worker_ended"} == {7}
    assert [event["attempts"] for event in events if event["event"] == "gave_up"] == [5]
    assert done.stderr == ""


def test_workers_busy_with_expensive_arrays_answer_others_and_do_not_count_as_hung(
    start: Start,
) -> None:
    hub = start("workers: 2", lane="workers")
    logs_of(hub, "worker_started", 2)  # one answers before the other has begun
    began = pids(hub)
    item = b"[" + b"[]," * 21_000 + b"1],"
    body = b"[" + item * 40 + b"1]"
    headers = {"content-type": "application/json"}
    answered = 0
    with ThreadPoolExecutor(4) as pool:
        sent = [
            pool.submit(
                httpx.post,
                f"{hub.url}/v1/channels/chat.a",
                content=body,
                headers=headers,
                timeout=120,
            )
            for _ in range(4)
        ]
        while not all(each.done() for each in sent):
            assert (
                http.get(f"{hub.url}/livez", headers={"connection": "close"}).status_code == 200
            )  # of one worker or the other
            answered += 1
    assert [each.result().status_code for each in sent] == [422] * 4
    assert answered > 3 * len(sent), "a turn of the loop is far shorter than the look at an array"
    assert (lines(hub, "worker_hangs"), pids(hub)) == ([], began)
