"""brokers/redis/probe.py: which message shows that announcements arrive."""

from eventhub.brokers.redis.probe import AnnouncementProbe
from tests.harness.loop import in_loop


@in_loop
async def test_only_the_newest_number_has_arrived() -> None:
    probe = AnnouncementProbe()
    probe.number = 7
    arrival = probe.expect()
    for other in (b"6", b"70", b"", b"x"):
        probe.on_message(other)
        assert not arrival.done()
    probe.on_message(b"7")
    assert arrival.done()
    probe.on_message(b"7")
    probe.arrive()


@in_loop
async def test_another_probe_takes_the_place_of_the_one_before_it() -> None:
    probe = AnnouncementProbe()
    probe.arrive()  # nobody expects one
    first, second = probe.expect(), probe.expect()
    probe.arrive()
    assert (first.done(), second.done()) == (False, True)
    first.cancel()
    third = probe.expect()
    third.cancel()
    probe.arrive()
