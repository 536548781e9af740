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
from eventhub.server.messages.request_head import headers_by_name
from eventhub.server.security.authentication import address_of

BODY_BYTES = 4096
Body = TypeVar("Body", bound=BaseModel)


async def _authorize(request: Request) -> Principal:
    """FastAPI calls this before it parses the query string."""
    operators: Operators = request.app.state.operators
    return await operators.authorize(
        headers_by_name(request.scope["headers"]), address_of(request.scope)
    )


Operator = Annotated[Principal, Depends(_authorize)]


def add_operator_routes(api: FastAPI, operators: Operators, body_seconds: float) -> None:
    """Add the routes. A body must arrive within `body_seconds`."""
    api.state.operators = operators
    _add_connections(api, operators, body_seconds)
    _add_blocks(api, operators, body_seconds)
    _add_log(api, operators, body_seconds)


def _add_connections(api: FastAPI, operators: Operators, body_seconds: float) -> None:
    @api.get("/v1/admin/connections", summary="The connections, on all nodes", tags=["administer"])
    async def connections(
        operator: Operator, selected: Annotated[ConnectionFilter, Query()]
    ) -> dict[str, Any]:
        return await operators.connections(selected)

    @api.post(
        "/v1/admin/disconnect",
        summary="End the connections of a principal or token, on all nodes",
        tags=["administer"],
        openapi_extra=_request_body(BlockTargetRequest),
    )
    async def disconnect(request: Request, operator: Operator) -> dict[str, Any]:
        body = await _read_body(request, BlockTargetRequest, body_seconds)
        return await operators.disconnect(body.target, operator)


def _add_blocks(api: FastAPI, operators: Operators, body_seconds: float) -> None:
    @api.get(
        "/v1/admin/blocks",
        summary="The principals and tokens that are blocked",
        tags=["administer"],
    )
    async def blocks(operator: Operator) -> dict[str, Any]:
        return operators.blocks()

    @api.post(
        "/v1/admin/blocks",
        summary="Block a principal or token, on all nodes",
        status_code=201,
        tags=["administer"],
        openapi_extra=_request_body(BlockRequest),
    )
    async def block(request: Request, operator: Operator) -> dict[str, Any]:
        body = await _read_body(request, BlockRequest, body_seconds)
        return await operators.block(body.target, body.milliseconds, operator)

    @api.delete("/v1/admin/blocks", summary="Remove a block", status_code=204, tags=["administer"])
    async def unblock(
        operator: Operator, blocked: Annotated[BlockTargetRequest, Query()]
    ) -> Response:
        if not await operators.unblock(blocked.target, operator):
            raise NotFound(f"the {blocked.target} is not blocked")
        return Response(status_code=204)


def _add_log(api: FastAPI, operators: Operators, body_seconds: float) -> None:
    @api.get("/v1/admin/log", summary="The log's level, at each node", tags=["administer"])
    async def verbosity(operator: Operator) -> dict[str, Any]:
        return await operators.verbosity()

    @api.put(
        "/v1/admin/log",
        summary="Change the log's level, at all nodes",
        tags=["administer"],
        openapi_extra=_request_body(Verbosity),
    )
    async def set_verbosity(request: Request, operator: Operator) -> dict[str, Any]:
        body = await _read_body(request, Verbosity, body_seconds)
        return await operators.set_verbosity(body.level, operator)


def _request_body(model: type[BaseModel]) -> dict[str, Any]:
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


async def _read_body(request: Request, model: type[Body], seconds: float) -> Body:
    """JSON whatever its media type is, as `curl -d` sends it.

    Raises PayloadTooLarge, RequestTimeout, RequestValidationError.
    """
    body = b""
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > BODY_BYTES:
                    raise PayloadTooLarge(f"the body is larger than {BODY_BYTES} bytes")
    except TimeoutError:
        raise RequestTimeout(
            f"the body was not complete after {seconds:g} seconds (limits.body_seconds)"
        ).with_limit("body_seconds") from None
    return parse_body(body, model)


def parse_body(body: bytes, model: type[Body]) -> Body:
    """Validate a whole body. Raises RequestValidationError."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        faults = [
            {**fault, "loc": ("body", *fault["loc"])}
            for fault in error.errors(include_url=False, include_input=False)
        ]
        raise RequestValidationError(faults) from None
