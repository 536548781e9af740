"""deferred_messages.py: messages wait in order while a credential is checked, within bounds."""

from eventhub.session.deferred_messages import DEFERRED_MESSAGES, DeferredMessages


def test_messages_wait_in_order() -> None:
    deferred = DeferredMessages(100)
    assert all([deferred.add(b"1"), deferred.add(b"2")])
    assert deferred.messages == [b"1", b"2"]


def test_too_many_messages_are_dropped() -> None:
    deferred = DeferredMessages(1000)
    assert all(deferred.add(b"1") for _ in range(DEFERRED_MESSAGES))
    assert not deferred.add(b"1")
    assert deferred.messages == []


def test_too_many_bytes_are_dropped() -> None:
    deferred = DeferredMessages(10)
    assert deferred.add(b"x" * 10)
    assert not deferred.add(b"x")
    assert deferred.messages == []


def test_after_too_much_the_bounds_hold_anew() -> None:
    deferred = DeferredMessages(10)
    deferred.add(b"x" * 11)
    assert deferred.add(b"x" * 10)
    assert not deferred.add(b"x")
