"""The demo's mail receiver: a real SMTP server that keeps what it gets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP


@dataclass  # without slots: the server looks at all of its attributes, and before Python 3.11.3 that raises
class Mailbox:
    """`mails` maps a Message-ID to its subject; `copies` counts what came, repeats included."""

    mails: dict[str, str] = field(default_factory=dict)
    copies: int = 0

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 (the library's name)
        message = message_from_bytes(envelope.content, policy=default)
        self.copies += 1
        self.mails[str(message["Message-ID"])] = str(message["Subject"])
        return "250 OK"


@asynccontextmanager
async def mail_server(mailbox: Mailbox) -> AsyncIterator[int]:
    """Serve on loopback and yield the port."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(mailbox, hostname="localhost", loop=loop), "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await server.wait_closed()
