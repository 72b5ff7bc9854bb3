"""How an MT4 account stands, from the trades and orders it has open."""

from decimal import Decimal

import msgspec
import pytest

from hub.dispatch.channels.mt_remote_standing import standing
from hub.errors import ManagerUnavailable

ROWS = b"""[
  {"cmd": "buy", "volume": 0.50, "profit": -12.5, "storage": -1, "commission": -2, "taxes": 0, "order": 1},
  {"cmd": "sell", "volume": 0.25, "profit": 4},
  {"cmd": "buy_limit", "volume": 9, "profit": 0}
]"""


def test_positions_count_and_orders_do_not():
    found = standing(msgspec.Raw(ROWS), balance=Decimal(100), credit=Decimal(10), group="std")

    assert found == {
        "group": "std",
        "balance": Decimal(100),
        "credit": Decimal(10),
        "floating": Decimal("-11.5"),
        "equity": Decimal("98.5"),
        "open_positions": 2,
        "open_lots": Decimal("0.75"),
    }


def test_trades_that_cannot_be_read_are_no_answer():
    with pytest.raises(ManagerUnavailable):
        standing(msgspec.Raw(b"{}"), balance=Decimal(0), credit=Decimal(0))
