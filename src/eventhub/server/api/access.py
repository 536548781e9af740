"""Who sent a request that reads, and whether it may."""

from fastapi import Request

from eventhub.auth.grants import Action
from eventhub.auth.principal import Principal
from eventhub.events.channel_types import ChannelType
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.messages.request_head import headers_by_name
from eventhub.server.security.authentication import address_of


async def authorize(
    manager: ConnectionManager, request: Request, action: Action, channel: str
) -> ChannelType:
    """The channel's type, if the request may do this there. Raises EventHubError."""
    channel_type = manager.hub.types.resolve(channel)
    principal = await authenticate(manager, request)
    principal.authorize(action, channel, channel_type.anonymous)
    return channel_type


async def authenticate(manager: ConnectionManager, request: Request) -> Principal:
    """Who sent the request. Raises EventHubError."""
    return await manager.authentication.admit(
        headers_by_name(request.scope["headers"]), address=address_of(request.scope)
    )
