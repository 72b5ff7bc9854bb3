"""What all connectors share: the service they are, and how what they tell becomes facts in the log."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Protocol

import structlog
from pydantic import TypeAdapter, ValidationError

from hub.bus.log import Appended, Mark, Teller
from hub.clock import Clock, from_us
from hub.events.base import AccountRef, Currency
from hub.events.catalogue import BY_NAME
from hub.events.facts import Fact, make_fact
from hub.events.operations import ConnectorMoved
from hub.ingest.books import Books, Changes, merge
from hub.ingest.derive import Telling, ending_of
from hub.ingest.server_clock import ServerClock, display
from hub.ingest.settings import SourceSettings

log_lines = structlog.get_logger(__name__)
_currency = TypeAdapter(Currency)

Classify = Callable[[str], str | None]
Convert = Callable[[Fact], Fact]
Settled = Callable[[], Awaitable[None]]


class Connector(Protocol):
    """Follows one source and tells the log what happens there.

    Nothing is missed across lost connections and restarts, nothing is told twice, and what is learned late says so.
    Every session begins with `settled`, which returns once the log can be asked for all that was told before.
    """

    @property
    def is_level(self) -> bool:
        """Tell whether the hub knows all that the source does."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Follow the source until `stopping` is set; trouble with the source never ends it."""


class Reporter:
    """Turns tellings into facts and appends them with the marks they belong to."""

    def __init__(
        self,
        log: Teller,
        clock: Clock,
        settings: SourceSettings,
        *,
        server_clock: ServerClock,
        classify: Classify,
        convert: Convert,
    ) -> None:
        self._log = log
        self._clock = clock
        self._name = settings.name
        self._server = settings.server
        self._tells_states = settings.authoritative
        self._server_clock = server_clock
        self._classify = classify
        self._convert = convert

    async def marks(self, source: str) -> dict[str, bytes]:
        return dict(await self._log.marks(source))

    async def write(self, books: Books, parts: Iterable[Changes]) -> int:
        """Store the changes in order; return how many facts were new. Raises StoreUnavailable."""
        stored = 0
        for portion in merge(parts):
            facts = [
                self._fact(books, telling, late)
                for telling, late in portion.tellings
                if telling.entity is None or self._tells_states
            ]
            stored += await self._append(facts, portion.marks)
        while books.refusals:
            await self.announce("connector.gap", f"a record was set aside: {books.refusals.pop(0)}")
        return stored

    async def announce(
        self, kind: str, reason: str, *, missed: int | None = None, since: datetime | None = None
    ) -> None:
        """Tell something about the connector itself."""
        log_lines.info(kind, connector=self._name, reason=reason, missed=missed)
        await self._append([self._moved(kind, reason, missed, since)], [])

    async def has_ending(self, books: Books, told: list[Telling]) -> bool:
        """Tell whether the log holds the end of what these tell: then reading it in history again says nothing new."""
        ending = ending_of(told)
        if ending is None:
            return False
        return await self._log.find(self._fact(books, ending, late=True).key) is not None

    async def _append(self, facts: list[Fact], marks: list[Mark]) -> int:
        appended = await self._log.append(facts, marks=marks)
        mismatched = [fact for fact, result in zip(facts, appended, strict=True) if result.mismatch]
        if mismatched:
            reason = "another source told it otherwise: " + ", ".join(
                fact.envelope.dedupe_key for fact in mismatched[:5]
            )
            await self._log.append([self._moved("connector.mismatch", reason, len(mismatched), None)])
        return sum(_is_new(result) for result in appended)

    def _fact(self, books: Books, telling: Telling, late: bool) -> Fact:
        known = books.known[telling.login].account
        account = AccountRef.model_construct(
            server=self._server, login=telling.login, group=known.group, currency=_currency_of(known.currency)
        )
        at = telling.at
        timestamp = self._clock.now() if at is None else self._server_clock.to_utc(at)
        data = telling.data
        symbol = getattr(data, "symbol", None)
        if symbol and "symbol_class" in type(data).model_fields:
            data = data.model_copy(update={"symbol_class": self._classify(symbol)})
        fact = make_fact(
            BY_NAME[telling.type],
            telling.type,
            data,
            timestamp=timestamp,
            received_us=self._clock.now_us(),
            source=self._name,
            account=account,
            server_time=None if at is None else display(at),
            entity=telling.entity,
            replayed=late,
            degraded=telling.degraded,
        )
        return self._convert(fact)

    def _moved(self, kind: str, reason: str, missed: int | None, since: datetime | None) -> Fact:
        data = ConnectorMoved(connector=self._name, reason=reason[:2048], missed=missed, since=since)
        now_us = self._clock.now_us()
        return make_fact(
            BY_NAME[kind], kind, data, timestamp=from_us(now_us), received_us=now_us, source=self._name
        )


async def at_once() -> None:
    """Wait for nothing: what was told to this log is found in it."""


def unclassified(symbol: str) -> str | None:
    """Return no class: without a mask table a symbol's class is unknown, never a guess."""
    return None


def unconverted(fact: Fact) -> Fact:
    """Return the fact as it is: without a base currency nothing is converted into it."""
    return fact


def _is_new(result: Appended) -> bool:
    return not result.duplicate


def _currency_of(text: str | None) -> str | None:
    try:
        return _currency.validate_python((text or "").strip().upper())
    except ValidationError:
        return None
