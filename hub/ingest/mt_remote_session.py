"""One WebSocket to MT Remote, the reading side: requests, and one stream of events and answers in the order they came.

Answers stand in the same stream as events because that order is the only clock the protocol has: a list of open trades
is true between the event before it and the event after it.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import aiohttp
import msgspec

from hub.clock import Clock
from hub.errors import HubError, RecordMalformed, SourceRefused, SourceUnavailable
from hub.ingest.fields import decode
from hub.ingest.settings import MtRemoteSettings

_NOTHING: Mapping[str, object] = {}
Kind = Literal["event", "answer", "refused", "timer"]


@dataclass(frozen=True, slots=True)
class Item:
    """Something that came in: an event, the answer to what was `asked` or its refusal, or the connector's own timer."""

    kind: Kind
    name: str
    data: Any
    asked: Any = None


@dataclass(slots=True)
class _Asked:
    name: str
    asked: Any
    at: float
    waiter: asyncio.Future[Any] | None


class MtRemoteSession:
    def __init__(
        self, socket: aiohttp.ClientWebSocketResponse, settings: MtRemoteSettings, clock: Clock
    ) -> None:
        self._socket = socket
        self._settings = settings
        self._clock = clock
        self._stream: asyncio.Queue[Item | None] = asyncio.Queue()
        self._asked: dict[int, _Asked] = {}
        self._next_id = 0
        self.heard_at = clock.monotonic()
        self.lost = ""

    # --- asking

    async def call(self, name: str, data: Mapping[str, object] = _NOTHING) -> Any:
        """Ask and wait for the result. Raises SourceRefused on an ERROR, SourceUnavailable when no answer comes."""
        waiter: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        await self._send(name, data, None, waiter)
        try:
            async with asyncio.timeout(self._settings.answer_within.total_seconds()):
                return await waiter
        except TimeoutError as error:
            raise SourceUnavailable(f"{name} was not answered in time") from error

    async def ask(self, name: str, data: Mapping[str, object] = _NOTHING, asked: Any = None) -> None:
        """Ask, and find the answer in the stream, where it belongs between the events."""
        await self._send(name, data, asked, None)

    def is_asked(self, name: str) -> bool:
        return any(asked.name == name for asked in self._asked.values())

    def silence(self) -> timedelta:
        """Return for how long a request has been waiting without anything at all coming in."""
        waiting = [asked.at for asked in self._asked.values()]
        if not waiting:
            return timedelta()
        return timedelta(seconds=max(self._clock.monotonic() - max(min(waiting), self.heard_at), 0))

    def oldest_request(self) -> timedelta:
        waiting = [asked.at for asked in self._asked.values()]
        return timedelta(seconds=self._clock.monotonic() - min(waiting)) if waiting else timedelta()

    async def _send(
        self, name: str, data: Mapping[str, object], asked: Any, waiter: asyncio.Future[Any] | None
    ) -> None:
        if self.lost:
            raise SourceUnavailable(self.lost)
        self._next_id += 1
        number = self._next_id
        self._asked[number] = _Asked(name, asked, self._clock.monotonic(), waiter)
        frame = msgspec.json.encode({"id": number, "name": name, "data": data})
        try:
            async with asyncio.timeout(self._settings.answer_within.total_seconds()):
                await self._socket.send_str(frame.decode())
        except (OSError, TimeoutError, aiohttp.ClientError) as error:
            raise SourceUnavailable(f"the connection was lost ({type(error).__name__})") from error

    # --- the stream

    def wake(self) -> None:
        """Put a timer into the stream."""
        self._stream.put_nowait(Item("timer", "", None))

    async def items(self, most: int) -> list[Item]:
        """Return what came in since, at least one and at most `most`. Raises SourceUnavailable at the end."""
        batch: list[Item] = []
        item = await self._stream.get()
        while item is not None:
            batch.append(item)
            if len(batch) == most or self._stream.empty():
                return batch
            item = self._stream.get_nowait()
        self._stream.put_nowait(None)
        if batch:
            return batch
        raise SourceUnavailable(self.lost)

    async def read(self) -> None:
        """Read frames until the connection ends; `lost` says why it did."""
        try:
            async for message in self._socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    break
                self.heard_at = self._clock.monotonic()
                self._take(decode(message.data, "MT Remote frame"))
                if self._stream.qsize() > self._settings.most_waiting:
                    self.lost = f"the hub fell {self._settings.most_waiting} frames behind"
                    break
        except RecordMalformed as error:
            self.lost = str(error)
        except (OSError, aiohttp.ClientError) as error:
            self.lost = f"the connection was lost ({type(error).__name__})"
        finally:
            self._end()

    def _take(self, frame: object) -> None:
        if not isinstance(frame, dict):
            raise RecordMalformed("MT Remote frame: expected an object")
        event = frame.get("event")
        if event is not None:
            self._stream.put_nowait(Item("event", str(event), frame.get("data")))
            return
        number = frame.get("id")
        asked = self._asked.pop(number, None) if isinstance(number, int) else None
        if asked is None:
            return  # an answer nobody waits for any more
        refusal = (
            None if frame.get("status") == "OK" else str(frame.get("message") or "no reason given")[:512]
        )
        if asked.waiter is not None:
            if asked.waiter.done():
                return
            if refusal is None:
                asked.waiter.set_result(frame.get("result"))
            else:
                asked.waiter.set_exception(SourceRefused(f"{asked.name}: {refusal}"))
        elif refusal is None:
            self._stream.put_nowait(Item("answer", asked.name, frame.get("result"), asked.asked))
        else:
            self._stream.put_nowait(Item("refused", asked.name, refusal, asked.asked))

    def _end(self) -> None:
        self.lost = self.lost or f"the gateway closed the connection ({self._socket.close_code})"
        for asked in self._asked.values():
            if asked.waiter is not None and not asked.waiter.done():
                asked.waiter.set_exception(SourceUnavailable(self.lost))
        self._asked.clear()
        self._stream.put_nowait(None)


@asynccontextmanager
async def open_session(
    http: aiohttp.ClientSession, settings: MtRemoteSettings, clock: Clock
) -> AsyncIterator[MtRemoteSession]:
    """Connect and sign in. Raises SourceUnavailable, or SourceRefused when the credentials are wrong."""
    headers: dict[str, str] = {}
    if settings.auth == "headers":
        headers = {
            "MT-SERVER": settings.mt_server,
            "MT-LOGIN": str(settings.login),
            "MT-PASSWORD": settings.password.get_secret_value(),
            "VERSION": "1.00",
        }
    try:
        async with asyncio.timeout(settings.answer_within.total_seconds()):
            socket = await http.ws_connect(
                settings.url,
                headers=headers,
                max_msg_size=settings.largest_frame,
                heartbeat=settings.stale_after.total_seconds(),
                timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
            )
    except (OSError, TimeoutError, aiohttp.ClientError) as error:
        raise SourceUnavailable(f"MT Remote cannot be reached ({type(error).__name__})") from error
    session = MtRemoteSession(socket, settings, clock)
    failure: HubError | None = None
    async with asyncio.TaskGroup() as group:
        reader = group.create_task(session.read())
        try:
            await _sign_in(session, settings)
            yield session
        except HubError as error:
            failure = error  # raised below: a task group would wrap it
        finally:
            reader.cancel()
            await socket.close()
    if failure is not None:
        raise failure


async def _sign_in(session: MtRemoteSession, settings: MtRemoteSettings) -> None:
    if settings.auth == "connect_call":
        wanted = {
            "server": settings.mt_server,
            "login": settings.login,
            "password": settings.password.get_secret_value(),
            "reconnect_delay": settings.reconnect_delay // timedelta(milliseconds=1),
        }
        await session.call("connect", wanted)
