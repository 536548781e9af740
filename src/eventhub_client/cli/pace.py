"""The pace of a publisher."""

import time


class Pace:
    """At most so many events a second."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._begin = time.monotonic()
        self._sent = 0

    def wait(self, events: int) -> None:
        """Until the next ones may be sent."""
        if self._rate is not None:
            time.sleep(max(0.0, self._begin + self._sent / self._rate - time.monotonic()))
        self._sent += events
