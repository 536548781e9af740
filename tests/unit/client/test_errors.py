"""eventhub_client/errors.py: it agrees with the server's table."""

import pickle

import pytest

from eventhub.errors import TABLE
from eventhub_client.errors import (
    STATUS,
    HubError,
    InvalidEvent,
    NotFound,
    Problem,
    Unavailable,
    UnknownChannel,
    error,
    is_temporary,
)


def test_each_code_that_is_repeated_or_has_a_class_has_the_server_s_status() -> None:
    special = {401, 403, 404, 412}
    expected = {
        code: kind.status
        for code, kind in TABLE.items()
        if is_temporary(kind.status) or kind.status in special
    }
    kept = {code: status for code, status in STATUS.items() if status != 422}
    assert kept == expected
    assert all(TABLE[code].status == status for code, status in STATUS.items())


def test_errors_survive_a_pickle() -> None:
    problem = Problem("invalid_event", "no", 422, ({"pointer": "/a", "message": "b"},))
    copy = pickle.loads(pickle.dumps(InvalidEvent(problem)))
    assert isinstance(copy, InvalidEvent)
    assert (copy.code, str(copy)) == ("invalid_event", "invalid_event: no; /a: b")


@pytest.mark.parametrize(
    ("status", "name"),
    [(401, "Unauthorized"), (403, "Forbidden"), (404, "NotFound"), (413, "Refused"),
     (422, "Refused"), (429, "Unavailable"), (503, "Unavailable")],
)  # fmt: skip
def test_each_status_has_its_class(status: int, name: str) -> None:
    raised = error(Problem("code", "", status))
    assert type(raised).__name__ == name
    assert isinstance(raised, HubError)


def test_an_unknown_channel_is_told_from_other_things_that_are_not_there() -> None:
    channel, presence = (error(Problem(code, "", 404)) for code in ("unknown_channel", "not_found"))
    assert type(channel) is UnknownChannel
    assert type(presence) is NotFound
    assert isinstance(channel, NotFound)


def test_an_answer_without_a_code_is_named_by_its_status() -> None:
    problem = Problem.of({}, 502)
    assert problem.code == "http_502"
    assert isinstance(error(problem), Unavailable)
