"""A customer's receiver: checks each signature with the official package and remembers what came, how often."""

import asyncio
import random
import time
from collections import Counter, defaultdict
from types import TracebackType
from typing import Self

import orjson
from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

_LARGEST = 1024 * 1024


class VerifyingReceiver:
    """Serve for the length of an ``async with``; `trust` the endpoint's secret before anything is sent.

    Misbehaviour: of the first copies of events a share `refusing` is answered 500, and a share `hanging` gets its
    answer only after `hang` seconds. `verified` counts every rightly signed copy, answered well or not: what a real
    customer has processed before its answer got lost.
    """

    def __init__(
        self, *, refusing: float = 0.0, hanging: float = 0.0, hang: float = 3.0, seed: int = 1
    ) -> None:
        self.url = ""
        self.verified: Counter[str] = Counter()
        self.accepted: Counter[str] = Counter()
        self.types: dict[str, str] = {}
        self.bodies: dict[str, bytes] = {}
        self.at: dict[str, float] = {}
        self.copies: defaultdict[str, list[float]] = defaultdict(
            list
        )  # when each came, on the monotonic clock
        self.complaints: list[str] = []
        self._refusing = refusing
        self._hanging = hanging
        self._hang = hang
        self._dice = random.Random(seed)
        self._verifier: Webhook | None = None
        self._runner: web.AppRunner | None = None

    def trust(self, secret: str) -> None:
        self._verifier = Webhook(secret)

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=_LARGEST)
        app.router.add_post("/webhooks", self._receive)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/webhooks"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        name = request.headers.get("webhook-id", "")
        try:
            assert self._verifier is not None
            self._verifier.verify(body, dict(request.headers))
        except (WebhookVerificationError, ValueError) as error:
            self.complaints.append(f"{name or 'a request without webhook-id'} is not signed rightly: {error}")
            return web.Response(status=401)
        event = orjson.loads(body)
        if event["id"] != name:
            self.complaints.append(f"webhook-id {name} carries event {event['id']}")
        if self.bodies.setdefault(name, body) != body:
            self.complaints.append(f"{name} was told again with other content")
        self.types[name] = event["type"]
        now = time.monotonic()
        self.at.setdefault(name, now)
        self.copies[name].append(now)
        self.verified[name] += 1
        if self.verified[name] == 1:
            mood = self._dice.random()
            if mood < self._refusing:
                return web.Response(status=500)
            if mood < self._refusing + self._hanging:
                await asyncio.sleep(self._hang)
        self.accepted[name] += 1
        return web.Response(status=204)

    @property
    def duplicates(self) -> int:
        return sum(self.verified.values()) - len(self.verified)
