"""Samples of MT4 accounts, and quotes. This gateway tells no equity: it is balance + credit + what the open trades would bring."""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal

from hub.ingest.books import Books
from hub.ingest.feed import ZERO, TradeRow
from hub.ingest.fields import Fields
from hub.ingest.samples import PositionSample, Quote, Sample


def equity_samples(
    books: Books, standing: Iterable[TradeRow], server: str, at: int, *, positions: bool = False
) -> list[Sample]:
    """Return a sample of every known account from a list of all open trades; margin is not known here.

    With its `positions`, if they are wanted.
    """
    floating: defaultdict[int, Decimal] = defaultdict(Decimal)
    held: defaultdict[int, list[PositionSample]] = defaultdict(list)
    for row in standing:
        if row.command.is_market:
            floating[row.login] += row.profit + row.swap + (row.commission or ZERO) + (row.taxes or ZERO)
            if positions:
                held[row.login].append(PositionSample(row.ticket, row.profit, row.close_price or None))
    samples: list[Sample] = []
    for login, known in books.known.items():
        balance, credit = known.account.balance, known.account.credit
        if balance is None or credit is None:
            continue
        samples.append(
            Sample(
                server=server,
                login=login,
                equity=balance + credit + floating[login],
                balance=balance,
                credit=credit,
                margin=None,
                free_margin=None,
                margin_level=None,
                floating=floating[login],
                at=at,
                positions=tuple(held.get(login, ())),
            )
        )
    return samples


def read_quote(raw: object, server: str, at: int) -> Quote:
    """Return what a tick says, as of now: its own time is in whole seconds."""
    fields = Fields(raw, "MT Remote tick")
    return Quote(server, fields.text("symbol"), fields.decimal("bid"), fields.decimal("ask"), at)
