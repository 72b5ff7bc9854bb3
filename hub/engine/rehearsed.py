"""What is assumed of actions nobody sends: that they succeed, and what they then do to the account."""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

import msgspec

from hub.clock import from_us
from hub.engine.account_rows import AccountRow
from hub.engine.ballots import Ballot
from hub.engine.rows import ApprovalRow
from hub.events.account import AccountChanged
from hub.events.base import AccountRef
from hub.events.catalogue import BY_NAME
from hub.events.facts import Fact, make_fact
from hub.ids import account_key
from hub.intents.intent import Intent, State
from hub.intents.outcome import Outcome, encode_outcome
from hub.intents.verbs import VERBS

SOURCE = "assumed"  # of the events that tell of an assumed effect
People = Literal["approve", "decline"]
Params = Mapping[str, Any]
Fields = dict[str, str | int | bool]
_Effect = Callable[[AccountRow, Params], Fields]

_decode = msgspec.json.Decoder(float_hook=Decimal).decode


def outcome_of(intent: Intent, number: int) -> bytes | None:
    """Return the body of the outcome, applied under a ticket of its own; None where no run waits for one."""
    if intent.state is not State.READY or not VERBS[intent.verb].is_manager:
        return None
    return encode_outcome(
        Outcome(intent=intent.key, verb=intent.verb, state=State.APPLIED.value, ticket=number, reason=SOURCE)
    )


def ballots(question: ApprovalRow, people: People) -> list[Ballot]:
    """Return what people say to a question: all that are needed approve, or one declines."""
    count = int(_decode(question.shown).get("quorum", 1)) if people == "approve" else 1
    return [
        Ballot(
            id=f"{SOURCE}-{number}",
            approval=question.id,
            workflow=question.workflow,
            run=question.run,
            decision=people,
            by=f"{SOURCE}:{number}",
            name=f"{SOURCE} {number}",
            permission=question.permission,
            hash=question.hash,
        )
        for number in range(1, count + 1)
    ]


def amount_of(intent: Intent) -> Decimal | None:
    """Return the money an intent moves, None where it names no amount."""
    try:
        amount = Decimal(str(_decode(intent.params).get("amount")))
    except (InvalidOperation, msgspec.DecodeError, AttributeError):
        return None
    return amount if amount.is_finite() else None


def effect_of(intent: Intent, row: AccountRow) -> Fields:
    """Return the fields of the account an applied action leaves another value in; nothing where that is not declared."""
    effect = _EFFECTS.get(intent.verb)
    return effect(row, _decode(intent.params)) if effect is not None else {}


def told(intent: Intent, row: AccountRow, changed: Fields, at: int) -> Fact:
    """Return the event that tells of an effect."""
    moment: datetime = from_us(at)
    return make_fact(
        BY_NAME["account.updated"],
        "account.updated",
        AccountChanged(changed={name: {"after": value} for name, value in changed.items()}),
        timestamp=moment,
        received_us=at,
        source=SOURCE,
        account=AccountRef(server=row.server, login=row.login, group=row.group, currency=row.currency),
        dedupe_key=intent.key,
        caused_by=intent.key,
    )


def _money(*fields: str, sign: int) -> _Effect:
    def effect(row: AccountRow, params: Params) -> Fields:
        amount = Decimal(str(params["amount"])) * sign
        known = {name: getattr(row, name) for name in fields}
        return {
            name: format(value + amount, "f") for name, value in known.items() if isinstance(value, Decimal)
        }

    return effect


def _sets(**changed: str | bool) -> _Effect:
    return lambda _row, _params: dict(changed)


def _transferred(row: AccountRow, params: Params) -> Fields:
    key = account_key(row.server, row.login)
    sign = {params.get("from"): -1, params.get("to"): 1}.get(key, 0)
    return _money("balance", sign=sign)(row, params) if sign else {}


_EFFECTS: Mapping[str, _Effect] = {
    "balance.deposit": _money("balance", sign=1),
    "balance.withdraw": _money("balance", sign=-1),
    "balance.correct": _money("balance", sign=1),
    "balance.charge": _money("balance", sign=1),
    "credit.grant": _money("credit", sign=1),
    "credit.remove": _money("credit", sign=-1),
    "bonus.grant": _money("credit", sign=1),
    "bonus.remove": _money("credit", sign=-1),
    "money.transfer": _transferred,
    "account.set_group": lambda _row, params: {"group": params["group"]},
    "account.set_leverage": lambda _row, params: {"leverage": params["leverage"]},
    "account.enable": _sets(enabled=True),
    "account.disable": _sets(enabled=False),
    "account.enable_trading": _sets(trading_enabled=True),
    "account.disable_trading": _sets(trading_enabled=False),
    "account.archive": _sets(status="archived"),
}
