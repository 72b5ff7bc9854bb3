"""A step whose amount is in another currency than the account's: how it is rounded, and what is written beside it."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from hub.clock import iso
from hub.engine.account_rows import AccountRow
from hub.engine.currencies import digits_of
from hub.engine.program_steps import Do
from hub.engine.quotes import Quote
from hub.engine.scene import Env
from hub.engine.steps import StepFailed, resolve
from hub.intents.converted import Converted


def digits_in(account: AccountRow) -> int:
    """Return the digits the account's currency is booked with. Raises StepFailed where nobody knows."""
    digits = digits_of(account)
    if digits is None:
        raise StepFailed("account.digits is missing: nobody knows how the account's money is rounded")
    return digits


def conversion(do: Do, env: Env, fixed: Mapping[str, Any], quote: Quote) -> Converted:
    """Return what a step's amount was before it was converted, and by which rate that was done."""
    amount = fixed["amount"] if "amount" in fixed else resolve(do.params["amount"], env, "amount")
    return Converted(format(Decimal(amount), "f"), quote.source, quote.rate, iso(quote.at))
