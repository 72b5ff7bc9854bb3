"""OnOrderProfit frames of mt5rest, read as equity samples and checked for sense before anybody acts on them."""

from decimal import Decimal

from hub.ingest.feed import ZERO
from hub.ingest.fields import Fields
from hub.ingest.samples import Sample

CENT = Decimal("0.01")


def read_sample(data: Fields, *, server: str, login: int, at: int) -> Sample:
    """Return the sample; it is degraded when its figures contradict each other, as while a terminal is still loading.

    Equity must be balance + credit + floating, give or take a cent for each position. Equity 0 beside a balance, and
    margin 0 beside positions, are known lies of the gateway.
    """
    balance, credit = data.decimal("balance", ZERO), data.decimal("credit", ZERO)
    equity, floating = data.decimal("equity"), data.decimal("profit", ZERO)
    margin = data.decimal("margin", ZERO)
    level = data.decimal("marginlevel", ZERO)
    orders = data.value("orders")
    positions = len(orders) if isinstance(orders, list) else 0
    is_glitch = equity == 0 and balance != 0
    adds_up = abs(balance + credit + floating - equity) <= CENT * (positions + 1)
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
        degraded=is_glitch or not adds_up or (positions > 0 and margin == 0),
    )


def lacks_margin(sample: Sample, data: Fields) -> bool:
    """Tell whether a second opinion is needed: margin 0 although positions are open."""
    return sample.margin == 0 and sample.equity != 0 and bool(data.value("orders"))
