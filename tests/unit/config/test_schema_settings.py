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


def test_upcasts_are_functions_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "shop_upcasts.py").write_text("def rename(data): return {'new': data['old']}\n")
    steps = [{"from": 1, "to": 3, "with": "shop_upcasts:rename"}]
    version = declared(tmp_path, payload="order.json", upcast=steps).version
    assert version is not None
    assert version.upcasts[1].to == 3
    assert version.upcasts[1].function({"old": 1}) == {"new": 1}


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (
            ["no_such:f"],
            "channels.orders.upcast.0.with: 'no_such:f' cannot be used: Module",
        ),
        (["math:gone"], "channels.orders.upcast.0.with: 'math:gone' cannot be used: Attribute"),
        (["math:pi"], "channels.orders.upcast.0.with: math:pi is a float; expected a function"),
        (["math:sqrt", "math:sqrt"], "channels.orders.upcast.1.from is 1, as in another item"),
    ],
)
def test_an_upcast_that_cannot_be_used_is_refused(
    steps: list[str], message: str, tmp_path: Path
) -> None:
    given = [{"from": 1, "to": 2, "with": step} for step in steps]
    with pytest.raises(ConfigurationError) as caught:
        declared(tmp_path, payload="order.json", upcast=given)
    assert str(caught.value).startswith(message)


def test_an_upcast_leads_to_a_later_version(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="from is 2 and to is 2; expected a larger to"):
        declared(tmp_path, payload="order.json", upcast=[{"from": 2, "to": 2, "with": "math:sqrt"}])
