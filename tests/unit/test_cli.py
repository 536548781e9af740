"""cli.py: what each command says, and with which exit code it ends."""

import json
import logging
import os
import runpy
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from textwrap import indent

import pytest
import structlog
import yaml
from typer.testing import CliRunner, Result

from eventhub import cli
from eventhub.auth.grants import Action
from eventhub.auth.keys import hash_key
from eventhub.cli import app
from eventhub.config.loader import load
from eventhub.config.settings import SAMPLE_CHANNELS, Settings
from eventhub.events.schema import FileSchema
from eventhub.hub.hub import Hub
from eventhub.server.security.authentication import Authentication
from tests.builders import LINKS
from tests.credentials import private, private_pem, public_pem

LOGGERS = ("uvicorn", "uvicorn.error")


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A directory and an environment of its own; logging as it was afterwards."""
    for name in os.environ:
        if name.upper().startswith("EVENTHUB_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    others = [
        (log, log.handlers, log.propagate, log.level, log.disabled)
        for log in map(logging.getLogger, LOGGERS)
    ]
    yield
    root.handlers, root.level = handlers, level
    for log, kept, propagate, log_level, disabled in others:
        log.handlers, log.propagate, log.level, log.disabled = kept, propagate, log_level, disabled
    structlog.reset_defaults()


def run(*arguments: str, **variables: str) -> Result:
    return CliRunner().invoke(app, arguments, env=dict(variables))


class Started(list[tuple[Settings, Path]]):
    """What the server was started with, instead of a server."""

    def __call__(self, settings: Settings, directory: Path) -> None:
        self.append((settings, directory))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """Nothing listens; what would have is noted."""
    noted = Started()
    monkeypatch.setattr(cli, "serve_forever", noted)
    return noted


def refused(result: Result) -> str:
    """What was said on standard error."""
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("eventhub: ")
    return result.stderr


# version and help


def test_version_is_that_of_the_package() -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, version("eventhub-server") + "\n")


def test_without_a_command_there_is_help() -> None:
    result = run()
    assert all(name in result.output for name in ("serve", "check", "schema", "--version"))


@pytest.mark.parametrize(
    "arguments",
    [("nonsense",), ("serve", "--nonsense"), ("serve", "--port", "http"), ("check", "--config")],
)
def test_a_command_line_that_is_not_understood_is_refused(
    arguments: tuple[str, ...], started: Started
) -> None:
    assert run(*arguments).exit_code == 2
    assert started == []


# schema


def test_schema_is_the_json_schema_of_the_file_for_editors() -> None:
    result = run("schema")
    schema = json.loads(result.stdout)
    assert result.exit_code == 0
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert set(schema["properties"]) == set(Settings.model_fields)
    assert schema["additionalProperties"] is False
    FileSchema(schema).canonical(json.dumps({"port": 1, "channels": SAMPLE_CHANNELS}).encode())


# check


def test_check_says_that_the_sample_is_good() -> None:
    result = run("check")
    assert (result.exit_code, result.stdout) == (
        0,
        "the built-in sample configuration: good; channel types chat, logs, iot\n",
    )


def test_check_names_the_variables_that_it_ignores() -> None:
    result = run("check", **LINKS)
    assert (result.exit_code, result.stdout) == (
        0,
        "the built-in sample configuration: good; channel types chat, logs, iot\n",
    )
    assert result.stderr.startswith(
        f"eventhub: ignored {', '.join(sorted(LINKS))}: Kubernetes set them for a Service named eventhub"
    )


def test_a_server_warns_once_of_the_variables_that_it_ignores(started: Started) -> None:
    result = run("serve", **LINKS)
    assert [settings.port for settings, _ in started] == [8000]
    lines = [line for line in result.output.splitlines() if "variables_ignored" in line]
    assert len(lines) == 1
    assert all(name in lines[0] for name in LINKS)


def test_check_says_that_a_file_is_good(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("channels: {orders: {payload: order.json}}")
    (tmp_path / "order.json").write_text("{}")
    result = run("check", "--config", str(file))
    assert (result.exit_code, result.stdout) == (0, f"{file}: good; channel types orders\n")


def test_schema_files_are_found_beside_the_file_from_wherever_it_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "my.yaml").write_text("channels: {orders: {payload: order.json}}")
    (tmp_path / "etc" / "order.json").write_text("{}")
    assert run("check", "--config", "etc/my.yaml").exit_code == 0
    monkeypatch.chdir("etc")
    assert run("check", "--config", "my.yaml").exit_code == 0


def test_the_file_is_the_one_of_the_option_then_of_the_variable_then_of_the_directory(
    tmp_path: Path,
) -> None:
    for name in ("option", "variable", "eventhub"):
        (tmp_path / f"{name}.yaml").write_text(f"channels: {{{name}: {{}}}}")
    assert (
        "types option"
        in run("check", "--config", "option.yaml", EVENTHUB_CONFIG="variable.yaml").stdout
    )
    assert "types variable" in run("check", EVENTHUB_CONFIG="variable.yaml").stdout
    assert run("check").stdout == "eventhub.yaml: good; channel types eventhub\n"
    assert "types eventhub" in run("check", EVENTHUB_CONFIG="").stdout


@pytest.mark.parametrize("command", ["check", "serve"])
def test_a_file_of_another_suffix_is_not_passed_over(
    tmp_path: Path, command: str, started: Started
) -> None:
    (tmp_path / "eventhub.yml").write_text("channels: {own: {}}")
    assert "eventhub.yml is not read; did you mean eventhub.yaml?" in refused(run(command))
    assert run(command, "--config", "eventhub.yml").exit_code == 0
    (tmp_path / "eventhub.yaml").write_text("channels: {mine: {}}")
    assert run(command).exit_code == 0


def test_check_warns_of_auth_that_names_nobody(tmp_path: Path) -> None:
    (tmp_path / "eventhub.yaml").write_text("auth: {}")
    assert "auth names nobody" in run("check").stderr
    assert not run("check", "--config", "/dev/null").stderr


@pytest.mark.parametrize("command", [("key", "new"), ("token", "new")])
def test_a_credential_without_a_grant_is_warned_of(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "eventhub.yaml").write_text(AUTH)
    assert "grant it something with --publish" in run(*command, "ana").stderr
    assert not run(*command, "ana", "--publish", "chat.a").stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("prot: 1", "prot: unknown key; did you mean port?"),
        ("a: b: c", "is not YAML"),
        ("- a", "holds a list"),
        ("port: x\nhost: 5", "port: "),
        (
            "proxies: [10.0.0.0/33]",
            "proxies.0: expected the address of a proxy or a network, such as 10.0.0.7 or 10.0.0.0/8, received '10.0.0.0/33'",
        ),
        ("channels: {a: {payload: nonsense}}", "channels.a: payload is 'nonsense'"),
        (
            "channels: {a: {payload: missing.json}}",
            "channels.a: payload 'missing.json' cannot be used: No such file or directory",
        ),
        ("host: 0.0.0.0", "--insecure"),
        ("{channels: {a: {}, a: {payload: chat}}}", "'a' is given twice"),
        ("channels: {chat: {payload: 'json:dumps'}}", "is a function; expected"),
        ("channels: {chat: chat}", "expected keys such as payload, as in {payload: chat}"),
        ("broker: kafka://x", "expected memory://"),
        ("broker: sqlite://events.db", "broker:"),
        ("broker: sqlite:///", "expected sqlite:///file"),
        ("broker: sqlite:///a.db?synchronous=maybe", "expected sqlite:///file"),
        ("broker: redis://user:s3cret@host:port", "broker"),
        ("broker: redis+sentinel://host", "broker"),
        ("broker: redis://host?colour=blue", "colour"),
        ("broker: nats://host?colour=blue", "colour"),
        ("origins: [https://a.example/]", "origins.0"),
        ("limits: {event_bytes: 5000000}", "expected at most limits.body_bytes"),
        ("chanels: {}", "chanels: unknown key; did you mean channels?"),
        ("channels: {chat: {payload: chta}}", "payload is 'chta'"),
        ("channels: {chat: {slwo: drop}}", "did you mean slow?"),
        ("port: many", "port"),
    ],
)
def test_check_says_what_is_wrong(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "eventhub.yaml").write_text(content)
    assert message in refused(run("check"))


def test_a_file_that_is_named_must_be_there() -> None:
    assert "missing.yaml: cannot be read" in refused(run("check", "--config", "missing.yaml"))
    assert "missing.yaml: cannot be read" in refused(run("check", EVENTHUB_CONFIG="missing.yaml"))


def test_check_looks_at_the_environment_too() -> None:
    assert "unknown variable EVENTHUB_PROT; did you mean EVENTHUB_PORT?" in refused(
        run("check", EVENTHUB_PROT="1")
    )


# key and token

SECRET = "s3cret-" * 6
AUTH = f"auth: {{tokens: {{keys: [{{algorithm: HS256, id: a, secret: {SECRET}}}], issuer: i, audience: e}}}}\n"


def test_a_new_key_is_shown_once_with_what_the_configuration_holds_of_it(tmp_path: Path) -> None:
    result = run(
        "key",
        "new",
        "backend",
        "--publish",
        "chat.*",
        "--publish",
        "iot.>",
        "--subscribe",
        ">",
        "--expires",
        "90d",
        "--rate",
        "5",
    )
    assert result.exit_code == 0
    (key,) = [line for line in result.stdout.splitlines() if line.startswith("ehk_")]
    (tmp_path / "eventhub.yaml").write_text(
        "auth:\n  keys:\n" + indent(result.stdout.partition("keys:\n")[2], "  ")
    )
    (entry,) = load(tmp_path / "eventhub.yaml").auth.keys
    assert (entry.name, entry.hash, entry.publish, entry.subscribe) == (
        "backend",
        hash_key(key),
        ["chat.*", "iot.>"],
        [">"],
    )
    assert (entry.presence, entry.rate, entry.operator) == ([], 5, False)
    assert entry.expires is not None
    assert 89 <= (entry.expires - datetime.now(UTC)).days <= 90
    assert run("check").exit_code == 0
    assert key not in (tmp_path / "eventhub.yaml").read_text()


def test_a_key_of_an_operator_says_so() -> None:
    entry = yaml.safe_load(run("key", "new", "ops", "--operator").stdout.partition("keys:\n")[2])
    assert entry[0].pop("hash").startswith("sha256:")
    assert entry == [{"name": "ops", "operator": True}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a b",), "name: "), (("a", "--publish", "a b"), "publish: expected a channel pattern"), (("a", "--rate", "0"), "rate: "),
        (("a", "--rate", "nan"), "rate: "), (("a", "--expires", "soon"), "an age is 'soon'"),
        (("a", "--expires", "9" * 30 + "d"), "an age is "), (("a", "--expires", "4000000d"), "before the year 10000"),
    ],
)  # fmt: skip
def test_a_key_that_could_not_be_configured_is_not_made(
    arguments: tuple[str, ...], message: str
) -> None:
    assert message in refused(run("key", "new", *arguments))


def test_a_new_token_is_one_that_the_configuration_accepts(tmp_path: Path) -> None:
    (tmp_path / "eventhub.yaml").write_text(AUTH)
    result = run(
        "token",
        "new",
        "ana",
        "--subscribe",
        "chat.*",
        "--publish",
        "chat.lobby",
        "--presence",
        "chat.*",
        "--expires",
        "5m",
    )
    assert result.exit_code == 0
    found = Authentication(load(tmp_path / "eventhub.yaml").auth, tmp_path, Hub.now).authenticate(
        result.stdout.strip()
    )
    assert (found.name, found.grants.patterns[Action.PUBLISH], found.token is not None) == (
        "ana",
        ("chat.lobby",),
        True,
    )
    assert found.expires is not None
    assert 295_000 < found.expires - Hub.now() <= 305_001


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_new_token_is_signed_with_the_private_key(tmp_path: Path, algorithm: str) -> None:
    (tmp_path / "public.pem").write_bytes(public_pem(private(algorithm)))
    (tmp_path / "private.pem").write_bytes(private_pem(private(algorithm)))
    (tmp_path / "eventhub.yaml").write_text(
        f"auth: {{tokens: {{keys: [{{algorithm: {algorithm}, file: public.pem}}]}}}}"
    )
    result = run("token", "new", "ana", "--key", "private.pem")
    assert (
        Authentication(load(tmp_path / "eventhub.yaml").auth, tmp_path, Hub.now)
        .authenticate(result.stdout.strip())
        .name
        == "ana"
    )
    for wrong in (
        (),
        ("--key", "public.pem"),
        ("--key", "missing.pem"),
        ("--key", "eventhub.yaml"),
    ):
        message = refused(run("token", "new", "ana", *wrong))
        assert (
            f"{algorithm} cannot sign with it; expected --key with the PEM of its private key"
            in message
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ana", "--id", "b"), "has no key b"), (("ana", "--expires", "soon"), "an age is 'soon'"), (("",), "SUBJECT has 0 characters"),
        (("x" * 201,), "SUBJECT has 201 characters"), (("a\nb",), "SUBJECT"), (("ana", "--publish", "a b"), "expected a channel pattern"),
        (("ana", "--expires", "4000000d"), "before the year 10000"),
    ],
)  # fmt: skip
def test_a_token_that_would_be_refused_is_not_made(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "eventhub.yaml").write_text(AUTH)
    found = refused(run("token", "new", *arguments))
    assert message in found
    assert "s3cret" not in found


def test_without_a_key_no_token_is_made() -> None:
    message = refused(run("token", "new", "ana"))
    assert (
        "auth.tokens.keys of the configuration has no key; `openssl rand -hex 32` makes the secret"
        in message
    )


@pytest.mark.parametrize("command", ["check", "serve"])
@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            "{algorithm: HS256, secret: s3cret}",
            "auth.tokens.keys.0: an HS256 secret has 6 bytes; expected at least 32",
        ),
        (
            "{algorithm: ES256, file: missing.pem}",
            "missing.pem cannot be read: No such file or directory",
        ),
        (
            "{algorithm: ES256, file: eventhub.yaml}",
            "it is not the PEM of a public key, which ES256 needs",
        ),
        ("{algorithm: HS256, secret: 2718281828}", "auth.tokens.keys.0.secret: "),
    ],
)
def test_a_key_that_cannot_be_used_keeps_it_from_starting(
    tmp_path: Path, command: str, keys: str, message: str
) -> None:
    (tmp_path / "eventhub.yaml").write_text(f"auth: {{tokens: {{keys: [{keys}]}}}}")
    found = refused(run(command))
    assert message in found
    assert not any(secret in found for secret in ("s3cret", "2718281828"))


def test_with_authentication_it_may_listen_beyond_loopback(
    tmp_path: Path, started: Started
) -> None:
    (tmp_path / "eventhub.yaml").write_text(AUTH)
    assert run("check", EVENTHUB_HOST="0.0.0.0").exit_code == 0
    assert "no authentication" in refused(
        run("check", EVENTHUB_HOST="0.0.0.0", EVENTHUB_AUTH__TOKENS__KEYS="[]")
    )


def test_a_fault_of_ours_shows_no_local_variables() -> None:
    assert not app.pretty_exceptions_enable


# serve


def test_serve_starts_with_the_settings_and_the_directory_of_the_file(
    tmp_path: Path, started: Started
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "my.yaml").write_text("port: 9000\nheartbeat: 3")
    assert run("serve", "--config", "etc/my.yaml").exit_code == 0
    ((settings, directory),) = started
    assert (settings.port, settings.heartbeat, directory) == (9000, 3, (tmp_path / "etc").resolve())


def test_options_are_over_the_environment_and_the_file(tmp_path: Path, started: Started) -> None:
    (tmp_path / "eventhub.yaml").write_text("port: 9000\nhost: 127.0.0.2\ninsecure: false")
    arguments = (
        "serve",
        "--port",
        "9002",
        "--host",
        "127.0.0.3",
        "--insecure",
        "--broker",
        "memory://",
        "--workers",
        "3",
    )
    assert run(*arguments, EVENTHUB_PORT="9001").exit_code == 0
    settings = started[0][0]
    assert (settings.port, settings.host, settings.insecure, settings.broker) == (
        9002,
        "127.0.0.3",
        True,
        "memory://",
    )
    assert settings.workers == 3


def test_an_option_that_is_not_given_leaves_what_is_configured(started: Started) -> None:
    assert run("serve", EVENTHUB_INSECURE="true", EVENTHUB_PORT="0").exit_code == 0
    settings = started[0][0]
    assert (settings.insecure, settings.port, settings.host) == (True, 0, "127.0.0.1")


def test_logs_are_set_up_before_the_server_starts(started: Started) -> None:
    run("serve", EVENTHUB_LOG__LEVEL="error")
    assert logging.getLogger().level == logging.ERROR


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "hub.example"])
def test_beyond_loopback_it_does_not_start_without_insecure(host: str) -> None:
    message = refused(run("serve", "--host", host))
    assert f"host is {host}" in message
    assert "--insecure" in message
    assert "no authentication" in message


@pytest.mark.parametrize("command", ["serve", "check"])
def test_workers_that_would_not_share_a_broker_are_refused(command: str) -> None:
    assert "workers is 2, and broker is memory://, which belongs to one process" in refused(
        run(command, EVENTHUB_WORKERS="2")
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("--workers", "0"),
        ("--port", "65536"),
        ("--port", "-1"),
        ("--broker", "carrier-pigeon://x"),
        ("--broker", ""),
    ],
)
def test_an_option_whose_value_cannot_be_used_is_refused(
    arguments: tuple[str, ...], started: Started
) -> None:
    Path("eventhub.yaml").write_text("heartbeat: 5")  # which is not at fault
    message = refused(run("serve", *arguments))
    assert f"the option {arguments[0]}: {arguments[0][2:]}: " in message
    assert started == []


def test_a_schema_that_cannot_be_used_keeps_it_from_starting(tmp_path: Path) -> None:
    (tmp_path / "eventhub.yaml").write_text("channels: {a: {payload: missing.json}}")
    assert "payload 'missing.json' cannot be used" in refused(run("serve"))


def test_a_bad_file_keeps_it_from_starting(tmp_path: Path, started: Started) -> None:
    (tmp_path / "eventhub.yaml").write_text("prot: 1")
    assert "unknown key" in refused(run("serve"))
    assert started == []


def test_python_dash_m_is_the_same_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["eventhub", "--version"])
    monkeypatch.delitem(sys.modules, "eventhub.__main__", raising=False)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("eventhub", run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out == version("eventhub-server") + "\n"
