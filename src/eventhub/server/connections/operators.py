"""What operators do on all nodes: list and end connections, block principals, set the log level.

Every node answers questions about its own connections (scatter_gather.py) and keeps all blocks
(block_replication.py).
"""

from collections.abc import Iterator
from typing import Any

import structlog

from eventhub.auth.blocks import BlockDecision, Blocks, BlockTarget
from eventhub.auth.principal import ANYONE, Principal
from eventhub.config.sections import Level
from eventhub.errors import Forbidden, InvalidRequest
from eventhub.events.event import format_time
from eventhub.hub.hub import Hub
from eventhub.observability import log_setup
from eventhub.server.connections.block_replication import BlockReplication
from eventhub.server.connections.connection_list import buffered_bytes, slowest_connections
from eventhub.server.connections.operator_requests import (
    ConnectionFilter,
    ConnectionsReply,
    DisconnectReply,
    Verbosity,
)
from eventhub.server.connections.registry import ConnectionRegistry
from eventhub.server.connections.scatter_gather import ANSWER_BYTES, ScatterGather
from eventhub.server.security.authentication import Authentication, Headers

log = structlog.get_logger("eventhub.admin")


class Operators:
    """Carries out the requests of operators that arrive at this node."""

    def __init__(
        self, authentication: Authentication, registry: ConnectionRegistry, hub: Hub
    ) -> None:
        self._authentication = authentication
        self._registry = registry
        self._hub = hub
        self._all_nodes = ScatterGather(hub, self._answer)
        self.block_replication = BlockReplication(authentication.blocks, registry, hub)

    @property
    def _blocks(self) -> Blocks:
        return self._authentication.blocks

    async def authorize(self, headers: Headers, address: str) -> Principal:
        """Return the operator that sent this request.

        Raises Unauthorized, Forbidden and the other errors of authentication.
        """
        if self._authentication.nobody is ANYONE:
            raise Forbidden(
                "this server has no authentication configured; the admin interface needs "
                "an API key with operator: true (auth.keys)"
            )
        return await self._authentication.admit_operator(headers, address)

    # Connections

    async def connections(self, wanted: ConnectionFilter) -> dict[str, Any]:
        """List open connections of all nodes: `limit` at most, the slowest readers first."""
        answers = await self._all_nodes.ask({"connections": wanted.model_dump()}, ConnectionsReply)
        rows = [
            {"node": node, **row}
            for node, found in sorted(answers.found.items())
            for row in found.rows
        ]
        return {
            "connections": sorted(rows, key=buffered_bytes, reverse=True)[: wanted.limit],
            "nodes": {
                node: {"connections": found.open, "matching": found.matching}
                for node, found in answers.found.items()
            },
            "complete": answers.complete,
        }

    async def disconnect(self, target: BlockTarget, operator: Principal) -> dict[str, Any]:
        """End the connections of the target on all nodes. Its clients may come back."""
        log.warning("disconnect", operator=operator.name, what=target.kind, name=target.value)
        return await self._disconnect(target, blocked=False)

    async def _disconnect(self, target: BlockTarget, *, blocked: bool) -> dict[str, Any]:
        answers = await self._all_nodes.ask(
            {"end": [target.kind, target.value, blocked]}, DisconnectReply
        )
        ended = sum(found.ended for found in answers.found.values())
        return {"disconnected": ended, "nodes": len(answers.found), "complete": answers.complete}

    # Blocks

    async def block(
        self, target: BlockTarget, milliseconds: int, operator: Principal
    ) -> dict[str, Any]:
        """End the connections of the target on all nodes, and refuse new ones for this time.

        Raises InvalidRequest if the target fits the operator.
        """
        if target.fits(operator):
            raise InvalidRequest(
                f"the {target} is this operator, who could not undo it; expected another target"
            )
        now = self._hub.now()
        decision = self._blocks.decide(target, now, now + milliseconds)
        await self.block_replication.send((decision,))
        log.warning("block", operator=operator.name, **_shown(decision))
        return {**_shown(decision), **await self._disconnect(target, blocked=True)}

    async def unblock(self, target: BlockTarget, operator: Principal) -> bool:
        """Remove a block on all nodes. Returns False if the target is not blocked."""
        now = self._hub.now()
        if all(decision.target != target for decision in self._current_blocks(now)):
            return False
        log.warning("unblock", operator=operator.name, what=target.kind, name=target.value)
        await self.block_replication.send((self._blocks.decide(target, now, now),))
        return True

    def blocks(self) -> dict[str, Any]:
        """List the blocks, each with its end."""
        current = self._current_blocks(self._hub.now())
        return {"blocks": [_shown(decision) for decision in current]}

    def _current_blocks(self, now: int) -> Iterator[BlockDecision]:
        return (decision for decision in self._blocks if decision.blocked and decision.until > now)

    # The log level

    async def verbosity(self) -> dict[str, Any]:
        """Return the log level of each node."""
        return await self._verbosity(None)

    async def set_verbosity(self, level: Level, operator: Principal) -> dict[str, Any]:
        """Set the log level of all nodes. A node that starts later uses its configuration."""
        log.warning("log_level", operator=operator.name, to=level)
        return await self._verbosity(level)

    async def _verbosity(self, level: Level | None) -> dict[str, Any]:
        answers = await self._all_nodes.ask({"log": level}, Verbosity)
        return {
            "nodes": {node: found.level for node, found in sorted(answers.found.items())},
            "complete": answers.complete,
        }

    # Questions of other nodes

    def _answer(self, question: dict[str, Any]) -> dict[str, Any]:
        if "end" in question:
            *target, blocked = question["end"]
            ended = self._registry.disconnect(BlockTarget.of(*target), blocked=bool(blocked))
            return {"ended": ended}
        if "log" in question:
            if question["log"] is not None:
                log_setup.set_level(Verbosity(level=question["log"]).level)
            return {"level": log_setup.level()}
        wanted = ConnectionFilter.model_validate(question["connections"])
        matching = [identity for identity in self._registry if wanted.fits(identity)]
        return {
            "open": len(self._registry),
            "matching": len(matching),
            "rows": list(slowest_connections(matching, wanted.limit, ANSWER_BYTES)),
        }


def _shown(decision: BlockDecision) -> dict[str, Any]:
    return {
        decision.target.kind: decision.target.value,
        "since": format_time(decision.since),
        "until": format_time(decision.until),
    }
