"""Servers for integration tests."""

import gc
import os
import random
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import hypothesis
import pytest
import structlog

from tests import SETTINGS
from tests.harness.eventhub import EventHubServer

Start = Callable[..., EventHubServer]
ORDER = "EVENTHUB_TEST_ORDER"
LONGEST = {
    name: place
    for place, name in enumerate(
        (
            "test_simulation.py",
            "test_nodes.py",
            "test_chat.py",
            "test_slow_readers.py",
            "test_token.py",
            "test_token_expiry.py",
            "test_shutdown.py",
            "test_hijack.py",
            "test_rules.py",
            "test_dead_peers.py",
            "test_redis_failover.py",
            "test_slow_and_steady.py",
            "test_workers.py",
            "test_limits.py",
        )
    )
}


def pytest_configure(config: pytest.Config) -> None:
    """What servers under test inherit. They refuse variables that they do not know; who only hands
    tests out leaves them to the others.
    """
    hypothesis.settings.register_profile("untimed", deadline=None)  # a busy machine is no fault
    hypothesis.settings.load_profile("untimed")
    *_, last = structlog.get_config()["processors"]
    assert isinstance(last, structlog.dev.ConsoleRenderer)
    last.exception_formatter = structlog.dev.plain_traceback  # rich takes a second for each fault
    if SETTINGS.get(ORDER) == "random":  # chosen once; processes of pytest-xdist inherit it
        SETTINGS[ORDER] = os.environ[ORDER] = str(random.randrange(1_000_000))
    if not getattr(config.option, "numprocesses", None):
        for name in SETTINGS:
            os.environ.pop(name, None)
        gc.disable()  # while tests are imported, of which nothing goes
    # A signal that a shell or nohup ignores, servers and commands would inherit as ignored; a
    # handler they do not.
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda number, frame: None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """What has been imported by now stays: no collection of garbage looks through it again. What is
    garbage by now stays, too: it is little, and to find it takes half a second.
    """
    gc.freeze()
    gc.enable()


def pytest_report_header() -> list[str]:
    return [f"random order: {ORDER}={SETTINGS[ORDER]}"] if ORDER in SETTINGS else []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest are begun first: nobody shall wait for one alone in the end. Or
    files, and the tests of each, in an order that the seed gives.
    """
    if ORDER in SETTINGS:
        chance = random.Random(SETTINGS[ORDER])
        places = {path: chance.random() for path in dict.fromkeys(item.path for item in items)}
        items.sort(key=lambda item: (places[item.path], chance.random()))
    else:
        items.sort(key=lambda item: LONGEST.get(item.path.name, len(LONGEST)))


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    """A server with the sample configuration, shared: use channels of your own."""
    with EventHubServer(tmp_path_factory.mktemp("hub")) as server:
        yield server


@pytest.fixture(scope="session")
def asgi_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    """The same under plain uvicorn."""
    with EventHubServer(tmp_path_factory.mktemp("asgi"), lane="asgi") as server:
        yield server


@pytest.fixture(scope="session")
def plain_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    """The fast lane without the native extension."""
    with EventHubServer(tmp_path_factory.mktemp("plain"), "native: false") as server:
        yield server


@pytest.fixture(params=["hub", "plain_hub", "asgi_hub"])
def lane_hub(request: pytest.FixtureRequest) -> EventHubServer:
    """One after the other: the same tests hold for the fast lane, native and plain, and for the
    ASGI shell.
    """
    server = request.getfixturevalue(request.param)
    assert isinstance(server, EventHubServer)
    return server


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts servers with a configuration of their own, and ends them."""
    with ExitStack() as stack:

        def start(
            config: str = "",
            lane: str = "fast",
            files: Mapping[str, str] | None = None,
            ready: int = 200,
        ) -> EventHubServer:
            directory = tmp_path / str(len(list(tmp_path.iterdir())))
            directory.mkdir()
            for name, text in (files or {}).items():
                (directory / name).write_text(text)
            server = EventHubServer(directory, config, lane=lane)
            server.ready = ready
            return stack.enter_context(server)

        yield start


@pytest.fixture
def channel(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """A channel of a type that no other test uses."""
    own = "".join(c if c.isalnum() else "-" for c in request.node.name)[-100:]
    return lambda type_name: f"{type_name}.{own}"
