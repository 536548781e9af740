"""Tests of the image that need no build; proof_image.py builds and runs it."""

import json
import re
import subprocess
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.vendored import uplot
from tests.deploy.image import LOCKED_DOWN, ROOT
from tests.deploy.sbom import hashes, versions
from tests.harness.programs import program
from tests.pythons import claimed

DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SBOM = (ROOT / "deploy/sbom.cdx.json").read_text()


def pins(lock: str) -> dict[str, str]:
    """The versions that a lock names."""
    lines = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in lines}


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    done = subprocess.run(
        [program("hadolint"), str(ROOT / "Dockerfile")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_its_label_names_the_version() -> None:
    assert re.findall(r'image.version="(.*?)"', DOCKERFILE) == [PROJECT["version"]]


def test_its_bases_are_pinned_and_have_one_python() -> None:
    builder, base = re.findall(
        r"^ARG \w+=docker.io/library/python:(\d+\.\d+\.\d+-\S+)$", DOCKERFILE, re.MULTILINE
    )
    assert builder == base.replace("-slim", "")


def test_its_python_is_one_that_the_suite_runs_under() -> None:
    (version,) = set(re.findall(r"/python:(\d+\.\d+)\.", DOCKERFILE))
    assert version in claimed()
    assert f"Python {version} " in (ROOT / "docs/container.md").read_text()


def test_only_what_the_build_reads_is_sent_to_it() -> None:
    ignored, *sent = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if not line.startswith("**")
    ]
    assert ignored == "*"
    names = {line.removeprefix("!") for line in sent}
    assert all((ROOT / name).exists() for name in names)
    assert {
        "src",
        "web",
        "hatch_build.py",
        "pyproject.toml",
        PROJECT["readme"],
    } <= names
    files = PROJECT["license-files"]
    assert all(name in names or name.partition("/")[0] in names for name in files)
    assert set(re.findall(r"requirements/\w+\.txt|deploy/sbom\.\S+json", DOCKERFILE)) == {
        name for name in names if name.startswith(("req", "deploy"))
    }


def test_the_guide_locks_it_down_as_the_proof_does() -> None:
    guide = (ROOT / "docs/container.md").read_text()
    assert all(
        flag in guide for flag in LOCKED_DOWN if flag != "--read-only-tmpfs=false"
    )  # podman's: Docker mounts nothing there
    assert re.findall(r"USER (\d+):", DOCKERFILE) == ["65532"]
    assert "user | 65532" in guide


def test_the_locks_of_the_image_hold_what_the_project_asks_for() -> None:
    asked = [
        Requirement(line)
        for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["otel"]
    ]
    locked = pins("requirements/image.txt")
    assert all(locked[canonicalize_name(one.name)] in one.specifier for one in asked)
    assert (
        pins("requirements/server.txt").items()
        - {("colorama", pins("requirements/server.txt").get("colorama", ""))}
        <= locked.items()
    )
    assert "hatchling" in pins("requirements/build.txt")


def test_the_bill_of_materials_lists_what_the_lock_names() -> None:
    """`make sbom` checks that it is valid."""
    pinned = pins("requirements/image.txt")
    assert versions(SBOM) == pinned, "make sbom"
    components = json.loads(SBOM)["components"]
    assert uplot() in components, "make sbom"
    assert len(components) == len(pinned) + 1
    assert hashes(SBOM) == set(
        re.findall(r"--hash=sha256:(\w+)", (ROOT / "requirements/image.txt").read_text())
    )
    assert json.loads(SBOM)["metadata"]["component"]["version"] == PROJECT["version"]
