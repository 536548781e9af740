"""Messages that arrive while a credential is being checked. They are handled after the answer."""

DEFERRED_MESSAGES = 64
"""Messages that may wait."""


class DeferredMessages:
    """The waiting messages of one connection, at most `size` bytes of them."""

    __slots__ = ("_bytes", "_messages", "_size", "active")

    def __init__(self, size: int) -> None:
        self._size = size
        self._messages: list[bytes] = []
        self._bytes = 0
        self.active = False
        """A credential is being checked."""

    def start(self) -> None:
        """A check has begun."""
        self.active = True

    def add(self, message: bytes) -> bool:
        """Keep a message. Returns False if there are too many; then all are dropped."""
        self._messages.append(message)
        self._bytes += len(message)
        if len(self._messages) <= DEFERRED_MESSAGES and self._bytes <= self._size:
            return True
        self._take()
        return False

    def stop(self) -> list[bytes]:
        """The check is over. Returns the messages that waited."""
        self.active = False
        return self._take()

    def _take(self) -> list[bytes]:
        messages, self._messages, self._bytes = self._messages, [], 0
        return messages
