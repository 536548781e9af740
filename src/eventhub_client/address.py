"""The addresses of a hub, from the one that the application gives."""

from dataclasses import dataclass
from urllib.parse import urlsplit

SCHEMES = {"http": ("http", "ws"), "https": ("https", "wss")}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a hub is reached over HTTP and over WebSocket."""

    http: str
    websocket: str

    @classmethod
    def of(cls, url: str) -> "Address":
        """From http://…, https://…, ws://… or wss://…, with or without a path."""
        parts = urlsplit(url)
        scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
        if scheme not in SCHEMES or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(
                f"received the address {parts.scheme}://{parts.hostname or ''}…; "
                "expected such as https://hub.example or http://localhost:8000"
            )
        if parts.username is not None:
            raise ValueError("the address holds a name or password; expected token=… or key=…")
        rest = f"{parts.netloc}{parts.path.rstrip('/')}"
        http, websocket = SCHEMES[scheme]
        return cls(f"{http}://{rest}", f"{websocket}://{rest}/v1/ws")
