"""A headless Chromium driven over its own protocol: no driver has to be installed beside it."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from processes.program import Program
from required import program

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0",
)  # fmt: skip


class Tab:
    """`said` are what the page and the browser's security complained about, in order."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.said: list[str] = []
        self.asked: list[str] = []  # the address of every request

    async def do(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while True:
            told = json.loads((await asyncio.wait_for(self._socket.receive(), 20)).data)
            if told.get("id") == number:
                assert "error" not in told, told
                return told["result"]
            self._hear(told)

    async def run(self, expression: str) -> Any:
        """Return what an expression is in the page."""
        result = await self.do(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def until(self, expression: str, *, within: float = 20.0) -> Any:
        """Return an expression's value once it is true."""
        deadline = time.monotonic() + within
        while not (value := await self.run(expression)):
            assert time.monotonic() < deadline, f"{expression} did not become true; the page said {self.said}"
            await asyncio.sleep(0.05)
        return value

    async def open(self, url: str) -> None:
        await self.do("Page.navigate", url=url)
        await self.until("document.readyState === 'complete'")

    def _hear(self, told: dict[str, Any]) -> None:
        params = told.get("params", {})
        match told.get("method"):
            case "Log.entryAdded":
                self.said.append(params["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.said.append(str(params["exceptionDetails"]))
            case "Network.requestWillBeSent":
                self.asked.append(params["request"]["url"])
            case "Page.javascriptDialogOpening":
                self.said.append(f"dialog: {params['message']}")
            case _:
                pass


@asynccontextmanager
async def a_tab(folder: Path) -> AsyncIterator[Tab]:
    found = program(*NAMES, package="chromium")
    browser = Program([found, *_FLAGS, f"--user-data-dir={folder}", "about:blank"], folder / "browser.log")
    told = await browser.start(r"DevTools listening on ws://([^/]+)/", within=60)
    try:
        async with aiohttp.ClientSession() as session:
            async with session.put(f"http://{told[1]}/json/new?about:blank") as answer:
                where = (await answer.json())["webSocketDebuggerUrl"]
            async with session.ws_connect(where, max_msg_size=0) as socket:
                tab = Tab(socket)
                for domain in ("Page", "Runtime", "Log", "Network"):
                    await tab.do(f"{domain}.enable")
                yield tab
    finally:
        await browser.kill()
