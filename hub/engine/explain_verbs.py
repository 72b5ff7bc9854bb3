"""Every verb as a sentence, with the names of the parameters it speaks of between braces."""

import re
from collections.abc import Mapping
from typing import Final

from hub.durations import duration
from hub.engine import explain_crm
from hub.engine.explain_names import span
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
    **explain_crm.SENTENCES,
}
_GAP: Final = re.compile(r"\{([a-z_]+)\}")

_TO: Final = frozenset({"notify.sms", "notify.push", "notify.chat", "notify.page"})
_SAYS_TEXT: Final = frozenset({Risk.NOTIFY, Risk.INTEGRATION})
_STOPS: Final = {"sl": "stop loss", "tp": "take profit"}
# Parameters that name something, and what it is called where it is the one the run is about.
_NAMED: Final = frozenset({"name", "position", "to"})
_SHORT: Final = {
    "the client's id": "the client",
    "the group's name": "the group",
    "the position's id": "the position",
    "the symbol's name": "the symbol",
}
# What an action is taken back to.
_BEFORE: Final = {
    "the account's group": "it was in before",
    "the account's leverage": "what it was before",
}

MOVES_MONEY: Final = "This moves money, once for each run. It is not taken back by itself."


def sentence(verb: Verb, said: Mapping[str, str]) -> str:
    """Return what a verb does, with what every parameter says; those the sentence has no place for come after it."""
    if verb.name in _TO or verb.risk in {Risk.TRADING, Risk.CONFIGURATION}:
        said = {name: _SHORT.get(value, value) if name in _NAMED else value for name, value in said.items()}
    form = _form(verb, said)
    if verb.name in explain_crm.SENTENCES:
        said = explain_crm.spoken(said)
    placed = {*_GAP.findall(form), *(("position",) if verb.name == "position.modify" else ())}
    whole = _GAP.sub(lambda gap: said.get(gap[1], f"its {gap[1]}"), form)
    rest = {name: value for name, value in said.items() if name not in placed}
    if (expected := rest.pop("expect_group", None)) is not None:
        # What it was when the run decided: the one sensible use of it reads best without the field's name.
        still = "it was in before" if expected == "the account's group" else expected
        whole += f", if it is still in the group {still}"
    if (category := rest.pop("category", None)) is not None:
        kind = category.strip('"')
        whole += f", as {kind}" + (": only to clients who agreed to that" if kind in NEEDS_CONSENT else "")
    text, expires = (
        rest.pop(name, None) if verb.risk in _SAYS_TEXT else None for name in ("text", "expires")
    )
    told = ", ".join(
        value[1:-1] if name == "record" and value.startswith("{") else f"{name.replace('_', ' ')} = {value}"
        for name, value in sorted(rest.items(), key=lambda each: each[0] == "record")
    )
    whole += f", with {told}" if told else ""
    whole += f", unless it is {_span(expires)} late by then" if expires is not None else ""
    return f"{whole}: {text}" if text is not None else whole


def taken_back(verb: Verb, said: Mapping[str, str]) -> str:
    """Return what is done when a run fails: in what is said of it, the account is as it was before the step."""
    values = {name: _BEFORE.get(value, value) for name, value in said.items()}
    whole = sentence(verb, values)
    told = any("the account's" in value for value in values.values())
    after = "; the account's values are those from before" if told else ""
    return f"{whole[0].lower()}{whole[1:]}{after}"


def _span(written: str) -> str:
    try:
        return span(duration(written))
    except ValueError:
        return written


def _form(verb: Verb, said: Mapping[str, str]) -> str:
    match verb.name:
        case "position.modify":
            of = said.get("position", "")
            owner = "of the position" if of == "the position" else "of the position {position}"
            ways = [f"the {words} {owner} to {{{name}}}" for name, words in _STOPS.items() if name in said]
            return f"Sets {' and '.join(ways)}" if ways else SENTENCES[verb.name]
        case "position.close" if said.get("position") == "the position":
            return "Closes {position}"
        case name if name.startswith("symbol.") and said.get("name") == "the symbol":
            return SENTENCES[name].replace("the symbol {name}", "{name}")
        case name if name.startswith("group.") and said.get("name") == "the group":
            return SENTENCES[name].replace("the group {name}", "{name}")
        case name if name in _TO:
            whom = " to {to}" if "to" in said else ""
            return f"{SENTENCES[name]}{whom}{' in the team {team}' if 'team' in said else ''}"
        case name if name in explain_crm.SENTENCES:
            return explain_crm.form(name, said)
        case name:
            return SENTENCES.get(name, f"Does {name}")


def warning(verb: Verb, *, taken_back: bool = False) -> str | None:
    """Return what the one who answers for the workflow has to know of it."""
    approval = " A person has to approve it." if verb.approval else ""
    money = MOVES_MONEY if verb.risk is Risk.MONEY else ""
    if money and taken_back:
        money = "This moves money, once for each run."
    return f"{money}{approval}".strip() or None
