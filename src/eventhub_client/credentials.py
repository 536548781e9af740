"""The token or API key of a hub, and when a function is asked for it. No I/O happens here."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from inspect import isawaitable

TokenFunction = Callable[[], str | Awaitable[str]]
Token = str | TokenFunction
Lock = Callable[[], AbstractAsyncContextManager[object]]


class Credentials:
    """What identifies the application.

    A function is asked for each connection of a follower, when its token is about to end, and when
    a token has ended. Requests use the newest token. Many requests whose token has ended ask once:
    who comes later gets the answer of the first one.
    """

    def __init__(self, token: Token | None, key: str | None, alone: Lock) -> None:
        if token is not None and key is not None:
            raise ValueError("received token and key; expected at most one of them")
        self._source: Token | None = key if token is None else token
        self._alone = alone
        self._newest: str | None = None

    @property
    def are_renewable(self) -> bool:
        return callable(self._source)

    async def renew(self) -> str | None:
        """A new token."""
        async with self._alone():
            return await self._ask()

    async def replace(self, ended: str | None) -> str | None:
        """A token that is not this one, which has ended."""
        async with self._alone():
            return self._newest if self._newest != ended else await self._ask()

    async def newest(self) -> str | None:
        return self._newest if self._newest is not None else await self.replace(None)

    async def _ask(self) -> str | None:
        found = self._source() if callable(self._source) else self._source
        token = await found if isawaitable(found) else found
        if token is not None and not isinstance(token, str):
            raise TypeError(f"received a token that is a {type(token).__name__}; expected a str")
        if token is not None and not is_visible(token):
            raise ValueError(
                f"received a credential of {len(token)} characters, not all of which are visible "
                "ASCII characters; expected visible ASCII characters only"
            )
        self._newest = token
        return token


def is_visible(value: str) -> bool:
    """Whether it can stand in a header: visible ASCII characters only."""
    return value.isascii() and value.isprintable() and " " not in value


def authorization(token: str | None) -> dict[str, str]:
    """The header of a request."""
    return {} if token is None else {"authorization": f"Bearer {token}"}
