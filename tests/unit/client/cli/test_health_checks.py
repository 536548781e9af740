"""eventhub_client/cli/health_checks.py: what is advised where the server does not answer."""

import socket

import pytest

from eventhub_client.cli.health_checks import _network_advice


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        (
            "[SSL: CERTIFICATE_VERIFY_FAILED] unable to get issuer certificate",
            "SSL_CERT_FILE",
        ),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number", "http or https?"),
    ],
)
def test_a_certificate_that_is_not_trusted_is_told_from_another_protocol(
    said: str, advice: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert advice in _network_advice(f"https://127.0.0.1:{port}", said)


def test_a_closed_port_is_told_from_both() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # nobody else gets the port, and nothing listens
        url = f"https://127.0.0.1:{bound.getsockname()[1]}"
        assert "nothing accepts" in _network_advice(url, "ConnectError")
