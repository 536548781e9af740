"""`eventhub token new`."""

from pathlib import Path

import pytest

from eventhub.auth.grants import Action
from eventhub.config.loader import load
from eventhub.hub.hub import Hub
from eventhub.server.security.authentication import Authentication
from tests.harness.credentials import private, private_pem, public_pem
from tests.unit.cli.runner import AUTH, refused, run


def test_the_server_accepts_a_new_token(tmp_path: Path) -> None:
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
        (("ana", "--id", "b"), "has no key b"), (("ana", "--expires", "soon"), "an age is 'soon'"),
        (("",), "SUBJECT has 0 characters"), (("x" * 201,), "SUBJECT has 201 characters"),
        (("a\nb",), "SUBJECT"), (("ana", "--publish", "a b"), "expected a channel pattern"),
        (("ana", "--expires", "4000000d"), "before the year 10000"),
    ],
)  # fmt: skip
def test_options_that_make_an_invalid_token_are_refused(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "eventhub.yaml").write_text(AUTH)
    found = refused(run("token", "new", *arguments))
    assert message in found
    assert "s3cret" not in found


def test_without_a_configured_key_no_token_is_made() -> None:
    message = refused(run("token", "new", "ana"))
    assert (
        "auth.tokens.keys of the configuration has no key; `openssl rand -hex 32` makes the secret"
        in message
    )
