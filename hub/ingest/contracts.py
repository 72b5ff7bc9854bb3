"""What a lot of a symbol is: how much of which currency or thing, from hub.yaml, by masks, first match wins."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, final

from pydantic import BaseModel, ConfigDict, Field

from hub.events.base import Currency, Price
from hub.ingest.symbols import SymbolClasses


class Contract(BaseModel):
    """`size` is of `currency`, as a lot of EURUSD is 100,000 EUR; with `priced` of a thing that `currency` is paid for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Annotated[Price, Field(gt=0, le=Decimal(10) ** 9)]
    currency: Currency
    priced: bool = False


@final
class Contracts:
    def __init__(self, masks: Mapping[str, Contract] | None = None) -> None:
        self._contracts = dict(masks or {})
        self._masks = SymbolClasses({mask: mask for mask in self._contracts})

    def __bool__(self) -> bool:
        return bool(self._contracts)

    def of(self, symbol: str) -> Contract | None:
        mask = self._masks.of(symbol)
        return self._contracts[mask] if mask is not None else None
