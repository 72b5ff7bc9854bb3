"""The open positions of the accounts somebody looks at: how their events left them, and what was last sampled of each."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Final, NamedTuple, final

import msgspec

from hub.clock import Clock, iso
from hub.ingest.reading import Reading, position_reading
from hub.ingest.samples import Sample

MOST_TOLD: Final = 200  # positions of one account in a stream: 50 KB; a page tells the others
_ENDED: Final = 200  # tickets of an account remembered as closed
_TEXTS: Final = 64  # of one account: one for each set of symbols somebody asked for
_encode = msgspec.json.Encoder().encode


class Open(NamedTuple):
    """A position as its events told it; None is what nobody has told."""

    ticket: int
    lots: Decimal | None = None
    symbol: str | None = None
    side: str | None = None
    open_price: Decimal | None = None
    sl: Decimal | None = None
    tp: Decimal | None = None
    opened_at: int | None = None  # µs


class _Sampled(NamedTuple):
    profit: Decimal | None
    price: Decimal | None
    at: int


class _Account:
    """`rows` None: not known yet. `complete`: no position is open that is not among them."""

    __slots__ = ("complete", "ended", "rows", "sampled", "sampled_at", "texts")

    def __init__(self) -> None:
        self.rows: dict[int, Open] | None = None
        self.complete = True
        self.sampled: dict[int, _Sampled] = {}
        self.sampled_at = 0
        # A sample that was made before a position closed may come after: it must not bring it back.
        self.ended: deque[int] = deque(maxlen=_ENDED)
        self.texts: dict[frozenset[str], bytes] = {}


class Shown(NamedTuple):
    """A position with what was last sampled of it."""

    position: Open
    sampled: _Sampled | None

    def fields(self) -> dict[str, str | int | None]:
        known, seen = self.position, self.sampled
        return {
            "ticket": known.ticket,
            "symbol": known.symbol,
            "side": known.side,
            "lots": _text(known.lots),
            "open_price": _text(known.open_price),
            "sl": _text(known.sl),
            "tp": _text(known.tp),
            "opened_at": iso(known.opened_at) if known.opened_at is not None else None,
            "price": _text(seen.price) if seen is not None else None,
            "profit": _text(seen.profit) if seen is not None else None,
            "sampled_at": iso(seen.at) if seen is not None else None,
        }


@final
class PositionBoard:
    """`touched` is called with an account whose positions, or what they are worth, have changed. False while nobody looks."""

    def __init__(self, clock: Clock, touched: Callable[[str], None]) -> None:
        self._clock = clock
        self._touched = touched
        self._accounts: dict[str, _Account] = {}

    def __len__(self) -> int:
        return len(self._accounts)

    def is_wanted(self) -> bool:
        """Return whether sources should sample positions for the sake of whoever looks here."""
        return bool(self._accounts)

    def begin(self, account: str) -> None:
        self._accounts.setdefault(account, _Account())

    def forget(self, account: str) -> None:
        self._accounts.pop(account, None)

    def put(self, account: str, rows: Mapping[int, Open], *, complete: bool) -> None:
        """Take over all positions of an account."""
        shown = self._accounts.get(account)
        if shown is None:
            return
        shown.rows, shown.complete = dict(rows), complete
        self._touch(account, shown)

    def change(self, account: str, rows: Mapping[int, Open | None], *, complete: bool) -> None:
        """Take over positions that changed; None: it is over."""
        shown = self._accounts.get(account)
        if shown is None or shown.rows is None:
            return
        for ticket, row in rows.items():
            if row is not None:
                shown.rows[ticket] = row
                continue
            shown.rows.pop(ticket, None)
            shown.sampled.pop(ticket, None)
            shown.ended.append(ticket)
        shown.complete = complete
        self._touch(account, shown)

    def hear(self, sample: Sample, reading: Reading) -> None:
        """Take over what a sample that may be believed says of positions."""
        shown = self._accounts.get(reading.key)
        if shown is None or not sample.positions or sample.at < min(shown.sampled_at, self._clock.now_us()):
            return
        moved = False
        for each in sample.positions:
            profit, price, *_ = position_reading("", reading, each).values
            before = shown.sampled.get(each.position)
            moved |= before is None or (before.profit, before.price) != (profit, price)
            shown.sampled[each.position] = _Sampled(profit, price, sample.at)
        if sample.at != shown.sampled_at:
            shown.sampled_at = sample.at
            known = shown.rows or {}
            gone = [ticket for ticket, seen in shown.sampled.items() if seen.at != sample.at]
            for ticket in [each for each in gone if each not in known]:
                del shown.sampled[ticket]
                moved = True
        if moved:
            self._touch(reading.key, shown)

    def are_known(self, account: str) -> bool:
        shown = self._accounts.get(account)
        return shown is not None and shown.rows is not None

    def is_complete(self, account: str) -> bool:
        return self.are_known(account) and self._accounts[account].complete

    def positions(
        self, account: str, symbols: frozenset[str] = frozenset(), after: int = 0
    ) -> Iterator[Shown]:
        """Yield positions in order of their tickets: those of events, and of samples what no event has told of."""
        shown = self._accounts[account]
        rows = shown.rows or {}
        unknown = shown.sampled.keys() - rows.keys() - set(shown.ended)
        for ticket in sorted(each for each in (*rows, *unknown) if each > after):
            position = rows.get(ticket) or Open(ticket)
            if not symbols or position.symbol in symbols:
                yield Shown(position, shown.sampled.get(ticket))

    def text(self, account: str, symbols: frozenset[str]) -> bytes | None:
        """Return an account's positions as fields of JSON, the newest of them; None while they are not known."""
        shown = self._accounts.get(account)
        if shown is None or shown.rows is None:
            return None
        text = shown.texts.get(symbols)
        if text is None:
            if len(shown.texts) >= _TEXTS:
                shown.texts.clear()
            found = list(self.positions(account, symbols))
            text = shown.texts[symbols] = _encode(
                {
                    "positions": [each.fields() for each in found[-MOST_TOLD:]],
                    "positions_left_out": max(len(found) - MOST_TOLD, 0),
                    "positions_complete": shown.complete,
                }
            )[1:-1]
        return text

    def _touch(self, account: str, shown: _Account) -> None:
        shown.texts.clear()
        self._touched(account)


def _text(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")
