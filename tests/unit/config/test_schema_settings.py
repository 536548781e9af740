"""The settings `version` and `compatibility` of a channel type."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from eventhub.config.loader import channel_types
from eventhub.config.settings import Settings
from eventhub.errors import ConfigurationError
from eventhub.events.channel_types import JOURNAL_TYPE, SCHEMAS_TYPE, ChannelType
from eventhub.events.compatibility.changes import Compatibility


def declared(directory: Path, **fields: Any) -> ChannelType:
    (directory / "order.json").write_text('{"type": "object"}')
    return channel_types(Settings(channels={"orders": fields}), directory).named("orders")


def test_a_payload_with_a_schema_of_its_own_has_a_version(tmp_path: Path) -> None:
    version = declared(tmp_path, payload="order.json").version
    assert version is not None
    assert (version.compatibility, version.wanted) == (Compatibility.NONE, None)
    more = {"version": 3, "compatibility": "full-transitive"}
    version = declared(tmp_path, payload="order.json", **more).version
    assert version is not None
    assert (version.compatibility, version.wanted) == (Compatibility.FULL_TRANSITIVE, 3)


@pytest.mark.parametrize("payload", ["json", "chat", "log", "reading"])
def test_a_payload_of_the_server_has_none_and_refuses_the_settings(
    payload: str, tmp_path: Path
) -> None:
    assert declared(tmp_path, payload=payload).version is None
    with pytest.raises(ConfigurationError) as caught:
        declared(tmp_path, payload=payload, version=1)
    assert str(caught.value) == (
        f"channels.orders.version is set, and payload is {payload}; expected a payload with a "
        "schema of its own, a .json file or package.module:Model"
    )
    with pytest.raises(ConfigurationError, match=r"^channels\.orders\.compatibility is set"):
        declared(tmp_path, payload=payload, compatibility="full")


@pytest.mark.parametrize("name", [JOURNAL_TYPE, SCHEMAS_TYPE])
def test_the_types_of_the_server_cannot_be_declared(name: str) -> None:
    with pytest.raises(ValidationError, match=f"{name} is the name of a type of the server's own"):
        Settings(channels={name: {}})
