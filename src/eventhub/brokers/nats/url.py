"""The broker's URL: where the NATS servers are, and how to log in.

Its secrets stay in this module and in the connection.
"""

import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from eventhub.brokers.nats.credentials import CredentialsUnusable, NatsCredentials
from eventhub.errors import ConfigurationError

OPTIONS = ("prefix", "replicas", "max_bytes", "credentials", "nkey", "ca", "cert", "key")
PORT = 4222
PREFIX = "eventhub"
_PREFIX = re.compile(r"[A-Za-z0-9_]{1,32}")
_HOST = re.compile(r"(?P<host>\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class NatsUrl:
    """`nats://[user:password@ or token@]host[:port][,host[:port]…][?option=value&…]`.

    `tls://` insists on TLS. Options:
    - `prefix` of streams and subjects;
    - `replicas` of each stream: by default 1 on a single server and 3 in a cluster;
    - `max_bytes` of each stream;
    - files: `credentials` (JWT and seed) or `nkey` (seed); `ca`, `cert` and `key` for TLS.
    """

    servers: tuple[str, ...]
    prefix: str = PREFIX
    replicas: int | None = None
    max_bytes: int = -1
    login: dict[str, Any] = field(default_factory=dict, repr=False)
    """Arguments of `nats.aio.client.Client.connect`, without those in `credentials`."""
    credentials: NatsCredentials = field(default_factory=NatsCredentials)

    @classmethod
    def parse(cls, url: str) -> "NatsUrl":
        """Raises ConfigurationError, which shows no part of the URL that may be secret."""
        scheme, _, rest = url.partition("://")
        if scheme not in ("nats", "tls") or not rest:
            raise ConfigurationError(
                "the broker's URL does not have the form nats://host:4222 or tls://host:4222"
            )
        authority, _, query = rest.partition("?")
        user, _, hosts = authority.rpartition("@")
        options = dict(parse_qsl(query))
        for name in options:
            if name not in OPTIONS:
                raise ConfigurationError(
                    f"the broker's URL has an unknown option {name!r}; "
                    f"expected one of {', '.join(OPTIONS)}"
                )
        prefix = options.get("prefix", PREFIX)
        if not _PREFIX.fullmatch(prefix):
            raise ConfigurationError(
                f"the broker's prefix is {prefix!r}; expected up to 32 of A-Z a-z 0-9 _"
            )
        return cls(
            servers=tuple(_server(host) for host in hosts.removesuffix("/").split(",")),
            prefix=prefix,
            replicas=_number(options, "replicas", lambda value: value in (1, 3, 5), "1, 3 or 5"),
            max_bytes=_number(options, "max_bytes", lambda value: value > 0, "a number of bytes")
            or -1,
            login=_login(user, options, tls=scheme == "tls"),
            credentials=_credentials(options),
        )


def _server(text: str) -> str:
    if (found := _HOST.fullmatch(text)) is None or int(found["port"] or PORT) > 65535:
        raise ConfigurationError(
            "the broker's URL names a server that does not have the form host or host:port"
        )
    return f"nats://{found['host']}:{found['port'] or PORT}"


def _number(
    options: dict[str, str], name: str, fits: Callable[[int], bool], expected: str
) -> int | None:
    if name not in options:
        return None
    text = options[name]
    if not text.isascii() or not text.isdigit() or not fits(int(text)):
        raise ConfigurationError(
            f"the broker's option {name} is {text[:40]!r}; expected {expected}"
        )
    return int(text)


def _login(user: str, options: dict[str, str], *, tls: bool) -> dict[str, Any]:
    login: dict[str, Any] = {}
    name, separator, password = user.partition(":")
    if separator:
        login |= {"user": unquote(name), "password": unquote(password)}
    elif user:
        login["token"] = unquote(user)
    if tls or options.keys() & {"ca", "cert", "key"}:
        login["tls"] = _tls(options)
    return login


def _credentials(options: dict[str, str]) -> NatsCredentials:
    if "credentials" in options and "nkey" in options:
        raise ConfigurationError(
            "the broker's URL has both credentials and nkey; expected one of them"
        )
    credentials = NatsCredentials(
        *(Path(options[name]) if name in options else None for name in ("credentials", "nkey"))
    )
    try:
        credentials.arguments()
    except CredentialsUnusable as error:
        raise ConfigurationError(f"the broker's URL names an unusable file: {error}") from None
    return credentials


def _tls(options: dict[str, str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=options.get("ca"))
        if "cert" in options:
            context.load_cert_chain(options["cert"], options.get("key"))
    except OSError as error:  # ssl.SSLError is one
        raise ConfigurationError(
            f"the broker's TLS files cannot be used: {error.strerror or error}"
        ) from None
    return context
