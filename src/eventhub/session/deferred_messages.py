"""Messages that arrive while a credential is being checked. They are handled after the answer."""

DEFERRED_MESSAGES = 64
"""Messages that may wait."""


class DeferredMessages:
    """The waiting messages of one connection, at most `size` bytes of them."""

    __slots__ = ("_bytes", "_size", "messages")

    def __init__(self, size: int) -> None:
        self._size = size
        self._bytes = 0
        self.messages: list[bytes] = []
        """In the order in which they came."""

    def add(self, message: bytes) -> bool:
        """Keep a message. Returns False if there are too many; then all are dropped."""
        self.messages.append(message)
        self._bytes += len(message)
        if len(self.messages) <= DEFERRED_MESSAGES and self._bytes <= self._size:
            return True
        self.messages, self._bytes = [], 0
        return False
