"""eventhub_client/publishing.py: repetitions, their key and their end, without I/O."""

from collections.abc import Callable

import pytest

from eventhub_client.attempts import Rules
from eventhub_client.errors import Conflict, InvalidEvent, Refused, Unavailable
from eventhub_client.items import Receipt
from eventhub_client.publishing import (
    BATCH_EVENTS,
    Delivery,
    Outcome,
    delete_key,
    expected,
    publish_many,
    publish_one,
)
from eventhub_client.steps import Answer, CallStep, RenewToken, Reply, Request, Unreachable, Wait
from tests.unit.client.shells import Time, answered

TIME = "2026-11-22T20:06:00.123Z"
STORED = Answer(201, {"id": "k-1", "channel": "a.b", "time": TIME})
Answers = Callable[[CallStep], Reply]


def in_turn(*replies: Reply) -> Answers:
    """Posts are answered in turn, the last reply for ever."""
    left = list(replies)

    def answer(step: CallStep) -> Reply:
        if not isinstance(step, Request):
            return None
        return left.pop(0) if len(left) > 1 else left[0]

    return answer


def one(
    answer: Answers, data: object = 1, delivery: Delivery | None = None, *, renewable: bool = False
) -> tuple[Receipt, list[CallStep]]:
    clock = Time()
    rules = Rules(renewable=renewable, clock=clock, random=lambda: 0.5)
    return answered(publish_one("a.b", data, delivery or Delivery(), rules), clock, answer)


def many(
    answer: Answers, items: list[object], delivery: Delivery | None = None
) -> tuple[list[Outcome], list[CallStep]]:
    clock = Time()
    steps = publish_many(
        "a.b", items, delivery or Delivery(), Rules(clock=clock, random=lambda: 0.5)
    )
    return answered(steps, clock, answer)


def posts(steps: list[CallStep]) -> list[Request]:
    return [step for step in steps if isinstance(step, Request)]


def result(number: int) -> dict[str, object]:
    return {"id": f"k-{number}", "time": TIME}


@pytest.mark.parametrize(
    "trouble",
    [
        Unreachable("reset"),
        Answer(408),
        Answer(429, {"code": "rate_limited"}),
        Answer(500),
        Answer(503, {"code": "broker_unavailable"}),
    ],
)
def test_a_temporary_error_is_repeated_with_the_same_key(trouble: Reply) -> None:
    receipt, steps = one(in_turn(trouble, trouble, STORED))
    assert receipt.id == "k-1"
    assert [type(step) for step in steps] == [Request, Wait, Request, Wait, Request]
    assert len({post.headers["idempotency-key"] for post in posts(steps)}) == 1


def test_each_call_has_a_key_of_its_own() -> None:
    keys = {posts(one(in_turn(STORED))[1])[0].headers["idempotency-key"] for _ in range(3)}
    assert len(keys) == 3


def test_retry_after_is_obeyed() -> None:
    _, steps = one(in_turn(Answer(429, {"code": "rate_limited"}, 4.0), STORED))
    assert steps[1] == Wait(4.0)


def test_another_4xx_is_raised_at_once_with_its_details() -> None:
    details = [{"pointer": "/text", "message": "missing"}]
    fault = Answer(422, {"code": "invalid_event", "detail": "no", "details": details})
    with pytest.raises(InvalidEvent, match="invalid_event: no; /text: missing") as caught:
        one(in_turn(fault))
    assert caught.value.details == ({"pointer": "/text", "message": "missing"},)


def test_the_timeout_ends_the_attempts_and_says_why() -> None:
    with pytest.raises(Unavailable, match="unreachable: refused"):
        one(in_turn(Unreachable("refused")), delivery=Delivery(timeout=5))
    with pytest.raises(Unavailable) as caught:
        one(in_turn(Answer(429, {"code": "rate_limited"}, 6.0)), delivery=Delivery(timeout=5))
    assert caught.value.code == "rate_limited"


def test_no_attempt_may_take_longer_than_what_is_left() -> None:
    _, steps = one(in_turn(Answer(429, {}, 4.0), STORED), delivery=Delivery(timeout=5))
    assert [post.seconds for post in posts(steps)] == [5.0, 1.0]


@pytest.mark.parametrize("timeout", [0, -1, 541, float("nan")])
def test_a_timeout_beyond_the_life_of_a_key_is_refused(timeout: float) -> None:
    with pytest.raises(ValueError, match=f"received timeout={timeout}"):
        Delivery(timeout=timeout)
    assert Delivery(timeout=540).timeout == 540


def test_an_expired_token_is_renewed_once_if_it_comes_from_a_function() -> None:
    expired = Answer(401, {"code": "token_expired"})
    _, steps = one(in_turn(expired, STORED), renewable=True)
    assert [type(step) for step in steps] == [Request, RenewToken, Request]
    with pytest.raises(Refused):
        one(in_turn(expired), renewable=True)
    with pytest.raises(Refused):
        one(in_turn(expired, STORED))


def test_an_array_is_one_event() -> None:
    answer = Answer(201, {"results": [result(1)]})
    receipt, steps = one(in_turn(answer), [1, 2])
    assert posts(steps)[0].body == b"[[1,2]]"
    assert receipt.id == "k-1"


def test_attributes_are_sent_as_headers_and_an_id_makes_an_array_one_cloud_event() -> None:
    attributes = {"id": "ü%", "subject": "a b", "traceparent": "00-1"}
    _, steps = one(in_turn(STORED), [1, 2], Delivery(attributes=attributes))
    (post,) = posts(steps)
    assert post.body == b"[1,2]"
    headers = post.headers
    assert (headers["ce-id"], headers["ce-subject"]) == ("%C3%BC%25", "a b")
    assert headers["traceparent"] == "00-1"


def test_many_events_have_one_result_each_in_their_order() -> None:
    error = {"code": "invalid_event", "message": "no"}
    outcomes, steps = many(
        in_turn(Answer(207, {"results": [result(1), {"error": error}]})), ["a", "b"]
    )
    assert posts(steps)[0].body == b'["a","b"]'
    assert isinstance(outcomes[0], Receipt)
    assert isinstance(outcomes[1], InvalidEvent)


def test_a_batch_with_a_temporary_error_is_repeated_as_a_whole() -> None:
    half = Answer(207, {"results": [result(1), {"error": {"code": "broker_unavailable"}}]})
    whole = Answer(201, {"results": [result(1), result(2)]})
    outcomes, steps = many(in_turn(half, whole), ["a", "b"])
    assert all(isinstance(each, Receipt) for each in outcomes)
    first, second = posts(steps)
    assert (first.body, first.headers) == (second.body, second.headers)


def stored(step: CallStep) -> Reply:
    if not isinstance(step, Request):
        return None
    return Answer(201, {"results": [result(1)] * (step.body.count(b",") + 1)})


def test_many_events_are_sent_in_bounded_batches_with_keys_that_stay_the_same() -> None:
    items: list[object] = list(range(2 * BATCH_EVENTS + 1))
    outcomes, steps = many(stored, items, Delivery(key="job"))
    assert len(outcomes) == len(items)
    assert [post.headers["idempotency-key"] for post in posts(steps)] == ["job-0", "job-1", "job-2"]
    large: list[object] = ["x" * 600_000] * 3
    assert len(posts(many(stored, large)[1])) == 3


def test_after_a_batch_of_which_nothing_is_known_no_later_one_is_sent() -> None:
    items: list[object] = list(range(BATCH_EVENTS + 1))
    outcomes, steps = many(in_turn(Unreachable("reset")), items, Delivery(timeout=1))
    assert len(outcomes) == len(items)
    assert all(isinstance(each, Unavailable) for each in outcomes)
    assert len({post.headers["idempotency-key"] for post in posts(steps)}) == 1


def test_nothing_is_sent_if_one_item_is_no_json() -> None:
    sent: list[CallStep] = []
    with pytest.raises(ValueError, match="received NaN or Infinity"):
        many(sent.append, [*[1] * BATCH_EVENTS, 2, float("nan")])
    assert sent == []


def test_another_server_s_success_is_no_receipt() -> None:
    with pytest.raises(Unavailable, match="Is this EventHub"):
        one(in_turn(Answer(200, {})))
    with pytest.raises(Unavailable, match="Is this EventHub"):
        one(in_turn(Answer(200, {"id": "k-1"})))
    for number in (0, 2):
        (outcome,), _ = many(in_turn(Answer(200, {"results": [result(1)] * number})), [1])
        assert isinstance(outcome, Unavailable)


@pytest.mark.parametrize(
    ("if_match", "header"), [("k-3", ("if-match", '"k-3"')), ("none", ("if-none-match", "*"))]
)
def test_what_the_newest_event_must_be_is_a_header(if_match: str, header: tuple[str, str]) -> None:
    _, steps = one(in_turn(STORED), {"id": 1}, Delivery(if_match=if_match))
    assert header in posts(steps)[0].headers.items()


def test_an_array_with_a_precondition_is_one_item_of_several_channels() -> None:
    answer = Answer(201, {"results": [result(1)]})
    receipt, steps = one(in_turn(answer), [1], Delivery(if_match="none", key="job"))
    (post,) = posts(steps)
    assert (post.path, receipt.id) == ("/v1/events", "k-1")
    assert post.body == b'[{"channel":"a.b","key":"job","if_match":"none","data":[1]}]'
    assert post.headers == {"content-type": "application/json"}


def test_another_newest_event_is_a_conflict_that_names_it() -> None:
    with pytest.raises(Conflict, match="precondition_failed") as caught:
        one(in_turn(Answer(412, {"code": "precondition_failed", "id": "k-9"})))
    assert caught.value.id == "k-9"


def test_if_match_and_if_none_match_exclude_each_other() -> None:
    assert expected(None, if_none_match=True) == "none"
    assert expected("k-1", if_none_match=False) == "k-1"
    with pytest.raises(ValueError, match="at most one of them"):
        expected("k-1", if_none_match=True)


def test_a_deletion_names_its_key_and_is_repeated_as_a_publish_is() -> None:
    clock = Time()
    steps = delete_key("a.b", "x/1", Delivery(if_match="k-3"), Rules(clock=clock))
    answer = in_turn(Answer(503), Answer(200, {"id": "k-1", "time": TIME}))
    receipt, taken = answered(steps, clock, answer)
    first, second = posts(taken)
    assert (first.method, first.path) == ("DELETE", "/v1/channels/a.b?key=x%2F1")
    assert first.headers == second.headers
    assert first.headers["if-match"] == '"k-3"'
    assert receipt.id == "k-1"
    with pytest.raises(Unavailable, match="Is this EventHub"):
        answered(delete_key("a.b", "x", Delivery(), Rules()), clock, in_turn(Answer(200, {})))


@pytest.mark.parametrize(
    "wrong",
    [{"key": ""}, {"key": "two words"}, {"key": "x" * 121}, {"key": "ключ"}, {"if_match": "a\nb"}],
)
def test_what_no_header_can_hold_is_refused_before_it_is_sent(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="expected 1 to 120 visible ASCII characters"):
        Delivery(**wrong)  # type: ignore[arg-type]
    assert Delivery(key="x" * 120).key == "x" * 120


def test_an_attribute_that_the_server_would_ignore_is_refused() -> None:
    with pytest.raises(ValueError, match="received the attribute 'sub'; expected one of source"):
        Delivery(attributes={"sub": "x"})
    with pytest.raises(TypeError, match="the attribute subject as a int; expected a str"):
        Delivery(attributes={"subject": 5})  # type: ignore[dict-item]
