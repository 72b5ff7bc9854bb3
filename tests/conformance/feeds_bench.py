"""What streams need, over a log in memory or any store's; and a reader of streams that can be cut anywhere."""

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, final

import aiohttp
from typing_extensions import override

from hub.api.feeds import Feeds
from hub.bus.feed import FeedLog, Stretch, TooOld, bad_place
from hub.bus.log import Input, InputKind
from hub.bus.tail import Tail
from hub.clock import Clock
from hub.commands.sse import Event, Reader
from hub.control.keys import Keys
from hub.control.tickets import Ticket, Tickets, TicketStore
from hub.control.tokens import Token, Tokens, TokenStore
from hub.engine.memory import MemoryLog
from hub.engine.past import History, Told
from hub.ingest.board import Board
from hub.ingest.directory import Directory
from hub.position_book import PositionBook
from hub.position_past import PositionPast


@final
class MemoryFeed(FeedLog):
    """`kept` is the first rank that outlived nothing."""

    axes = 1

    def __init__(self, log: MemoryLog) -> None:
        self.log = log
        self.kept = 1
        self.reads = 0

    @override
    def axis(self, row: Input) -> int:
        return 0

    @override
    def number(self, row: Input) -> int:
        return row.rank

    @override
    def axes_of(self, accounts: Collection[str] | None) -> Sequence[int]:
        return (0,)

    @override
    async def end(self) -> list[int]:
        return [len(self.log)]

    @override
    async def at(self, moment: int) -> list[int]:
        return [sum(row.at < moment for row in self.log.ranked(0, len(self.log)))]

    @override
    async def translated(self, rank: int) -> list[int]:
        raise bad_place()

    @override
    async def after(
        self, place: Sequence[int], axes: Sequence[int], accounts: Collection[str] | None, limit: int
    ) -> Stretch:
        self.reads += 1
        if place[0] + 1 < self.kept:
            raise TooOld
        rows = self.log.ranked(place[0], limit)
        found = [
            row for row in rows if row.kind == InputKind.EVENT and (accounts is None or row.key in accounts)
        ]
        reached = place[0] + len(rows)
        return Stretch(found, [reached], reached >= len(self.log))


@final
class MemoryHistory(History):
    def __init__(self, log: MemoryLog) -> None:
        self.log = log

    @override
    async def told(self, key: str, *, until: int, last: Input | None, most: int) -> Told:
        rows = [row for row in self.log.ranked(0, len(self.log)) if row.key == key and row.at <= until]
        rows = [row for row in rows if last is None or row.n <= last.n]
        return Told(rows[-most:], complete=len(rows) <= most)


@final
class MemoryTokens(TokenStore):
    def __init__(self) -> None:
        self.tokens: dict[str, Token] = {}

    @override
    async def add(self, token: Token, *, most: int) -> bool:
        valid = [
            each
            for each in self.tokens.values()
            if each.client == token.client and each.expires_at > token.created_at
        ]
        if len(valid) >= most:
            return False
        self.tokens[token.id] = token
        return True

    @override
    async def find(self, digest: bytes) -> Token | None:
        return next((each for each in self.tokens.values() if each.hash == digest), None)

    @override
    async def get(self, token_id: str) -> Token | None:
        return self.tokens.get(token_id)

    @override
    async def of(self, client: str, *, after: str, limit: int) -> Sequence[Token]:
        found = [self.tokens[name] for name in sorted(self.tokens) if name > after]
        return [token for token in found if client in {"", token.client}][:limit]

    @override
    async def remove(self, token_id: str) -> bool:
        return self.tokens.pop(token_id, None) is not None

    @override
    async def remove_of(self, client: str) -> int:
        gone = [name for name, token in self.tokens.items() if token.client == client]
        return sum([await self.remove(name) for name in gone])

    @override
    async def remove_expired(self, now_us: int) -> int:
        gone = [name for name, token in self.tokens.items() if token.expires_at <= now_us]
        return sum([await self.remove(name) for name in gone])


@final
class MemoryTickets(TicketStore):
    def __init__(self) -> None:
        self.tickets: dict[bytes, Ticket] = {}

    @override
    async def add(self, ticket: Ticket, *, now_us: int, most: int) -> bool:
        self.tickets = {name: each for name, each in self.tickets.items() if each.expires_at > now_us}
        if sum(each.holder == ticket.holder for each in self.tickets.values()) >= most:
            return False
        self.tickets[ticket.hash] = ticket
        return True

    @override
    async def take(self, digest: bytes) -> Ticket | None:
        return self.tickets.pop(digest, None)


def feeds_over(
    log: FeedLog,
    clock: Clock,
    keys: Keys,
    directory: Directory,
    past: PositionPast,
    *,
    tokens: TokenStore | None = None,
    tickets: TicketStore | None = None,
    polls: bool = False,
    **limits: Any,
) -> Feeds:
    async def accounts_of(client: str) -> frozenset[str]:
        kept = await directory.get(client)
        return frozenset(account.key for account in kept.client.accounts) if kept is not None else frozenset()

    tail, board = Tail(log, clock, polls=polls), Board(clock)
    return Feeds(
        clock=clock,
        keys=keys,
        tail=tail,
        board=board,
        positions=PositionBook(past, tail, board.positions, clock),
        tokens=Tokens(tokens or MemoryTokens(), clock, accounts_of),
        tickets=Tickets(tickets or MemoryTickets(), clock),
        **limits,
    )


@dataclass
class Heard:
    """A stream being read: its events so far, and the place to resume at."""

    response: aiohttp.ClientResponse
    reader: Reader
    events: list[Event] = field(default_factory=list)
    raw: bytes = b""
    ended: bool = False

    async def more(self) -> None:
        chunk = await asyncio.wait_for(self.response.content.readany(), 10)
        self.ended = not chunk
        self.raw += chunk
        self.events += self.reader.feed(chunk)

    async def until(self, count: int) -> list[Event]:
        """Read until there are so many events."""
        while len(self.events) < count:
            await self.more()
            assert not self.ended or len(self.events) >= count, self.raw[-2000:]
        return self.events

    async def until_end(self) -> str:
        """Return the last comment."""
        while not self.ended:
            await self.more()
        return [line for line in self.raw.decode().splitlines() if line.startswith(": ")][-1][2:]

    @property
    def ids(self) -> list[str]:
        return [json.loads(event.data)["id"] for event in self.events]


@asynccontextmanager
async def listening(
    session: aiohttp.ClientSession,
    url: str,
    headers: Mapping[str, str],
    *,
    place: str = "",
    **query: str,
) -> AsyncIterator[Heard]:
    more = {"Last-Event-ID": place} if place else {}
    params = {name.rstrip("_"): value for name, value in query.items()}
    async with session.get(
        url, params=params, headers={**headers, **more}, timeout=aiohttp.ClientTimeout(total=30)
    ) as response:
        assert response.status == 200, await response.text()
        heard = Heard(response, Reader(place))
        while b"retry:" not in heard.raw:
            await heard.more()
        yield heard
