"""Who looks at accounts and streams: a key, which sees all it has a scope for, or a client's token, which sees its own."""

from dataclasses import dataclass

from aiohttp import web

from hub.control.tokens import Token


@dataclass(frozen=True, slots=True)
class Viewer:
    """`token` None: a key, named `name`, which may see every account."""

    id: str
    name: str
    token: Token | None = None


VIEWER = web.RequestKey("viewer", Viewer)
