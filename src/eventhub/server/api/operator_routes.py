"""The HTTP interface of operators (PROTOCOL.md, "Administration")."""

import asyncio
from typing import Annotated, Any, TypeVar

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from eventhub.auth.principal import Principal
from eventhub.errors import NotFound, PayloadTooLarge, RequestTimeout
from eventhub.server.connections.operator_requests import (
    BlockRequest,
    BlockTargetRequest,
    ConnectionFilter,
    Verbosity,
)
from eventhub.server.connections.operators import Operators
from eventhub.server.messages.request_head import combined
from eventhub.server.security.authentication import address_of

BODY_BYTES = 4096
Body = TypeVar("Body", bound=BaseModel)


def mount(api: FastAPI, admin: Operators, body_seconds: float) -> None:
    """Add the routes. A body has so many seconds."""

    async def operator(request: Request) -> Principal:
        """Known before the query string is parsed."""
        return await admin.authorize(combined(request.scope["headers"]), address_of(request.scope))

    Operator = Annotated[Principal, Depends(operator)]  # noqa: N806  # a type

    @api.get("/v1/admin/connections", summary="Who is connected, on all nodes", tags=["administer"])
    async def connections(
        who: Operator, wanted: Annotated[ConnectionFilter, Query()]
    ) -> dict[str, Any]:
        return await admin.connections(wanted)

    @api.post(
        "/v1/admin/disconnect", summary="End the connections of a principal or token, on all nodes", tags=["administer"],
        openapi_extra=_takes(BlockTargetRequest),
    )  # fmt: skip
    async def disconnect(request: Request, who: Operator) -> dict[str, Any]:
        return await admin.disconnect(
            (await _body(request, BlockTargetRequest, body_seconds)).target, who
        )

    @api.get("/v1/admin/blocks", summary="Who is shut out", tags=["administer"])
    async def blocks(who: Operator) -> dict[str, Any]:
        return admin.blocks()

    @api.post(
        "/v1/admin/blocks", summary="Shut a principal or token out, on all nodes", status_code=201, tags=["administer"],
        openapi_extra=_takes(BlockRequest),
    )  # fmt: skip
    async def block(request: Request, who: Operator) -> dict[str, Any]:
        whom = await _body(request, BlockRequest, body_seconds)
        return await admin.block(whom.target, whom.milliseconds, who)

    @api.delete(
        "/v1/admin/blocks", summary="Let them in again", status_code=204, tags=["administer"]
    )
    async def unblock(who: Operator, whom: Annotated[BlockTargetRequest, Query()]) -> Response:
        if not await admin.unblock(whom.target, who):
            raise NotFound(f"the {whom.target} is not shut out")
        return Response(status_code=204)

    @api.get("/v1/admin/log", summary="The log's level, at each node", tags=["administer"])
    async def verbosity(who: Operator) -> dict[str, Any]:
        return await admin.verbosity()

    @api.put(
        "/v1/admin/log",
        summary="Change the log's level, at all nodes",
        tags=["administer"],
        openapi_extra=_takes(Verbosity),
    )
    async def set_verbosity(request: Request, who: Operator) -> dict[str, Any]:
        return await admin.set_verbosity((await _body(request, Verbosity, body_seconds)).level, who)


def _takes(model: type[BaseModel]) -> dict[str, Any]:
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


async def _body(request: Request, model: type[Body], seconds: float) -> Body:
    """Of an operator, who is known by now: JSON whatever its media type, as `curl -d` sends it. Raises PayloadTooLarge, RequestTimeout."""
    body = b""
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                body += part
                if len(body) > BODY_BYTES:
                    raise PayloadTooLarge(f"the body is larger than {BODY_BYTES} bytes")
    except TimeoutError:
        raise RequestTimeout(
            f"the body was not complete after {seconds:g} seconds (limits.body_seconds)"
        ).with_limit("body_seconds") from None
    return checked(body, model)


def checked(body: bytes, model: type[Body]) -> Body:
    """What a whole body says. Raises RequestValidationError."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        faults = [
            {**fault, "loc": ("body", *fault["loc"])}
            for fault in error.errors(include_url=False, include_input=False)
        ]
        raise RequestValidationError(faults) from None
