"""Builds the image from the Dockerfile, on bases made of Debian's packages, and runs containers of
it.

It needs root, but neither a registry nor a daemon. Everything is in a directory of its own and is
removed with it.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from tests.harness.clients import http
from tests.harness.eventually import eventually
from tests.harness.ports import free_port
from tests.harness.programs import program

ROOT = Path(__file__).parents[2]
SUITE = "bookworm"
SLIM = [
    *(
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        "--dpkgopt=path-exclude=/usr/share/man/*",
    ),
    '--customize-hook=find "$1"/usr/lib/python3* -name __pycache__ -prune -exec rm -r {} +',
]
"""As the slim image of Python: without documents, and without the standard library's bytecode."""
PACKAGES = {
    "base": "python3,ca-certificates",
    "builder": "python3-venv,python3-pip,python3-dev,gcc,libc6-dev,zlib1g-dev,ca-certificates",
}
LOCKED_DOWN = [
    "--read-only",
    "--read-only-tmpfs=false",
    "--cap-drop",
    "all",
    "--security-opt",
    "no-new-privileges",
]
LIMITS = ["--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096"]
"""runc would set limits that only a privileged root may have."""


class Images:
    """A store of images, with `base`, `builder` and, built on them, `eventhub`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._store = ["--root", str(directory / "store"), "--runroot", str(directory / "run")]

    def podman(self, *arguments: str, seconds: float = 120) -> str:
        """Run podman. Returns what it prints; an error fails the test."""
        return _run(program("podman"), *self._store, *arguments, seconds=seconds)

    def log(self, name: str) -> str:
        """Everything that a container wrote, to both outputs."""
        command = [program("podman"), *self._store, "logs", name]
        return subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=True,
        ).stdout

    def make_base(self, name: str) -> None:
        """An image of Debian's packages."""
        tar = self._directory / f"{name}.tar"
        options = ["--quiet", "--variant=essential", f"--include={PACKAGES[name]}", *SLIM]
        _run(
            program("mmdebstrap"),
            *options,
            '--aptopt=APT::Install-Recommends "false"',
            SUITE,
            str(tar),
            seconds=600,
        )
        self.podman("import", "--quiet", str(tar), f"localhost/{name}", seconds=300)
        tar.unlink()

    def build(self) -> None:
        """Build `eventhub` on those bases, without the network: this machine's pip has downloaded
        what the locks name.
        """
        wheels = self._directory / "wheels"
        locks = [
            "-r",
            str(ROOT / "requirements/image.txt"),
            "-r",
            str(ROOT / "requirements/build.txt"),
        ]
        binary = ["--only-binary", ":all:", "--no-binary", "nkeys"]
        _run(
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--require-hashes",
            *binary,
            *locks,
            "-d",
            str(wheels),
            seconds=600,
        )
        (self._directory / "pip.conf").write_text(
            "[global]\nno-index = true\nfind-links = /wheelhouse\n"
        )
        volumes = [
            "--volume",
            f"{wheels}:/wheelhouse:ro",
            "--volume",
            f"{self._directory}/pip.conf:/etc/pip.conf:ro",
        ]
        bases = ["--build-arg", "BUILDER=localhost/builder", "--build-arg", "BASE=localhost/base"]
        command = [
            program("buildah"),
            *self._store,
            "bud",
            "--isolation",
            "chroot",
            "--network",
            "host",
            "--layers=false",
            *volumes,
            *bases,
        ]
        _run(*command, "--tag", "localhost/eventhub", str(ROOT), seconds=900)

    def size(self, name: str) -> float:
        """Its size in MB, uncompressed."""
        return (
            int(self.podman("image", "inspect", f"localhost/{name}", "--format", "{{.Size}}")) / 1e6
        )

    def run(
        self, *command: str, entrypoint: str = "eventhub", options: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run a container that ends by itself."""
        arguments = self._run_arguments([*options, "--rm", "--entrypoint", entrypoint])
        return subprocess.run(
            [*arguments, *command], capture_output=True, text=True, timeout=120, check=False
        )

    def python(self, code: str) -> str:
        """What a Python program prints in a container."""
        done = self.run("-c", code, entrypoint="python3")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, name: str, *command: str, options: Sequence[str] = ()) -> None:
        """Start a container that keeps running."""
        _run(*self._run_arguments([*options, "--detach", "--name", name]), *command, seconds=120)

    def remove(self) -> None:
        """Remove all containers, and the store."""
        self.podman("rm", "--all", "--force", "--time", "0")
        self.podman("rmi", "--all", "--force")
        shutil.rmtree(self._directory)

    def _run_arguments(self, options: Sequence[str]) -> list[str]:
        flags = ["--network", "host", *LIMITS, *LOCKED_DOWN, *options]
        return [
            program("podman"),
            *self._store,
            "--runtime",
            program("runc"),
            "run",
            *flags,
            "localhost/eventhub",
        ]


class Container:
    """`eventhub serve` in a container on a port of its own. `options` are podman's."""

    def __init__(self, images: Images, *command: str, options: Sequence[str] = ()) -> None:
        self._images = images
        self._command = command
        self._options = options
        self.port = free_port()
        self.name = f"eventhub-{self.port}"
        self.url = f"http://127.0.0.1:{self.port}"
        self.ws_url = f"ws://127.0.0.1:{self.port}/v1/ws"
        self.seconds = 0.0
        """From the command that starts it until it is ready."""

    def start(self) -> None:
        """Start a new container, and wait until it is ready."""
        began = time.monotonic()
        self._images.start(
            self.name,
            *self._command,
            options=[*self._options, "--env", f"EVENTHUB_PORT={self.port}"],
        )
        try:
            eventually("the container to be ready", self._ready)
        except AssertionError as failure:
            failure.add_note(self._images.log(self.name))
            raise
        self.seconds = time.monotonic() - began

    def stop(self) -> int:
        """Send SIGTERM, as an orchestrator does. Returns the exit code."""
        self._images.podman("stop", "--time", "30", self.name)
        return int(self._images.podman("inspect", self.name, "--format", "{{.State.ExitCode}}"))

    def remove(self) -> None:
        """Kill the container and remove it."""
        self._images.podman("rm", "--force", "--time", "0", self.name)

    def _ready(self) -> bool:
        try:
            return http.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()


@contextmanager
def built() -> Iterator[Images]:
    """The image and its bases, whose build takes minutes."""
    images = Images(
        Path(tempfile.mkdtemp(prefix="eventhub-image-", dir="/var/tmp"))
    )  # not in memory
    try:
        for name in PACKAGES:
            images.make_base(name)
        images.build()
        yield images
    finally:
        images.remove()


def _run(*command: str, seconds: float) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, (
        f"{' '.join(command[:12])} … ended with {done.returncode}:\n{done.stdout[-2000:]}\n"
        f"{done.stderr[-4000:]}"
    )
    return done.stdout
