"""The server's TLS certificate and its clients' authorities, loaded again when their files change.

The listening context stays for the life of the process. At each handshake it is replaced by the
newest context that could be made of the files. So nothing is loaded into a context in use, which a
key of another certificate would break, and authorities can be removed, which
`load_verify_locations` cannot do.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Self

import structlog
from cryptography.x509 import load_pem_x509_certificate

from eventhub.config.settings import Settings
from eventhub.errors import ConfigurationError
from eventhub.observability.metrics import Reading

LOOK_SECONDS = 5.0
"""Seconds between two looks at the files. Not every file system of mounted secrets reports changes.
"""

log = structlog.get_logger("eventhub.server")


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """PEM files.

    `key` is None if the certificate's file holds the key. `clients` holds the authorities that may
    sign a client's certificate.
    """

    certificate: Path
    key: Path | None
    clients: Path | None

    @classmethod
    def of(cls, settings: Settings, directory: Path) -> Self | None:
        """Return the files of the settings, relative to `directory`; None without TLS."""
        if (certificate := settings.tls.certificate) is None:
            return None
        key, clients = (
            file and directory / file for file in (settings.tls.key, settings.tls.clients)
        )
        return cls(directory / certificate, key, clients)

    def state(self) -> tuple[bytes, ...]:
        """Return digests of the contents, that of `clients` last.

        Digests, so that the key need not stay in memory.
        """
        return tuple(map(_digest, (self.certificate, self.key, self.clients)))


@dataclass(frozen=True, slots=True)
class LoadedCertificate:
    """A context made of the files."""

    context: ssl.SSLContext
    not_after: datetime
    """The end of the certificate. The rest of its chain may end earlier."""

    @classmethod
    def of(cls, files: CertificateFiles) -> Self:
        """Load the files. Raises ConfigurationError, which names the file and its fault."""
        context = _empty_context()
        try:
            not_after = load_pem_x509_certificate(
                files.certificate.read_bytes()
            ).not_valid_after_utc
            context.load_cert_chain(files.certificate, files.key, password=_no_password)
        # SSLError is an OSError. cryptography raises its own errors for versions and algorithms.
        except Exception as error:
            raise ConfigurationError(
                f"tls: {files.certificate} and {files.key or 'the key in it'} cannot be used: "
                f"{_fault(error)}"
            ) from None
        if files.clients is not None:
            _insist_on_clients(context, files.clients)
        return cls(context, not_after)


class Certificates:
    """The newest usable certificate of the files. Listen with `context`."""

    def __init__(self, files: CertificateFiles) -> None:
        """Raise ConfigurationError if the files cannot be used."""
        self._files = files
        self._state = files.state()
        self._loaded = LoadedCertificate.of(files)
        self._clients, self._clients_since = self._state[-1], 0.0
        self.context = self._loaded.context
        self.context.sni_callback = self._hand_over

    async def run(self) -> None:
        """Look at the files every LOOK_SECONDS until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Load the files if they have changed.

        If they cannot be used, that is logged once and the loaded certificate stays.
        """
        state = self._files.state()
        if state == self._state:
            return
        # Set before loading: a change during the load is then seen at the next look.
        self._state = state
        try:
            self._loaded = LoadedCertificate.of(self._files)
        except ConfigurationError as error:
            log.error("certificate_unusable", reason=str(error))
            return
        if state[-1] != self._clients:
            self._clients, self._clients_since = state[-1], time.time()
        log.info("certificate_loaded", not_after=self._loaded.not_after.isoformat())

    async def readings(self) -> AsyncIterator[Reading]:
        """Yield the end of the certificate in use, for metrics."""
        end = self._loaded.not_after.timestamp()
        yield (
            "eventhub_certificate_not_after_timestamp_seconds",
            "When the certificate in use ends, in Unix time",
            {(): end},
            (),
        )

    def _hand_over(
        self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext
    ) -> int | None:
        """Choose the context of a handshake. OpenSSL calls this with or without a server name.

        A resumed session shows no client certificate, so a session from before the last change of
        the authorities is refused: its client's authority may have been removed.
        """
        if connection.session_reused and _began(connection) <= self._clients_since:
            return ssl.ALERT_DESCRIPTION_UNKNOWN_CA
        connection.context = self._loaded.context
        return None


def open_certificates(settings: Settings, directory: Path) -> Certificates | None:
    """Return the certificates of the settings; None without TLS. Raises ConfigurationError."""
    files = CertificateFiles.of(settings, directory)
    return Certificates(files) if files else None


def check_certificate(settings: Settings, directory: Path) -> None:
    """Raise ConfigurationError if the TLS files cannot be used."""
    open_certificates(settings, directory)


def _empty_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    return context


def _insist_on_clients(context: ssl.SSLContext, authorities: Path) -> None:
    context.verify_mode = ssl.CERT_REQUIRED
    # Workers share the keys of tickets, but do not load changed files at the same moment.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    try:
        context.load_verify_locations(authorities)
    except OSError as error:
        raise ConfigurationError(
            f"tls.clients: {authorities} cannot be used: {_fault(error)}"
        ) from None


def _digest(file: Path | None) -> bytes:
    """Return the digest of a file. An unreadable file counts as empty."""
    content = b""
    with suppress(OSError):
        content = file.read_bytes() if file else b""
    return sha256(content).digest()


def _began(connection: ssl.SSLObject) -> int:
    """Return when the resumed session was made, in Unix time."""
    session = connection.session
    assert session is not None
    return session.time


def _no_password() -> str:
    """Answer OpenSSL's question for a password, which it would otherwise ask the terminal."""
    return ""


def _fault(error: Exception) -> str:
    if not isinstance(error, OSError):  # the library's message is about itself
        return "no whole PEM certificate is in it"
    return error.strerror or str(error)
