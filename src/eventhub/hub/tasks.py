"""The tasks of a hub. An error in one of them ends no other."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from eventhub.common.faults import Faults
from eventhub.errors import EventHubError


class Tasks:
    """A task group that is open while the hub runs."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.group: asyncio.TaskGroup | None = None
        self.ended = False

    def contain(self, where: str, work: Callable[[], None]) -> None:
        """Call `work` now. An unexpected error is logged with `where`."""
        self._faults.contain(where, work)

    def spawn(
        self, work: Coroutine[Any, Any, None], where: str, failed: Callable[[EventHubError], None]
    ) -> None:
        """Run work that belongs to one connection, channel or request.

        It runs until it is done or the hub ends, and not at all when the hub is ending. An
        unexpected error is logged with `where`, and `failed` ends what the work belongs to.
        """
        if self.group is None:
            work.close()
            assert self.ended, "Hub.run is not running"
            return
        contained = self._faults.contained(where, work, failed)
        try:
            task = self.group.create_task(contained)
        except RuntimeError:  # the group is being cancelled while the broker still calls
            work.close()
            contained.close()
        else:
            # A task that is cancelled before its first step would never await the work.
            task.add_done_callback(lambda _: work.close())
