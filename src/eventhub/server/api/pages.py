"""The web pages: their addresses, and their files in memory.

The files are those of the wheel, or of the checkout when running from one.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

from fastapi import FastAPI
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp

from eventhub.events.channel_types import ChannelType, ChannelTypes
from eventhub.server.api.page_template import PageTemplate, style_name
from eventhub.server.api.web_files import WebFile, serve_files
from eventhub.server.messages.security_headers import PAGE, SAFE

PAGES = {
    "/": "landing/landing.html",
    "/chat/{room}": "chat/chat.html",
    "/explore": "explore/explore.html",
    "/explore/{pattern}": "explore/channel.html",
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


PARTS = ("head", "header", "nav", "status", "token")
"""Parts of pages, in `pages/common`."""
STATIC = "/static/"
VERSION = "v-"
"""How the names of versions begin."""
_PLACEHOLDER = re.compile(r"{\w+}")


def mount(api: FastAPI, types: ChannelTypes) -> None:
    """Lead from bare addresses to pages."""
    headers = {name.decode(): value.decode() for name, value in PAGE}
    _redirect_to_room(api, headers)
    for path, (payload, usual) in BARE.items():
        _redirect(api, path, f"{first_type(types, payload, usual)}.>", headers)


def in_front_of(rest: ASGIApp) -> ASGIApp:
    """The application that answers with pages and their files, or else `rest`."""
    directory = web_directory()
    names = [file for file in sorted(directory.rglob("*")) if file.is_file()]
    bodies = {file.relative_to(directory).as_posix(): file.read_bytes() for file in names}
    return serve_files(finder(bodies), rest)


def finder(bodies: Mapping[str, bytes]) -> Callable[[str], WebFile | None]:
    """A function that finds the file at a path. `bodies`: all files by name.

    Browsers keep a file of `/static/{version}/` for good. Another version is that of a node which
    runs other software: it gets this one's file, to be asked for again.
    """
    headers = (*PAGE, *SAFE)
    version = version_of(bodies)
    texts, styles = _texts(bodies, version)
    bodies = {**bodies, **styles}
    files = {name: WebFile(name, body, headers) for name, body in bodies.items()}
    kept = {name: file.kept_for_good() for name, file in files.items()}
    pages = {
        _PLACEHOLDER.sub("{}", path): WebFile(".html", text.encode(), headers)
        for path, text in texts.items()
    }

    def find(path: str) -> WebFile | None:
        if path.startswith(STATIC):
            version_asked, _, name = path.removeprefix(STATIC).partition("/")
            if not version_asked.startswith(VERSION):
                return files.get(path.removeprefix(STATIC))
            return (kept if version_asked == version else files).get(name)
        page, _, rest = path.removeprefix("/").partition("/")
        return pages.get(f"/{page}/{{}}" if rest and "/" not in rest else path)

    return find


def version_of(bodies: Mapping[str, bytes]) -> str:
    """A name for these files: with any other byte it is another one."""
    hashes = [hashlib.sha256(body).hexdigest() for body in bodies.values()]
    listed = "\n".join(f"{name} {each}" for name, each in zip(bodies, hashes, strict=True))
    return f"{VERSION}{hashlib.sha256(listed.encode()).hexdigest()[:12]}"


def web_directory() -> Path:
    """The directory of the pages and their files."""
    package = Path(__file__).resolve().parents[2]
    installed = package / "web"
    return installed if installed.is_dir() else package.parents[1] / "web"


def first_type(types: Iterable[ChannelType], payload: str, usual: str) -> str:
    """The channel type with this payload; the usual one, if it has it or if none has."""
    names = [each.name for each in types if each.payload == payload]
    return usual if usual in names or not names else names[0]


def _texts(bodies: Mapping[str, bytes], version: str) -> tuple[dict[str, str], dict[str, bytes]]:
    """The pages by path, and the style sheet of each by its name."""
    ends = (".html", ".js", ".css")
    sources = {name: body.decode() for name, body in bodies.items() if name.endswith(ends)}
    parts = {name: sources[f"pages/common/{name}.html"] for name in PARTS}
    template = PageTemplate(parts, sources, version)
    pages = {path: sources[f"pages/{name}"] for path, name in PAGES.items()}
    styles = {style_name(path): template.styles(text, path) for path, text in pages.items()}
    return (
        {path: template.render(text, path) for path, text in pages.items()},
        {name: text.encode() for name, text in styles.items()},
    )


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
