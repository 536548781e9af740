"""Certificates for tests, made by openssl: authorities, and what they issue."""

import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple

NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
HOSTS = "IP:127.0.0.1,DNS:localhost"


class Pair(NamedTuple):
    """Files of a certificate and its key."""

    certificate: Path
    key: Path

    def files(self) -> dict[str, str]:
        """Their contents, as servers under test name them."""
        return {"cert.pem": self.certificate.read_text(), "key.pem": self.key.read_text()}


class Authority:
    """A private one. Its certificate is in `file`."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        self._directory, self._name = directory, name
        self.file = directory / f"{name}.pem"
        self._key = directory / f"{name}-key.pem"
        _openssl(
            "req",
            "-x509",
            *NEW_KEY,
            "-days",
            "2",
            "-subj",
            f"/CN={name}",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",  # Python 3.13 is strict (RFC 5280, 4.2.1.3)
            "-keyout",
            self._key,
            "-out",
            self.file,
        )

    def issue(self, name: str, days: int = 2, hosts: str = HOSTS) -> Pair:
        """For a server on these hosts, or a client of that name."""
        request, extensions = (
            self._directory / f"{self._name}-{name}.{end}" for end in ("csr", "ext")
        )
        pair = Pair(*(self._directory / f"{self._name}-{name}{end}.pem" for end in ("", "-key")))
        extensions.write_text(f"subjectAltName={hosts}\nauthorityKeyIdentifier=keyid\n")
        _openssl("req", *NEW_KEY, "-subj", f"/CN={name}", "-keyout", pair.key, "-out", request)
        signing: list[str | Path] = [
            "-CA",
            self.file,
            "-CAkey",
            self._key,
            "-CAcreateserial",
            "-extfile",
            extensions,
        ]
        _openssl(
            "x509", "-req", "-in", request, *signing, "-days", str(days), "-out", pair.certificate
        )
        return pair

    def trust(self, own: Pair | None = None) -> ssl.SSLContext:
        """Of a client that trusts this authority alone, and shows a certificate of its own."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.file)
        if own is not None:
            context.load_cert_chain(*own)
        return context


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
