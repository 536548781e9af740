"""The probe that shows whether announcements arrive: a number, published and received. No I/O."""

import asyncio


class AnnouncementProbe:
    """One probe at a time. `topic` is where probes are published; empty before the first one."""

    def __init__(self) -> None:
        self.topic = b""
        self.number = 0
        self._arrival: asyncio.Future[None] | None = None

    def expect(self) -> "asyncio.Future[None]":
        """A future that is done when the probe, or the confirmation of its topic, arrives."""
        self._arrival = asyncio.get_running_loop().create_future()
        return self._arrival

    def on_message(self, data: bytes) -> None:
        """A message on a topic without a subscription: perhaps the probe."""
        if data == b"%d" % self.number:
            self.arrive()

    def arrive(self) -> None:
        """It has arrived."""
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)
