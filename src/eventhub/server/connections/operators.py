"""What operators can do: see who is connected, on all nodes, and shut someone out. Answers to their questions are made by every node."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import count
from operator import attrgetter
from typing import Annotated, Any, Self, get_args

import orjson
import structlog
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from eventhub.auth.blocks import BlockDecision, Blocks, BlockTarget, What
from eventhub.auth.principal import ANYONE, Principal
from eventhub.common.addresses import canonical
from eventhub.config.sections import Level
from eventhub.errors import BrokerUnavailable, Forbidden, InvalidRequest
from eventhub.events.event import format_time, parse_age
from eventhub.hub.hub import Hub
from eventhub.observability import log_setup
from eventhub.server.connections.identity import ConnectionIdentity
from eventhub.server.connections.registry import ConnectionRegistry
from eventhub.server.connections.scatter_gather import ANSWER_BYTES, ScatterGather
from eventhub.server.security.authentication import Authentication, Headers

TOPIC = b"blocks"
QUESTION = b"?"
"""Of a node that has just begun: who is shut out?"""
REPEAT_SECONDS = 15
ROWS = 150
"""Decisions in one message: names have 200 characters, which JSON may escape."""
LONGEST = 30 * 24 * 3600 * 1000
"""Milliseconds that someone can be shut out."""
CHANNELS = 10
"""Channels shown of one connection."""

log = structlog.get_logger("eventhub.admin")


class Selector(BaseModel):
    """Whom, by names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    subject: str | None = Field(
        default=None, min_length=1, max_length=200, description="The sub of tokens"
    )
    key: str | None = Field(
        default=None, min_length=1, max_length=200, description="The name of an API key"
    )
    token: str | None = Field(
        default=None, min_length=1, max_length=200, description="The jti of one token"
    )

    @property
    def targets(self) -> list[BlockTarget]:
        """Those that are given."""
        return [
            BlockTarget.of(what, value)
            for what in get_args(What)
            if (value := getattr(self, what)) is not None
        ]


class ConnectionFilter(Selector):
    """Which connections. What is not given is not asked for."""

    address: Annotated[str, AfterValidator(canonical)] | None = Field(
        default=None, max_length=100, description="The client's address"
    )
    limit: int = Field(default=100, ge=1, le=1000, description="Connections in the answer")

    def fits(self, identity: ConnectionIdentity) -> bool:
        """Whether a connection is meant."""
        return all(target.fits(identity.principal) for target in self.targets) and self.address in (
            None,
            identity.address,
        )


class BlockTargetRequest(Selector):
    """A principal or a token: exactly one of these."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.targets) != 1:
            raise ValueError(
                f"{len(self.targets)} of {', '.join(get_args(What))} are given; expected one"
            )
        return self

    @property
    def target(self) -> BlockTarget:
        """The one that is given."""
        return self.targets[0]


class BlockRequest(BlockTargetRequest):
    """Whom to shut out, and for how long."""

    duration: str = Field(
        default="1h", alias="for", description="Such as 15m, 1h or 30d, which is the most"
    )

    @field_validator("duration")
    @classmethod
    def _is_age(cls, text: str) -> str:
        if not 0 < parse_age(text) <= LONGEST:
            raise ValueError("expected a time of 30 days at most")
        return text

    @property
    def milliseconds(self) -> int:
        """How long."""
        return parse_age(self.duration)


Number = Annotated[int, Field(strict=True, ge=0, le=1_000_000_000)]
Plain = str | int | None


class ConnectionsReply(BaseModel):
    """A node's answer about its connections. Another version's rows may have other fields, but none that hold more."""

    open: Number
    matching: Number
    rows: list[dict[str, Plain | list[str] | dict[str, Plain]]] = Field(max_length=1000)


class DisconnectReply(BaseModel):
    """A node's answer to a request to end connections."""

    ended: Number


class Verbosity(BaseModel):
    """How much is logged: a request for it, and a node's answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    level: Level = Field(description="debug, info, warning or error")


class Operators:
    """The operator's desk of one node."""

    def __init__(
        self, authentication: Authentication, registry: ConnectionRegistry, hub: Hub
    ) -> None:
        self._authentication, self._registry, self._hub = authentication, registry, hub
        self._assembly = ScatterGather(hub, self._answer)
        self._asked = asyncio.Event()
        hub.nodes.listen(TOPIC, self._hear)

    @property
    def _blocks(self) -> Blocks:
        return self._authentication.blocks

    async def authorize(self, headers: Headers, address: str) -> Principal:
        """The operator. Raises Unauthorized, Forbidden and the like for whoever is no operator."""
        if self._authentication.nobody is ANYONE:
            raise Forbidden(
                "this server has no authentication configured; the admin interface needs an API key with operator: true"
            )
        return await self._authentication.admit_operator(headers, address)

    async def run(self) -> None:
        """Repeat to other nodes who is shut out: they may have missed it, or have begun since. Until cancelled."""
        known: set[str] = set()
        with suppress(BrokerUnavailable):
            await self._hub.nodes.tell(TOPIC, QUESTION)
        for tick in count():
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._asked.wait()
                    known = set()
            self._asked.clear()
            nodes = self._hub.nodes.others
            if not nodes <= known or tick % REPEAT_SECONDS == 0:
                self._blocks.expire(self._hub.now())
                await self._repeat(nodes)
            known = nodes

    async def _repeat(self, nodes: set[str]) -> None:
        """Whatever is wrong with one decision, this goes on."""
        try:
            await self._tell(list(self._blocks) if nodes else ())
        except Exception as error:
            self._hub.faults.note("blocks", error, decisions=len(self._blocks))

    async def connections(self, wanted: ConnectionFilter) -> dict[str, Any]:
        """Those that are open, on all nodes; at most `limit`, the slowest readers first."""
        answers = await self._assembly.ask({"connections": wanted.model_dump()}, ConnectionsReply)
        rows = [
            {"node": node, **row}
            for node, found in sorted(answers.found.items())
            for row in found.rows
        ]
        return {
            "connections": sorted(rows, key=_waiting, reverse=True)[: wanted.limit],
            "nodes": {
                node: {"connections": found.open, "matching": found.matching}
                for node, found in answers.found.items()
            },
            "complete": answers.complete,
        }

    async def disconnect(self, target: BlockTarget, operator: Principal) -> dict[str, Any]:
        """End their connections, on all nodes. They may come back."""
        log.warning("disconnect", operator=operator.name, what=target.what, name=target.value)
        return await self._end(target, blocked=False)

    async def _end(self, target: BlockTarget, *, blocked: bool) -> dict[str, Any]:
        answers = await self._assembly.ask(
            {"end": [target.what, target.value, blocked]}, DisconnectReply
        )
        ended = sum(found.ended for found in answers.found.values())
        return {"disconnected": ended, "nodes": len(answers.found), "complete": answers.complete}

    async def block(
        self, target: BlockTarget, milliseconds: int, operator: Principal
    ) -> dict[str, Any]:
        """End their connections, on all nodes, and let them in again only after so long. Raises InvalidRequest for the operator's own."""
        if target.fits(operator):
            raise InvalidRequest(
                f"the {target} is the operator's own, who could take nothing back; expected another"
            )
        now = self._hub.now()
        decision = self._blocks.decide(target, now, now + milliseconds)
        await self._tell((decision,))
        log.warning("block", operator=operator.name, **_shown(decision))
        return {**_shown(decision), **await self._end(target, blocked=True)}

    async def unblock(self, target: BlockTarget, operator: Principal) -> bool:
        """Let them in again, on all nodes. False when nobody had shut them out."""
        now = self._hub.now()
        if all(decision.target != target for decision in self._current(now)):
            return False
        log.warning("unblock", operator=operator.name, what=target.what, name=target.value)
        await self._tell((self._blocks.decide(target, now, now),))
        return True

    async def verbosity(self) -> dict[str, Any]:
        """The log's level, at each node."""
        return await self._verbosity(None)

    async def set_verbosity(self, level: Level, operator: Principal) -> dict[str, Any]:
        """Change it, at all nodes that are there now. A node that begins later has the level of its configuration."""
        log.warning("log_level", operator=operator.name, to=level)
        return await self._verbosity(level)

    async def _verbosity(self, level: Level | None) -> dict[str, Any]:
        answers = await self._assembly.ask({"log": level}, Verbosity)
        return {
            "nodes": {node: found.level for node, found in sorted(answers.found.items())},
            "complete": answers.complete,
        }

    def blocks(self) -> dict[str, Any]:
        """Who is shut out, and until when."""
        return {"blocks": [_shown(decision) for decision in self._current(self._hub.now())]}

    def _current(self, now: int) -> Iterator[BlockDecision]:
        return (decision for decision in self._blocks if decision.blocked and decision.until > now)

    # What other nodes ask and tell

    def _answer(self, question: dict[str, Any]) -> dict[str, Any]:
        if "end" in question:
            *target, blocked = question["end"]
            return {
                "ended": self._registry.disconnect(BlockTarget.of(*target), blocked=bool(blocked))
            }
        if "log" in question:
            if question["log"] is not None:
                log_setup.set_level(Verbosity(level=question["log"]).level)
            return {"level": log_setup.level()}
        wanted = ConnectionFilter.model_validate(question["connections"])
        matching = [identity for identity in self._registry if wanted.fits(identity)]
        slowest = sorted(matching, key=attrgetter("buffered"), reverse=True)[: wanted.limit]
        return {
            "open": len(self._registry),
            "matching": len(matching),
            "rows": list(_rows(slowest)),
        }

    def _hear(self, message: bytes) -> None:
        if message == QUESTION:
            self._asked.set()
            return
        for target in self._blocks.merge(map(BlockDecision.of_row, orjson.loads(message))):
            self._registry.disconnect(target, blocked=True)

    async def _tell(self, decisions: Iterable[BlockDecision]) -> None:
        rows = [decision.as_row() for decision in decisions]
        for begin in range(0, len(rows), ROWS):
            with suppress(BrokerUnavailable):
                await self._hub.nodes.tell(TOPIC, orjson.dumps(rows[begin : begin + ROWS]))


def _shown(decision: BlockDecision) -> dict[str, Any]:
    return {
        decision.target.what: decision.target.value,
        "since": format_time(decision.since),
        "until": format_time(decision.until),
    }


def _rows(connections: Iterable[ConnectionIdentity]) -> Iterator[dict[str, Any]]:
    room = ANSWER_BYTES
    for identity in connections:
        row = _row(identity)
        room -= len(orjson.dumps(row))
        if room < 0:
            return
        yield row


def _waiting(row: dict[str, Any]) -> int:
    """Bytes that wait to be sent. Another version's rows may not say."""
    found = row.get("buffered")
    return found if isinstance(found, int) else 0


def _row(identity: ConnectionIdentity) -> dict[str, Any]:
    principal, session = identity.principal, identity.session
    channels = session.channels if session is not None else []
    return {
        "session": identity.id,
        "transport": identity.connection.transport if identity.connection is not None else None,
        "address": identity.address,
        "opened": format_time(identity.opened),
        "buffered": identity.buffered,
        "principal": {"kind": principal.kind, "name": principal.name, "token": principal.token},
        "expires": format_time(principal.expires) if principal.expires is not None else None,
        "channels": channels[:CHANNELS],
        "subscriptions": len(channels),
    }
