"""An ASGI application as the response of a FastAPI route."""

from fastapi import Response
from starlette.types import ASGIApp, Receive, Scope, Send


class AsgiResponse(Response):
    """Lets the application send the response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)
