"""The web pages. Static files from the wheel, or from the checkout when running from one."""

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from fastapi import FastAPI
from starlette.responses import FileResponse, RedirectResponse
from starlette.staticfiles import StaticFiles

from eventhub.events.channel_types import ChannelType, ChannelTypes
from eventhub.server.messages.security_headers import PAGE, with_headers

PAGES = {
    "/": "landing/landing.html",
    "/chat/{room}": "chat/chat.html",
    "/explore": "explore/explore.html",
    "/docs": "docs/docs.html",
    "/operate": "operate/operate.html",
    "/logs/{pattern}": "logs/logs.html",
    "/iot/{pattern}": "readings/readings.html",
}
LOBBY = "lobby"
"""The room that the chat's bare address leads to."""
BARE = {"/logs": ("log", "logs"), "/iot": ("reading", "iot")}
"""Pages of channels, called without a pattern: the payload that they show, and the channel type
that goes first if there are several.
"""


def mount(api: FastAPI, types: ChannelTypes) -> None:
    """Serve the pages at their paths, and the files that they load below /static."""
    directory = web_directory()
    api.mount("/static", with_headers(StaticFiles(directory=directory), PAGE), name="static")
    headers = {name.decode(): value.decode() for name, value in PAGE}
    for path, name in PAGES.items():
        _page(api, path, directory / "pages" / name, headers)
    _redirect_to_room(api, headers)
    for path, (payload, usual) in BARE.items():
        _redirect(api, path, f"{first_type(types, payload, usual)}.>", headers)


def web_directory() -> Path:
    """The directory of the pages and their files."""
    package = Path(__file__).resolve().parents[2]
    installed = package / "web"
    return installed if installed.is_dir() else package.parents[1] / "web"


def first_type(types: Iterable[ChannelType], payload: str, usual: str) -> str:
    """The channel type with this payload; the usual one, if it has it or if none has."""
    names = [each.name for each in types if each.payload == payload]
    return usual if usual in names or not names else names[0]


def _page(api: FastAPI, path: str, file: Path, headers: dict[str, str]) -> None:
    @api.get(path, include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(file, headers=headers)


def _redirect(api: FastAPI, path: str, pattern: str, headers: dict[str, str]) -> None:
    """Lead from a page's bare address to all channels of a type.

    The location is relative, as a proxy may add a prefix.
    """
    page = path.removeprefix("/")

    @api.get(path, include_in_schema=False)
    async def bare() -> RedirectResponse:
        return RedirectResponse(f"{page}/{quote(pattern)}", headers=headers)

    @api.get(f"{path}/", include_in_schema=False)
    async def slash() -> RedirectResponse:
        return RedirectResponse(quote(pattern), headers=headers)


def _redirect_to_room(api: FastAPI, headers: dict[str, str]) -> None:
    """Lead from `/chat`, perhaps with `?room=`, to the page of a room."""

    @api.get("/chat", include_in_schema=False)
    async def bare(room: str = LOBBY) -> RedirectResponse:
        return RedirectResponse(f"chat/{quote(room or LOBBY, safe='')}", headers=headers)

    @api.get("/chat/", include_in_schema=False)
    async def slash() -> RedirectResponse:
        return RedirectResponse(LOBBY, headers=headers)
