"""Posted events: strict JSON in, one answer per item out, after everything accepted is on disk."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal, final

import msgspec
from pydantic import ValidationError

from hub.bus.log import Appended, Lane, Teller
from hub.clock import Clock
from hub.events.base import Data
from hub.events.catalogue import BY_NAME, CUSTOM, EventType, event_type
from hub.events.declared import Declarations, Declared, Known, Misread, Undeclared, nothing_declared
from hub.events.facts import Fact, make_fact, us_of
from hub.events.operations import Custom
from hub.events.trade import TradeClosed
from hub.ingest.posted import (
    MAX_AGE,
    MAX_AGE_US,
    MAX_AHEAD_US,
    POSTABLE,
    PostedEvent,
    is_the_hubs_own,
    needs_account,
)
from hub.ingest.quick import QuickReader
from hub.ingest.refusals import FieldError, field_errors, nearest, shown
from hub.ingest.strict import (
    MAX_BYTES,
    Item,
    NotStrict,
    Unreadable,
    parse_json,
    parse_ndjson,
    plain_numbers,
    split_json,
    split_ndjson,
)
from hub.ingest.symbols import SymbolClasses
from hub.turns import a_turn

SLICE = 200  # events decoded before the loop gets a turn
NDJSON = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
_JSON = frozenset({"application/json", ""})
_ZERO = Decimal(0)
_MISMATCH = FieldError(
    "data",
    "an event with this identity is stored with other content; the first telling stands",
    "post a correction as an event of its own",
)


class ItemResult(msgspec.Struct, omit_defaults=True):
    """`id` is there for accepted items and duplicates; a duplicate with errors said something else the first time."""

    index: int
    status: Literal["accepted", "duplicate", "rejected"]
    id: str = ""
    errors: tuple[FieldError, ...] = ()


_NOT_YET = ItemResult(-1, "accepted")  # stands where the log's answer will


class Receipt(msgspec.Struct):
    accepted: int
    duplicates: int
    rejected: int
    results: list[ItemResult]


class UnknownContentType(Exception):
    def __init__(self, content_type: str) -> None:
        super().__init__(
            f"content type {shown(content_type)} is not read: use application/json or application/x-ndjson"
        )


@dataclass(frozen=True, slots=True)
class _Reading:
    """How to read the data of one type, worked out once."""

    kind: EventType
    validate: Any  # pydantic's compiled validator: its own class is not typed for callers
    free_form: bool
    named_by_number: bool
    has_symbol: bool
    needs_account: bool


class NotAsDeclared(Exception):
    """The data of an event does not fit what is declared of its type."""

    def __init__(self, wrong: list[Misread]) -> None:
        super().__init__(f"{len(wrong)} fields")
        self.wrong = wrong


def _declared_reading(declared: Declared) -> _Reading:
    def validate(data: dict[str, Any]) -> Custom:
        found = declared.read(data)
        if isinstance(found, list):
            raise NotAsDeclared(found)
        return found

    return replace(_CUSTOM, kind=declared.kind, validate=validate, free_form=False)


def _reading_of(kind: EventType) -> _Reading:
    return _Reading(
        kind=kind,
        validate=kind.model.__pydantic_validator__.validate_python,
        free_form=kind is CUSTOM,
        named_by_number=bool(kind.numbers),
        has_symbol="symbol_class" in kind.model.model_fields,
        needs_account=needs_account(kind),
    )


_READINGS = {kind.name: _reading_of(kind) for kind in BY_NAME.values() if not is_the_hubs_own(kind)}
_CUSTOM = _reading_of(CUSTOM)
_validate_posted = PostedEvent.__pydantic_validator__.validate_python


@final
class Receiver:
    def __init__(
        self,
        log: Teller,
        clock: Clock,
        *,
        symbols: SymbolClasses | None = None,
        convert: Callable[[Fact], Fact] | None = None,
        declared: Known = nothing_declared,
    ) -> None:
        self._log = log
        self._clock = clock
        self._symbols = symbols or SymbolClasses()
        self._quick = QuickReader(self._symbols)
        self._convert = convert
        self._declared = declared

    async def accept(
        self,
        body: bytes,
        content_type: str,
        *,
        source: str,
        servers: frozenset[str] | None = None,
        lane: Lane = Lane.LIVE,
    ) -> Receipt:
        """Store what can be read and return what became of every item, in order.

        `servers` None means any. Raises NotStrict or UnknownContentType when nothing can be read, StoreUnavailable
        when nothing was stored.
        """
        now_us = self._clock.now_us()
        results: list[ItemResult] = []
        facts: list[Fact] = []
        places: list[int] = []
        for index, read in enumerate(await self._read_all(body, content_type, now_us, source, servers)):
            if isinstance(read, Fact):
                facts.append(read if self._convert is None else self._convert(read))
                places.append(index)
                results.append(_NOT_YET)
            else:
                results.append(ItemResult(index, "rejected", errors=tuple(read)))
        duplicates = 0
        if facts:
            for place, appended in zip(places, await self._log.append(facts, lane=lane), strict=True):
                duplicates += appended.duplicate
                results[place] = _result(place, appended)
        return Receipt(len(facts) - duplicates, duplicates, len(results) - len(facts), results)

    def quick(self, body: bytes, *, source: str, servers: frozenset[str] | None) -> Fact | None:
        """Return what a body of one event tells, where it can be read the quick way; None says nothing about it."""
        if len(body) > MAX_BYTES or not body.startswith(b"{"):
            return None
        fact = self._quick.read(body, self._clock.now_us(), source, servers)
        return fact if fact is None or self._convert is None else self._convert(fact)

    def append(self, facts: Sequence[Fact]) -> "asyncio.Future[list[Appended]]":
        return asyncio.ensure_future(self._log.append(facts))

    @staticmethod
    def receipt_of(appended: Appended) -> Receipt:
        """Return what `accept` would, of one fact that was written."""
        return Receipt(int(not appended.duplicate), int(appended.duplicate), 0, [_result(0, appended)])

    async def _read_all(
        self, body: bytes, content_type: str, now_us: int, source: str, servers: frozenset[str] | None
    ) -> Sequence[Fact | list[FieldError]]:
        """Return what every item tells, or why it tells nothing: the short way where it goes, else pydantic's."""
        texts = _texts(body, content_type)
        quick: list[Fact | None] = []
        read = self._quick.read
        for index, text in enumerate(texts):
            if index and index % SLICE == 0:
                await a_turn()
            quick.append(read(bytes(text), now_us, source, servers))
        told = [fact for fact in quick if fact is not None]
        if told and len(told) == len(texts):
            return told
        items = _items(body, content_type)
        if not items:
            raise NotStrict(Unreadable("holds no event", 'send {"type": …}'))
        if len(items) != len(texts):  # a body that only the strict parser can take apart
            quick = [None] * len(items)
        reads: list[Fact | list[FieldError]] = []
        for index, (fact, item) in enumerate(zip(quick, items, strict=True)):
            if index and index % SLICE == 0:
                await a_turn()
            reads.append(self._read(item, now_us, source, servers) if fact is None else fact)
        return reads

    def _read(
        self, item: Item, now_us: int, source: str, servers: frozenset[str] | None
    ) -> Fact | list[FieldError]:
        if isinstance(item, Unreadable):
            return [FieldError("body", item.reason, item.fix)]
        try:
            posted: PostedEvent = _validate_posted(item)
        except ValidationError as error:
            return field_errors(error, PostedEvent)
        reading = _READINGS.get(posted.type)
        if reading is None:
            if event_type(posted.type) is not CUSTOM:
                return [_unknown_type(posted.type)]
            known = self._declared()
            declared = known.get(posted.type)
            if declared is None and known.undeclared is Undeclared.REFUSE:
                return [_undeclared(posted.type, known)]
            reading = _CUSTOM if declared is None else _declared_reading(declared)
        account = posted.account
        if account is None:
            if reading.needs_account:
                return [
                    FieldError("account", f"{posted.type} needs an account", 'add {"server": …, "login": …}')
                ]
        elif servers is not None and account.server not in servers:
            return [
                FieldError(
                    "account.server",
                    f"this key may not tell of server {shown(account.server)}",
                    nearest(account.server, servers),
                )
            ]
        data = posted.data
        if reading.has_symbol and data.get("symbol_class") is None:
            data = self._with_class(data)
        if reading.free_form:
            data = plain_numbers(data)
        try:
            told: Data = reading.validate(data)
        except NotAsDeclared as misread:
            return [FieldError(shown(f"data.{name}"), reason, fix) for name, reason, fix in misread.wrong]
        except ValidationError as error:
            return field_errors(error, reading.kind.model, inside="data")
        if type(told) is TradeClosed and told.net_profit is None and told.profit is not None:
            told = told.model_copy(update={"net_profit": net_profit(told)})
        event_us = us_of(posted.timestamp)
        if event_us > now_us + MAX_AHEAD_US:
            return [FieldError("timestamp", "more than 24 hours ahead of the hub's clock", "send UTC")]
        if event_us < now_us - MAX_AGE_US and not (
            reading.named_by_number and _number_of(reading.kind, told)
        ):
            return [
                FieldError(
                    "timestamp",
                    f"too_old: events without a deal, ticket or order number are taken for {MAX_AGE.days} days",
                    "add the number, or leave it out: its duplicates could no longer be told",
                )
            ]
        return make_fact(
            reading.kind,
            posted.type,
            told,
            timestamp=posted.timestamp,
            received_us=now_us,
            source=source,
            account=account,
            dedupe_key=posted.dedupe_key,
            server_time=posted.server_time,
            event_us=event_us,
        )

    def _with_class(self, data: dict[str, Any]) -> dict[str, Any]:
        symbol = data.get("symbol")
        found = self._symbols.of(symbol) if type(symbol) is str else None
        return {**data, "symbol_class": found} if found else data


def net_profit(trade: TradeClosed) -> Decimal:
    parts = (trade.profit, trade.swap, trade.commission, trade.fee, trade.taxes)
    return sum((part for part in parts if part is not None), _ZERO)


def _number_of(kind: EventType, data: Data) -> bool:
    return any(getattr(data, field, None) for field, _ in kind.numbers)


def _texts(body: bytes, content_type: str) -> Sequence[bytes | msgspec.Raw]:
    if content_type in _JSON:
        return split_json(body)
    if content_type in NDJSON:
        return split_ndjson(body)
    raise UnknownContentType(content_type)


def _items(body: bytes, content_type: str) -> list[Item]:
    return parse_json(body) if content_type in _JSON else parse_ndjson(body)


def _result(index: int, appended: Appended) -> ItemResult:
    if not appended.duplicate:
        return ItemResult(index, "accepted", appended.id)
    return ItemResult(index, "duplicate", appended.id, (_MISMATCH,) if appended.mismatch else ())


def _undeclared(name: str, known: Declarations) -> FieldError:
    fix = nearest(name, known.types) or "declare it in a file beside the workflows: see /docs/declared-events"
    return FieldError(
        "type", f"{shown(name)} is declared nowhere, and this hub takes declared events only", fix
    )


def _unknown_type(name: str) -> FieldError:
    kind = event_type(name)
    if kind is not None:
        return FieldError("type", f"{name} is told by the hub alone", "publish custom.* events of your own")
    fix = nearest(name, POSTABLE) or "see /openapi.json, or use a custom.* type"
    return FieldError("type", f"unknown type {shown(name)}", fix)
