"""server/connections/operator_requests.py: what operators may ask for."""

from typing import Any

import pytest
from pydantic import ValidationError

from eventhub.auth.blocks import BlockTarget
from eventhub.auth.grants import Grants
from eventhub.auth.principal import CredentialKind, Principal
from eventhub.server.connections.operator_requests import (
    BlockRequest,
    BlockTargetRequest,
    ConnectionFilter,
    ConnectionsReply,
    DisconnectReply,
    Verbosity,
)
from tests.unit.server.connections.manager_builder import build

DAY = 24 * 3600 * 1000


def fits(**wanted: Any) -> bool:
    """Whether ana's connection, by token t1 from 192.0.2.1, matches."""
    ana = Principal(CredentialKind.TOKEN, "ana", Grants({}), token="t1")
    identity = build().registry.new_identity(ana, "192.0.2.1")
    return ConnectionFilter(**wanted).fits(identity)


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"subject": "ana"},
        {"token": "t1"},
        {"address": "192.0.2.1"},
        {"address": "::ffff:192.0.2.1"},
        {"subject": "ana", "token": "t1", "address": "192.0.2.1"},
    ],
)
def test_a_connection_matches_what_is_given(wanted: dict[str, str]) -> None:
    assert fits(**wanted)


@pytest.mark.parametrize(
    "wanted",
    [
        {"subject": "ben"},
        {"key": "ana"},
        {"token": "t2"},
        {"address": "192.0.2.2"},
        {"subject": "ana", "address": "192.0.2.2"},
        {"subject": "ben", "token": "t1"},
    ],
)
def test_a_connection_that_differs_in_one_does_not_match(wanted: dict[str, str]) -> None:
    assert not fits(**wanted)


@pytest.mark.parametrize("limit", [1, 1000])
def test_a_list_has_up_to_a_thousand_connections(limit: int) -> None:
    assert ConnectionFilter(limit=limit).limit == limit
    assert ConnectionFilter().limit == 100


@pytest.mark.parametrize(
    "fields",
    [
        {"limit": 0},
        {"limit": 1001},
        {"subject": ""},
        {"key": "x" * 201},
        {"token": ""},
        {"address": "x" * 101},
        {"who": "ana"},
    ],
)
def test_what_no_list_can_have_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ConnectionFilter(**fields)


@pytest.mark.parametrize("given", [{}, {"subject": "ana", "key": "k"}])
def test_a_block_has_exactly_one_target(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match=f"{len(given)} of subject, key, token are given"):
        BlockTargetRequest(**given)


@pytest.mark.parametrize("kind", ["subject", "key", "token"])
def test_the_target_is_what_is_given(kind: Any) -> None:
    assert BlockTargetRequest(**{kind: "x"}).target == BlockTarget(kind, "x")


@pytest.mark.parametrize(
    ("given", "milliseconds"),
    [({}, 3_600_000), ({"for": "15m"}, 900_000), ({"for": "30d"}, 30 * DAY)],
)
def test_a_block_lasts_as_long_as_it_says(given: dict[str, str], milliseconds: int) -> None:
    request = BlockRequest.model_validate({"subject": "ana", **given})
    assert request.milliseconds == milliseconds


@pytest.mark.parametrize("duration", ["0s", "31d", "721h", "soon", ""])
def test_a_block_that_never_ends_or_never_begins_is_refused(duration: str) -> None:
    with pytest.raises(ValidationError):
        BlockRequest.model_validate({"subject": "ana", "for": duration})


@pytest.mark.parametrize("count", [-1, 1_000_000_001, "1", 1.5, None])
def test_a_node_counts_in_numbers(count: Any) -> None:
    with pytest.raises(ValidationError):
        DisconnectReply(ended=count)


def test_the_rows_of_a_node_are_bounded() -> None:
    row: dict[str, Any] = {"session": "a", "channels": ["x"], "principal": {"name": None}}
    assert len(ConnectionsReply(open=1, matching=1, rows=[row] * 1000).rows) == 1000
    with pytest.raises(ValidationError):
        ConnectionsReply(open=1, matching=1, rows=[row] * 1001)
    with pytest.raises(ValidationError):
        ConnectionsReply(open=1, matching=1, rows=[{"deep": {"deeper": {}}}])


def test_a_log_level_is_one_of_four() -> None:
    assert Verbosity(level="debug").level == "debug"
    with pytest.raises(ValidationError):
        Verbosity.model_validate({"level": "loud"})
    with pytest.raises(ValidationError):
        Verbosity.model_validate({"level": "info", "for": "1h"})
