"""When a publish is repeated, when it is given up, and what it brings. No I/O happens here."""

import uuid
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from eventhub_client.attempts import (
    Attempts,
    Rules,
    channel_path,
    has_results,
    invalid_answer,
    problem_of,
)
from eventhub_client.credentials import is_visible
from eventhub_client.errors import HubError, Problem, Unavailable, error
from eventhub_client.items import Receipt, moment
from eventhub_client.payloads import encode
from eventhub_client.steps import Answer, CallStep, RenewToken, Reply, Request

LONGEST_TIMEOUT = 540.0
"""Seconds. The server forgets an idempotency key after ten minutes."""
BATCH_EVENTS = 1000
BATCH_BYTES = 1 << 20
JSON = {"content-type": "application/json"}
KEY_CHARACTERS = 120
"""The server allows 128; a batch adds its number."""
ATTRIBUTES = ("source", "subject", "type", "id", "time", "traceparent")
RELATIONS = (None, "edit", "delete", "reaction")
Outcome = Receipt | HubError


@dataclass(frozen=True, slots=True)
class Delivery:
    """How one call publishes. The key stays the same over all its attempts."""

    timeout: float = 30.0
    attributes: Mapping[str, str] | None = None
    key: str | None = None
    if_match: str | None = None
    """The id that the newest event of the key must have, or `none`: there must be no event."""
    refers: str | None = None
    """The id of an earlier event, which this one edits, deletes or reacts to."""
    relation: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.timeout <= LONGEST_TIMEOUT:
            raise ValueError(
                f"received timeout={self.timeout}; expected more than 0 and at most "
                f"{LONGEST_TIMEOUT:.0f} seconds, because the server forgets a key after 600"
            )
        if self.key is None:
            object.__setattr__(self, "key", uuid.uuid4().hex)
        _check_header("key", self.key)
        _check_header("if_match", self.if_match)
        _check_header("refers", self.refers)
        if (self.refers is None) != (self.relation is None) or self.relation not in RELATIONS:
            raise ValueError(
                f"received refers={self.refers!r} and relation={self.relation!r}; expected both or "
                "none of them, and the relation edit, delete or reaction"
            )
        for name, value in (self.attributes or {}).items():
            if name not in ATTRIBUTES:
                raise ValueError(
                    f"received the attribute {name!r}; expected one of {', '.join(ATTRIBUTES)}"
                )
            if not isinstance(value, str):
                kind = type(value).__name__
                raise TypeError(f"received the attribute {name} as a {kind}; expected a str")

    def headers(self, suffix: str = "") -> dict[str, str]:
        """The headers of a request."""
        named = {
            name if name == "traceparent" else f"ce-{name}": quote(value, safe=" -._~:/?@+,;=")
            for name, value in (self.attributes or {}).items()
        }
        if self.if_match is not None:
            test = ("if-none-match", "*") if self.if_match == "none" else _quoted(self.if_match)
            named[test[0]] = test[1]
        return {**JSON, "idempotency-key": f"{self.key}{suffix}", **named}


def expected(if_match: str | None, *, if_none_match: bool) -> str | None:
    """The `if_match` of a delivery, from the two arguments of a call."""
    if if_match is not None and if_none_match:
        raise ValueError("received if_match and if_none_match; expected at most one of them")
    return "none" if if_none_match else if_match


def check_deletion(data: object, relation: str | None) -> None:
    """Raise ValueError for the deletion of an event that has data."""
    if relation == "delete" and data is not None:
        raise ValueError("received data with relation='delete'; expected None")


def publish_one(
    channel: str, data: object, delivery: Delivery, rules: Rules
) -> Generator[CallStep, Reply, Receipt]:
    """Publish one event. Raises HubError."""
    check_deletion(data, delivery.relation)
    if delivery.relation == "delete":
        return (yield from _delete(channel, {"id": delivery.refers}, delivery, rules))
    body, headers = encode(data), delivery.headers()
    path = channel_path(channel, refers=delivery.refers, relation=delivery.relation)
    is_array = body.startswith(b"[") and "id" not in (delivery.attributes or {})
    if is_array and delivery.refers is not None:  # with this header, it is one event
        headers, is_array = {**headers, "ce-id": quote(headers["idempotency-key"])}, False
    if is_array and delivery.if_match is not None:  # the request of an array tests nothing
        path, body = "/v1/events", _item(channel, body, delivery)
    elif is_array:
        body = b"[" + body + b"]"
    attempts = Attempts(rules, delivery.timeout)
    answer = yield from attempts.run("POST", path, body, headers if path != "/v1/events" else JSON)
    if isinstance(answer, Problem):
        raise error(answer)
    (outcome,) = _outcomes(channel, answer, 1) if is_array else [_receipt(channel, answer.fields)]
    if isinstance(outcome, HubError):
        raise outcome
    return outcome


def delete_key(
    channel: str, name: str, delivery: Delivery, rules: Rules
) -> Generator[CallStep, Reply, Receipt]:
    """Publish the deletion of a key. Raises HubError."""
    return (yield from _delete(channel, {"key": name}, delivery, rules))


def _delete(
    channel: str, what: Mapping[str, Any], delivery: Delivery, rules: Rules
) -> Generator[CallStep, Reply, Receipt]:
    path = channel_path(channel, **what)
    answer = yield from Attempts(rules, delivery.timeout).run(
        "DELETE", path, b"", delivery.headers()
    )
    if isinstance(answer, Problem):
        raise error(answer)
    outcome = _receipt(channel, answer.fields)
    if isinstance(outcome, HubError):
        raise outcome
    return outcome


def publish_many(
    channel: str, items: Iterable[object], delivery: Delivery, rules: Rules
) -> Generator[CallStep, Reply, list[Outcome]]:
    """Publish events in their order, in batches. One outcome for each, in the same order.

    After a batch of which nothing is known, no later one is sent: their order would be lost.
    """
    events = [encode(item) for item in items]  # before any is sent: all of them are JSON
    attempts, outcomes = Attempts(rules, delivery.timeout), list[Outcome]()
    lost: Problem | None = None
    for number, batch in enumerate(_batches(events)):
        if lost is not None:
            outcomes += [Unavailable(lost) for _ in batch]
            continue
        body, headers = b"[" + b",".join(batch) + b"]", delivery.headers(f"-{number}")
        answer = yield from attempts.run("POST", channel_path(channel), body, headers)
        results = (
            _outcomes(channel, answer, len(batch))
            if isinstance(answer, Answer)
            else [error(answer) for _ in batch]
        )
        lost = next((each.problem for each in results if isinstance(each, Unavailable)), None)
        outcomes += results
    return outcomes


def send_signal(
    channel: str,
    data: object,
    attributes: Mapping[str, str] | None,
    timeout: float,
    rules: Rules,
) -> Generator[CallStep, Reply, None]:
    """Send a signal, and never again: later, nobody wants it. Raises HubError.

    It is one item of a publish to several channels, because its data may be an array.
    """
    fields: dict[str, object] = {"channel": channel, "signal": True}
    if attributes:
        fields["attributes"] = dict(attributes)
    body = b'[%b,"data":%b}]' % (encode(fields)[:-1], encode(data))
    request = Request("POST", "/v1/events", body, JSON, timeout)
    problem = _signal_problem((yield request))
    if problem is not None and problem.code == "token_expired" and rules.renewable:
        yield RenewToken()
        problem = _signal_problem((yield request))  # the first one was refused
    if problem is not None:
        raise error(problem)


def _signal_problem(reply: Reply) -> Problem | None:
    if isinstance(reply, Answer) and has_results(reply) and reply.fields["results"]:
        told = reply.fields["results"][0].get("error")
        return None if told is None else Problem.of(told)
    return problem_of(reply) or invalid_answer("the answer has no result")


def _item(channel: str, data: bytes, delivery: Delivery) -> bytes:
    """One item of a publish to several channels."""
    fields = {
        "channel": channel,
        "key": delivery.key,
        "if_match": delivery.if_match,
        **({"attributes": dict(delivery.attributes)} if delivery.attributes else {}),
    }
    return b'[%b,"data":%b}]' % (encode(fields)[:-1], data)


def _check_header(name: str, value: str | None) -> None:
    if value is None or (1 <= len(value) <= KEY_CHARACTERS and is_visible(value)):
        return
    raise ValueError(
        f"received {name}={value!r:.140}; expected 1 to {KEY_CHARACTERS} visible ASCII characters"
    )


def _quoted(position: str) -> tuple[str, str]:
    return "if-match", f'"{position}"'


def _outcomes(channel: str, answer: Answer, number: int) -> list[Outcome]:
    results: Sequence[Mapping[str, Any]] = answer.fields.get("results", ())
    if len(results) != number:
        problem = invalid_answer(f"the answer has {len(results)} results; expected {number}")
        return [Unavailable(problem) for _ in range(number)]
    return [
        error(Problem.of(each["error"])) if "error" in each else _receipt(channel, each)
        for each in results
    ]


def _receipt(channel: str, fields: Mapping[str, Any]) -> Outcome:
    if "id" not in fields or "time" not in fields:
        return Unavailable(invalid_answer("the answer has no id and no time"))
    return Receipt(channel, fields["id"], moment(fields["time"]))


def _batches(events: Iterable[bytes]) -> Iterator[list[bytes]]:
    batch, size = list[bytes](), 0
    for event in events:
        if batch and (len(batch) == BATCH_EVENTS or size + len(event) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += len(event) + 1
    if batch:
        yield batch
