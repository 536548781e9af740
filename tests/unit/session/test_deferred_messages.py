"""deferred_messages.py: messages wait in order while a credential is checked, within bounds."""

from eventhub.session.deferred_messages import DEFERRED_MESSAGES, DeferredMessages


def test_messages_wait_in_order_until_the_check_is_over() -> None:
    deferred = DeferredMessages(100)
    assert not deferred.active
    deferred.start()
    assert deferred.active
    assert all([deferred.add(b"1"), deferred.add(b"2")])
    assert deferred.stop() == [b"1", b"2"]
    assert not deferred.active
    assert deferred.stop() == []


def test_too_many_messages_are_dropped() -> None:
    deferred = DeferredMessages(1000)
    deferred.start()
    assert all(deferred.add(b"1") for _ in range(DEFERRED_MESSAGES))
    assert not deferred.add(b"1")
    assert deferred.active
    assert deferred.stop() == []


def test_too_many_bytes_are_dropped() -> None:
    deferred = DeferredMessages(10)
    deferred.start()
    assert deferred.add(b"x" * 10)
    assert not deferred.add(b"x")
    assert deferred.stop() == []
