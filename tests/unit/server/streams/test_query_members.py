"""The data of a member in a query string."""

import pytest

from eventhub.errors import EventHubError, InvalidJson, InvalidRequest
from eventhub.server.streams.query import StreamQuery
from eventhub.session.interfaces import SessionLimits
from eventhub.session.session import Session
from tests.harness.builders import Guest, Nowhere
from tests.unit.server.streams.noted_hub import Noted


def test_the_data_of_the_member_is_for_every_subscription() -> None:
    noted = Noted()
    session = Session(noted, Nowhere(), SessionLimits(1000, 5, 25.0, 10, 1000), Nowhere(), Guest())
    given = b"channel=chat.a&channel=chat.b&member=ana&member_data=%7B%22x%22%3A%20%22%C3%A9%22%7D"
    StreamQuery(given).subscribe(session)
    assert noted.data == ['{"x":"é"}'.encode()] * 2


@pytest.mark.parametrize(
    ("query", "error", "message"),
    [
        (b"member_data=%7B%7D", InvalidRequest, "member_data is given without member"),
        (b"member=a&member_data=%7B%7D&member_data=%7B%7D", InvalidRequest, "more than once"),
        (b"member=a&member_data=%5B%5D", InvalidRequest, "is a JSON array; expected an object"),
        (b"member=a&member_data=null", InvalidRequest, "is a JSON null; expected an object"),
        (b"member=a&member_data=", InvalidJson, "member_data"),
        (b"member=a&member_data=%7Bx", InvalidJson, "member_data"),
        (b"member=a&member_data=%7B%22x%22:36893488147419103232%7D", InvalidJson, "64 bits"),
    ],
)
def test_data_that_is_no_object_is_refused(
    query: bytes, error: type[EventHubError], message: str
) -> None:
    with pytest.raises(error, match=message):
        StreamQuery(query)
