"""Who is present: the members of a channel, and how many there are in all channels of a pattern."""

import asyncio
from heapq import nsmallest
from typing import Annotated, Any

import orjson
from fastapi import FastAPI, Query, Request, Response

from eventhub.auth.grants import Action
from eventhub.auth.principal import Principal
from eventhub.errors import EventHubError
from eventhub.hub.hub import Hub
from eventhub.presence.member_data import member_json
from eventhub.server.api.access import authenticate, authorize
from eventhub.server.api.parameters import Channel, Match, check_parameters, pattern_of
from eventhub.server.connections.manager import ConnectionManager

SLICE = 1000
"""Channels that are counted in one turn of the event loop."""


def add_presence_routes(api: FastAPI, manager: ConnectionManager) -> None:
    """Add the routes, that of one channel first."""
    _add_members(api, manager)
    _add_counts(api, manager)


def _add_members(api: FastAPI, manager: ConnectionManager) -> None:
    most = manager.settings.limits.page

    @api.get(
        "/v1/channels/{channel}/presence",
        summary="The members of a channel, in order of their ids",
        tags=["read"],
    )
    async def presence(
        request: Request,
        channel: Channel,
        after: Annotated[str, Query(description="The `next` of the page before")] = "",
        limit: Annotated[int, Query(ge=1, le=most, description="Members on the page")] = most,
    ) -> Response:
        check_parameters(request, "after", "limit")
        channel_type = await authorize(manager, request, Action.PRESENCE, channel)
        channel_type.check_presence()
        page = _members(manager.hub, channel, after, limit)
        return Response(page, media_type="application/json")


def _members(hub: Hub, channel: str, after: str, limit: int) -> bytes:
    present = hub.nodes.listed(channel)
    page = nsmallest(limit + 1, [each for each in present if each[0] > after])
    following = page[limit - 1][0] if len(page) > limit else None
    return b'{"channel":%b,"count":%d,"members":[%b],"next":%b}' % (
        orjson.dumps(channel),
        len(present),
        b",".join([member_json(*each) for each in page[:limit]]),
        orjson.dumps(following),
    )


def _add_counts(api: FastAPI, manager: ConnectionManager) -> None:
    @api.get(
        "/v1/presence",
        summary="How many members the channels of a pattern have, on all nodes",
        tags=["read"],
    )
    async def counts(request: Request, match: Match = ">") -> dict[str, Any]:
        check_parameters(request, "match")
        pattern = pattern_of(match)
        principal = await authenticate(manager, request)
        _check_stranger(manager.hub, principal)
        channels = count = 0
        distinct: set[str] = set()
        for number, name in enumerate(manager.hub.nodes.occupied(), 1):
            if number % SLICE == 0:
                await asyncio.sleep(0)
            if pattern.covers(name) and _may_see(manager.hub, principal, name):
                members = manager.hub.nodes.members(name)
                channels, count = channels + bool(members), count + len(members)
                distinct.update(members)
        return {"match": match, "channels": channels, "count": count, "distinct": len(distinct)}


def _may_see(hub: Hub, principal: Principal, channel: str) -> bool:
    try:
        anyone = hub.types.resolve(channel).anonymous
        principal.authorize(Action.PRESENCE, channel, anyone)
    except EventHubError:  # its type may be one that another node declares
        return False
    return True


def _check_stranger(hub: Hub, principal: Principal) -> None:
    """Raises Unauthorized if no client without a credential sees the members of any channel."""
    if not principal.known and not any(Action.PRESENCE in kind.anonymous for kind in hub.types):
        principal.authorize(Action.PRESENCE, ">", frozenset())
