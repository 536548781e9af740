"""errors.py: the table of wire codes, the tree, and what each transport shows of an error."""

import re
from http import HTTPStatus
from pathlib import Path

import pytest

from eventhub import errors
from eventhub.errors import (
    TABLE,
    BrokerUnavailable,
    ConfigurationError,
    EventHubError,
    InvalidEvent,
    InvalidJson,
    InvalidToken,
    RateLimited,
    TokenExpired,
    Unauthorized,
)

PROTOCOL = (Path(__file__).parents[2] / "PROTOCOL.md").read_text(encoding="utf-8")
SECTION = PROTOCOL.partition("\n## Errors\n")[2]


def documented_codes() -> dict[str, tuple[int, int]]:
    """HTTP status and close code by code, from the table of PROTOCOL.md."""
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (\d+) \| .+ \|$", SECTION, re.MULTILINE)
    return {code: (int(status), int(close)) for code, status, close in rows}


def drawn_tree() -> dict[str, int]:
    """Status by class name, from the tree in the module's docstring."""
    assert errors.__doc__ is not None
    rows = re.findall(r"^[├└]── (.+?) +(\d{3})$", errors.__doc__, re.MULTILINE)
    return {name: int(status) for names, status in rows for name in names.split(", ")}


def test_the_table_of_the_protocol_is_the_table_of_the_code() -> None:
    assert documented_codes() == {
        code: (kind.status, kind("x").close_code) for code, kind in TABLE.items()
    }


def test_the_tree_in_the_docstring_is_the_tree_of_classes() -> None:
    assert drawn_tree() == {kind.__name__: kind.status for kind in EventHubError.__subclasses__()}


def test_every_error_is_in_the_table_once_under_its_own_code() -> None:
    assert sorted(kind.__name__ for kind in TABLE.values()) == sorted(
        kind.__name__ for kind in EventHubError.__subclasses__()
    )
    assert all(kind.code == code for code, kind in TABLE.items())


@pytest.mark.parametrize("code", TABLE)
def test_an_error_has_a_snake_case_code_of_its_class_name_a_real_status_and_a_docstring(
    code: str,
) -> None:
    kind = TABLE[code]
    assert code == re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()
    assert 400 <= HTTPStatus(kind.status) <= 599
    assert kind.__doc__


@pytest.mark.parametrize("code", TABLE)
def test_a_close_code_is_in_the_private_range(code: str) -> None:
    assert 4000 <= TABLE[code]("x").close_code == 4000 + TABLE[code].status <= 4999


def test_close_codes_that_clients_reconnect_on_are_those_of_faults_that_pass() -> None:
    assert (
        "**Reconnect on 1001, 1006, 1012, 1013, 4408, 4429 and 45xx; stop on any other 44xx.**"
        in PROTOCOL
    )
    again = {
        code for code, kind in TABLE.items() if kind.status in (408, 429) or kind.status >= 500
    }
    assert again == {
        "slow_consumer", "ping_timeout", "request_timeout", "internal", "broker_unavailable",
        "too_many_channels", "shutting_down", "rate_limited", "too_many_connections", "node_full",
        "disconnected", "keys_unavailable",
    }  # fmt: skip


def test_a_limit_is_named_by_the_class_or_where_it_is_one_of_several_by_the_error() -> None:
    assert {code: kind.limit for code, kind in TABLE.items() if kind.limit} == {
        "too_deep": "depth", "too_many_subscriptions": "subscriptions",
        "too_many_channels": "channels", "node_full": "connections", "rate_limited": "publish_rate",
    }  # fmt: skip
    error = errors.PayloadTooLarge("too large")
    assert error.with_limit("batch") is error
    assert (error.limit, errors.PayloadTooLarge.limit) == ("batch", None)


def test_a_configuration_error_has_no_wire_code() -> None:
    assert not issubclass(ConfigurationError, EventHubError)
    assert not hasattr(ConfigurationError, "code")


def test_an_error_reads_as_its_message() -> None:
    error = InvalidJson("expected JSON")
    assert str(error) == error.message == "expected JSON"


def test_fields_are_code_and_message_and_details_only_where_there_are_any() -> None:
    assert InvalidJson("no").as_dict() == {"code": "invalid_json", "message": "no"}
    fault = {"pointer": "/text", "message": "too long"}
    assert InvalidEvent("no", (fault,)).as_dict() == {
        "code": "invalid_event",
        "message": "no",
        "details": [fault],
    }


def test_details_are_a_copy() -> None:
    given = [{"pointer": "", "message": "x"}]
    error = InvalidEvent("no", given)
    given.clear()
    assert error.details == [{"pointer": "", "message": "x"}]


def test_a_refusal_that_passes_says_when_to_come_back_in_whole_seconds_over_http() -> None:
    error = RateLimited("slower", retry_after=1.2344)
    assert error.as_dict() == {"code": "rate_limited", "message": "slower", "retry_after": 1.234}
    assert error.headers == {"retry-after": "2"}
    assert BrokerUnavailable("away").headers == {"retry-after": "1"}
    assert InvalidJson("x").headers == {}


def test_a_401_has_the_challenge_of_rfc_6750() -> None:
    assert Unauthorized("x").headers == {"www-authenticate": "Bearer"}
    assert (
        InvalidToken("x").headers
        == TokenExpired("x").headers
        == {"www-authenticate": 'Bearer error="invalid_token"'}
    )
