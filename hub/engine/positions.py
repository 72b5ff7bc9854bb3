"""How events fold into the open positions of an account: pure.

A position is known from the first event that tells its lots. Prices of 0 mean none. What is told twice, once as a deal
and once as a change of the position, counts once: both name the deal.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from hub.engine.held import PositionRow
from hub.engine.series import EXACT, ZERO
from hub.engine.state import KeyState
from hub.engine.values import Kind, Slot, Value
from hub.events.records import Envelope

MAX_POSITIONS: Final = 5_000  # of one account; of more, nobody knows what they add up to
MAX_ENDED: Final = 200  # that were closed before anybody told of their opening
MORE: Final = "more"  # the name of the row that says there were more
_OTHER_SIDE: Final = {"buy": "sell", "sell": "buy"}

Rows = Mapping[int, PositionRow]
Changed = dict[int, PositionRow | None]


class Moved(NamedTuple):
    """What an event did to a position: the rows to write, and how the position it names stands, or stood when it ended."""

    puts: dict[Slot, Value | None]
    row: PositionRow | None
    is_over: bool


NOTHING: Final = Moved({}, None, is_over=False)


def fold_positions(state: KeyState, event: Envelope, data: Any) -> Moved:
    """Return what an event changes among an account's positions."""
    rule, number = _RULES.get(event.type), getattr(data, "position", None)
    held = _Held(state)
    if number is None and rule is _cancelled:
        number = next((row.id for row in held.all() if row.deal == data.deal), None)
    if not isinstance(number, int):
        return NOTHING
    changed = rule(held, number, event, data) if rule is not None else {}
    row = changed.get(number) or held.get(number)
    for old, new in changed.items():
        if new is None and row is None:
            row = held.get(old)
    puts: dict[Slot, Value | None] = {_slot(each): new for each, new in changed.items()}
    puts |= _bounded(state, changed)
    if puts.get(_slot(number)) is None and changed.get(number) is not None:
        row = None  # of more than are kept nobody hears: its end would not be told either
    is_over = number in changed and changed[number] is None
    return Moved(puts, row if row is not None and row.lots > 0 else None, is_over)


def open_positions(state: KeyState, puts: Mapping[Slot, Value | None]) -> list[PositionRow]:
    """Return the positions that are open once what was decided is written, in order of their numbers."""
    rows = {slot: value for slot, value in state.values.items() if slot[0] == Kind.POSITION}
    rows |= {slot: value for slot, value in puts.items() if slot[0] == Kind.POSITION}  # type: ignore[misc]  # None goes below
    found = [row for row in rows.values() if isinstance(row, PositionRow) and row.lots > 0]
    return sorted(found, key=_number)


def are_known(state: KeyState, puts: Mapping[Slot, Value | None]) -> bool:
    """Return whether every open position has its row: beyond the cap they have not."""
    slot = (Kind.POSITION.value, MORE)
    return (puts[slot] if slot in puts else state.values.get(slot)) is None


class _Held:
    """The positions of an account as they stood before an event."""

    def __init__(self, state: KeyState) -> None:
        self._state = state

    def get(self, number: int) -> PositionRow | None:
        found = self._state.values.get(_slot(number))
        return found if isinstance(found, PositionRow) else None

    def all(self) -> Iterable[PositionRow]:
        return sorted(
            (row for _, row in self._state.of_kind(Kind.POSITION) if isinstance(row, PositionRow)),
            key=_number,
        )


Rule = Callable[[_Held, int, Envelope, Any], Changed]


def _opened(held: _Held, number: int, event: Envelope, data: Any) -> Changed:
    known = held.get(number)
    if known is not None and known.lots == 0:
        return {number: None}  # it was closed before its opening was told
    if known is not None and (data.deal is None or data.deal == known.last):
        return {}
    if known is not None and known.side in {data.side, None}:
        lots = EXACT.add(known.lots, data.lots)
        return {number: replace(known, lots=lots, open_price=_average(known, data), last=data.deal)}
    return {
        number: PositionRow(
            number,
            data.lots,
            data.symbol,
            data.symbol_class,
            data.side,
            data.price or None,
            data.sl or None,
            data.tp or None,
            event.timestamp,
            data.magic,
            data.comment,
            data.deal,
            data.deal,
        )
    }


def _average(known: PositionRow, data: Any) -> Any:
    """Return the price of both deals together; unknown where one is."""
    if known.open_price is None or not data.price:
        return None
    worth = EXACT.add(EXACT.multiply(known.open_price, known.lots), EXACT.multiply(data.price, data.lots))
    lots = EXACT.add(known.lots, data.lots)
    return round(worth / lots, 10) if lots else None


def _closed(held: _Held, number: int, event: Envelope, data: Any) -> Changed:
    known, remaining = held.get(number), data.remaining_lots
    gone: Changed = {}
    if known is None and (rest := _rest_of(held, data)) is not None:
        known, gone = replace(rest, id=number), {rest.id: None}
    is_retold = known is not None and data.deal is not None and known.last == data.deal
    if not (data.partial or remaining):
        if known is None:
            return {number: PositionRow(number, ZERO)}
        return {**gone, number: None}
    if known is None:
        if remaining is None:
            return {}
        return {number: _seen_at_its_close(number, data)}
    if remaining is None:
        remaining = known.lots if is_retold else max(EXACT.subtract(known.lots, data.lots), ZERO)
    row = replace(known, lots=remaining, last=data.deal, in_parts=True) if remaining else None
    return {**gone, number: row}


def _seen_at_its_close(number: int, data: Any) -> PositionRow:
    return PositionRow(
        number,
        data.remaining_lots,
        data.symbol,
        data.symbol_class,
        data.side,
        data.open_price or None,
        None,
        None,
        data.opened_at,
        data.magic,
        data.comment,
        None,
        data.deal,
        in_parts=True,
    )


def _rest_of(held: _Held, data: Any) -> PositionRow | None:
    """Return the position a ticket nobody knows is the rest of: MT4 gives what is left of a closed one a new number.

    Of several alike the one opened at that time, or any: they count the same.
    """
    like = (data.symbol, data.side, EXACT.add(data.lots, data.remaining_lots or ZERO))
    alike = [row for row in held.all() if row.in_parts and (row.symbol, row.side, row.lots) == like]
    return next((row for row in alike if row.opened_at == data.opened_at), alike[0] if alike else None)


def _cancelled(held: _Held, number: int, event: Envelope, data: Any) -> Changed:
    known = held.get(number)
    return {number: None} if known is not None and known.deal == data.deal else {}


def _resized(held: _Held, number: int, event: Envelope, data: Any) -> Changed:
    known = held.get(number)
    if not data.lots_after:
        return {number: None} if known is not None else {}
    if known is None or known.lots == 0:
        return {number: PositionRow(number, data.lots_after, data.symbol, last=data.deal)}
    # Without its deal nobody knows at which price it grew.
    grew = data.lots_after > known.lots and known.last != data.deal
    price = None if grew else known.open_price
    return {number: replace(known, lots=data.lots_after, open_price=price, last=data.deal)}


def _reversed(held: _Held, number: int, event: Envelope, data: Any) -> Changed:
    known = held.get(number)
    if known is None or known.last == data.deal:
        return _resized(held, number, event, data)
    side = _OTHER_SIDE.get(known.side or "")
    row = PositionRow(
        number,
        data.lots_after,
        known.symbol,
        known.symbol_class,
        side,
        opened_at=event.timestamp,
        magic=known.magic,
        comment=known.comment,
        last=data.deal,
    )
    return {number: row if data.lots_after else None}


def _modified(held: _Held, number: int, event: Envelope, data: Any) -> Changed:
    known = held.get(number)
    if known is None or known.lots == 0:
        return {}
    return {number: replace(known, sl=data.sl or None, tp=data.tp or None)}


_RULES: Final[Mapping[str, Rule]] = {
    "trade.opened": _opened,
    "trade.closed": _closed,
    "trade.cancelled": _cancelled,
    "position.increased": _resized,
    "position.decreased": _resized,
    "position.reversed": _reversed,
    "position.modified": _modified,
}


def _bounded(state: KeyState, changed: Changed) -> dict[Slot, Value | None]:
    """Return what keeps the number of rows within bounds."""
    more = (Kind.POSITION.value, MORE)
    news = [row for number, row in changed.items() if row is not None and _slot(number) not in state.values]
    if not news:
        if more in state.values and not open_positions(state, {_slot(n): row for n, row in changed.items()}):
            return {more: None}  # nothing of what is known is left: from here on all is
        return {}
    rows = [row for name, row in state.of_kind(Kind.POSITION) if name != MORE]
    ended = [row for row in rows if isinstance(row, PositionRow) and not row.lots]
    puts: dict[Slot, Value | None] = {}
    if not news[0].lots:
        for old in sorted(ended, key=_number)[: max(len(ended) + 1 - MAX_ENDED, 0)]:
            puts[_slot(old.id)] = None
        return puts
    if len(rows) - len(ended) < MAX_POSITIONS:
        return puts
    puts = {_slot(row.id): None for row in news}
    puts[more] = PositionRow(0, ZERO)
    return puts


def _slot(number: int) -> Slot:
    return Kind.POSITION.value, str(number)


def _number(row: PositionRow) -> int:
    return row.id
