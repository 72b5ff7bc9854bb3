"""The symbols somebody quotes: how each was last seen, and of which the engine has to hear that there are quotes."""

import hashlib
from collections.abc import Callable
from typing import final

from hub.bus.log import InputKind, NewInput
from hub.events.watched import SYMBOL, SYMBOL_QUOTED, encode_first_quote
from hub.ids import partition_of_key
from hub.ingest.reading import Reading


@final
class QuotedSymbols:
    """By the keys of symbols, `symbol=server:NAME`. All are kept: a level that comes later is compared with the last quote."""

    def __init__(self, class_of: Callable[[str], str | None], *, remembered: int) -> None:
        self._class_of = class_of
        self._remembered = remembered
        self._last: dict[str, Reading] = {}
        self._new: list[NewInput] = []

    def hear(self, reading: Reading, now: int) -> bool:
        """Keep a believable quote; False where one that was made later is known already."""
        key, last = reading.key, self._last.pop(reading.key, None)
        if last is None:
            self._new.append(_command(key, self._class_of(name_of(key))))
        # A source whose clock runs ahead must not shut out everybody else's quotes.
        is_news = last is None or min(last.at, now) <= reading.at
        self._last[key] = reading if last is None or is_news else last
        if len(self._last) > self._remembered:
            del self._last[next(iter(self._last))]
        return is_news

    def last_seen(self, key: str) -> Reading | None:
        return self._last.get(key)

    def take(self) -> list[NewInput]:
        """Return what the engine has to be told of symbols that were not quoted before."""
        new, self._new = self._new, []
        return new

    def again(self, commands: list[NewInput]) -> None:
        self._new = [*commands, *self._new]


def name_of(key: str) -> str:
    """Return the name of a symbol out of its key."""
    return key[len(SYMBOL) :].partition(":")[2]


def _command(key: str, symbol_class: str | None) -> NewInput:
    # Told after each start; the log knows the ones it has already.
    unique = f"{SYMBOL_QUOTED}:{hashlib.sha256(f'{key}={symbol_class}'.encode()).hexdigest()[:32]}"
    body = encode_first_quote(symbol_class)
    return NewInput(partition_of_key(key), InputKind.COMMAND, key, SYMBOL_QUOTED, body, unique)
