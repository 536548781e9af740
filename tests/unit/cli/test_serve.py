"""`eventhub serve`."""

import logging
from pathlib import Path

import pytest

from tests.unit.cli.runner import Started, refused, run
from tests.unit.service_links import LINKS


def test_serve_warns_once_about_ignored_variables(started: Started) -> None:
    result = run("serve", **LINKS)
    assert [settings.port for settings, _ in started] == [8000]
    lines = [line for line in result.output.splitlines() if "variables_ignored" in line]
    assert len(lines) == 1
    assert all(name in lines[0] for name in LINKS)


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
            "it is not the PEM of a public key; ES256 needs one",
        ),
        ("{algorithm: HS256, secret: 2718281828}", "auth.tokens.keys.0.secret: "),
    ],
)
def test_an_unusable_key_prevents_the_start(
    tmp_path: Path, command: str, keys: str, message: str
) -> None:
    (tmp_path / "eventhub.yaml").write_text(f"auth: {{tokens: {{keys: [{keys}]}}}}")
    found = refused(run(command))
    assert message in found
    assert not any(secret in found for secret in ("s3cret", "2718281828"))


def test_serve_starts_with_the_settings_and_the_directory_of_the_file(
    tmp_path: Path, started: Started
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "my.yaml").write_text("port: 9000\nheartbeat: 3")
    assert run("serve", "--config", "etc/my.yaml").exit_code == 0
    ((settings, directory),) = started
    assert (settings.port, settings.heartbeat, directory) == (9000, 3, (tmp_path / "etc").resolve())


def test_options_win_over_the_environment_and_the_file(tmp_path: Path, started: Started) -> None:
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


def test_an_omitted_option_keeps_the_configured_value(started: Started) -> None:
    assert run("serve", EVENTHUB_INSECURE="true", EVENTHUB_PORT="0").exit_code == 0
    settings = started[0][0]
    assert (settings.insecure, settings.port, settings.host) == (True, 0, "127.0.0.1")


def test_logging_is_configured_before_the_server_starts(started: Started) -> None:
    run("serve", EVENTHUB_LOG__LEVEL="error")
    assert logging.getLogger().level == logging.ERROR


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "hub.example"])
def test_a_public_address_needs_authentication_or_insecure(host: str) -> None:
    message = refused(run("serve", "--host", host))
    assert f"host is {host}" in message
    assert "--insecure" in message
    assert "no authentication" in message


@pytest.mark.parametrize("command", ["serve", "check"])
def test_several_workers_need_a_shared_broker(command: str) -> None:
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
def test_an_option_with_an_invalid_value_is_refused(
    arguments: tuple[str, ...], started: Started
) -> None:
    Path("eventhub.yaml").write_text("heartbeat: 5")  # which is not at fault
    message = refused(run("serve", *arguments))
    assert f"the option {arguments[0]}: {arguments[0][2:]}: " in message
    assert started == []


def test_an_unusable_schema_file_prevents_the_start(tmp_path: Path) -> None:
    (tmp_path / "eventhub.yaml").write_text("channels: {a: {payload: missing.json}}")
    assert "payload 'missing.json' cannot be used" in refused(run("serve"))


def test_an_invalid_file_prevents_the_start(tmp_path: Path, started: Started) -> None:
    (tmp_path / "eventhub.yaml").write_text("prot: 1")
    assert "unknown key" in refused(run("serve"))
    assert started == []
