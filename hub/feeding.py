"""Builds what live streams need, the same in both shapes: they differ in who tells what is committed and sampled."""

import re
from collections.abc import Sequence
from datetime import timedelta

from hub.api.feeds import Feeds
from hub.bus.feed import FeedLog
from hub.bus.log import Input, InputKind
from hub.bus.tail import Tail
from hub.clock import Clock
from hub.config import Settings
from hub.control.keys import Keys
from hub.control.tickets import Tickets, TicketStore
from hub.control.tokens import Tokens, TokenStore
from hub.ingest.board import Board
from hub.ingest.directory import Directory
from hub.position_book import PositionBook
from hub.position_past import PositionPast
from hub.stages import Service

_OFTEN, _SELDOM = timedelta(seconds=5), timedelta(seconds=60)
# The type stands near the front of every stored event.
_OF_A_CLIENT = re.compile(rb'"type":"client\.')


def make_feeds(
    settings: Settings,
    clock: Clock,
    *,
    keys: Keys,
    directory: Directory,
    log: FeedLog,
    past: PositionPast,
    board: Board,
    tokens: TokenStore,
    tickets: TicketStore,
    polls: bool = False,
) -> Feeds:
    """Return them. `polls`: nobody in this process hears what is committed; else call `tell_of_clients` with it."""

    async def accounts_of(client: str) -> frozenset[str]:
        kept = await directory.get(client)
        return frozenset(account.key for account in kept.client.accounts) if kept is not None else frozenset()

    tail = Tail(log, clock, polls=polls)
    return Feeds(
        clock=clock,
        keys=keys,
        tail=tail,
        board=board,
        positions=PositionBook(past, tail, board.positions, clock),
        tokens=Tokens(tokens, clock, accounts_of, remembered_for=_OFTEN if polls else _SELDOM),
        tickets=Tickets(tickets, clock),
        most=settings.api.streams,
        most_of_a_key=settings.api.streams_per_key,
        origins=frozenset(settings.api.cors_origins),
    )


def tell_of_clients(feeds: Feeds, rows: Sequence[Input]) -> None:
    """Tell the tokens that clients changed, and with them perhaps their accounts."""
    for row in rows:
        if row.kind == InputKind.EVENT and _OF_A_CLIENT.search(row.body, 0, 80):
            feeds.tokens.links_changed()
            return


def services(feeds: Feeds) -> tuple[Service, ...]:
    """Return what has to run for streams to go on."""
    return feeds.tail, feeds.board, feeds.positions, feeds.tokens
