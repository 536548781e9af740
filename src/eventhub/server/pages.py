"""The web pages. Static files from the wheel, or from the checkout when running from one."""

from pathlib import Path

from fastapi import FastAPI
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

PAGES = {"/": "index.html", "/chat": "chat.html", "/explore": "explore.html", "/docs": "docs.html"}
HEADERS = [
    (
        b"content-security-policy",
        b"default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-cache"),  # revalidated by ETag: a new version is seen at once
]


class GuardedFiles(StaticFiles):
    """Static files with security headers."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        await super().__call__(scope, receive, guarded)


def mount(api: FastAPI) -> None:
    """Serve the pages at their paths, and all their files below /static."""
    directory = web_directory()
    api.mount("/static", GuardedFiles(directory=directory), name="static")
    headers = {name.decode(): value.decode() for name, value in HEADERS}
    for path, name in PAGES.items():
        _page(api, path, directory / name, headers)


def web_directory() -> Path:
    """Where the files are."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "web"
    return installed if installed.is_dir() else package.parents[1] / "web"


def _page(api: FastAPI, path: str, file: Path, headers: dict[str, str]) -> None:
    @api.get(path, include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(file, headers=headers)
