"""The documentation, served from Markdown; pages hold no scripts and none could run."""

import asyncio
import base64
import hashlib
import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import msgspec
from aiohttp import web
from markdown_it import MarkdownIt

from hub.api.bodies import answer
from hub.api.openapi import openapi, plain_path
from hub.api.problems import not_found
from hub.api.routing import DEPS, Route
from hub.events.declared_pages import asyncapi_with, render_declared

_PAGE = re.compile(r"[a-z0-9][a-z0-9-]{0,63}", re.ASCII)
_LARGEST = 1 << 20
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.6 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
pre, code { font: 14px/1.5 ui-monospace, monospace; }
pre { overflow-x: auto; padding: .75rem 1rem; border: 1px solid #8886; border-radius: .4rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border: 1px solid #8886; padding: .3rem .6rem; text-align: left; vertical-align: top; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def render(markdown: str, title: str) -> str:
    """Return a page; HTML inside the Markdown is shown as text."""
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body><main>{body}</main></body></html>"
    )


def route_page(routes: tuple[Route, ...]) -> str:
    """Return the list of routes as Markdown."""
    lines = [
        "# The HTTP interface",
        "",
        "The machine-readable form is [/openapi.json](/openapi.json).",
        "",
        "| route | what it does | scope |",
        "|---|---|---|",
        *(
            f"| `{route.method} {plain_path(route.path)}` | {route.summary} | {f'`{route.scope}`' if route.scope else 'open'} |"
            for route in routes
        ),
    ]
    return "\n".join(lines)


async def docs_index(request: web.Request) -> web.Response:
    return _page(request, "index")


async def docs_page(request: web.Request) -> web.Response:
    return _page(request, request.match_info["page"])


async def asyncapi_json(request: web.Request) -> web.Response:
    return answer(await request.app[ASYNCAPI].get())


async def openapi_json(request: web.Request) -> web.Response:
    return answer(await request.app[OPENAPI].get())


def _page(request: web.Request, name: str) -> web.Response:
    folder = request.app[DEPS].docs
    text = _read(folder, name) if folder is not None else None
    if text is None and name in {"index", "api"}:
        text = request.app[ROUTE_PAGE]
    if text is None:
        raise not_found("page of that name")
    if name == "events":
        text += render_declared(request.app[DEPS].declared().types.values())
    return web.Response(text=render(text, f"hub: {name}"), headers=_HEADERS)


def _read(folder: Path, name: str) -> str | None:
    if not _PAGE.fullmatch(name):  # no dots and no slashes: nothing outside the folder has such a name
        return None
    path = folder / f"{name}.md"
    try:
        if path.stat().st_size > _LARGEST:
            return None
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


@final
class Document:
    """What is generated when it is first asked for, once, and beside the loop: it takes a fifth of a second.

    It is generated again where what it is `made_of` is another thing by then.
    """

    def __init__(
        self, generate: Callable[[], dict[str, Any]], made_of: Callable[[], object] = lambda: None
    ) -> None:
        self._generate = generate
        self._made_of = made_of
        self._of: object = None
        self._turn = asyncio.Lock()
        self._made: msgspec.Raw | None = None

    async def get(self) -> msgspec.Raw:
        async with self._turn:
            of = self._made_of()
            if self._made is None or of is not self._of:
                self._of, self._made = of, await asyncio.to_thread(self._encoded)
            return self._made

    def _encoded(self) -> msgspec.Raw:
        return msgspec.Raw(msgspec.json.encode(self._generate()))


OPENAPI = web.AppKey("openapi", Document)
ASYNCAPI = web.AppKey("asyncapi", Document)
ROUTE_PAGE = web.AppKey("route_page", str)


def prepare(app: web.Application, routes: tuple[Route, ...]) -> None:
    """Give the application what is generated of its routes."""
    app[OPENAPI] = Document(lambda: openapi(routes))
    declared = app[DEPS].declared
    app[ASYNCAPI] = Document(lambda: asyncapi_with(declared().types.values()), declared)
    app[ROUTE_PAGE] = route_page(routes)


ROUTES = (
    Route("GET", "/openapi.json", openapi_json, None, "This interface as OpenAPI 3.1", "operation"),
    Route(
        "GET", "/asyncapi.json", asyncapi_json, None, "What the hub delivers, as AsyncAPI 3.0", "operation"
    ),
    Route("GET", "/docs", docs_index, None, "The documentation", "operation", media="text/html"),
    Route(
        "GET",
        "/docs/{page}",
        docs_page,
        None,
        "A page of the documentation",
        "operation",
        answers={200: "The page.", 404: "There is none of that name."},
        media="text/html",
    ),
)
