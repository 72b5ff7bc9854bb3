"""The page a browser's address bar gets of a stream: it shows what happens, and holds nothing anybody has to be let in for."""

import base64
import hashlib
import re
from functools import cache
from importlib import resources
from typing import Final

from aiohttp import hdrs, web

from hub.api.routing import Handler

# What both pages have is put where they name it, before anything is hashed: each page is one answer.
_SHARED: Final = re.compile(r"/\* (live\.(?:js|css)) \*/\n")
_PART: Final = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


def wants_page(request: web.Request) -> bool:
    accept = request.headers.get(hdrs.ACCEPT, "")
    return "text/html" in accept and "text/event-stream" not in accept


@cache
def live_page(name: str) -> Handler:
    """Return what answers with a page. Only its own script and style run, and it may ask this hub alone."""
    text = _SHARED.sub(lambda found: _read(found[1]), _read(f"{name}.html"))
    parts = {kind: _hash(body) for kind, body in _PART.findall(text)}
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": (
            f"default-src 'none'; script-src {parts['script']}; style-src {parts['style']}; connect-src 'self'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
        ),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
    body = text.encode()

    async def page(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, headers=headers)

    return page


def _read(name: str) -> str:
    return (resources.files("hub.web") / "live" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
