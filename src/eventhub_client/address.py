"""The addresses of a hub, from the one that the application gives."""

from dataclasses import dataclass
from urllib.parse import urlsplit

EXPECTED = "expected such as https://hub.example or http://localhost:8000"
SCHEMES = {"http": ("http", "ws"), "https": ("https", "wss")}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a hub is reached over HTTP and over WebSocket."""

    http: str
    websocket: str

    @classmethod
    def of(cls, url: str) -> "Address":
        """From http://…, https://…, ws://… or wss://…, with or without a path."""
        try:
            parts = urlsplit(url)
            port = parts.port  # noqa: F841  # it is checked when it is read
        except ValueError as fault:
            raise ValueError(f"received the address {_shown(url)}: {fault}; {EXPECTED}") from None
        scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
        if scheme not in SCHEMES or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"received the address {_shown(url)}; {EXPECTED}")
        if parts.username is not None:
            raise ValueError("the address holds a name or password; expected token=… or key=…")
        rest = f"{parts.netloc}{parts.path.rstrip('/')}"
        http, websocket = SCHEMES[scheme]
        return cls(f"{http}://{rest}", f"{websocket}://{rest}/v1/ws")


def _shown(url: str) -> str:
    """Without what may be secret: a name and password, a query, a fragment."""
    return repr(url.rpartition("@")[2].partition("?")[0].partition("#")[0])
