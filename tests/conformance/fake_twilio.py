"""A provider of text messages with Twilio's interface: answers every code, takes messages, and tells of them signed."""

import itertools
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

from hub.dispatch.sms_reports import signature

SID, TOKEN = "AC" + "0" * 30, "12345"
# (HTTP status, code) of what it may answer, as its documentation has them.
ERRORS = {
    20003: 401,
    20005: 403,
    20403: 403,
    20404: 404,
    20429: 429,
    20500: 500,
    20503: 503,
    14107: 429,
    21211: 400,
    21214: 400,
    21217: 400,
    21401: 400,
    21408: 403,
    21421: 400,
    21602: 400,
    21603: 400,
    21604: 400,
    21606: 400,
    21610: 400,
    21611: 429,
    21612: 400,
    21614: 400,
    21617: 400,
    21659: 400,
    21704: 400,
    21705: 400,
    30005: 400,
    30006: 400,
}


class FakeTwilio:
    """`taken` are the messages it will send, in order. `fails` answers the next requests; `breaks_off` drops them instead.

    With `takes_first` one that is dropped was taken all the same.
    """

    def __init__(self) -> None:
        self.taken: list[dict[str, str]] = []
        self.asked = 0
        self.fails: list[tuple[int, dict[str, Any] | str, dict[str, str]]] = []
        self.breaks_off = False
        self.takes_first = False
        self.url = ""
        self._numbers = itertools.count(1)

    def fail_with(self, code: int, **headers: str) -> None:
        status = ERRORS[code]
        body = {"code": code, "message": "no", "more_info": f"https://docs.example/{code}", "status": status}
        self.fails.append((status, body, headers))

    async def messages(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        if self.fails:
            status, body, headers = self.fails.pop(0)
            if isinstance(body, str):
                return web.Response(status=status, text=body, content_type="text/html", headers=headers)
            return web.json_response(body, status=status, headers=headers)
        expected = "Basic " + b64encode(f"{SID}:{TOKEN}".encode()).decode()
        if request.headers.get("Authorization") != expected or request.match_info["sid"] != SID:
            return web.json_response({"code": 20003, "message": "Authenticate", "status": 401}, status=401)
        form = {name: str(value) for name, value in (await request.post()).items()}
        if not form.get("Body"):
            return web.json_response({"code": 21602, "message": "body", "status": 400}, status=400)
        if self.breaks_off:
            if self.takes_first:
                self._take(form)
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return web.json_response(self._take(form), status=201)

    def _take(self, form: dict[str, str]) -> dict[str, Any]:
        sid = f"SM{next(self._numbers):032x}"
        self.taken.append({"sid": sid, **form})
        return {"sid": sid, "status": "queued", "error_code": None, "num_segments": "1", "to": form["To"]}

    async def tell(
        self, session: aiohttp.ClientSession, url: str, to: str, message: int, status: str, error: str = ""
    ) -> int:
        """Tell the hub at `url` what became of a message, signed for the address it was given; return the answer."""
        taken = self.taken[message]
        form = {"MessageSid": taken["sid"], "MessageStatus": status, "To": taken["To"]}
        if error:
            form["ErrorCode"] = error
        given = taken["StatusCallback"]
        headers = {"X-Twilio-Signature": signature(TOKEN, given, form.items())}
        async with session.post(given.replace(to, url), data=form, headers=headers) as response:
            return response.status


@asynccontextmanager
async def a_twilio() -> AsyncIterator[FakeTwilio]:
    twilio = FakeTwilio()
    application = web.Application()
    application.router.add_post("/2010-04-01/Accounts/{sid}/Messages.json", twilio.messages)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    twilio.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield twilio
    finally:
        await runner.cleanup()
