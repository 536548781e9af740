"""The FastAPI application: the routes of this folder. `router.py` sends publishes past it."""

from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp

from eventhub import __version__
from eventhub.server.api.delete_route import add_delete_route
from eventhub.server.api.error_handlers import add_error_handlers
from eventhub.server.api.health_routes import Scrape, add_health_routes
from eventhub.server.api.openapi import PROBLEM, complete_document
from eventhub.server.api.operator_routes import add_operator_routes
from eventhub.server.api.presence_routes import add_presence_routes
from eventhub.server.api.publish_openapi import add_publish_routes
from eventhub.server.api.read_routes import add_read_routes
from eventhub.server.api.refused_routes import add_refused_routes
from eventhub.server.api.selection_route import add_selection_route
from eventhub.server.api.subscribe_routes import add_subscribe_routes
from eventhub.server.connections.manager import ConnectionManager

DESCRIPTION = (
    "Real-time event broadcast over typed channels. The WebSocket at /v1/ws and the message"
    " formats are described in PROTOCOL.md."
)


def build_fastapi_app(
    manager: ConnectionManager,
    publish: ASGIApp,
    publish_to_channels: ASGIApp,
    scrape: Scrape,
    lifespan: Any,
) -> FastAPI:
    """Build the application. Its OpenAPI document lists the routes in this order."""
    api = FastAPI(
        title="EventHub",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would name the Host that the request did
        servers=[{"url": "."}],  # relative to the document, as a proxy may add a prefix
        responses={"default": PROBLEM},
    )
    add_error_handlers(api, manager.hub)
    add_publish_routes(api, publish, publish_to_channels)
    add_delete_route(api, manager)
    add_read_routes(api, manager)
    add_selection_route(api, manager)
    add_presence_routes(api, manager)
    add_subscribe_routes(api, manager)
    add_refused_routes(api, manager)
    add_health_routes(api, manager, scrape)
    add_operator_routes(api, manager.operators, manager.settings.limits.body_seconds)
    complete_document(api, manager.settings.auth)
    return api
