"""How this node identifies itself to NATS servers: a credentials file (JWT and seed) or an nkey.

The files are read for each connection, because they are renewed. The client library gets what was
found in them and not the files: it would search a file without a JWT for ever, and block the loop.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nkeys  # type: ignore[import-untyped]
from nats.aio.client import RawCredentials

MAX_FILE_BYTES = 64 * 1024
"""Bytes read from a file. A JWT has a few thousand."""
_PART = r"-+BEGIN {}-+\s+([\w.+/=-]+)\s+-+END"
_JWT = re.compile(_PART.format("NATS USER JWT").encode(), re.ASCII)
_SEED = re.compile(_PART.format("USER NKEY SEED").encode(), re.ASCII)


class CredentialsUnusable(Exception):
    """Names the file and its fault, and shows nothing of the content."""


@dataclass(frozen=True, slots=True)
class NatsCredentials:
    """At most one file: `credentials` (JWT and seed) or `nkey` (seed)."""

    credentials: Path | None = None
    nkey: Path | None = None

    def arguments(self) -> dict[str, Any]:
        """Arguments for the client's `connect`. Raises CredentialsUnusable."""
        if self.credentials is not None:
            content = _read(self.credentials)
            jwt, seed = _JWT.search(content), _SEED.search(content)
            if jwt is None or seed is None:
                raise CredentialsUnusable(
                    f"{self.credentials} cannot be used: expected a NATS USER JWT and a USER NKEY "
                    "SEED, as nsc writes them"
                )
            _check_seed(seed[1], self.credentials)
            content_as_text = _file_content(jwt[1].decode(), seed[1].decode())
            return {"user_credentials": RawCredentials(content_as_text)}
        if self.nkey is not None:
            nkey_seed = _read(self.nkey).strip()
            _check_seed(nkey_seed, self.nkey)
            return {"nkeys_seed_str": nkey_seed.decode()}
        return {}


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_FILE_BYTES)
    except OSError as error:
        raise CredentialsUnusable(f"{file} cannot be used: {error.strerror}") from None


def _check_seed(seed: bytes, file: Path) -> None:
    try:
        if nkeys.from_seed(bytearray(seed)).public_key.startswith(b"U"):
            return
    except (nkeys.NkeysError, ValueError, IndexError):
        pass
    raise CredentialsUnusable(
        f"{file} cannot be used: expected the seed of a user, which begins with SU"
    )


def _file_content(jwt: str, seed: str) -> str:
    """The form that the client's reader takes: one-byte line ends and nothing else."""
    return f"-----BEGIN NATS USER JWT-----\n{jwt}\n-----BEGIN USER NKEY SEED-----\n{seed}\n"
