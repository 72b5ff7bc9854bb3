"""A source that posts events and does not give up until each is acknowledged, and the reads a test counts with."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson
from processes.harness import HubProcess

_PAUSE = 0.05
_ANSWER_WITHIN = aiohttp.ClientTimeout(total=5.0)


class HubClient:
    """Talks to one hub over HTTP, as its key's owner; a hub that is down is asked again until a deadline."""

    def __init__(self, hub: HubProcess, *, patience: float = 30.0) -> None:
        self._hub = hub
        self._patience = patience
        self._session: aiohttp.ClientSession | None = None
        self.unanswered = 0

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=_ANSWER_WITHIN)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()

    async def post_until_acknowledged(self, events: Sequence[Mapping[str, Any]]) -> list[str]:
        """Post one event, or several as an array, again and again until 202; return their ids in order."""
        payload = events[0] if len(events) == 1 else list(events)
        receipt = await self._insist("POST", "/v1/events", orjson.dumps(payload), expect=202)
        results = receipt["results"]
        assert len(results) == len(events), receipt
        rejected = [result for result in results if result["status"] == "rejected"]
        assert not rejected, rejected
        return [result["id"] for result in results]

    async def create_endpoint(self, url: str, events: Sequence[str] = ("*",), **more: Any) -> tuple[str, str]:
        """Return the endpoint's id and secret."""
        body = orjson.dumps({"url": url, "events": list(events), **more})
        made = await self._insist("POST", "/v1/endpoints", body, expect=201)
        return made["id"], made["secret"]

    async def post(self, path: str, told: Any, *, expect: int = 202) -> Any:
        return await self._insist("POST", path, orjson.dumps(told), expect=expect)

    async def get(self, path: str, **query: str) -> Any:
        return await self._insist("GET", path, None, expect=200, query=query)

    async def text(self, path: str) -> str:
        assert self._session is not None
        async with self._session.get(self._hub.url + path, headers=self._hub.headers) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.text()

    async def pages(self, path: str, **query: str) -> AsyncIterator[Mapping[str, Any]]:
        """Yield every item of a paged list."""
        after = ""
        while True:
            page = await self.get(path, limit="500", **({"after": after} if after else {}), **query)
            for item in page["items"]:
                yield item
            after = page.get("next") or ""
            if not after:
                return

    async def _insist(
        self,
        method: str,
        path: str,
        body: bytes | None,
        *,
        expect: int,
        query: Mapping[str, str] | None = None,
    ) -> Any:
        assert self._session is not None
        deadline = time.monotonic() + self._patience
        headers = {**self._hub.headers, "Content-Type": "application/json"}
        problem = ""
        while time.monotonic() < deadline:
            try:
                async with self._session.request(
                    method, self._hub.url + path, data=body, headers=headers, params=query
                ) as answer:
                    text = await answer.read()
                    if answer.status == expect:
                        return orjson.loads(text)
                    problem = f"{answer.status}: {text[:2000].decode(errors='replace')}"
                    said = f"{method} {path} was answered {problem}"
                    assert answer.status in {429, 503}, self._hub.program.story(said)
            except (aiohttp.ClientError, TimeoutError) as error:
                # The hub is down, or went down with the answer unsent: it may have stored the events or not.
                self._hub.program.insist()
                self.unanswered += 1
                problem = repr(error)
            await asyncio.sleep(_PAUSE)
        raise AssertionError(f"{method} {path} got no {expect} within {self._patience:g} s; last: {problem}")
