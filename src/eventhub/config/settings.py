"""All settings: their names, defaults, bounds and meanings.

`loader.py` reads them from the file and the environment.
"""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, PrivateAttr, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from eventhub.auth.grants import Action
from eventhub.common.addresses import parse_address
from eventhub.config.auth_settings import AuthSettings
from eventhub.config.channel_settings import ChannelSettings
from eventhub.config.fields import (
    Host,
    Network,
    OriginPattern,
    TypeName,
    require_mapping,
    split_commas,
)
from eventhub.config.limit_settings import LimitSettings
from eventhub.config.sections import (
    CloudEventsSettings,
    LogSettings,
    ShutdownSettings,
    TlsSettings,
    TracingSettings,
)
from eventhub.events.channel_types import SenderRule

PREFIX = "EVENTHUB_"
BROKERS = r"^(memory://$|sqlite:///|rediss?(\+(sentinel|cluster))?://|nats://|tls://)"
SAMPLE_CHANNELS = {
    "chat": {
        "payload": "chat",
        "history": {"events": 500, "age": "24h"},
        "presence": True,
        "publish": ["client", "producer"],
        "signals": {"publish": ["client", "producer"], "payload": "json"},
    },
    "logs": {"payload": "log", "history": {"events": 10_000, "age": "1h"}, "publish": ["producer"]},
    "iot": {
        "payload": "reading",
        "key": "sensor",
        "history": {"events": 1000, "age": "7d", "latest": True},
        "slow": "latest",
        "publish": ["producer"],
    },
}


class Settings(BaseSettings):
    """All settings. Every key is also a variable: `limits.depth` is `EVENTHUB_LIMITS__DEPTH`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )
    _file: Path | None = PrivateAttr(default=None)

    host: Host = Field(default="127.0.0.1", description="Address to listen on")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on")
    workers: int = Field(
        default=1,
        ge=1,
        le=256,
        description="Worker processes. More than one needs a broker that they can share",
    )
    insecure: bool = Field(
        default=False,
        description="Allow a host other than loopback although no authentication is configured",
    )
    broker: str = Field(
        default="memory://",
        pattern=BROKERS,
        description="Where events are stored and announced (docs/brokers.md)",
    )
    channels: dict[TypeName, Annotated[ChannelSettings, BeforeValidator(require_mapping)]] = Field(
        default_factory=lambda: {
            name: ChannelSettings.model_validate(value) for name, value in SAMPLE_CHANNELS.items()
        },
        min_length=1,
        description="Channel types by name",
    )
    origins: Annotated[list[OriginPattern], NoDecode, BeforeValidator(split_commas)] = Field(
        default=[],
        description="Origins of other hosts' pages that may connect and publish. "
        "`https://app.example` is one origin. `https://*.example.com` is every name below "
        "example.com. Apps and extensions have origins like `capacitor://localhost` or "
        "`moz-extension://*`. `null` is files, and sandboxed frames of any page. `*` is all "
        "origins. Without `auth` on a loopback address, the server also accepts these hosts in "
        "`Host`",
    )
    proxies: Annotated[list[Network], NoDecode, BeforeValidator(split_commas)] = Field(
        default=[],
        description="Addresses or networks of reverse proxies whose X-Forwarded-For and -Proto "
        "are trusted (Forwarded is not read)",
    )
    auth: AuthSettings = AuthSettings()
    tls: TlsSettings = TlsSettings()
    cloudevents: CloudEventsSettings = CloudEventsSettings()
    compression: bool = Field(
        default=False,
        description="Compress WebSocket events for clients that offer permessage-deflate",
    )
    native: bool = Field(
        default=True,
        description="Write to many WebSockets with the native extension, if it is installed",
    )
    heartbeat: float = Field(default=25, ge=0.05, le=3600, description="Seconds between heartbeats")
    limits: LimitSettings = LimitSettings()
    shutdown: ShutdownSettings = ShutdownSettings()
    log: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  # pydantic's signature
        init_settings: PydanticBaseSettingsSource,
        *args: PydanticBaseSettingsSource,  # noqa: ARG003
        **kwargs: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The arguments only. `loader.py` reads the environment, without foreign variables."""
        return (init_settings,)

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        if self.limits.event_bytes > self.limits.body_bytes:
            raise ValueError(
                f"limits.event_bytes is {self.limits.event_bytes}; "
                "expected at most limits.body_bytes"
            )
        return self

    @model_validator(mode="after")
    def _check_senders(self) -> Self:
        for name, declared in self.channels.items():
            if declared.sender is not SenderRule.PRINCIPAL:
                continue
            setting = f"channels.{name}.sender is principal"
            if not self.auth.configured:
                raise ValueError(f"{setting}; expected auth to be configured: who publishes?")
            if not {Action.PUBLISH, Action.SIGNAL}.isdisjoint(declared.anonymous):
                raise ValueError(
                    f"{setting}, and anonymous clients may publish; expected no publish and no "
                    f"signal in channels.{name}.anonymous"
                )
        return self

    @property
    def file(self) -> Path | None:
        """The file that was read, if any."""
        return self._file

    def read_from(self, file: Path | None) -> "Settings":
        """Note the file that these settings were read from. Returns self."""
        self._file = file
        return self

    @property
    def broker_shown(self) -> str:
        """The broker's URL without its secrets."""
        return without_secrets(self.broker)

    @property
    def loopback(self) -> bool:
        """Whether only this machine can connect."""
        address = parse_address(self.host)
        return self.host == "localhost" or (address is not None and address.is_loopback)


def without_secrets(text: str) -> str:
    """A URL without user, password and options, whatever characters these hold.

    Other texts stay as they are.
    """
    scheme, separator, rest = text.partition("://")
    if not separator or scheme == "sqlite":
        return text
    login, at, host = rest.rpartition("@")
    if "?" in login:  # it may be in the password or begin the options
        return f"{scheme}://***"
    return f"{scheme}://{'***@' if at else ''}{host.partition('?')[0]}"
