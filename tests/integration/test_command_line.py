"""The commands of clients against a real server."""

import csv
import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eventhub.auth.keys import hash_key
from eventhub_client.cli import app
from tests.harness.eventhub import EventHubServer
from tests.harness.eventually import SECONDS
from tests.integration.commands import LASTING, Follow, Start, home, program, run, stored

__all__ = ["home", "program"]


@pytest.fixture(name="served", scope="module")
def served_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    with EventHubServer(tmp_path_factory.mktemp("served"), LASTING) as server:
        yield server


def test_events_are_published_from_an_argument_standard_input_and_a_file(
    start: Start, tmp_path: Path
) -> None:
    hub = start(LASTING)
    one = run(hub, "pub", "logs.a", '{"n":1}')
    assert (one.exit_code, one.stderr) == (0, "")
    lines = run(hub, "pub", "logs.a", "-", text='{"n":2}\n{\n"n":3}\n')
    assert lines.exit_code == 0
    (tmp_path / "events.json").write_text('{"n":4}\n')
    answer = run(hub, "pub", "logs.a", "--file", str(tmp_path / "events.json"), "-o", "json")
    assert re.fullmatch(r'{"channel": "logs.a".*"time": "[^ ]+T[^ ]+\.\d{3}Z"}\n', answer.stdout)
    template = run(hub, "pub", "logs.a", '{"n":"x${n}"}', "--count", "3", "--template")
    assert template.exit_code == 0
    assert stored(hub, "logs.a", 7) == [{"n": each} for each in (1, 2, 3, 4, "x1", "x2", "x3")]


def test_an_idempotency_key_makes_two_calls_one_event(start: Start) -> None:
    hub = start(LASTING)
    ids = {
        run(hub, "pub", "logs.a", "1", "--idempotency-key", "k", "--attribute", "subject=s").stdout
        for _ in range(2)
    }
    assert len(ids) == 1


def test_a_precondition_is_tested_by_the_server(served: EventHubServer) -> None:
    order = ("pub", "orders.a", '{"id":1}')
    first = run(served, *order, "--if-none-match")
    assert first.exit_code == 0, first.output
    again = run(served, *order, "--if-none-match")
    assert (again.exit_code, "precondition_failed" in again.stderr) == (1, True)
    assert run(served, *order, "--if-match", first.stdout.strip()).exit_code == 0
    assert run(served, *order, "--if-match", first.stdout.strip()).exit_code == 1


def test_events_are_edited_and_deleted_and_so_are_keys(served: EventHubServer) -> None:
    first = run(served, "pub", "logs.edits", "[1]").stdout.strip()
    run(served, "pub", "logs.edits", "[2]", "--refers", first, "--relation", "edit")
    run(served, "pub", "logs.edits", "--refers", first, "--relation", "delete")
    *events, deletion = stored(served, "logs.edits", 3)
    assert (events, getattr(deletion, "refers", None)) == ([[1], [2]], first)
    run(served, "pub", "orders.gone", '{"id":1}')
    run(served, "pub", "orders.gone", "--delete", "1")
    assert getattr(stored(served, "orders.gone", 2)[1], "key", None) == "1"


def test_signals_reach_those_who_are_there_and_are_not_stored(served: EventHubServer) -> None:
    answer = run(served, "pub", "typing.a", "--signal", text='"one"\n"two"\n')
    assert (answer.exit_code, answer.output) == (0, "")
    assert json.loads(run(served, "channels", "typing.>", "-o", "json").stdout or "null") is None
    assert run(served, "pub", "chat.a", '"x"', "--signal").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("pub", "chat.a", '{"sender":1,"text":"a"}'), 1, "invalid_event"),
        (("pub", "nothing.a", "1"), 1, "unknown_channel"),
        (("pub", "chat.a", "{"), 2, "the event is not JSON"),
        (("pub", "chat.a", "1", "--file", "/dev/null"), 2, "one of them"),
        (("pub", "chat.a", "1", "--attribute", "x"), 2, "expected name=value"),
        (("pub", "chat.a", "1", "-o", "xml"), 2, "expected text, json or none"),
        (("pub", "chat.a", "1", "--delete", "k"), 2, "an event and a deletion"),
        (("pub", "chat.a", "--refers", "k-1"), 2, "relation=None; expected both or none"),
        (("pub", "chat.a", "1", "--refers", "k-1", "--relation", "x"), 2, "expected both or none"),
        (("pub", "chat.a", "--delete", "k", "--signal"), 2, "a signal is not stored"),
        (("pub", "chat.a", "[" * 100_000), 2, "it nests too deeply"),
        (("pub", "chat.a", r'"\ud800"'), 2, "half a character"),
        (("pub", "nothing.a", "1", "--rate", "inf"), 1, "unknown_channel"),
        (("ship", "/no/file", "chat.a", "--once"), 2, "/no/file: there is no such file yet"),
        (("doctor", "--channel", "chat.>"), 2, "a pattern; expected a channel"),
        (("doctor", "--event", "[" * 100_000), 2, "--event is not JSON"),
        (("presence", "chat.a", "-o", "xml"), 2, "received xml; expected text or json"),
        (("pub", "chat.a", "--file", "/dev/null", "--count", "2"), 2, "--count and --template"),
        (("pub", "chat.a", "1", "--count", "2", "--if-none-match"), 2, "are for one event"),
        (("pub", "chat.a", "1", "--signal", "--if-none-match"), 2, "a signal is not stored"),
        (("pub", "chat.a", "1", "--if-match", "k", "--if-none-match"), 2, "at most one of them"),
        (("tail", "nothing.a"), 1, "unknown_channel"),
        (("tail", "chat.a", "-o", "{nope}"), 2, "expected one of type, channel"),
        (("tail", "chat.a", "--since", "never"), 1, "since"),
        (("tail", "chat.a", "--where", "data >"), 1, "column"),
        (("presence", "nothing.a"), 1, "unknown_channel"),
        (("channels", "a..b"), 1, "a..b"),
        (("pub", "chat.a", '{"n":${n}}'), 2, "--template replaces"),
        (("pub", "chat.a", "1", "--attribute", "a=b"), 2, "the attribute 'a'; expected one of"),
        (("pub", "chat.a", "1", "--token", "two words"), 2, "visible ASCII"),
        (("doctor", "--event", "{"), 2, "--event is not JSON"),
        (("doctor", "--origin", "app.example"), 2, "expected such as https://app.example"),
        (("bench", "logs.b", "--csv", "/nowhere/rows.csv"), 2, "/nowhere/rows.csv"),
        (("disconnect",), 2, "expected one of --subject, --key and --token-id"),
        (("disconnect", "--subject", "ana"), 1, "operator"),
        (("ship", "chat.a"), 2, "expected FILE"),
        (("bench", "--template", "{}"), 2, "expected one with ${mark}"),
        (("bench", "nothing.a"), 1, "unknown_channel"),
        (("top", "--context", "nowhere"), 2, "no context 'nowhere'"),
    ],
)
def test_what_is_refused_ends_with_its_code_and_one_line(
    served: EventHubServer, arguments: tuple[str, ...], code: int, said: str
) -> None:
    result = run(served, *arguments)
    assert result.exit_code == code, result.output
    assert said in result.stderr
    assert "Traceback" not in result.output


def test_a_server_that_cannot_be_reached_is_code_three(served: EventHubServer) -> None:
    nobody = "http://127.0.0.1:9"
    pub = ["pub", "chat.a", "1", "--timeout", "0.2", "--server", nobody]
    assert CliRunner().invoke(app, pub).exit_code == 3
    listing = CliRunner().invoke(app, ["channels", "--server", nobody])
    assert (listing.exit_code, "cannot be reached" in listing.stderr) == (3, True)


def test_tail_prints_the_events_that_match(start: Start) -> None:
    hub = start(LASTING)
    for data in ("one", "two", "three"):
        run(hub, "pub", "logs.a", json.dumps(data))
    tail = ("tail", "logs.a", "--since", "earliest", "-o", "{data}", "-n", "2")
    assert run(hub, *tail, "--where", "data.startsWith('t')").stdout == "two\nthree\n"


def test_tail_goes_on_through_a_kill_and_ends_with_a_broken_pipe(
    start: Start, program: Follow
) -> None:
    hub = start(LASTING)
    tail = program(hub, "tail", "logs.a", "--since", "earliest", "-o", "{data}")
    run(hub, "pub", "logs.a", '"one"')
    assert tail.line() == "one\n"
    hub.kill()
    hub.start()
    run(hub, "pub", "logs.a", '"two"')
    assert tail.line() == "two\n"
    assert tail.stdout is not None
    tail.stdout.close()
    run(hub, "pub", "logs.a", '"three"')
    run(hub, "pub", "logs.a", '"four"')
    assert tail.wait(SECONDS) == 0
    assert tail.stderr is not None
    assert "Traceback" not in tail.stderr.read()


def test_tail_ends_with_its_reader_while_nothing_is_printed(
    served: EventHubServer, program: Follow
) -> None:
    run(served, "pub", "logs.reader", '"one"')
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in a background job of a shell
    try:
        tail = program(served, "tail", "logs.reader", "--since", "earliest", "-o", "{data}")
    finally:
        signal.signal(signal.SIGINT, before)
    assert tail.line() == "one\n"
    assert tail.stdout is not None
    tail.stdout.close()
    assert tail.wait(SECONDS) == 0


def test_tail_ends_when_it_is_interrupted(start: Start, program: Follow) -> None:
    hub = start(LASTING)
    run(hub, "pub", "logs.a", '"one"')
    tail = program(hub, "tail", "logs.a", "--since", "earliest", "-o", "json")
    assert json.loads(tail.line())["data"] == "one"
    tail.send_signal(signal.SIGINT)
    _, errors = tail.end()
    assert (tail.returncode, "Traceback" in errors) == (130, False)


def test_tail_with_a_cursor_ends_at_a_failed_command_and_begins_with_that_event_again(
    served: EventHubServer, tmp_path: Path
) -> None:
    run(served, "pub", "logs.exec", text='"one"\n"two"\n"three"\n')
    out, tail = tmp_path / "out", ("tail", "logs.exec", "--since", "earliest")
    options = (*tail, "--cursor", str(tmp_path / "cursor"), "--exec")
    first = run(served, *options, f"cat >> {out}; ! grep -q two {out}")
    assert (first.exit_code, first.stdout) == (4, "")
    assert first.stderr.count("The next run with this cursor repeats it") == 1
    for count in ("1", "1"):  # the last event of a run is done
        assert run(served, *options, f"cat >> {out}", "-n", count).exit_code == 0
    found = [json.loads(f"{{{each}")["data"] for each in out.read_text().split("{")[1:]]
    assert found == ["one", "two", "two", "three"]
    careless = run(served, *tail, "-n", "2", "--exec", "false")
    assert (careless.exit_code, careless.stderr.count("failed (1)")) == (4, 2)


def test_what_is_there_is_listed(start: Start) -> None:
    hub = start(LASTING)
    run(hub, "pub", "logs.a", text="1\n2\n")
    assert "logs.a  2" in " ".join(run(hub, "channels").stdout.split(" ")).replace("       ", "  ")
    (channel,) = map(json.loads, run(hub, "channels", "logs.>", "-o", "json").stdout.splitlines())
    assert (channel["name"], channel["events"]) == ("logs.a", 2)
    assert run(hub, "channels", "chat.>", "-o", "json").stdout == ""
    assert run(hub, "presence", "chat.a").stdout == ""
    assert json.loads(run(hub, "presence", "chat.a", "-o", "json").stdout)["count"] == 0
    top = run(hub, "top", "--once", "--interval", "0.2").stdout
    assert "published/s" in top
    assert "logs.a" in top


def test_the_connections_of_a_principal_are_ended(start: Start, tmp_path: Path) -> None:
    secret = "ehk_" + "o" * 43
    hub = start(
        "channels: {logs: {payload: json}}\n"
        f"auth: {{keys: [{{name: ops, hash: '{hash_key(secret)}', operator: true}}]}}"
    )
    del tmp_path
    ended = run(hub, "disconnect", "--subject", "ana", "--block", "15m", "--api-key", secret)
    assert ended.exit_code == 0, ended.output
    assert ended.stdout.startswith("0 connections ended, refused until ")


def test_bench_loses_nothing_and_appends_a_row(start: Start, tmp_path: Path) -> None:
    hub, file = start(LASTING), tmp_path / "rows.csv"
    for _ in range(2):
        result = run(
            hub, "bench", "logs.b", "-s", "5", "-p", "2", "--rate", "40", "--seconds", "1",
            "--csv", str(file),
        )  # fmt: skip
        assert result.exit_code == 0, result.output
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert [(row["published"], row["received"], row["lost"]) for row in rows] == [
        ("40", "200", "0")
    ] * 2


def test_doctor_finds_a_healthy_server_healthy(start: Start) -> None:
    hub = start(LASTING)
    result = run(hub, "doctor", "--origin", hub.url)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("\u2713") == 10


def test_doctor_says_what_is_wrong_and_what_to_do(start: Start) -> None:
    hub = start("channels: {logs: {payload: json}}")
    result = run(hub, "doctor", "--channel", "chat.a")
    assert result.exit_code == 1
    assert "the channel type 'chat' is not declared; declared are: logs" in result.stdout
    result = run(hub, "doctor", "--channel", "logs.a", "--origin", "https://other.example")
    assert "origins: [https://other.example]" in result.stdout
    hub.stop()
    result = run(hub, "doctor")
    assert result.exit_code == 1
    assert "is the server started" in result.stdout
    assert "delivery" not in result.stdout


def test_doctor_says_as_whom_a_credential_is_accepted(start: Start) -> None:
    secret = "ehk_" + "d" * 43
    hub = start(
        "channels: {logs: {payload: json, publish: [client]}}\n"
        f"auth: {{keys: [{{name: ana, hash: '{hash_key(secret)}', subscribe: ['>']}}]}}"
    )
    result = run(hub, "doctor", "--api-key", secret, "--channel", "logs.a", "--event", "1")
    assert "credential: the API key is accepted as 'ana'" in result.stdout
    assert "accept no events over HTTP" in result.stdout
    assert result.exit_code == 1


def test_a_context_is_used_without_an_option(start: Start) -> None:
    hub = start(LASTING)
    invoke = CliRunner().invoke
    assert invoke(app, ["context", "add", "here", hub.url]).exit_code == 0
    assert (
        invoke(
            app, ["context", "add", "prod", "https://prod", "--api-key"], input="ehk_x\n"
        ).exit_code
        == 0
    )
    listing = invoke(app, ["context", "ls"]).stdout
    assert listing == f"* here  {hub.url}  no credential\n  prod  https://prod  API key\n"
    assert invoke(app, ["pub", "logs.a", "1"]).exit_code == 0
    assert stored(hub, "logs.a", 1) == [1]
    assert invoke(app, ["context", "rm", "here"]).exit_code == 0
    assert invoke(app, ["context", "use", "here"]).exit_code == 2
