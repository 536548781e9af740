"""brokers/nats/credentials.py: files are read for each connection, and never shown."""

from pathlib import Path

import pytest

from eventhub.brokers.nats.credentials import CredentialsUnusable, NatsCredentials
from eventhub.brokers.nats.url import NatsUrl

SEED = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
"""Of the documentation of NATS: nobody's."""


def credentials(
    jwt: str = "-----BEGIN NATS USER JWT-----\ney.ey.s-_\n------END NATS USER JWT------",
    seed: str = SEED,
) -> str:
    return (
        f"{jwt}\n\n*** IMPORTANT ***\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )


def test_a_credentials_file_is_read_each_time(tmp_path: Path) -> None:
    file = tmp_path / "it.creds"
    file.write_text(credentials())
    it = NatsUrl.parse(f"nats://h?credentials={file}").credentials
    assert "ey.ey.s-_\n" in it.arguments()["user_credentials"].data
    file.write_bytes(credentials().replace("ey.ey", "new.ey").replace("\n", "\r\n").encode())
    assert "new.ey.s-_\n" in it.arguments()["user_credentials"].data


def test_an_nkey_is_its_seed(tmp_path: Path) -> None:
    (tmp_path / "it.nk").write_text(f"{SEED}\n")
    assert NatsCredentials(nkey=tmp_path / "it.nk").arguments() == {"nkeys_seed_str": SEED}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "s3cret",
        SEED,
        credentials(jwt=""),
        credentials(seed="s3cret"),
        credentials(seed=SEED[9:]),
        credentials(seed="SA" + SEED[2:]),
    ],
)
def test_a_file_with_something_else_in_it_is_named_and_not_shown(
    tmp_path: Path, content: str
) -> None:
    """The client library would look for the end of an empty one for ever."""
    (tmp_path / "it").write_text(content)
    for it in (
        NatsCredentials(credentials=tmp_path / "it"),
        NatsCredentials(nkey=tmp_path / "it"),
    ):
        if content == SEED and it.nkey:
            continue
        with pytest.raises(CredentialsUnusable, match="/it cannot be used: expected") as refused:
            it.arguments()
        assert "s3cret" not in str(refused.value)
        assert SEED[:10] not in str(refused.value)
