"""Every verb as a sentence, with the names of the parameters it speaks of between braces."""

import re
from collections.abc import Mapping
from typing import Final

from hub.intents.contact import NEEDS_CONSENT
from hub.intents.verbs import Risk, Verb

SENTENCES: Final[Mapping[str, str]] = {
    "balance.deposit": "Pays {amount} into the account",
    "balance.withdraw": "Takes {amount} out of the account",
    "balance.correct": "Corrects the account's balance by {amount}",
    "balance.charge": "Books a charge of {amount} on the account",
    "credit.grant": "Gives the account a credit of {amount}",
    "credit.remove": "Takes a credit of {amount} away from the account",
    "bonus.grant": "Gives the account a bonus of {amount}",
    "bonus.remove": "Takes a bonus of {amount} away from the account",
    "money.transfer": "Moves {amount} from {from} to {to}",
    "account.create": "Opens an account for {name} in the group {group} with a leverage of {leverage}",
    "account.update": "Changes the account's details",
    "account.set_group": "Moves the account to the group {group}",
    "account.set_leverage": "Sets the account's leverage to {leverage}",
    "account.enable": "Enables the account",
    "account.disable": "Disables the account",
    "account.enable_trading": "Lets the account trade again",
    "account.disable_trading": "Stops the account from trading",
    "account.set_password": "Sets a password of the account to the secret {secret}",
    "account.check_password": "Checks a password of the account against the secret {secret}",
    "account.verify_password": "Checks a password of the account against the secret {secret}",
    "account.archive": "Archives the account",
    "account.disconnect": "Disconnects the account",
    "position.close": "Closes the position {position}",
    "position.close_all": "Closes the account's positions",
    "position.modify": "Changes stop loss or take profit of the position {position}",
    "order.cancel": "Cancels the order {order}",
    "order.cancel_all": "Cancels the account's pending orders",
    "trade.create": "Opens a trade on the account: {side} {lots} lots of {symbol}",
    "trade.correct": "Corrects the deal {deal}",
    "group.create": "Makes the group {name}",
    "group.update": "Changes the group {name}",
    "group.enable": "Enables the group {name}",
    "group.disable": "Disables the group {name}",
    "group.set_symbols": "Changes the symbols of the group {name}",
    "symbol.update": "Changes the symbol {name}",
    "symbol.set_swap": "Changes the swaps of the symbol {name}",
    "symbol.set_sessions": "Changes the trading sessions of the symbol {name}",
    "event.publish": "Publishes the event {type} to your systems",
    "notify.email": "Sends a mail to {to} with the subject {subject}",
    "notify.sms": "Sends a text message",
    "notify.push": "Sends a push message",
    "notify.chat": "Sends a chat message",
    "notify.page": "Calls somebody on duty",
    "message.mail": "Sends a mail to the trading terminal with the subject {subject}",
    "http.request": "Calls {url} with {method}",
    "crm.upsert": "Writes a record into the CRM",
    "crm.note": "Writes a note into the CRM",
    "task.open": "Opens a task in the CRM",
}
_GAP: Final = re.compile(r"\{([a-z_]+)\}")

MOVES_MONEY: Final = "This moves money, once for each run. It is not taken back by itself."


def sentence(verb: Verb, said: Mapping[str, str]) -> str:
    """Return what a verb does, with what every parameter says; those the sentence has no place for come after it."""
    form = SENTENCES.get(verb.name, f"Does {verb.name}")
    placed = set(_GAP.findall(form))
    whole = _GAP.sub(lambda gap: said.get(gap[1], f"its {gap[1]}"), form)
    rest = {name: value for name, value in said.items() if name not in placed}
    if (expected := rest.pop("expect_group", None)) is not None:
        # What it was when the run decided: the one sensible use of it reads best without the field's name.
        still = "it was in before" if expected == "the account's group" else expected
        whole += f", if it is still in the group {still}"
    if (category := rest.pop("category", None)) is not None:
        kind = category.strip('"')
        whole += f", as {kind}" + (": only to clients who agreed to that" if kind in NEEDS_CONSENT else "")
    told = ", ".join(f"{name.replace('_', ' ')} = {value}" for name, value in rest.items())
    return f"{whole}, with {told}" if told else whole


def warning(verb: Verb, *, taken_back: bool = False) -> str | None:
    """Return what the one who answers for the workflow has to know of it."""
    approval = " A person has to approve it." if verb.approval else ""
    money = MOVES_MONEY if verb.risk is Risk.MONEY else ""
    if money and taken_back:
        money = "This moves money, once for each run."
    return f"{money}{approval}".strip() or None
