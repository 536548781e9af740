"""Bodies of producers: single events and batches, compared with `json`, and streams cut anywhere,
compared with the same streams whole.
"""

import json
from collections.abc import Coroutine, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import orjson

from eventhub.auth.principal import ANYONE
from eventhub.common.faults import Faults
from eventhub.common.strict_json import dump
from eventhub.config.settings import Settings
from eventhub.errors import EventHubError
from eventhub.events.builtin_payloads import BUILT_IN
from eventhub.events.channel_types import (
    ChannelType,
    ChannelTypes,
    PublisherKind,
    Retention,
    SlowReaderPolicy,
)
from eventhub.events.event import NewEvent, Position, Receipt
from eventhub.events.refused_event import Received
from eventhub.events.schema import AnySchema, FileSchema, ModelSchema, Schema
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.messages.problem import problem_document
from eventhub.server.publish.ndjson import NdjsonPublish
from eventhub.server.publish.request import PublishRequest
from eventhub.server.security.authentication import Authentication
from tests.fuzz.source import Source, cut

TREE = {
    "type": "object",
    "properties": {
        "children": {"type": "array", "items": {"$ref": "#"}},
        "n": {"type": "integer", "maximum": 9},
    },
    "additionalProperties": {"type": ["string", "null", "number"]},
}
SCHEMAS: dict[str, Schema] = {name: ModelSchema(model) for name, model in BUILT_IN.items()}
SCHEMAS |= {"json": AnySchema(), "tree": FileSchema(TREE)}
LIMIT = 256
BATCH = 8
DEPTH = 6
NOW = 1_795_377_960_123


TYPES = ChannelTypes(
    {
        name: ChannelType(
            name,
            name,
            schema,
            Retention(10, None),
            presence=False,
            slow=SlowReaderPolicy.DROP,
            publish=frozenset(PublisherKind),
        )
        for name, schema in SCHEMAS.items()
    }
)


class Alone:
    """A node without other nodes."""

    own = "node"

    def listen(self, topic: bytes, hear: object) -> None: ...


class Hub:
    """A hub that accepts every event."""

    types = TYPES

    publishes_now = False

    def __init__(self) -> None:
        self.events: list[NewEvent] = []
        self.draining = False
        self.tracing = None
        self.nodes = Alone()
        self.faults = Faults()

    def now(self) -> int:
        return NOW

    def spawn(self, work: object) -> None: ...

    def rejected(
        self, channel: str, error: EventHubError, received: Received | None = None
    ) -> None:
        problem = orjson.dumps(problem_document(error))
        assert len(problem) <= 20_000, "an answer is never many times what was asked"

    async def publish(self, events: Sequence[NewEvent], traces: object = ()) -> list[Receipt]:
        self.events += events
        return [Receipt(Position("a", len(self.events)), NOW)] * len(events)


@cache
def manager() -> ConnectionManager:
    """A manager with narrow limits, so that short inputs reach them."""
    limits = {"event_bytes": LIMIT, "body_bytes": 4096, "batch": BATCH, "depth": DEPTH}
    settings = Settings.model_validate({"limits": limits, "compression": True})
    return ConnectionManager(settings, Hub(), Authentication(settings.auth, Path(), lambda: NOW))  # type: ignore[arg-type]  # as much of a hub as is needed


def request(name: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> PublishRequest:
    return PublishRequest(
        manager(),
        {"path": f"/v1/channels/{name}.a", "query_string": b"", "client": None},
        dict(headers),
        ANYONE,
    )


def bodies(data: bytes) -> None:
    """An event is stored as `json` reads it; a batch gives the same as its items one by one."""
    source = Source(data)
    name = source.pick(list(SCHEMAS))
    body = source.rest()
    schema, here = SCHEMAS[name], request(name)
    try:
        event = here.decoder.decode(body)
    except EventHubError as error:
        here_is_why(error, body)
    else:
        same(body, event.data)
        assert schema.canonical(event.data) == event.data, "canonical JSON is canonical"
        assert len(body) <= LIMIT
        assert depth(json.loads(event.data)) <= DEPTH
    for batch in (body, b"[" + body + b"]"):
        compare(schema, here, batch)


def here_is_why(error: EventHubError, body: bytes) -> None:
    """Check that `json` would refuse this JSON, too, or that a number or a depth exceeds the
    documented limit.
    """
    Hub().rejected("", error)
    if error.code == "invalid_json" and "64 bits" not in error.message:
        try:
            value = strictly(body)
            json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, RecursionError):
            return
        raise AssertionError(f"{error.message}: but it is JSON")


def compare(schema: Schema, here: PublishRequest, batch: bytes) -> None:
    try:
        found = here.decoder.decode_all(batch)
    except EventHubError as error:
        assert error.code in ("invalid_json", "payload_too_large", "too_deep"), error.code
        return
    if found is None:
        return
    items = strictly(batch)
    assert isinstance(items, list)
    assert len(items) == len(found) <= max(BATCH, batch.count(b",") + 1)
    for item, event in zip(orjson.loads(batch), found, strict=True):
        assert schema.canonical(dump(item)) == event.data, "one by one it is the same"
        alone = here.decoder.decode(event.data)
        assert alone.data == event.data, "an item of a batch may also be sent alone"
    for item, event in zip(items, found, strict=True):
        assert alike(item, json.loads(event.data))


def same(body: bytes, data: bytes) -> None:
    assert b"\n" not in data
    assert alike(strictly(body), json.loads(data)), (body, data)


def alike(said: Any, stored: Any) -> bool:
    """Whether they are equal; if the payload's number is a double, whether they are as near as a
    double can be.
    """
    if isinstance(said, dict) and isinstance(stored, dict):
        return said.keys() == stored.keys() and all(
            alike(said[name], stored[name]) for name in said
        )
    if isinstance(said, list) and isinstance(stored, list):
        return len(said) == len(stored) and all(map(alike, said, stored))
    if isinstance(stored, float) and isinstance(said, int | float):
        return float(said) == stored
    return bool(said == stored)


def strictly(body: bytes) -> Any:
    """Parse by RFC 8259, without the words that Python accepts in addition. Raises ValueError."""
    return json.loads(body.decode(), parse_constant=_no_constant)


def _no_constant(word: str) -> NoReturn:
    raise ValueError(word)


def depth(value: Any) -> int:
    children = (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    )
    return 0 if children is None else 1 + max(map(depth, children), default=0)


def streams(data: bytes) -> None:
    """A stream's events, refusals and last line are the same however its bytes are divided, and the
    memory for it is bounded.
    """
    source = Source(data)
    name, key, places = (
        source.pick(list(SCHEMAS)),
        source.byte() & 1,
        source.take(source.byte() % 32),
    )
    headers = (
        [(b"idempotency-key", b"k"), (b"content-type", b"application/x-ndjson")] if key else []
    )
    body = source.rest()
    whole = ingested(name, headers, [body])
    assert ingested(name, headers, cut(body, places)) == whole
    events, refused, line = whole
    lines = body.split(b"\n")
    assert line == len(lines) - (lines[-1] == b"")
    assert len(events) + len(refused) <= line
    assert len(events) + len(refused) == sum(
        bool(each.strip(b" \t\r\v\f")) or len(each) > LIMIT for each in lines
    )


class NoOthers:
    """A fair queue in which nobody waits."""

    over = False

    def spend(self, seconds: float) -> None: ...

    async def next_turn(self, since: float = 0.0) -> None: ...

    def advanced_position(self, since: float, seconds: float) -> float:
        return since


def ingested(
    name: str, headers: Sequence[tuple[bytes, bytes]], chunks: Any
) -> tuple[list[NewEvent], list[tuple[int, str]], int]:
    hub = Hub()
    identity = SimpleNamespace(charge_for=lambda kind: None)
    ingest = NdjsonPublish(
        SimpleNamespace(hub=hub, fair_queue=NoOthers()),  # type: ignore[arg-type]
        request(name, headers),
        identity,  # type: ignore[arg-type]  # as much as taking lines needs
    )
    for chunk in chunks:
        run(ingest._take_chunk(chunk, last=False))
        assert ingest._splitter.held <= LIMIT
    run(ingest._take_chunk(b"", last=True))
    assert ingest._response._line == ingest._lines_read
    details = [orjson.loads(detail) for detail in ingest._response._refusals]
    return (
        hub.events,
        [(each["line"], each["error"]["code"]) for each in details],
        ingest._response._line,
    )


def run(steps: Coroutine[Any, Any, None]) -> None:
    """Run the coroutine to its end; it never waits."""
    try:
        while True:
            steps.send(None)
    except StopIteration:
        return
