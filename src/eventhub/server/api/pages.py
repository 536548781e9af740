"""The web pages. Static files from the wheel, or from the checkout when running from one."""

from pathlib import Path

from fastapi import FastAPI
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles

from eventhub.server.messages.security_headers import PAGE, with_headers

PAGES = {
    "/": "landing/landing.html",
    "/chat": "chat/chat.html",
    "/explore": "explore/explore.html",
    "/docs": "docs/docs.html",
}


def mount(api: FastAPI) -> None:
    """Serve the pages at their paths, and the files that they load below /static."""
    directory = web_directory()
    api.mount("/static", with_headers(StaticFiles(directory=directory), PAGE), name="static")
    headers = {name.decode(): value.decode() for name, value in PAGE}
    for path, name in PAGES.items():
        _page(api, path, directory / "pages" / name, headers)


def web_directory() -> Path:
    """The directory of the pages and their files."""
    package = Path(__file__).resolve().parents[2]
    installed = package / "web"
    return installed if installed.is_dir() else package.parents[1] / "web"


def _page(api: FastAPI, path: str, file: Path, headers: dict[str, str]) -> None:
    @api.get(path, include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(file, headers=headers)
