"""The short way from a posted event's bytes to a fact; whatever is out of the ordinary is left to pydantic.

The promise: a fact from here is, byte for byte, the fact pydantic's way would have made, and nothing that way refuses
becomes a fact here. Nothing is ever refused here: None means that the other way decides.
"""

from datetime import datetime
from decimal import Decimal
from re import compile as pattern_of
from typing import Any, final

import msgspec

from hub.events.catalogue import BY_NAME
from hub.events.decimals import plain
from hub.events.facts import Fact, fact_of, us_of
from hub.events.records import Account
from hub.ingest.posted import MAX_AGE_US, MAX_AHEAD_US, POSTABLE, SERVER_TIME
from hub.ingest.quick_forms import SEPARATOR, Form, decoder_of, form_of
from hub.ingest.strict import quotes
from hub.ingest.symbols import SymbolClasses

_FORMS = {
    form.posted: form for form in (form_of(BY_NAME[name]) for name in sorted(POSTABLE)) if form is not None
}
_decode = decoder_of(_FORMS.values()).decode
_encode = msgspec.json.Encoder().encode
_ZERO = Decimal(0)
_CONTROLS = pattern_of(r"[\x00-\x1f\x7f]")
_LONGEST_CLASS = 128
# The quotation marks around `type`, `timestamp` and `data`, and those an account or an optional text adds.
_QUOTES = 10
_QUOTES_OF_ACCOUNT = 8
_QUOTES_OF_TEXT = 4


@final
class QuickReader:
    def __init__(self, symbols: SymbolClasses) -> None:
        self._symbols = symbols

    def read(self, text: bytes, now_us: int, source: str, servers: frozenset[str] | None) -> Fact | None:
        """Return the fact one posted event tells, or None if it takes pydantic to say."""
        try:
            posted = _decode(text)
        except (ValueError, RecursionError):
            return None
        form = _FORMS[type(posted)]
        data, who, spelled = posted.data, posted.account, posted.timestamp
        expected = _QUOTES
        if who is None:
            if form.needs_account or not form.alone.fullmatch(SEPARATOR.join((*form.texts(data), spelled))):
                return None
            account = None
        else:
            server, currency = who.server, who.currency
            checked = SEPARATOR.join((*form.texts(data), spelled, server, currency))
            if not form.with_account.fullmatch(checked) or (servers is not None and server not in servers):
                return None
            expected += _QUOTES_OF_ACCOUNT
            account = Account(server, who.login, who.group, currency or None)
            if currency:
                expected += _QUOTES_OF_TEXT
            if who.group is not None:
                expected += _QUOTES_OF_TEXT
                if not _clean(who.group):
                    return None
        if posted.dedupe_key is not None:
            expected += _QUOTES_OF_TEXT
            if not _clean(posted.dedupe_key):
                return None
        if posted.server_time is not None:
            expected += _QUOTES_OF_TEXT
            if not SERVER_TIME.fullmatch(posted.server_time):
                return None
        try:
            timestamp = datetime.fromisoformat(spelled)
            for name in form.moments:
                if moment := getattr(data, name):
                    setattr(data, name, datetime.fromisoformat(moment))
        except ValueError:  # the thirtieth of February
            return None
        event_us = us_of(timestamp)
        if event_us > now_us + MAX_AHEAD_US or (event_us < now_us - MAX_AGE_US and not _numbered(form, data)):
            return None
        for name, value in form.defaults:
            if getattr(data, name) is None:
                setattr(data, name, value)
                expected -= 2
        if form.has_symbol and data.symbol_class is None:
            found = self._symbols.of(data.symbol)
            if found:
                if len(found) > _LONGEST_CLASS:
                    return None
                data.symbol_class = found
                expected -= _QUOTES_OF_TEXT
        if form.has_net_profit and data.profit and not data.net_profit:
            data.net_profit = _net_profit(data)
            expected -= _QUOTES_OF_TEXT
        content = _encode(data)
        # A control character, a quotation mark or a backslash would stand escaped here; DEL stands as it is.
        if b"\\" in content or b"\x7f" in content:
            return None
        # A mark too many in the text: a key was there twice, or a value that says nothing (null, an empty text).
        if quotes(text) != expected + content.count(b'"'):
            return None
        return fact_of(
            form.kind,
            form.kind.name,
            data,
            content,
            timestamp,
            event_us,
            now_us,
            source,
            account,
            posted.dedupe_key,
            posted.server_time,
        )


def _clean(text: str) -> bool:
    """Return whether a text is free of control characters; its length was checked when it was decoded."""
    return text.isprintable() or not _CONTROLS.search(text)


def _numbered(form: Form, data: Any) -> bool:
    return any(getattr(data, field) for field, _ in form.kind.numbers)


def _net_profit(trade: Any) -> str:
    """Return what `net_profit` of receive says, from texts."""
    total = _ZERO + Decimal(trade.profit)
    if trade.swap:
        total += Decimal(trade.swap)
    if trade.commission:
        total += Decimal(trade.commission)
    if trade.fee:
        total += Decimal(trade.fee)
    if trade.taxes:
        total += Decimal(trade.taxes)
    return plain(total)
