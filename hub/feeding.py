"""Builds what live streams need, the same in both shapes: they differ in who tells what is committed and sampled."""

from hub.api.feeds import Feeds
from hub.bus.feed import FeedLog
from hub.bus.tail import Tail
from hub.clock import Clock
from hub.config import Settings
from hub.control.keys import Keys
from hub.control.tickets import Tickets, TicketStore
from hub.control.tokens import Tokens, TokenStore
from hub.ingest.board import Board
from hub.ingest.directory import Directory
from hub.stages import Service


def make_feeds(
    settings: Settings,
    clock: Clock,
    *,
    keys: Keys,
    directory: Directory,
    log: FeedLog,
    board: Board,
    tokens: TokenStore,
    tickets: TicketStore,
    polls: bool = False,
) -> Feeds:
    """Return them. `polls`: nobody in this process hears what is committed."""

    async def accounts_of(client: str) -> frozenset[str]:
        kept = await directory.get(client)
        return frozenset(account.key for account in kept.client.accounts) if kept is not None else frozenset()

    return Feeds(
        clock=clock,
        keys=keys,
        tail=Tail(log, clock, polls=polls),
        board=board,
        tokens=Tokens(tokens, clock, accounts_of),
        tickets=Tickets(tickets, clock),
        most=settings.api.streams,
        most_of_a_key=settings.api.streams_per_key,
        origins=frozenset(settings.api.cors_origins),
    )


def services(feeds: Feeds) -> tuple[Service, ...]:
    """Return what has to run for streams to go on."""
    return feeds.tail, feeds.board, feeds.tokens
