"""The section `limits`: every bound that can be configured."""

from pydantic import Field

from eventhub.auth.principal import MEMBER_BYTES
from eventhub.config.sections import Section


class LimitSettings(Section):
    """Bounds. Requests beyond one are refused. The channel type decides about a full buffer."""

    event_bytes: int = Field(
        default=64 * 1024,
        ge=128,
        le=16 * 1024 * 1024,
        description="Size of one event or WebSocket message",
    )
    stranger_bytes: int = Field(
        default=16 * 1024,
        ge=128,
        description="Size of a WebSocket message from a client without a credential, where `auth` "
        "is configured and no channel type lets anyone publish. A token has up to 8 KiB",
    )
    body_bytes: int = Field(
        default=4 * 1024 * 1024, ge=128, description="Size of a request body that is not a stream"
    )
    batch: int = Field(default=10_000, ge=1, description="Events in one JSON array")
    publish_rate: float = Field(
        default=10_000,
        gt=0,
        description="Events per second that one principal may publish to channels of one type, "
        "where `auth` is configured",
    )
    signal_bytes: int = Field(
        default=4 * 1024, ge=16, le=32 * 1024, description="Size of the data of one signal"
    )
    signal_rate: float = Field(
        default=100,
        gt=0,
        description="Signals per second that one principal may send to channels of one type, "
        "where `auth` is configured",
    )
    depth: int = Field(default=32, ge=1, le=200, description="Levels of nested JSON")
    page: int = Field(default=1000, ge=1, le=10_000, description="Events on a history page")
    subscriptions: int = Field(default=128, ge=1, description="Subscriptions per connection")
    patterns: int = Field(
        default=16, ge=1, description="Subscriptions per connection that are patterns"
    )
    pattern_channels: int = Field(
        default=10_000, ge=1, description="Channels with events that one pattern may cover"
    )
    filter_bytes: int = Field(
        default=1024, ge=1, le=4096, description="Size of a filter, the text of `where`"
    )
    filters: int = Field(
        default=1000, ge=1, description="Different filters that a process evaluates at a time"
    )
    buffer_bytes: int = Field(
        default=1024 * 1024, ge=4096, description="Outgoing buffer per connection"
    )
    connections: int = Field(
        default=100_000,
        ge=1,
        description="Connections per process. Never more than its limit of open files less an "
        "eighth, or less 512 if that is smaller",
    )
    connections_per_address: int = Field(
        default=1000,
        ge=1,
        description="Connections per process from one client address (IPv6: /64), as `proxies` "
        "forward it",
    )
    connections_per_principal: int = Field(
        default=100,
        ge=1,
        description="Connections and unfinished request bodies per process of one principal",
    )
    channels: int = Field(
        default=100_000, ge=1, description="Channels that the memory and SQLite brokers hold"
    )
    history_bytes: int = Field(
        default=256 * 1024 * 1024,
        ge=1024 * 1024,
        description="Size of all events that the memory broker holds",
    )
    commands: int = Field(
        default=200,
        ge=1,
        description="Frames per second that a WebSocket client may send; a burst may have twice "
        "as many. The server reads further frames later. A frame counts once for each 16 KiB, "
        "uncompressed, or for each quarter of a millisecond of CPU time, whichever is more",
    )
    member_bytes: int = Field(
        default=1024,
        ge=2,
        le=MEMBER_BYTES,
        description="Size of the data of a member in presence, as JSON, if the client gives it. A "
        "token's may have 4 KiB",
    )
    member_updates: float = Field(
        default=10,
        gt=0,
        description="Updates per second of a client's member in one channel; a burst may have "
        "twice as many",
    )
    bad_credentials: int = Field(
        default=20,
        ge=1,
        description="Invalid tokens and keys per second from one address; a burst may have five "
        "times as many",
    )
    head_seconds: float = Field(
        default=10,
        gt=0,
        description="Longest wait for a TLS handshake, and for the head of a request",
    )
    keep_alive_seconds: float = Field(
        default=75,
        gt=0,
        description="How long an idle connection is kept. Keep it longer than your load "
        "balancer's idle timeout (usually 60 s). When a new connection finds no room, the one that "
        "is idle longest is closed",
    )
    body_seconds: float = Field(
        default=30,
        gt=0,
        description="Time for a request body that is not a stream, or for a WebSocket message, "
        "plus 1 s for each KiB of it",
    )
    first_frame_seconds: float = Field(
        default=30,
        gt=0,
        description="Longest wait for the first message on a WebSocket whose URL names no channel",
    )
    stalled_seconds: float = Field(
        default=300,
        gt=0,
        le=86_400,
        description="A reader that reads nothing of its waiting data for this time is "
        "disconnected. A slow reader is not",
    )
