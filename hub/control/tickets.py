"""Stream tickets: browsers' streams send no headers, so they bring a ticket in their address, which opens one stream once."""

import secrets
from datetime import timedelta
from hashlib import sha256
from typing import Final, NamedTuple, Protocol, final

from hub.clock import MICROSECOND, Clock
from hub.errors import HubError

PREFIX: Final = "hubs_"
VALID_FOR: Final = timedelta(seconds=60)
MOST_OF_A_HOLDER: Final = 1_000
_LENGTH: Final = len(PREFIX) + 64


class Ticket(NamedTuple):
    """`holder` is the id of the key or the token it was given to, and means nothing once that is revoked."""

    hash: bytes
    holder: str
    expires_at: int


class TicketStore(Protocol):
    async def add(self, ticket: Ticket, *, now_us: int, most: int) -> bool:
        """Store a ticket unless its holder has `most`; those that have expired go meanwhile. Return whether it did."""

    async def take(self, digest: bytes) -> Ticket | None:
        """Remove a ticket and return it: whoever asks again, at the same moment too, gets None."""


class TooManyTickets(HubError):
    pass


@final
class Tickets:
    def __init__(self, store: TicketStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def issue(self, holder: str) -> str:
        """Return a ticket. Raises TooManyTickets."""
        secret = PREFIX + secrets.token_hex(32)
        now = self._clock.now_us()
        ticket = Ticket(sha256(secret.encode()).digest(), holder, now + VALID_FOR // MICROSECOND)
        if not await self._store.add(ticket, now_us=now, most=MOST_OF_A_HOLDER):
            raise TooManyTickets(f"{MOST_OF_A_HOLDER} tickets wait to be used: use them, or wait a minute")
        return secret

    async def use(self, secret: str) -> str | None:
        """Return who holds a ticket, which is used up then; None for what is none, or none any more."""
        if not secret.startswith(PREFIX) or len(secret) != _LENGTH or not secret.isascii():
            return None
        ticket = await self._store.take(sha256(secret.encode()).digest())
        return ticket.holder if ticket is not None and ticket.expires_at > self._clock.now_us() else None
