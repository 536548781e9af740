"""server/process/tls.py: which certificate is used when the files change."""

import asyncio
import ssl
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from eventhub.config.sections import TlsSettings
from eventhub.config.settings import Settings
from eventhub.errors import ConfigurationError
from eventhub.server.process.tls import Certificates, check_certificate, open_certificates
from tests.harness.certificates import Authority, Pair


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ours"), "ours")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("theirs"), "theirs")


@pytest.fixture(scope="module")
def first(ours: Authority) -> Pair:
    return ours.issue("first", days=2)


@pytest.fixture(scope="module")
def second(ours: Authority) -> Pair:
    return ours.issue("second", days=5)


def settings(**files: str) -> Settings:
    return Settings(tls=TlsSettings.model_validate(files))


def put(directory: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (directory / name).write_text(text)


def opened(directory: Path, pair: Pair, clients: Authority | None = None) -> Certificates:
    put(directory, pair.files() | ({"clients.pem": clients.file.read_text()} if clients else {}))
    names = {"certificate": "cert.pem", "key": "key.pem"} | (
        {"clients": "clients.pem"} if clients else {}
    )
    certificates = open_certificates(settings(**names), directory)
    assert certificates is not None
    return certificates


def look(certificates: Certificates) -> list[Any]:
    """The log lines: name and reason."""
    with capture_logs() as logs:
        certificates.look()
    return [(line["event"], line.get("reason", "")) for line in logs]


def handshake(
    server: ssl.SSLContext,
    client: ssl.SSLContext,
    name: str | None = "localhost",
    session: ssl.SSLSession | None = None,
) -> ssl.SSLObject:
    """The client's side of a handshake. Raises the error of either side."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(down, up, server_hostname=name, session=session)
    far = server.wrap_bio(up, down, server_side=True)
    sides = [near, far]
    while sides:
        for side in list(sides):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            sides.remove(side)
    for side in (far, near):  # a session whose connection broke off is not taken up again
        with suppress(ssl.SSLWantReadError):
            side.unwrap()
    return near


def shown(
    certificates: Certificates, client: ssl.SSLContext, name: str | None = "localhost"
) -> str:
    """The name in the certificate that a new connection sees."""
    subject: Any = (handshake(certificates.context, client, name).getpeercert() or {})["subject"]
    return str(subject[0][0][1])


def test_without_a_certificate_there_is_no_tls(tmp_path: Path) -> None:
    assert open_certificates(settings(), tmp_path) is None


def test_protocols_before_tls_1_2_are_refused(tmp_path: Path, first: Pair) -> None:
    assert opened(tmp_path, first).context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_the_negotiated_protocol_is_http_1_1(tmp_path: Path, ours: Authority, first: Pair) -> None:
    client = ours.trust()
    client.set_alpn_protocols(["h2", "http/1.1"])
    assert handshake(opened(tmp_path, first).context, client).selected_alpn_protocol() == "http/1.1"


def test_the_next_connection_uses_changed_files(
    tmp_path: Path, ours: Authority, first: Pair, second: Pair
) -> None:
    certificates = opened(tmp_path, first)
    old = handshake(certificates.context, ours.trust())
    put(tmp_path, second.files())
    assert shown(certificates, ours.trust()) == "first", "nobody has looked"
    assert look(certificates) == [("certificate_loaded", "")]
    assert shown(certificates, ours.trust()) == "second"
    assert old.getpeercert() != handshake(certificates.context, ours.trust()).getpeercert()


def test_a_client_without_a_server_name_gets_the_newest_certificate(
    tmp_path: Path, ours: Authority, first: Pair, second: Pair
) -> None:
    certificates = opened(tmp_path, first)
    put(tmp_path, second.files())
    look(certificates)
    client = ours.trust()
    client.check_hostname = False
    assert shown(certificates, client, name=None) == "second"


def test_unchanged_files_are_not_loaded_again(tmp_path: Path, first: Pair) -> None:
    certificates = opened(tmp_path, first)
    put(tmp_path, first.files())
    assert look(certificates) == []


def test_files_behind_a_replaced_link_are_loaded(
    tmp_path: Path, ours: Authority, first: Pair, second: Pair
) -> None:
    """As Kubernetes replaces a mounted secret: cert.pem is a link to ..data/cert.pem, ..data a link
    to a directory.
    """
    for name, pair in (("one", first), ("two", second)):
        (tmp_path / name).mkdir()
        put(tmp_path / name, pair.files())
    (tmp_path / "..data").symlink_to("one")
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    certificates = open_certificates(settings(certificate="cert.pem", key="key.pem"), tmp_path)
    assert certificates is not None
    (tmp_path / "..new").symlink_to("two")
    (tmp_path / "..new").rename(tmp_path / "..data")
    certificates.look()
    assert shown(certificates, ours.trust()) == "second"


def test_unusable_files_are_logged_once_and_the_old_certificate_stays(
    tmp_path: Path, ours: Authority, first: Pair, second: Pair
) -> None:
    certificates = opened(tmp_path, first)
    new = second.files()
    broken = [
        {"cert.pem": new["cert.pem"][:200]},
        {"cert.pem": new["cert.pem"] + new["cert.pem"][:300]},
        {"cert.pem": new["cert.pem"]},  # the key is still the old one's
        {"cert.pem": ""},
        {"cert.pem": new["cert.pem"], "key.pem": new["key.pem"][:100]},
    ]
    for files in broken:
        put(tmp_path, files)
        ((event, reason),) = look(certificates)
        assert event == "certificate_unusable"
        assert f"{tmp_path}/cert.pem and {tmp_path}/key.pem cannot be used: " in reason
        assert look(certificates) == []
        assert shown(certificates, ours.trust()) == "first"
    (tmp_path / "cert.pem").unlink()
    assert "No such file" in look(certificates)[0][1]
    put(tmp_path, new)
    assert look(certificates) == [("certificate_loaded", "")]
    assert shown(certificates, ours.trust()) == "second"


def test_a_key_with_a_password_is_refused_without_a_prompt(tmp_path: Path, first: Pair) -> None:
    put(tmp_path, first.files())
    locked: list[str | Path] = [
        "openssl",
        "ec",
        "-aes128",
        "-passout",
        "pass:hush",
        "-in",
        first.key,
        "-out",
        tmp_path / "key.pem",
    ]
    subprocess.run(locked, check=True, capture_output=True)
    with pytest.raises(ConfigurationError, match=r"key\.pem cannot be used") as refused:
        check_certificate(settings(certificate="cert.pem", key="key.pem"), tmp_path)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_needs_a_certificate_of_the_authorities(
    tmp_path: Path, ours: Authority, theirs: Authority, first: Pair, version: ssl.TLSVersion
) -> None:
    certificates = opened(tmp_path, first, clients=theirs)
    for own, expected in (
        (None, "PEER_DID_NOT_RETURN_A_CERTIFICATE"),
        (first, "CERTIFICATE_VERIFY_FAILED"),
    ):
        client = ours.trust(own)
        client.maximum_version = version
        with pytest.raises(ssl.SSLError, match=expected):
            handshake(certificates.context, client)
    client = ours.trust(theirs.issue("client"))
    client.maximum_version = version
    assert handshake(certificates.context, client).version() == version.name.replace("_", ".")


def test_new_authorities_replace_the_old_ones(
    tmp_path: Path, ours: Authority, theirs: Authority, first: Pair
) -> None:
    certificates = opened(tmp_path, first, clients=theirs)
    put(tmp_path, {"clients.pem": ours.file.read_text()})
    assert look(certificates) == [("certificate_loaded", "")]
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        handshake(certificates.context, ours.trust(theirs.issue("client")))
    handshake(certificates.context, ours.trust(ours.issue("client")))


@pytest.mark.parametrize("broken", [False, True])
def test_a_session_cannot_be_resumed_after_its_authority_was_removed(
    tmp_path: Path, ours: Authority, theirs: Authority, first: Pair, second: Pair, *, broken: bool
) -> None:
    """A resumed session shows no certificate that could be refused."""
    certificates = opened(tmp_path, first, clients=theirs)
    client = ours.trust(theirs.issue("client"))
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    session = handshake(certificates.context, client).session
    assert handshake(certificates.context, client, session=session).session_reused
    put(tmp_path, second.files())
    certificates.look()
    assert handshake(certificates.context, client, session=session).session_reused, (
        "its authority is there"
    )
    put(tmp_path, {"clients.pem": ours.file.read_text()})
    if broken:
        put(tmp_path, {"cert.pem": ""})
        certificates.look()
        put(tmp_path, second.files())
    certificates.look()
    with pytest.raises(ssl.SSLError, match="CALLBACK_FAILED"):
        handshake(certificates.context, client, session=session)


def test_tls_1_3_connections_cannot_be_resumed(
    tmp_path: Path, ours: Authority, theirs: Authority, first: Pair
) -> None:
    certificates = opened(tmp_path, first, clients=theirs)
    connection = handshake(certificates.context, ours.trust(theirs.issue("client")))
    assert connection.version() == "TLSv1.3"
    assert connection.session is None or not connection.session.has_ticket


@pytest.mark.parametrize("content", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nMIIB\n"])
def test_the_error_for_unusable_authorities_names_the_file(
    tmp_path: Path, first: Pair, content: str
) -> None:
    put(tmp_path, {**first.files(), "clients.pem": content})
    with pytest.raises(ConfigurationError, match=r"tls\.clients: .*/clients\.pem cannot be used: "):
        check_certificate(
            settings(certificate="cert.pem", key="key.pem", clients="clients.pem"), tmp_path
        )


def test_the_end_of_the_certificate_in_use_is_a_gauge(
    tmp_path: Path, first: Pair, second: Pair
) -> None:
    certificates = opened(tmp_path, first)

    def end() -> float:
        return asyncio.run(read())

    async def read() -> float:
        ((name, _, values, labels),) = [reading async for reading in certificates.readings()]
        assert (name, labels) == ("eventhub_certificate_not_after_timestamp_seconds", ())
        return values[()]

    before = end()
    put(tmp_path, second.files())
    assert end() == before
    certificates.look()
    assert end() - before == pytest.approx(3 * 86_400, abs=60)
