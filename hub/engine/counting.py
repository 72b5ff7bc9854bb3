"""What every aggregate can be asked."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from hub.engine.series import Part
from hub.engine.windows import Change, Holding, Worth

Contribution = Decimal | str | bool | datetime | timedelta


class Counting(Protocol):
    """The arithmetic of one aggregate: pure, made once and shared by all keys.

    Its answers depend on the facts alone, not on the order they arrive in: contributions count by event time.
    """

    def taken(self, value: object) -> Contribution | None:
        """Return what an event contributes whose value is no decimal already; None for nothing."""

    def value(self, holding: Holding, now: int) -> Worth:
        """Return what the aggregate is worth at a moment."""

    # Each takes what its own `taken` returns, or a decimal; which one that is, no type can say.
    def add(self, holding: Holding, at: int, ref: str, value: Any, now: int) -> Change | None:
        """Return the change a contribution makes; None when nobody can see it any more."""

    def withdraw(self, holding: Holding, at: int, ref: str, now: int) -> Change:
        """Return the change of taking a contribution back, before or after it was told."""

    def leave(self, holding: Holding, gone: Sequence[Part], now: int) -> Change:
        """Return the change of letting contributions go for good."""

    def expire(self, holding: Holding, now: int) -> Change:
        """Return the change the passing of time alone makes."""
