"""What `key new` and `token new` share."""

from pathlib import Path

import pytest

from tests.unit.cli.runner import AUTH, run


@pytest.mark.parametrize("command", [("key", "new"), ("token", "new")])
def test_a_credential_without_a_grant_gives_a_warning(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "eventhub.yaml").write_text(AUTH)
    assert "grant it something with --publish" in run(*command, "ana").stderr
    assert not run(*command, "ana", "--publish", "chat.a").stderr
