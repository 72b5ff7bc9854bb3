"""OnOrderProfit frames of mt5rest, read as equity samples and checked for sense before anybody acts on them."""

from collections.abc import Iterator
from decimal import Decimal

from hub.errors import RecordMalformed
from hub.ingest.feed import ZERO
from hub.ingest.fields import Fields
from hub.ingest.samples import PositionSample, Sample

CENT = Decimal("0.01")


def read_sample(data: Fields, *, server: str, login: int, at: int, positions: bool = False) -> Sample:
    """Return the sample, with its `positions` if they are wanted; it is degraded when its figures contradict each other, as while a terminal is still loading.

    Equity must be balance + credit + floating, give or take a cent for each position. Equity 0 beside a balance, and
    margin 0 beside positions, are known lies of the gateway.
    """
    balance, credit = data.decimal("balance", ZERO), data.decimal("credit", ZERO)
    equity, floating = data.decimal("equity"), data.decimal("profit", ZERO)
    margin = data.decimal("margin", ZERO)
    level = data.decimal("marginlevel", ZERO)
    orders = data.value("orders")
    count = len(orders) if isinstance(orders, list) else 0
    is_glitch = equity == 0 and balance != 0
    adds_up = abs(balance + credit + floating - equity) <= CENT * (count + 1)
    return Sample(
        server=server,
        login=login,
        equity=equity,
        balance=balance,
        credit=credit,
        margin=margin,
        free_margin=data.decimal("freemargin", ZERO),
        margin_level=level if margin else None,
        floating=floating,
        at=at,
        degraded=is_glitch or not adds_up or (count > 0 and margin == 0),
        positions=tuple(_positions(orders)) if positions else (),
    )


def _positions(orders: object) -> Iterator[PositionSample]:
    """Yield the rows that can be read: a price is not among what this frame is known to tell."""
    for raw in orders if isinstance(orders, list) else ():
        try:
            row = Fields(raw, "order")
            price = row.decimal("closeprice", ZERO)
            yield PositionSample(row.integer("ticket"), row.decimal("profit"), price or None)
        except RecordMalformed:
            continue  # the next frame tells as much


def lacks_margin(sample: Sample, data: Fields) -> bool:
    """Tell whether a second opinion is needed: margin 0 although positions are open."""
    return sample.margin == 0 and sample.equity != 0 and bool(data.value("orders"))
