"""One account's session with mt5rest: calls whose errors come with status 200, and the streams beside them.

The password and the session's token travel in query strings, so no address ever reaches a log line or an error.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiohttp
from yarl import URL

from hub.errors import SourceError, SourceRefused, SourceUnavailable
from hub.ingest.fields import Fields, decode
from hub.ingest.settings import Mt5RestSettings, TraderAccount

TRANSIENT = ("not connected", "timeout", "timed out", "connect error", "no connection", "too many")


class SessionLost(SourceUnavailable):
    """The gateway no longer knows the token: sign in again."""


@dataclass(frozen=True, slots=True)
class Wires:
    """Calls and streams, apart: streams hold their connections, and must not take those of the calls."""

    calls: aiohttp.ClientSession
    streams: aiohttp.ClientSession


class Mt5RestSession:
    def __init__(self, wires: Wires, settings: Mt5RestSettings, token: str) -> None:
        self._wires = wires
        self._settings = settings
        self._token = token

    @classmethod
    async def connect(
        cls, wires: Wires, settings: Mt5RestSettings, account: TraderAccount
    ) -> "Mt5RestSession":
        query = {
            "user": str(account.login),
            "password": account.password.get_secret_value(),
            "host": settings.mt_host,
            "port": str(settings.mt_port),
        }
        answer = await _get(wires.calls, settings, "Connect", query)
        token = answer.strip().strip('"') if isinstance(answer, str) else ""
        if not token or len(token) > 256 or not token.isprintable():
            raise SourceUnavailable("Connect: the answer was no session token")
        return cls(wires, settings, token)

    async def call(self, name: str, **query: str) -> Any:
        """Return the decoded answer. Raises SessionLost, SourceRefused, SourceUnavailable or RecordMalformed."""
        return await _get(self._wires.calls, self._settings, name, {"id": self._token, **query})

    @asynccontextmanager
    async def stream(self, name: str) -> AsyncIterator[AsyncIterator[Fields]]:
        """Open a stream and yield an iterator over the `data` of its frames; it raises when the stream ends."""
        url = URL(f"{self._settings.url}/{name}").with_query({"id": self._token})
        try:
            async with asyncio.timeout(self._settings.answer_within.total_seconds()):
                socket = await self._wires.streams.ws_connect(
                    url,
                    max_msg_size=self._settings.largest_frame,
                    heartbeat=self._settings.stale_after.total_seconds(),
                    timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
                )
        except (OSError, TimeoutError, aiohttp.ClientError) as error:
            raise SourceUnavailable(f"{name} cannot be opened ({type(error).__name__})") from None
        try:
            yield _frames(socket, name)
        finally:
            await socket.close()


async def _frames(socket: aiohttp.ClientWebSocketResponse, name: str) -> AsyncIterator[Fields]:
    try:
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                break
            frame = decode(message.data, f"{name} frame")
            raise_if_error(name, frame)
            data = Fields(frame, f"{name} frame").child("data")
            if data is not None:
                yield data
    except (OSError, aiohttp.ClientError) as error:
        raise SourceUnavailable(f"{name}: the connection was lost ({type(error).__name__})") from None
    raise SourceUnavailable(f"{name}: the gateway closed the stream ({socket.close_code})")


async def _get(
    http: aiohttp.ClientSession, settings: Mt5RestSettings, name: str, query: Mapping[str, str]
) -> Any:
    url = URL(f"{settings.url}/{name}").with_query(query)
    try:
        async with (
            asyncio.timeout(settings.answer_within.total_seconds()),
            http.get(url, allow_redirects=False) as response,
        ):
            body = await _bounded(response, settings.largest_frame, name)
            status, kind = response.status, response.content_type
    except (OSError, TimeoutError, aiohttp.ClientError) as error:
        raise SourceUnavailable(f"{name}: no answer ({type(error).__name__})") from None
    if status >= 500 or status == 429:
        raise SourceUnavailable(f"{name}: status {status}")
    if status >= 300:
        raise SourceRefused(f"{name}: status {status}")
    return read_answer(name, body, is_json="json" in kind)


def read_answer(name: str, body: bytes, *, is_json: bool) -> Any:
    """Return what a body says: JSON where it is, else its text. An error object raises, whatever the status was."""
    text = body.decode("utf-8", "replace").strip()
    if not is_json and text[:1] not in {"{", "[", '"'}:
        return text
    answer = decode(body, name)
    raise_if_error(name, answer)
    return answer


def raise_if_error(name: str, answer: object) -> None:
    """Raise for ``{message, code, stackTrace}``, also inside ``{error: …}``, which come with a status of success."""
    error = error_in(name, answer)
    if error is not None:
        raise error


def error_in(name: str, answer: object) -> SourceError | None:
    if not isinstance(answer, Mapping):
        return None
    fields = Fields(answer, name)
    wrapped = fields.value("error")
    if isinstance(wrapped, Mapping):
        fields = Fields(wrapped, name)
    message = fields.value("message")
    if not isinstance(message, str) or not (fields.has("code") or fields.has("stacktrace")):
        return None
    said = message.lower()
    code = str(fields.value("code") or "")[:64]
    if code.upper() == "INVALID_TOKEN" or ("client with id" in said and "not found" in said):
        return SessionLost(f"{name}: the gateway does not know the session any more")
    if any(sign in said for sign in TRANSIENT):
        return SourceUnavailable(f"{name}: {code or 'not connected'}")
    return SourceRefused(f"{name}: {message[:200]} ({code})")


async def _bounded(response: aiohttp.ClientResponse, most: int, name: str) -> bytes:
    body = bytearray()
    async for part in response.content.iter_chunked(65_536):
        body += part
        if len(body) > most:
            raise SourceUnavailable(f"{name}: the answer is larger than {most} bytes")
    return bytes(body)


def milliseconds(duration: timedelta) -> str:
    return str(max(duration // timedelta(milliseconds=1), 1))
