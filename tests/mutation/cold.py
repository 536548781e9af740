"""Mutants of what runs on import, in processes that have not imported the code yet.

A server, forked before anything of ours is imported, imports what others wrote, once it knows what
the tests need of that. For each mutant it forks; the child imports the mutant and runs its tests.
"""

import importlib
import importlib.util
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest

from tests.mutation.children import answer, processor_time
from tests.mutation.settings import ROOT, SOURCE, Determined, arguments
from tests.mutation.swap import compiled

OURS = ("eventhub", "eventhub_client", "tests", "conftest")
SIZE = 1 << 20


class ColdServer:
    """The server, from outside."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SIZE)
        self.pid = os.fork()
        if self.pid == 0:
            self._socket.close()
            _serve(theirs)
        theirs.close()

    def prepare(self) -> None:
        """Let it import what others wrote and this process has imported."""
        names = [name for name in sys.modules if name.partition(".")[0] not in OURS]
        self._send({"import": names}, [])

    def judge(self, file: str, text: str, tests: Sequence[str], seconds: float) -> int:
        """Judge the text of a file; the end of the pipe that tells of it."""
        reading, writing = os.pipe()
        self._send(
            {"file": file, "text": text, "tests": list(tests), "seconds": seconds}, [writing]
        )
        os.close(writing)
        return reading

    def close(self) -> None:
        self._socket.close()
        os.waitpid(self.pid, 0)

    def _send(self, message: dict[str, Any], descriptors: list[int]) -> None:
        socket.send_fds(self._socket, [json.dumps(message).encode()], descriptors)


def _serve(requests: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    while True:
        data, descriptors, _, _ = socket.recv_fds(requests, SIZE, 1)
        if not data:
            os._exit(0)
        message = json.loads(data)
        for name in message.get("import", ()):
            with suppress(Exception):
                importlib.import_module(name)
        if descriptors:
            if os.fork() == 0:
                requests.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                answer(descriptors[0], partial(_judge, message))
            os.close(descriptors[0])


def _judge(message: dict[str, Any]) -> dict[str, Any]:
    path = ROOT / message["file"]
    sys.meta_path.insert(0, _Finder(path, compiled(message["text"], str(path))))
    tests = message["tests"]
    files = list(dict.fromkeys(each.partition("::")[0] for each in tests))
    selection = _Selection(tests)
    with processor_time(message["seconds"]):
        code = pytest.main(arguments(files, "-x"), plugins=[Determined(), selection])
    verdict = "survived" if code in (0, 5) else "killed"
    by = f"{selection.passed} tests" if verdict == "survived" else selection.failed or "import"
    return {"verdict": verdict, "by": by}


class _Selection:
    """Some tests in a certain order."""

    def __init__(self, tests: Sequence[str]) -> None:
        self._order = {test: index for index, test in enumerate(tests)}
        self.failed = ""
        self.passed = 0

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (each for each in items if each.nodeid in self._order),
            key=lambda each: self._order[each.nodeid],
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed = self.failed or report.nodeid
        elif report.when == "call":
            self.passed += 1


class _Finder(MetaPathFinder):
    """Finds one module: the mutant."""

    def __init__(self, path: Path, code: CodeType) -> None:
        parts = path.relative_to(SOURCE).with_suffix("").parts
        self._package = parts[-1] == "__init__"
        self._name = ".".join(parts[: -1 if self._package else None])
        self._loader = _Loader(self._name, str(path))
        self._loader.code = code
        self._path = path

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != self._name:
            return None
        folders = [str(self._path.parent)] if self._package else None
        return importlib.util.spec_from_file_location(
            name, self._path, loader=self._loader, submodule_search_locations=folders
        )


class _Loader(SourceFileLoader):
    code: CodeType

    def get_code(self, fullname: str) -> CodeType:
        return self.code
