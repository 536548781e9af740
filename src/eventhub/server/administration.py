"""The HTTP interface of operators (PROTOCOL.md, "Administration")."""

from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response

from eventhub.errors import NotFound
from eventhub.server.admin import Admin, Block, Filter, Whom
from eventhub.server.guard import fields


def mount(api: FastAPI, admin: Admin) -> None:
    """Add the routes."""

    @api.get("/v1/admin/connections", summary="Who is connected, on all nodes", tags=["administer"])
    async def connections(request: Request, wanted: Annotated[Filter, Query()]) -> dict[str, Any]:
        await admin.authorize(fields(request.scope["headers"]))
        return await admin.connections(wanted)

    @api.post("/v1/admin/disconnect", summary="End the connections of a principal or token, on all nodes", tags=["administer"])
    async def disconnect(request: Request, whom: Whom) -> dict[str, Any]:
        await admin.authorize(fields(request.scope["headers"]))
        return await admin.disconnect(whom.target)

    @api.get("/v1/admin/blocks", summary="Who is shut out", tags=["administer"])
    async def blocks(request: Request) -> dict[str, Any]:
        await admin.authorize(fields(request.scope["headers"]))
        return admin.blocks()

    @api.post("/v1/admin/blocks", summary="Shut a principal or token out, on all nodes", status_code=201, tags=["administer"])
    async def block(request: Request, whom: Block) -> dict[str, Any]:
        await admin.authorize(fields(request.scope["headers"]))
        return await admin.block(whom.target, whom.milliseconds)

    @api.delete("/v1/admin/blocks", summary="Let them in again", status_code=204, tags=["administer"])
    async def unblock(request: Request, whom: Annotated[Whom, Query()]) -> Response:
        await admin.authorize(fields(request.scope["headers"]))
        if not await admin.unblock(whom.target):
            raise NotFound(f"the {whom.target} is not shut out")
        return Response(status_code=204)
