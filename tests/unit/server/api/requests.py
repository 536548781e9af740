"""Requests to an application without a server below it."""

import asyncio
from pathlib import Path
from typing import Any

import httpx

from eventhub.config.settings import Settings
from eventhub.server.app import create_app


def request(
    method: str, path: str, settings: Settings | None = None, **options: Any
) -> httpx.Response:
    """The response of a new application."""
    (response,) = requests((method, path, options), settings=settings)
    return response


def requests(
    *wanted: tuple[str, str, dict[str, Any]], settings: Settings | None = None
) -> list[httpx.Response]:
    """The responses of one new application: method, path and httpx's options of each request."""

    async def main() -> list[httpx.Response]:
        transport = httpx.ASGITransport(create_app(settings or Settings(), Path()))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return [
                await client.request(method, path, **options) for method, path, options in wanted
            ]

    return asyncio.run(main())
