"""Which server a command talks to, and as whom: the options that every command has.

An option counts first, then its variable, then the context, then `http://localhost:8000`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import httpx
import typer

from eventhub_client.address import Address
from eventhub_client.cli.contexts import Context, Contexts
from eventhub_client.credentials import authorization
from eventhub_client.errors import Problem, error
from eventhub_client.sync import SyncHub
from eventhub_client.wire import TRANSIENT, answer_of

DEFAULT_URL = "http://localhost:8000"
HTTP_SECONDS = 30.0

Server = Annotated[
    str | None,
    typer.Option(
        metavar="URL", envvar="EVENTHUB_URL", help=f"The server; {DEFAULT_URL} by default"
    ),
]
ContextName = Annotated[
    str | None, typer.Option("--context", metavar="NAME", help="A stored server (`context ls`)")
]
TokenOption = Annotated[
    str | None,
    typer.Option("--token", envvar="EVENTHUB_TOKEN", help="A token", show_envvar=True),
]
ApiKeyOption = Annotated[
    str | None, typer.Option("--api-key", envvar="EVENTHUB_API_KEY", help="An API key")
]


@dataclass(frozen=True, slots=True)
class Target:
    """A server, and the credential for it."""

    url: str
    token: str | None = None
    api_key: str | None = None

    def hub(self) -> SyncHub:
        """A client of it."""
        return SyncHub(self.url, token=self.token, key=self.api_key)

    @property
    def address(self) -> Address:
        """Its addresses. Raises ValueError."""
        return Address.of(self.url)

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a request."""
        return authorization(self.token or self.api_key)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, Any] | None = None,
        body: object = None,
        content: bytes | None = None,
    ) -> Mapping[str, Any]:
        """A request that is answered with JSON, or nothing. `content`: its body, if not `body`.

        Raises HubError.
        """
        try:
            response = httpx.request(
                method,
                self.address.http + path,
                params=query,
                headers=self.headers,
                timeout=HTTP_SECONDS,
                json=body,
                content=content,
            )
        except TRANSIENT as failure:
            said = f"{self.url} cannot be reached: {type(failure).__name__}: {failure}"
            raise error(Problem("unreachable", said, 503)) from None
        answer = answer_of(response)
        if answer.status >= 400:
            raise error(Problem.of(answer.fields, answer.status))
        return answer.fields


def target_of(
    server: str | None, context: str | None, token: str | None, api_key: str | None
) -> Target:
    """The target of a command's options. Raises ValueError."""
    contexts = Contexts()
    name = context or (None if server else contexts.current)
    stored = contexts.get(name) if name else Context(DEFAULT_URL)
    if token and api_key:
        raise ValueError("received a token and an API key; expected at most one of them")
    own = token is None and api_key is None
    target = Target(
        server or stored.url,
        stored.token if own else token,
        stored.api_key if own else api_key,
    )
    Address.of(target.url)
    return target
