"""Liveness, readiness and metrics: what orchestrators and monitoring ask for."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.messages.request_head import headers_by_name
from eventhub.server.security.authentication import address_of

Scrape = Callable[[], Awaitable[bytes]]
"""Returns the metrics in the Prometheus text format."""
Excluded = Annotated[Literal["broker"] | None, Query(description="A part that is not checked")]


def add_health_routes(api: FastAPI, manager: ConnectionManager, scrape: Scrape) -> None:
    """Add the routes."""

    @api.get("/livez", summary="The process serves requests", tags=["operate"])
    async def livez() -> dict[str, str]:
        return {"status": "ok"}

    @api.get(
        "/readyz",
        summary="This node can serve clients now; 503 says what is missing",
        tags=["operate"],
    )
    async def readyz(response: Response, exclude: Excluded = None) -> dict[str, Any]:
        reasons = {part: reason for part, reason in manager.unready().items() if part != exclude}
        response.status_code = 503 if reasons else 200
        return {"status": "not ready" if reasons else "ok", "reasons": reasons}

    @api.get("/metrics", summary="Prometheus metrics", response_class=Response, tags=["operate"])
    async def metrics(request: Request) -> Response:
        if not manager.settings.auth.public_metrics:
            await manager.authentication.admit_operator(
                headers_by_name(request.scope["headers"]), address_of(request.scope)
            )
        return Response(await scrape(), media_type=CONTENT_TYPE_LATEST)
