"""`eventhub check`."""

from pathlib import Path

import pytest

from tests.unit.cli.runner import AUTH, Started, refused, run
from tests.unit.service_links import LINKS


def test_check_accepts_the_built_in_sample() -> None:
    result = run("check")
    assert (result.exit_code, result.stdout) == (
        0,
        "the built-in sample configuration: good; channel types chat, logs, iot\n",
    )


def test_check_lists_the_variables_that_it_ignores() -> None:
    result = run("check", **LINKS)
    assert (result.exit_code, result.stdout) == (
        0,
        "the built-in sample configuration: good; channel types chat, logs, iot\n",
    )
    assert result.stderr.startswith(
        f"eventhub: ignored {', '.join(sorted(LINKS))}: "
        "Kubernetes set them for a Service named eventhub"
    )


def test_check_accepts_a_valid_file(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("channels: {orders: {payload: order.json}}")
    (tmp_path / "order.json").write_text("{}")
    result = run("check", "--config", str(file))
    assert (result.exit_code, result.stdout) == (0, f"{file}: good; channel types orders\n")


def test_schema_files_are_relative_to_the_configuration_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "my.yaml").write_text("channels: {orders: {payload: order.json}}")
    (tmp_path / "etc" / "order.json").write_text("{}")
    assert run("check", "--config", "etc/my.yaml").exit_code == 0
    monkeypatch.chdir("etc")
    assert run("check", "--config", "my.yaml").exit_code == 0


def test_check_warns_if_auth_has_no_keys(tmp_path: Path) -> None:
    (tmp_path / "eventhub.yaml").write_text("auth: {}")
    assert "auth has neither keys nor tokens" in run("check").stderr
    assert not run("check", "--config", "/dev/null").stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("prot: 1", "prot: unknown key; did you mean port?"),
        ("a: b: c", "is not YAML"),
        ("- a", "holds a list"),
        ("port: x\nhost: 5", "port: "),
        (
            "proxies: [10.0.0.0/33]",
            "proxies.0: expected the address of a proxy or a network, "
            "such as 10.0.0.7 or 10.0.0.0/8, received '10.0.0.0/33'",
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


def test_check_reads_the_environment() -> None:
    assert "unknown variable EVENTHUB_PROT; did you mean EVENTHUB_PORT?" in refused(
        run("check", EVENTHUB_PROT="1")
    )


def test_check_accepts_a_public_address_only_with_authentication(
    tmp_path: Path, started: Started
) -> None:
    (tmp_path / "eventhub.yaml").write_text(AUTH)
    assert run("check", EVENTHUB_HOST="0.0.0.0").exit_code == 0
    assert "no authentication" in refused(
        run("check", EVENTHUB_HOST="0.0.0.0", EVENTHUB_AUTH__TOKENS__KEYS="[]")
    )
