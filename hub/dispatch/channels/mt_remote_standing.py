"""How an MT4 account stands, from its open trades and orders: this gateway tells positions, and no equity or margin."""

from decimal import Decimal
from typing import Any, Final

import msgspec

from hub.dispatch.effects.backend import Fields
from hub.errors import ManagerUnavailable

_MARKET: Final = frozenset({"buy", "sell"})
_ZERO: Final = Decimal(0)


class _Trade(msgspec.Struct, frozen=True):
    cmd: str
    volume: Decimal
    profit: Decimal = _ZERO
    storage: Decimal = _ZERO
    commission: Decimal = _ZERO
    taxes: Decimal = _ZERO


_decode = msgspec.json.Decoder(list[_Trade]).decode


def standing(trades: msgspec.Raw, *, balance: Decimal, credit: Decimal, **known: Any) -> Fields:
    """Return an account's fields as expressions name them. Raises ManagerUnavailable for trades that cannot be read."""
    try:
        found = _decode(trades)
    except msgspec.DecodeError as problem:
        raise ManagerUnavailable(f"the open trades could not be read: {problem}") from problem
    opened = [trade for trade in found if trade.cmd in _MARKET]
    floating = sum((each.profit + each.storage + each.commission + each.taxes for each in opened), _ZERO)
    return {
        **known,
        "balance": balance,
        "credit": credit,
        "floating": floating,
        "equity": balance + credit + floating,
        "open_positions": len(opened),
        "open_lots": sum((trade.volume for trade in opened), _ZERO),
    }
