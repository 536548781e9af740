"""eventhub_client/cli/refused.py: what the commands ask the server for, and what they print."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from eventhub_client.cli import app
from eventhub_client.cli.target import Target

ENTRY = "/v1/refused/iot/01"
TEXT = {"encoding": "text", "payload": '{"é":1}', "cut": False}


class Requests:
    """The requests of commands, each answered with the next one of these answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self._answers: list[Any] = []
        monkeypatch.setattr(Target, "request", lambda _, *asked, **more: self._take(*asked, **more))
        monkeypatch.setenv("COLUMNS", "200")

    def _take(self, method: str, path: str, *, query: Any = None, content: Any = None) -> Any:
        self.asked.append((method, path, content if query is None else dict(query)))
        return self._answers.pop(0)

    def run(self, *arguments: str, answers: list[Any], text: str | None = None) -> Result:
        self._answers = answers
        return CliRunner().invoke(app, ["refused", *arguments], input=text)


@pytest.fixture(name="requests")
def requests_fixture(monkeypatch: pytest.MonkeyPatch) -> Requests:
    return Requests(monkeypatch)


def page(*ids: str, following: str | None = None, by: str | None = None) -> dict[str, Any]:
    shared = {"time": "12:00", "channel": "iot.t1", "by": by, "bytes": 31}
    heads = [{"id": each, **shared, "error": {"code": "invalid_event"}} for each in ids]
    return {"refused": heads, "next": following}


def test_the_list_reads_pages_and_shows_names_as_they_are(requests: Requests) -> None:
    answers = [page("03", following="03", by="[b]\x1b[2J"), page("02")]
    done = requests.run("list", "iot", "--channel", "iot.t1", answers=answers)
    assert done.exit_code == 0
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["id", "time", "channel", "code", "by", "bytes"],
        ["03", "12:00", "iot.t1", "invalid_event", r"[b]\x1b[2J", "31"],
        ["02", "12:00", "iot.t1", "invalid_event", "-", "31"],
    ]
    asked = {"type": "iot", "channel": "iot.t1"}
    assert requests.asked == [
        ("GET", "/v1/refused", {**asked, "limit": 100}),
        ("GET", "/v1/refused", {**asked, "limit": 99, "before": "03"}),
    ]


def test_a_list_that_is_longer_says_so_and_can_be_json(requests: Requests) -> None:
    answers = [page("03", "02", following="02")]
    done = requests.run("list", "--limit", "2", "-o", "json", answers=answers)
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ["03", "02"]
    assert "there are more; see --limit" in done.stderr
    assert requests.asked == [("GET", "/v1/refused", {"limit": 2})]


def test_an_event_is_shown_whole_or_its_payload_byte_by_byte(requests: Requests) -> None:
    whole = requests.run("show", "iot", "01", answers=[TEXT])
    assert json.loads(whole.stdout) == TEXT
    payload = requests.run("show", "iot", "01", "--payload", answers=[TEXT])
    assert (payload.stdout_bytes, payload.stderr) == ('{"é":1}'.encode(), "")
    cut = {"encoding": "base64", "payload": "//4=", "cut": True}
    part = requests.run("show", "iot", "01", "--payload", answers=[cut])
    assert part.stdout_bytes == b"\xff\xfe"
    assert "not complete" in part.stderr
    assert requests.asked == [("GET", ENTRY, None)] * 3


def test_an_event_is_published_as_it_is_or_mended(requests: Requests, tmp_path: Path) -> None:
    stored, file = {"id": "e-1"}, tmp_path / "event.json"
    file.write_bytes(b'{"a":1}')
    assert requests.run("publish", "iot", "01", answers=[stored]).stdout == '{"id": "e-1"}\n'
    assert requests.run("publish", "iot", "01", str(file), answers=[stored]).exit_code == 0
    assert requests.run("publish", "iot", "01", "-", answers=[stored], text="2").exit_code == 0
    assert requests.asked == [
        ("POST", ENTRY, None),
        ("POST", ENTRY, b'{"a":1}'),
        ("POST", ENTRY, b"2"),
    ]


def test_a_part_that_is_refused_is_a_failure_and_an_empty_payload_is_not_sent(
    requests: Requests,
) -> None:
    part = requests.run("publish", "iot", "01", answers=[{"accepted": 1, "rejected": 1}])
    assert (part.exit_code, "the entry stays" in part.stderr) == (1, True)
    empty = requests.run("publish", "iot", "01", "-", answers=[], text=" \n")
    assert (empty.exit_code, "expected the mended payload" in empty.stderr) == (2, True)
    assert len(requests.asked) == 1


def test_each_event_is_discarded_and_names_are_quoted(requests: Requests) -> None:
    done = requests.run("discard", "iot", "01", "a/b", answers=[{}, {}])
    assert done.stdout == "01\na/b\n"
    assert requests.asked == [
        ("DELETE", ENTRY, None),
        ("DELETE", "/v1/refused/iot/a%2Fb", None),
    ]
