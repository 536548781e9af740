"""The section `limits`: every bound that can be configured."""

from pydantic import Field

from eventhub.config.sections import Section


class LimitSettings(Section):
    """Bounds. Whatever is beyond is refused or, for buffers, handled as the channel type says."""

    event_bytes: int = Field(
        default=64 * 1024,
        ge=128,
        le=16 * 1024 * 1024,
        description="Size of one event or WebSocket message",
    )
    stranger_bytes: int = Field(
        default=16 * 1024,
        ge=128,
        description="Size of a WebSocket message from a client that has not said who it is, where "
        "`auth` is configured and no channel type lets anyone publish; a token has up to 8 KiB",
    )
    body_bytes: int = Field(
        default=4 * 1024 * 1024, ge=128, description="Size of a request body that is not a stream"
    )
    batch: int = Field(default=10_000, ge=1, description="Events in one JSON array")
    publish_rate: float = Field(
        default=10_000,
        gt=0,
        description="Events per second that one principal may publish to channels of one type, where `auth` is configured",
    )
    depth: int = Field(default=32, ge=1, le=200, description="Levels of nested JSON")
    page: int = Field(default=1000, ge=1, le=10_000, description="Events on a history page")
    subscriptions: int = Field(default=128, ge=1, description="Subscriptions per connection")
    buffer_bytes: int = Field(
        default=1024 * 1024, ge=4096, description="Outgoing buffer per connection"
    )
    connections: int = Field(
        default=100_000,
        ge=1,
        description="Connections per process; never more than its limit of open files less 512, or an eighth",
    )
    connections_per_address: int = Field(
        default=1000,
        ge=1,
        description="Connections per process of one client address (IPv6: /64), as `proxies` forward it",
    )
    connections_per_principal: int = Field(
        default=100,
        ge=1,
        description="Connections, and bodies under way, per process of one principal",
    )
    channels: int = Field(
        default=100_000, ge=1, description="Channels held by the memory and SQLite brokers"
    )
    history_bytes: int = Field(
        default=256 * 1024 * 1024,
        ge=1024 * 1024,
        description="Size of all events held by the memory broker",
    )
    commands: int = Field(
        default=200,
        ge=1,
        description="Frames per second a WebSocket client may send, twice as many at once; beyond "
        "it, it is read later. A frame counts once for each 16 KiB that it has, unpacked, or for each "
        "quarter of a millisecond of CPU time that it takes, whichever is more",
    )
    bad_credentials: int = Field(
        default=20,
        ge=1,
        description="Tokens and keys per second from one address that turn out bad, five times as many at once",
    )
    head_seconds: float = Field(
        default=10,
        gt=0,
        description="Longest wait for a TLS handshake, and for the head of a request",
    )
    keep_alive_seconds: float = Field(
        default=75,
        gt=0,
        description="How long a connection waits for its next request; longer than load balancers keep theirs, mostly 60 s. "
        "Where a newcomer finds no room, the one that waits longest makes way",
    )
    body_seconds: float = Field(
        default=30,
        gt=0,
        description="Time for a request body that is not a stream, or a WebSocket message, and 1 s more for each KiB of it",
    )
    first_frame_seconds: float = Field(
        default=30,
        gt=0,
        description="Longest wait for the first message on a WebSocket whose address names no channel",
    )
    stalled_seconds: float = Field(
        default=300,
        gt=0,
        le=86_400,
        description="A reader that takes nothing of what waits for it for so long is given up; one that reads slowly is not",
    )
