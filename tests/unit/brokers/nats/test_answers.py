"""brokers/nats/answers.py: what an answer means, and faults without secrets."""

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error

from eventhub.brokers.nats.answers import (
    NO_RESPONDERS,
    JetStreamError,
    TlsNotRequired,
    connection_fault,
    read_answer,
)
from eventhub.errors import BrokerUnavailable


def message(data: bytes, status: str | None = None) -> Msg:
    return Msg(Client(), data=data, headers=None if status is None else {"Status": status})


def test_an_acknowledgement_is_its_fields() -> None:
    assert read_answer(message(b'{"stream":"s","seq":3}')) == {"stream": "s", "seq": 3}


def test_a_refusal_has_its_code() -> None:
    refusal = read_answer(message(b'{"error":{"code":404,"err_code":10059,"description":"d"}}'))
    assert isinstance(refusal, JetStreamError)
    assert (refusal.code, refusal.message) == (10059, "d")


def test_without_responders_nothing_was_stored() -> None:
    refusal = read_answer(message(b"", str(NO_RESPONDERS)))
    assert isinstance(refusal, JetStreamError)
    assert refusal.code == NO_RESPONDERS


@pytest.mark.parametrize("unreadable", [None, message(b"\xff"), message(b"3")])
def test_without_a_readable_answer_the_outcome_is_not_known(unreadable: Msg | None) -> None:
    error = read_answer(unreadable)
    assert isinstance(error, BrokerUnavailable)
    assert "may be stored or not" in error.message


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TlsNotRequired(), "the URL asks for TLS, and the server does not require it"),
        (Error("nats: 'Authorization Violation'"), "the login was refused"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (Error("nats://ana:s3cret@h is away"), "Error"),
    ],
)
def test_a_fault_of_the_connection_is_named_without_secrets(error: Exception, said: str) -> None:
    assert connection_fault(error) == said
