"""Principals: a token's subject, an API key's holder, or an anonymous client."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum

from eventhub.auth.grants import EVERYTHING, NOTHING, Action, Grants
from eventhub.errors import Forbidden, Unauthorized

MEMBER_BYTES = 4096
"""JSON of the data of a member in presence, at most."""


class CredentialKind(StrEnum):
    """How a client proved its identity."""

    TOKEN = "token"  # noqa: S105  # the word
    KEY = "key"
    ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Principal:
    """A client's identity and its grants.

    `expires` is in milliseconds since the Unix epoch, `rate` in events per second. `token` is the
    token's own id (`jti`, RFC 7519, 4.1.7). An `operator` may use the admin interface, and
    sees all refused events.
    """

    kind: CredentialKind
    name: str
    grants: Grants
    expires: int | None = None
    token: str | None = None
    rate: float | None = None
    operator: bool = False
    member_data: bytes | None = None
    """The data of its members in presence, as JSON. Only a token has any."""
    identity: str = field(init=False, compare=False)
    """Unique among principals of all kinds."""
    author: str | None = field(init=False, compare=False)
    """The author of its events; None for an anonymous client, whose events have none."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "identity", f"{self.kind}:{self.name}")
        object.__setattr__(self, "author", self.name if self.known else None)

    @property
    def known(self) -> bool:
        """Whether the client proved its identity."""
        return self.kind is not CredentialKind.ANONYMOUS

    def may(self, action: Action, channel: str, anyone: AbstractSet[Action]) -> bool:
        """Whether an action is granted. `anyone` is as for `authorize`."""
        return (
            action in anyone
            or self.grants.allow(action, channel)
            or (self.operator and action is Action.REFUSED)
        )

    def authorize(self, action: Action, channel: str, anyone: AbstractSet[Action]) -> None:
        """Check an action. `anyone` lists what every client may do in channels of this type.

        Raises Unauthorized for an anonymous client that needs a credential, Forbidden for a known
        principal without the grant.
        """
        if self.may(action, channel, anyone):
            return
        if action is Action.SIGNAL and self.may(Action.PUBLISH, channel, anyone):
            return
        if not self.known:
            raise Unauthorized(
                f"{_PHRASES[action]} {channel!r} needs a token or an API key, and none was sent; "
                'expected Authorization: Bearer …, or over WebSocket {"type":"auth","token":"…"}'
            )
        where = (
            f"its claim channels.{action}"
            if self.kind is CredentialKind.TOKEN
            else f"{action} of its entry in auth.keys"
        )
        raise Forbidden(
            f"{self.kind} {self.name!r} has no grant for {_PHRASES[action]} {channel!r}; "
            f"expected a pattern for it in {where}"
        )

    def check_member(self, member: str) -> None:
        """Raises Forbidden for a member id that is not this principal's.

        Holders of API keys are servers, and may name any member.
        """
        if self.kind is CredentialKind.TOKEN and member != self.name:
            raise Forbidden(f"member is {member!r}; with this token it can only be {self.name!r}")


_PHRASES = {
    Action.SUBSCRIBE: "subscribing to",
    Action.PUBLISH: "publishing to",
    Action.PRESENCE: "presence in",
    Action.SIGNAL: "sending signals to",
    Action.MODERATE: "moderating",
    Action.REFUSED: "the refused events of",
}

STRANGER = Principal(CredentialKind.ANONYMOUS, "", NOTHING)
"""An anonymous client where authentication is configured. Channel types say what it may do."""
ANYONE = Principal(CredentialKind.ANONYMOUS, "", EVERYTHING, operator=True)
"""Every client where no authentication is configured."""
