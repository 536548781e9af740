"""A real Prometheus on a free port, which scrapes and evaluates every second. It ends with its
context.
"""

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.harness.ports import free_port
from tests.harness.process import ServerProcess
from tests.harness.programs import program

Series = tuple[dict[str, str], float]


def promtool(*arguments: str | Path) -> None:
    """Run promtool; an error fails the test with promtool's message."""
    done = subprocess.run(
        [program("promtool"), *arguments], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


class Prometheus(ServerProcess):
    """`scrape` are items of scrape_configs, `rules` the text of a rules file."""

    def __init__(self, directory: Path, scrape: list[dict[str, Any]], rules: str) -> None:
        super().__init__("prometheus", directory / "prometheus.log")
        self.url = f"http://127.0.0.1:{free_port()}"
        (directory / "rules.yaml").write_text(rules)
        timing = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        config = {"global": timing, "rule_files": ["rules.yaml"], "scrape_configs": scrape}
        (directory / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        listen = self.url.removeprefix("http://")
        self._command = [
            program("prometheus"),
            f"--config.file={directory / 'prometheus.yml'}",
            f"--web.listen-address={listen}",
        ]
        self._command += [f"--storage.tsdb.path={directory / 'data'}", "--log.level=warn"]
        self._client = httpx.Client(base_url=f"{self.url}/api/v1", trust_env=False, timeout=10)
        self._data = directory / "data"
        self._since = time.time()

    def query(self, expression: str) -> list[Series]:
        """The labels and value of each series now. Fails the test for an invalid expression."""
        return [
            (item["metric"], float(item["value"][1]))
            for item in self._get("query", query=expression)["result"]
        ]

    def values_since_start(self, expression: str) -> list[float]:
        """Each value of each series once a second since the start, as a graph shows them."""
        span = {"start": str(self._since), "end": str(time.time()), "step": "1"}
        found = self._get("query_range", query=expression, **span)["result"]
        return [float(value) for item in found for _, value in item["values"]]

    def values(self, label: str, series: str) -> list[str]:
        """The values of this label in these series, which Grafana's label_values(series, label)
        asks for.
        """
        found: list[str] = self._get(f"label/{label}/values", **{"match[]": series})
        return found

    def until(self, expression: str, count: int = 1) -> list[Series]:
        """Wait until it gives this many series.

        It polls, because Prometheus evaluates by its own clock.
        """
        return self.eventually(
            f"{count} series of {expression}",
            lambda: self.query(expression),
            lambda found: len(found) >= count,
        )

    def _get(self, path: str, **parameters: str) -> Any:
        answer = self._client.get(path, params=parameters)
        if answer.status_code != 200:
            pytest.fail(f"{parameters}: {answer.text}")
        return answer.json()["data"]

    def command(self) -> list[str]:
        return self._command

    def is_ready(self) -> bool:
        return self._client.get(f"{self.url}/-/ready").status_code == 200

    def __exit__(self, *failure: Any) -> None:
        super().__exit__(*failure)
        self._client.close()
        shutil.rmtree(self._data, ignore_errors=True)
