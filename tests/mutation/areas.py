"""The areas: what is mutated, and the tests that must notice."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.settings import ROOT

PACKAGE, CLIENT = Path("src/eventhub"), Path("src/eventhub_client")
BOUNDS = "unit/test_bounds.py"
"""Compares the constants of every area with the documentation."""


@dataclass(frozen=True)
class Area:
    """Sources below `package` and tests below tests, as files, folders or patterns."""

    sources: tuple[str, ...]
    tests: tuple[str, ...]
    deselect: str = ""
    """What pytest's -k leaves out."""
    package: Path = PACKAGE

    def files(self) -> list[str]:
        return sorted(set(_python(self.package, self.sources)))

    def test_paths(self) -> list[str]:
        tests = ROOT / "tests"
        found = [path for each in (*self.tests, BOUNDS) for path in sorted(tests.glob(each))]
        return [str(path.relative_to(ROOT)) for path in found]


def _python(folder: Path, patterns: tuple[str, ...]) -> Iterator[str]:
    for pattern in patterns:
        for path in sorted((ROOT / folder).glob(pattern)):
            found = sorted(path.rglob("*.py")) if path.is_dir() else [path]
            yield from (str(each.relative_to(ROOT)) for each in found)


CONTRACT = ("contract/test_broker.py", "contract/test_unreadable.py", "contract/test_unwritable.py")
SERVERS = "nats or redis or valkey"

AREAS = {
    "feed": Area(("delivery",), ("unit/delivery",)),
    "session": Area(("session",), ("unit/session",)),
    "fanout": Area(("hub",), ("unit/hub",)),
    "presence": Area(("presence",), ("unit/presence",)),
    "auth": Area(("auth",), ("unit/auth", "unit/server/security")),
    "events": Area(("events",), ("unit/events",)),
    "filters": Area(("filters",), ("unit/filters", "unit/delivery")),
    "common": Area(("common", "errors.py"), ("unit/common", "unit/test_errors.py")),
    "frames": Area(
        ("server/websocket/frame_parser.py", "server/websocket/state.py", "delivery/encoding.py"),
        ("unit/server/websocket", "unit/delivery/test_encoding.py"),
    ),
    "publish": Area(
        ("server/publish",),
        (
            "unit/server/publish",
            "unit/server/http/test_publish_lane*.py",
            "unit/server/http/test_known_publish.py",
            "unit/server/http/test_both_ways.py",
        ),
    ),
    "websocket": Area(("server/websocket",), ("unit/server/websocket",)),
    "http": Area(("server/http", "server/messages"), ("unit/server/http", "unit/server/messages")),
    "streams": Area(("server/streams",), ("unit/server/streams",)),
    "api": Area(("server/api",), ("unit/server/api", "unit/server/publish")),
    "connections": Area(("server/connections",), ("unit/server/connections",)),
    "security": Area(("server/security",), ("unit/server/security",)),
    "memory": Area(
        ("brokers/[!f]*.py",),
        ("unit/brokers/test_*.py", *CONTRACT),
        SERVERS,
    ),
    "sqlite": Area(("brokers/sqlite",), ("unit/brokers/sqlite", *CONTRACT), SERVERS),
    "redis": Area(("brokers/redis",), ("unit/brokers/redis",)),
    "nats": Area(("brokers/nats",), ("unit/brokers/nats",)),
    "config": Area(
        ("config", "cli", "brokers/factory.py"),
        ("unit/config", "unit/cli", "unit/brokers/test_factory.py"),
    ),
    "metrics": Area(("observability",), ("unit/observability",)),
    "client": Area(("*.py", "cli"), ("unit/client",), package=CLIENT),
    "process": Area(
        ("server/process", "server/*.py"),
        ("unit/server/process", "unit/server/test_*.py"),
    ),
}


def area_of(file: str) -> str:
    """The first area that mutates the file."""
    for name, area in AREAS.items():
        if file in area.files():
            return name
    raise KeyError(f"{file} is in no area of {Path(__file__).name}")
