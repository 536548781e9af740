"""How the NATS broker logs in, and when over TLS."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.harness.eventually import async_eventually
from tests.harness.nats_servers import Server
from tests.integration.checker import on_nodes
from tests.integration.nats_nodes import (
    node,
    server_fixture,  # noqa: F401
)


def test_a_login_is_used_and_a_wrong_password_appears_in_no_message() -> None:
    server = Server("--user", "ana", "--pass", "p@ss").start()
    right, wrong = (
        node(server.url.replace("//", "//ana:p%40ss@")),
        node(server.url.replace("//", "//ana:s3cret@")),
    )

    async def scenario() -> None:
        await async_eventually("it to be ready", lambda: right.broker.unready() is None)
        await async_eventually("a refusal", lambda: "refused" in (wrong.broker.unready() or ""))
        assert "s3cret" not in (wrong.broker.unready() or "")

    try:
        asyncio.run(on_nodes([right, wrong], scenario))
    finally:
        server.remove()


def test_no_login_is_sent_to_a_server_without_tls_where_tls_is_asked_for() -> None:
    heard = bytearray()

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b'INFO {"server_id":"x","version":"2.10.0","headers":true,"max_payload":1}\r\n'
        )
        while data := await reader.read(65536):
            heard.extend(data)
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(plain, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        each = node(f"tls://u:s3cret@127.0.0.1:{port}")

        async def scenario() -> None:
            await async_eventually(
                "TLS to be missed", each.broker.unready, lambda why: "TLS" in (why or "")
            )

        async with server:
            await on_nodes([each], scenario)

    asyncio.run(main())
    assert b"s3cret" not in heard
    assert b"CONNECT" not in heard


def test_tls_is_used_and_insisted_on(tmp_path: Path, server: Server) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    request = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=x "
        "-addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run(
        [openssl, *request.split(), "-keyout", key, "-out", cert], check=True, capture_output=True
    )
    safe = Server("--tls", "--tlscert", str(cert), "--tlskey", str(key)).start()
    trusting = node(safe.url.replace("nats:", "tls:") + f"?ca={cert}")
    doubting = node(safe.url.replace("nats:", "tls:"))
    stripped = node(server.url.replace("nats://", "tls://u:s3cret@"))

    async def scenario() -> None:
        await async_eventually("it to be ready", lambda: trusting.broker.unready() is None)
        await async_eventually(
            "doubts", lambda: "certificate" in (doubting.broker.unready() or "").lower()
        )
        await async_eventually(
            "TLS to be missed", lambda: "TLS" in (stripped.broker.unready() or "")
        )

    try:
        asyncio.run(on_nodes([trusting, doubting, stripped], scenario))
    finally:
        safe.remove()
