"""tests/harness/forked.py: what is forked ends with the process that tests."""

import socket
import subprocess
import sys
from pathlib import Path

from tests.harness.eventually import eventually
from tests.harness.ports import free_port

TESTER = """
from pathlib import Path
from tests.harness.forked import Forked
Forked(["http.server", "--bind", "127.0.0.1", "{port}"], {{}}, Path("{log}")).wait()
"""


def test_a_server_ends_when_the_process_that_tests_is_killed(tmp_path: Path) -> None:
    port = free_port()
    script = TESTER.format(port=port, log=tmp_path / "log")
    with subprocess.Popen([sys.executable, "-c", script], cwd=Path.cwd()) as tester:
        connection = eventually(
            "a server",
            lambda: socket.create_connection(("127.0.0.1", port)),
            not_yet=(OSError,),
        )
        tester.kill()
    with connection:
        connection.settimeout(60)
        assert connection.recv(1) == b"", "it closes what it has open"
