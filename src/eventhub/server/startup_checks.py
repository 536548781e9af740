"""Refuses settings that are valid one by one and unusable together."""

from pathlib import Path

from eventhub.config.settings import Settings
from eventhub.errors import ConfigurationError
from eventhub.hub.hub import Hub
from eventhub.server.security.authentication import Authentication

SHARED_BROKERS = ("redis", "nats", "tls")
"""How the URL schemes of brokers begin that several processes can share."""


def check_workers(settings: Settings) -> None:
    """Raise ConfigurationError if several workers would not see one another's events."""
    scheme = settings.broker.partition(":")[0]
    if settings.workers > 1 and not scheme.startswith(SHARED_BROKERS):
        raise ConfigurationError(
            f"workers is {settings.workers}, and broker is {scheme}://, which belongs to one "
            "process: subscribers of one worker would miss events that another one publishes. "
            "Use a broker that they share (redis://, nats://), or one worker."
        )


def check_exposure(settings: Settings) -> None:
    """Raise ConfigurationError if every client on the network could use the server."""
    if not (settings.loopback or settings.insecure or settings.auth.configured):
        raise ConfigurationError(
            f"host is {settings.host}, which other machines can reach, and no authentication is "
            "configured: every client there could publish and subscribe. Configure `auth` "
            "(`eventhub key new` makes a key for it), keep to 127.0.0.1, or say --insecure "
            "(EVENTHUB_INSECURE=true) if the network is trusted."
        )


def check_auth(settings: Settings, directory: Path) -> None:
    """Raise ConfigurationError if a key cannot be used."""
    Authentication(settings.auth, directory, Hub.now)
