"""Turns the exceptions of routes into problem responses."""

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Route

from eventhub.common.faults import internal
from eventhub.errors import EventHubError, InvalidRequest, MethodNotAllowed, NotFound
from eventhub.events.validation_errors import MAX_FAULTS, pointer
from eventhub.hub.hub import Hub
from eventhub.server.messages.problem import ProblemResponse


def add_error_handlers(api: FastAPI, hub: Hub) -> None:
    """Handle our errors, FastAPI's two, and every other exception."""

    async def eventhub_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, EventHubError)
        hub.refused(error)
        return ProblemResponse(error)

    async def validation_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        problem = _invalid_request(error)
        if problem.limit is not None:
            hub.refused(problem)
        return ProblemResponse(problem)

    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        match error.status_code:
            case 404:
                return _not_found(request)
            case 405:
                return _method_not_allowed(api, request)
            case _:
                return ProblemResponse(InvalidRequest(error.detail))

    async def unforeseen(request: Request, error: Exception) -> Response:
        return ProblemResponse(internal())

    api.add_exception_handler(EventHubError, eventhub_error)
    api.add_exception_handler(RequestValidationError, validation_error)
    api.add_exception_handler(HTTPException, http_error)
    api.add_exception_handler(Exception, unforeseen)


def _invalid_request(error: RequestValidationError) -> InvalidRequest:
    """The first fault in words, and the first MAX_FAULTS as details."""
    faults = error.errors()
    details = [
        {"pointer": pointer(list(fault["loc"])), "message": str(fault["msg"])}
        for fault in faults[:MAX_FAULTS]
    ]
    page_too_large = any(
        fault["loc"] == ("query", "limit") and fault["type"] == "less_than_equal"
        for fault in faults
    )
    message = f"{details[0]['pointer']}: {details[0]['message']}"
    if page_too_large:
        message += " (limits.page)"
    if faults[0]["loc"][0] == "query":
        if faults[0]["type"] == "missing":
            name = faults[0]["loc"][-1]
            message = f"the query has no {name}; expected ?{name}=…"
        else:
            message += f", received {str(faults[0]['input'])[:40]!r}"
    problem = InvalidRequest(message, details)
    return problem.with_limit("page") if page_too_large else problem


def _not_found(request: Request) -> Response:
    return ProblemResponse(
        NotFound(
            f"nothing is at {request.url.path[:200]!r}; channels are at /v1/channels/{{channel}},"
            " and /docs lists everything"
        )
    )


def _method_not_allowed(api: FastAPI, request: Request) -> Response:
    routes = [
        route
        for route in api.routes
        if isinstance(route, Route) and route.path_regex.match(request.url.path)
    ]
    allowed = ", ".join(sorted({name for route in routes for name in route.methods or ()}))
    response = ProblemResponse(
        MethodNotAllowed(
            f"{request.url.path[:200]!r} has no method {request.method}; expected one of {allowed}"
        )
    )
    response.headers["allow"] = allowed
    return response
