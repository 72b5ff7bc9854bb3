"""The demo's CRM: takes webhooks, checks every signature with the official package, remembers what came when."""

from dataclasses import dataclass, field

import orjson
from aiohttp import web
from standardwebhooks.webhooks import Webhook

from hub.clock import Clock
from hub.commands.receive import is_signed

_LARGEST = 1024 * 1024


@dataclass(slots=True)
class Receipt:
    """`at` is when the first verified copy came, in µs."""

    type: str
    at: int
    copies: int = 1


@dataclass(slots=True)
class Crm:
    clock: Clock
    receipts: dict[str, Receipt] = field(default_factory=dict)
    failed: int = 0
    _verifier: Webhook | None = None

    def trust(self, secret: str) -> None:
        self._verifier = Webhook(secret)

    def app(self) -> web.Application:
        app = web.Application(client_max_size=_LARGEST)
        app.router.add_post("/webhooks", self._receive)
        return app

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        assert self._verifier is not None
        if not is_signed(self._verifier, body, request):
            self.failed += 1
            return web.Response(status=401)
        event = orjson.loads(body)
        known = self.receipts.get(event["id"])
        if known is None:
            self.receipts[event["id"]] = Receipt(event["type"], self.clock.now_us())
        else:
            known.copies += 1
        return web.Response(status=204)
