"""Who we are to NATS servers: a credentials file (JWT and seed) or the seed of an nkey. Read for each connection, as they are renewed.

The client library is given what was found here, not the files: it looks for the JWT of a file that has none for ever, and blocks the loop.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nkeys  # type: ignore[import-untyped]
from nats.aio.client import RawCredentials

LARGEST = 64 * 1024
"""Bytes of a file: a JWT has a few thousand."""
_PART = r"-+BEGIN {}-+\s+([\w.+/=-]+)\s+-+END"
_JWT = re.compile(_PART.format("NATS USER JWT").encode(), re.ASCII)
_SEED = re.compile(_PART.format("USER NKEY SEED").encode(), re.ASCII)


class CredentialsUnusable(Exception):
    """Names the file and its fault, and shows nothing of what is in it."""


@dataclass(frozen=True, slots=True)
class NatsCredentials:
    """The files, either or none."""

    credentials: Path | None = None
    nkey: Path | None = None

    def arguments(self) -> dict[str, Any]:
        """Of the client's `connect`. Raises CredentialsUnusable."""
        if self.credentials is not None:
            content = _read(self.credentials)
            jwt, seed = _JWT.search(content), _SEED.search(content)
            if jwt is None or seed is None:
                raise CredentialsUnusable(
                    f"{self.credentials} cannot be used: expected a NATS USER JWT and a USER NKEY SEED, as nsc writes them"
                )
            _check(seed[1], self.credentials)
            return {"user_credentials": RawCredentials(_file(jwt[1].decode(), seed[1].decode()))}
        if self.nkey is not None:
            seed_alone = _read(self.nkey).strip()
            _check(seed_alone, self.nkey)
            return {"nkeys_seed_str": seed_alone.decode()}
        return {}


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(LARGEST)
    except OSError as error:
        raise CredentialsUnusable(f"{file} cannot be used: {error.strerror}") from None


def _check(seed: bytes, file: Path) -> None:
    try:
        if nkeys.from_seed(bytearray(seed)).public_key.startswith(b"U"):
            return
    except (nkeys.NkeysError, ValueError, IndexError):
        pass
    raise CredentialsUnusable(
        f"{file} cannot be used: expected the seed of a user, which begins with SU"
    )


def _file(jwt: str, seed: str) -> str:
    """As the client's reader wants it: line ends of one byte, nothing beside."""
    return f"-----BEGIN NATS USER JWT-----\n{jwt}\n-----BEGIN USER NKEY SEED-----\n{seed}\n"
