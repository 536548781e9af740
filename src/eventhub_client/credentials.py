"""The token or API key of a hub, and when a function is asked for it."""

from collections.abc import Awaitable, Callable
from inspect import isawaitable

TokenFunction = Callable[[], str | Awaitable[str]]
Token = str | TokenFunction


class Credentials:
    """What identifies the application.

    A function is asked for each connection, when a token is about to end, and when one has ended.
    Publishes use the newest token.
    """

    def __init__(self, token: Token | None, key: str | None) -> None:
        if token is not None and key is not None:
            raise ValueError("received token and key; expected at most one of them")
        self._source: Token | None = key if token is None else token
        self._newest: str | None = None

    @property
    def are_renewable(self) -> bool:
        return callable(self._source)

    async def renew(self) -> str | None:
        """A new token."""
        found = self._source() if callable(self._source) else self._source
        return self._keep(await found if isawaitable(found) else found)

    def renew_now(self) -> str | None:
        """The same without an event loop."""
        found = self._source() if callable(self._source) else self._source
        if isawaitable(found):
            raise TypeError("received an asynchronous token function; expected a plain one here")
        return self._keep(found)

    async def newest(self) -> str | None:
        return self._newest if self._newest is not None else await self.renew()

    def newest_now(self) -> str | None:
        return self._newest if self._newest is not None else self.renew_now()

    def _keep(self, found: str | Awaitable[str] | None) -> str | None:
        if found is not None and not isinstance(found, str):
            raise TypeError(f"received a token that is a {type(found).__name__}; expected a str")
        self._newest = found
        return found


def authorization(token: str | None) -> dict[str, str]:
    """The header of a request."""
    return {} if token is None else {"authorization": f"Bearer {token}"}
