"""Builds the image and runs it: `make image-test`, some minutes. test_image.py has the tests that
need no build.

With EVENTHUB_TEST_RESULTS it writes its figures into that file, for RESULTS.md.
"""

import json
import os
import secrets
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from eventhub.auth.keys import hash_key
from tests import SETTINGS
from tests.deploy.image import Container, Images, built
from tests.deploy.sbom import versions
from tests.harness.clients import WsClient, http

pytestmark = pytest.mark.timeout(1800)
KEY = "ehk_image-0123456789"
CONFIG = f"""
auth:
  keys: [{{name: producer, hash: "{hash_key(KEY)}", publish: ['>']}}]
channels:
  chat: {{payload: chat, anonymous: [subscribe]}}
"""
MESSAGE = {"sender": "ana", "text": "oi"}
PRODUCER = {"Authorization": f"Bearer {KEY}"}
STARTS = 5
SBOM = "/opt/eventhub/share/doc/eventhub/sbom.cdx.json"


@pytest.fixture(scope="module")
def images() -> Iterator[Images]:
    with built() as images:
        yield images


@pytest.fixture
def mounted(tmp_path: Path) -> list[str]:
    """A configuration with a key, where the image looks for one."""
    tmp_path.chmod(0o755)
    (tmp_path / "eventhub.yaml").write_text(CONFIG)
    return ["--volume", f"{tmp_path}:/etc/eventhub:ro"]


@pytest.fixture
def volume(images: Images) -> Iterator[list[str]]:
    """SQLite's file on a volume."""
    name = f"eventhub-{secrets.token_hex(4)}"
    yield [
        "--volume",
        f"{name}:/var/lib/eventhub",
        "--env",
        "EVENTHUB_BROKER=sqlite:////var/lib/eventhub/events.db",
    ]
    images.podman("volume", "rm", "--force", name)


def record(line: str) -> None:
    print(line)  # noqa: T201  # figures for RESULTS.md
    if file := SETTINGS.get("EVENTHUB_TEST_RESULTS"):
        with Path(file).open("a") as results:
            results.write(f"{line}\n")


@pytest.mark.parametrize("user", [[], ["--user", "1000680000:0"]])
def test_it_serves_with_a_read_only_root_and_no_privileges_as_its_own_user_or_any(
    images: Images, mounted: list[str], user: list[str]
) -> None:
    with Container(images, options=[*mounted, *user]) as hub, WsClient(hub.ws_url) as client:
        client.subscribe("chat.a")
        assert http.post(f"{hub.url}/v1/channels/chat.a", json=MESSAGE).status_code == 401
        assert (
            http.post(f"{hub.url}/v1/channels/chat.a", json=MESSAGE, headers=PRODUCER).status_code
            == 201
        )
        assert client.until("event")["data"] == MESSAGE
        status = images.podman("exec", hub.name, "cat", "/proc/1/status")
        held = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert held["Uid"].split()[0] == ("1000680000" if user else "65532")
        assert (int(held["CapEff"], 16), int(held["CapBnd"], 16), held["NoNewPrivs"]) == (0, 0, "1")
        assert hub.stop() == 0
        assert client.until("goodbye")["reconnect_in"] >= 0
        assert [json.loads(line)["event"] for line in images.log(hub.name).splitlines()] == [
            "listening",
            "draining",
            "stopped",
        ]


def test_without_authentication_it_starts_only_with_insecure(images: Images) -> None:
    refused = images.run("serve")
    assert refused.returncode == 2
    assert "--insecure" in refused.stderr
    with Container(images, "serve", "--insecure") as hub:
        assert http.post(f"{hub.url}/v1/channels/chat.a", json=MESSAGE).status_code == 201


@pytest.mark.parametrize("user", [[], ["--user", "1000680000:0"]])
def test_events_in_sqlite_on_a_volume_survive_kill_9_and_the_container(
    images: Images, mounted: list[str], volume: list[str], user: list[str]
) -> None:
    for _ in range(2):
        with Container(images, options=[*mounted, *volume, *user]) as hub:
            assert (
                http.post(
                    f"{hub.url}/v1/channels/chat.a", json=MESSAGE, headers=PRODUCER
                ).status_code
                == 201
            )
    with Container(images, options=[*mounted, *volume, *user]) as hub:
        assert len(http.get(f"{hub.url}/v1/channels/chat.a").json()["events"]) == 2
        assert hub.stop() == 0


def test_other_commands_run_in_it_as_well(images: Images) -> None:
    assert "hash: sha256:" in images.run("key", "new", "greenhouse", "--publish", "iot.>").stdout


def test_there_is_no_compiler_and_no_pip(images: Images) -> None:
    for name in ("cc", "gcc", "c99", "ld", "as", "make", "pip", "pip3", "apt-key"):
        assert images.run("-c", f"command -v {name}", entrypoint="sh").returncode != 0, name
    assert "False False" in images.python(
        "from importlib.util import find_spec as f; print(bool(f('pip')), bool(f('setuptools')))"
    )


def test_the_native_extension_is_in_it_and_everything_it_starts_with_is_compiled(
    images: Images,
) -> None:
    code = (
        "import eventhub._native, eventhub.cli, os, sys\n"
        "print([m for m, at in sys.modules.items() "
        "if (c := getattr(at, '__cached__', None)) and not os.path.exists(c)])"
    )
    assert images.python(code).strip() == "[]"


def test_what_is_installed_is_what_the_bill_of_materials_lists(images: Images) -> None:
    code = (
        "import importlib.metadata as m, json; "
        "print(json.dumps([(d.name, d.version) for d in m.distributions()]))"
    )
    installed = {
        canonicalize_name(name): version for name, version in json.loads(images.python(code))
    }
    assert installed.pop(canonicalize_name("eventhub-server"))
    assert installed == versions(images.run(SBOM, entrypoint="cat").stdout)


def test_its_size_and_the_time_it_takes_to_be_ready(images: Images, mounted: list[str]) -> None:
    whole, base = images.size("eventhub"), images.size("base")
    record(
        f"size: {whole:.0f} MB, of which {whole - base:.0f} MB are EventHub and what it needs, the "
        "rest the base"
    )
    assert whole - base < 130
    seconds, work = [], []
    for _ in range(STARTS):
        with Container(images, options=mounted) as hub:
            seconds.append(1000 * hub.seconds)
            ticks = sum(
                map(
                    int,
                    images.podman("exec", hub.name, "cat", "/proc/1/stat")
                    .rpartition(")")[2]
                    .split()[11:13],
                )
            )
            work.append(1000 * ticks / os.sysconf("SC_CLK_TCK"))
    record(
        f"ready {statistics.median(seconds):.0f} ms after `podman run` (median of {STARTS}, the "
        f"best {min(seconds):.0f} ms)"
    )
    record(
        f"its process took {statistics.median(work):.0f} ms of a core until then (the best "
        f"{min(work):.0f} ms)"
    )
    assert min(seconds) < 10_000
