"""Money in and out of an account: these arrive from the platforms as trades or deals, and are never trades here."""

from typing import Annotated, Literal

from pydantic import Field

from hub.events.base import Currency, Data, Flag, Moment, Money, Name, Number, Price, Text

Positive = Annotated[Money, Field(gt=0)]


class BalanceMoved(Data):
    """`amount` is positive; the type says the direction. `amount_base` is in the hub's base currency, at `rate`."""

    ticket: Number | None = None
    amount: Positive
    amount_base: Money | None = None
    is_first: Flag | None = None
    method: Text | None = None
    comment: Text | None = None
    rate: Price | None = None
    rate_at: Moment | None = None


class BalanceAdjusted(Data):
    """`amount` is signed."""

    ticket: Number | None = None
    kind: Literal[
        "charge", "correction", "commission", "interest", "dividend", "tax", "agent", "so_compensation"
    ]
    amount: Money
    comment: Text | None = None


class CreditMoved(Data):
    ticket: Number | None = None
    amount: Positive
    comment: Text | None = None
    expires_at: Moment | None = None


class PaymentMoved(Data):
    """A deposit or withdrawal as the payment side tells it, before and after the platform books it."""

    request: Name
    amount: Positive
    currency: Currency | None = None
    amount_base: Money | None = None
    method: Text | None = None
    requested_by: Text | None = None
    reason: Text | None = None
    rate: Price | None = None
    rate_at: Moment | None = None
