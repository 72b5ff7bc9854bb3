"""A session with an MT Remote gateway: calls and their answers over one WebSocket, for the hub's own writes.

A call that was sent and not answered is OutcomeUnknown, and its session is closed so that nothing more can come of
it; a call that could not be sent is ManagerUnavailable; an ERROR answer is ManagerRefused. Nothing is sent twice here
but reads.
"""

import asyncio
import itertools
from datetime import timedelta
from typing import Any, Literal, final

import aiohttp
import msgspec
import structlog
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from hub.clock import MICROSECOND, Clock
from hub.errors import ManagerError, ManagerRefused, ManagerUnavailable, OutcomeUnknown

LARGEST_FRAME = 4 * 1024 * 1024
MOST_PENDING = 256
READ_ATTEMPTS = 3
LONGEST_PAUSE = timedelta(seconds=30)
HEARTBEAT_SECONDS = 20.0
_LONGEST_MESSAGE = 200

log = structlog.get_logger(__name__)


class MtRemoteSettings(BaseModel):
    """`zone` is the server clock's: an IANA name, or an offset such as +03:00."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    server: str = Field(min_length=1, max_length=64)
    url: str = Field(pattern=r"^wss?://", max_length=2048)
    login: int = Field(gt=0)
    password: SecretStr
    mt_server: str = ""
    auth: Literal["connect_call", "headers"] = "connect_call"
    zone: str = "Etc/UTC"
    call_timeout_s: float = Field(default=10.0, gt=0, le=120)
    simulated: bool = False


class _Frame(msgspec.Struct, frozen=True):
    id: msgspec.Raw = msgspec.Raw(b"")
    status: str = ""
    result: msgspec.Raw = msgspec.Raw(b"null")
    message: str = ""
    event: str = ""


class _Call(msgspec.Struct, frozen=True):
    id: int
    name: str
    data: Any


_decode = msgspec.json.Decoder(_Frame).decode
# Amounts travel as JSON numbers with exactly the digits they have; binary floats never come near them.
_encode = msgspec.json.Encoder(decimal_format="number").encode


class _Rejected(Exception):
    pass


@final
class MtRemoteClient:
    """Run it beside whoever calls: `run` keeps one session open, calls use the one that is there."""

    def __init__(self, settings: MtRemoteSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._ids = itertools.count(1)
        self._pending: dict[bytes, asyncio.Future[msgspec.Raw]] = {}
        self._ready = asyncio.Event()
        self.connects = 0

    async def run(self, stopping: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(self._serve())
            await stopping.wait()
            serving.cancel()

    async def read(self, name: str, data: object) -> msgspec.Raw:
        """Call a function that changes nothing, trying again while the session is away."""
        retrying = AsyncRetrying(
            stop=stop_after_attempt(READ_ATTEMPTS),
            wait=wait_exponential(multiplier=0.1, max=2),
            retry=retry_if_exception_type((ManagerUnavailable, OutcomeUnknown)),
            sleep=self._pause,
            reraise=True,
        )
        async for attempt in retrying:
            with attempt:
                return await self.call(name, data)
        raise ManagerUnavailable(f"{self._settings.server}: {name} was not answered")

    async def call(self, name: str, data: object) -> msgspec.Raw:
        """Send once and return the result. Raises ManagerUnavailable, ManagerRefused or OutcomeUnknown."""
        await self._wait_until_ready(name)
        return await self._exchange(name, data)

    # --- one session

    async def _serve(self) -> None:
        failures = 0
        async with aiohttp.ClientSession(
            trust_env=False, cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=None)
        ) as http:
            while True:
                was_ready = self.connects
                try:
                    await self._session(http)
                except (aiohttp.ClientError, OSError) as problem:
                    log.warning(
                        "manager.session_ended", server=self._settings.server, reason=str(problem)[:200]
                    )
                failures = 0 if self.connects > was_ready else failures + 1
                pause = timedelta(milliseconds=100) * (1 << min(failures, 9))
                await self._clock.sleep(min(pause, LONGEST_PAUSE))

    async def _session(self, http: aiohttp.ClientSession) -> None:
        settings = self._settings
        headers = {}
        if settings.auth == "headers":
            headers = {
                "MT-SERVER": settings.mt_server,
                "MT-LOGIN": str(settings.login),
                "MT-PASSWORD": settings.password.get_secret_value(),
                "VERSION": "1.00",
            }
        async with asyncio.timeout(settings.call_timeout_s):
            socket = await http.ws_connect(
                settings.url,
                headers=headers,
                max_msg_size=LARGEST_FRAME,
                heartbeat=HEARTBEAT_SECONDS,
                compress=0,
            )
        try:
            async with asyncio.TaskGroup() as group:
                self._socket = socket
                reader = group.create_task(self._receive(socket))
                try:
                    await self._sign_in()
                except ManagerError as problem:
                    log.warning("manager.sign_in_failed", server=settings.server, reason=str(problem)[:200])
                    reader.cancel()
                    return
                self.connects += 1
                self._ready.set()
        finally:
            self._ready.clear()
            self._socket = None
            self._lose_pending()
            await socket.close()

    async def _sign_in(self) -> None:
        settings = self._settings
        if settings.auth == "connect_call":
            data = {
                "server": settings.mt_server,
                "login": settings.login,
                "password": settings.password.get_secret_value(),
                "reconnect_delay": 0,  # a session that lost its server ends: what was pending is then known to be lost
            }
            await self._exchange("connect", data)

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Hand answers to their callers until the socket ends; then every call still waiting is lost."""
        try:
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    break
                try:
                    frame = _decode(message.data)
                except (msgspec.DecodeError, RecursionError):
                    log.warning("manager.frame_unreadable", server=self._settings.server)
                    break
                if not frame.event:
                    self._answer(frame)
        finally:
            self._ready.clear()
            self._lose_pending()

    def _answer(self, frame: _Frame) -> None:
        waiter = self._pending.pop(bytes(frame.id), None)
        if waiter is None or waiter.done():
            return
        if frame.status == "OK":
            waiter.set_result(frame.result)
        elif frame.status == "ERROR":
            waiter.set_exception(_Rejected(" ".join(frame.message.split())[:_LONGEST_MESSAGE]))
        else:
            waiter.set_exception(OutcomeUnknown(f"answered with the status {frame.status[:40]!r}"))

    def _lose_pending(self) -> None:
        pending, self._pending = self._pending, {}
        for waiter in pending.values():
            if not waiter.done():
                waiter.set_exception(OutcomeUnknown("the connection was lost before the answer came"))

    # --- one call

    async def _wait_until_ready(self, name: str) -> None:
        if not self._ready.is_set():
            try:
                async with asyncio.timeout(self._settings.call_timeout_s):
                    await self._ready.wait()
            except TimeoutError:
                raise ManagerUnavailable(
                    f"{self._settings.server}: no session with the gateway, {name} was not sent"
                ) from None

    async def _exchange(self, name: str, data: object) -> msgspec.Raw:
        socket = self._socket
        if socket is None or socket.closed:
            raise ManagerUnavailable(
                f"{self._settings.server}: no session with the gateway, {name} was not sent"
            )
        if len(self._pending) >= MOST_PENDING:
            raise ManagerUnavailable(
                f"{self._settings.server}: {MOST_PENDING} calls are waiting, {name} was not sent"
            )
        number = next(self._ids)
        frame = _encode(_Call(number, name, data)).decode()
        waiter: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        key = str(number).encode()
        self._pending[key] = waiter
        try:
            async with asyncio.timeout(self._settings.call_timeout_s):
                await socket.send_str(frame)
                return await waiter
        except TimeoutError:
            # Whatever this session still does must not happen after we have looked: end it.
            await self._hang_up(socket)
            raise OutcomeUnknown(
                f"{self._settings.server}: {name} was not answered within {self._settings.call_timeout_s:g} s"
            ) from None
        except _Rejected as answer:
            raise ManagerRefused(str(answer) or f"{name} was refused without a reason") from None
        except (aiohttp.ClientError, ConnectionError) as problem:
            raise OutcomeUnknown(
                f"{self._settings.server}: the connection broke while {name} was sent"
            ) from problem
        finally:
            self._pending.pop(key, None)

    async def _hang_up(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._ready.clear()
        try:
            async with asyncio.timeout(1):
                await socket.close()
        except (TimeoutError, aiohttp.ClientError, OSError):
            log.warning("manager.hang_up_failed", server=self._settings.server)

    async def _pause(self, seconds: float) -> None:
        await self._clock.sleep(int(seconds * 1e6) * MICROSECOND)
