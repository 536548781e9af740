"""The broker's URL and its parts. The package's docstring lists the forms."""

import ssl
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from eventhub.errors import ConfigurationError

REDIS_PORT = 6379
SENTINEL_PORT = 26379


class Deployment(StrEnum):
    """How a channel's master is found."""

    SINGLE = ""
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


class ServerAddress(NamedTuple):
    """A server's host and port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Login:
    """How a connection logs in."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    db: int = 0
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """A URL's parts. `addresses` names the server, the sentinels, or some nodes of the cluster."""

    kind: Deployment
    addresses: tuple[ServerAddress, ...]
    login: Login
    sentinel_login: Login
    master: str = ""


def parse(url: str) -> RedisUrl:
    """Raises ConfigurationError, which never shows the URL, because it may hold a password."""
    try:
        return _parse(url)
    except (ValueError, OSError) as error:  # from urlsplit, int, ssl and files
        raise ConfigurationError(f"the broker's URL cannot be used: {_harmless(error)}") from None


OPTIONS = (
    "sentinel_username", "sentinel_password", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile",
    "ssl_cert_reqs", "ssl_check_hostname",
)  # fmt: skip
"""Those that begin with ssl_ work with rediss:// only."""


def _parse(url: str) -> RedisUrl:
    parts = urlsplit(url)
    scheme, _, kind_name = parts.scheme.partition("+")
    if scheme not in ("redis", "rediss") or kind_name not in tuple(Deployment):
        raise ConfigurationError(
            "the broker's URL has an unknown scheme; expected redis or rediss, alone or with "
            "+sentinel or +cluster"
        )
    kind = Deployment(kind_name)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    user, _, hosts = parts.netloc.rpartition("@")
    username, _, password = user.partition(":")
    port = SENTINEL_PORT if kind is Deployment.SENTINEL else REDIS_PORT
    addresses = tuple(_address(host, port) for host in (hosts or "127.0.0.1").split(","))
    if kind is Deployment.SINGLE and len(addresses) > 1:
        raise ConfigurationError(
            "the broker's URL names several servers; expected redis+sentinel:// or "
            "redis+cluster:// for these"
        )
    master, db = _path(kind, parts.path.strip("/"))
    tls = _tls(options) if scheme == "rediss" else None
    login = Login(unquote(username) or None, unquote(password) or None, db, tls)
    sentinel_login = Login(
        options.pop("sentinel_username", None), options.pop("sentinel_password", None), 0, tls
    )
    if options:
        raise ConfigurationError(
            f"the broker's URL has unknown options: {', '.join(sorted(options))}; "
            f"expected {', '.join(OPTIONS)}"
        )
    return RedisUrl(kind, addresses, login, sentinel_login, master)


def _address(text: str, port: int) -> ServerAddress:
    parts = urlsplit(f"//{text}")
    return ServerAddress(parts.hostname or "127.0.0.1", parts.port or port)


def _path(kind: Deployment, path: str) -> tuple[str, int]:
    if kind is Deployment.CLUSTER:
        if path not in ("", "0"):
            raise ConfigurationError(
                "the broker's URL names a database; a cluster has only database 0"
            )
        return "", 0
    if kind is Deployment.SENTINEL:
        master, _, path = path.partition("/")
        if not master:
            raise ConfigurationError(
                "the broker's URL names no master; expected redis+sentinel://host,host/mymaster"
            )
        return unquote(master), int(path or 0)
    return "", int(path or 0)


def _tls(options: dict[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.pop("ssl_ca_certs", None))
    if (certificate := options.pop("ssl_certfile", None)) is not None:
        context.load_cert_chain(certificate, options.pop("ssl_keyfile", None))
    requirement = options.pop("ssl_cert_reqs", "required")
    if requirement not in ("required", "none"):
        raise ConfigurationError(
            f"ssl_cert_reqs in the broker's URL is {requirement!r}; expected 'required' or 'none'"
        )
    context.check_hostname = (
        options.pop("ssl_check_hostname", "true").lower() == "true" and requirement == "required"
    )
    context.verify_mode = ssl.CERT_REQUIRED if requirement == "required" else ssl.CERT_NONE
    return context


def _harmless(error: ValueError | OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.strerror or error.reason}"
    if isinstance(error, OSError):
        return f"TLS: {error.strerror}"
    return "host, port or database is malformed"
