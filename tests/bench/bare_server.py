"""The ceiling of ingest: an aiohttp server on uvloop that decodes and validates what is posted, and forgets it."""

import asyncio
from datetime import datetime
from decimal import Decimal

import msgspec
import uvloop
from aiohttp import web


class Account(msgspec.Struct):
    server: str
    login: int


class Data(msgspec.Struct):
    deal: int
    position: int
    symbol: str
    side: str
    lots: Decimal
    profit: Decimal
    comment: str = ""


class Event(msgspec.Struct):
    type: str
    timestamp: datetime
    account: Account
    data: Data


class Receipt(msgspec.Struct):
    accepted: int


_decode = msgspec.json.Decoder(Event | list[Event]).decode
_encode = msgspec.json.Encoder().encode


async def receive(request: web.Request) -> web.Response:
    told = _decode(await request.read())
    accepted = len(told) if isinstance(told, list) else 1
    return web.Response(status=202, body=_encode(Receipt(accepted)), content_type="application/json")


async def main() -> None:
    app = web.Application()
    app.router.add_post("/v1/events", receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"bare server is ready at http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(main())
