"""A webhook's request to aiohttp: the headers are taken as given, head and body leave in one write and without a task.

aiohttp's own request starts a task for every body (before Python 3.12 it cannot start one eagerly), and works out
headers that ours never leave open. Both cost more than the signature. Parsing, limits and deadlines stay aiohttp's.
"""

import asyncio
from typing import Any, final

import aiohttp
from aiohttp import hdrs
from aiohttp.connector import Connection
from aiohttp.http_writer import StreamWriter
from aiohttp.typedefs import LooseHeaders
from multidict import CIMultiDict
from typing_extensions import override

# A longer body is written piece by piece, as fast as the receiver takes it.
AT_ONCE = 64 * 1024


@final
class WebhookRequest(aiohttp.ClientRequest):
    """Only for POST, bytes, and headers that leave nothing to add but the host and the length."""

    _content = b""

    @override
    def update_headers(self, headers: LooseHeaders | None) -> None:
        assert isinstance(headers, CIMultiDict), "the session makes one of its own for every request"
        host = self.url.host_port_subcomponent
        assert host is not None, "the session refuses a URL without a host"
        headers[hdrs.HOST] = host
        self.headers = headers

    @override
    def update_auto_headers(self, skip_auto_headers: object) -> None:
        """Add nothing."""

    @override
    def update_body_from_data(self, body: Any, _stacklevel: int = 3) -> None:
        assert isinstance(body, bytes), "only bytes are delivered"
        self._content = body
        # What aiohttp writes when `send` leaves that to it.
        self._body = aiohttp.BytesPayload(body)
        self.headers[hdrs.CONTENT_LENGTH] = str(len(body))

    @override
    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        protocol = conn.protocol
        assert protocol is not None
        if len(self._content) > AT_ONCE or protocol.writing_paused:
            return await super().send(conn)
        # Everybody who is ready gets ready to write first: writes that follow one another cost half as much, because
        # the first wakes the receiver and the others find it awake.
        await asyncio.sleep(0)  # noqa: TID251 - no wait: a turn for the others
        if not protocol.is_connected():
            # Closed by the receiver during that turn. Nothing was written, so another connection may be tried.
            raise aiohttp.ServerDisconnectedError
        writer = StreamWriter(protocol, self.loop)
        await writer.write_headers(f"POST {self.url.raw_path_qs} HTTP/1.1", self.headers)
        await writer.write_eof(self._content)
        protocol.start_timeout()
        return aiohttp.ClientResponse(
            self.method,
            self.original_url,
            writer=None,
            continue100=None,
            timer=self._timer,
            request_info=self.request_info,
            traces=[],
            loop=self.loop,
            session=self.session,
            stream_writer=writer,
        )
