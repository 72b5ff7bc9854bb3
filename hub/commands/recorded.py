"""Recorded events for backtests: a hub's own log, read beside the running hub, or a file of them."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import final

import msgspec
from typing_extensions import override

from hub.bus.log import Appended, Input, InputKind, Lane, Mark, Teller
from hub.clock import Clock, from_us, to_us
from hub.config import load
from hub.engine.alone import load_alone
from hub.engine.levels import PositionSample, Quote, Sample
from hub.engine.program import Workflow
from hub.engine.record import Record, live_workflows
from hub.errors import ConfigError, RecordMalformed
from hub.events.facts import EVENT_PREFIX, Fact, stored, us_of
from hub.events.records import decode_data, decode_envelope
from hub.events.watched import symbol_key
from hub.ids import from_id, partition_of, partition_of_key
from hub.ingest.posted_samples import read_posted
from hub.ingest.quick import QuickReader
from hub.ingest.receive import Receiver
from hub.ingest.refusals import nearest
from hub.ingest.samples import Quote as PostedQuote
from hub.ingest.strict import NotStrict, parse_json
from hub.ingest.symbols import SymbolClasses
from hub.parts import compile_stored
from hub.store.sqlite.record import open_record

LONGEST_LINE = 64 * 1024
AT_ONCE = 4_000
_REFUSALS = 20
_SOURCE = "file"
_BEGINNING = datetime.fromisoformat("2000-01-01T00:00:00+00:00")


@asynccontextmanager
async def open_hub(config: Path | None, data: Path | None) -> AsyncIterator[Record]:
    """Open the record of the hub that the settings name, whether it runs or not."""
    settings = load(config, {"data": data})
    address = settings.store.address() if settings.is_scaled else None
    async with open_store(settings.data, address) as record:
        yield record


@asynccontextmanager
async def open_store(data: Path, address: str | None) -> AsyncIterator[Record]:
    """Open the record in a folder, or past one machine at PostgreSQL's address."""
    if address is None:
        with open_record(data) as record:
            yield record
        return
    try:
        from hub.store.postgres.database import open_database  # noqa: PLC0415 (its library is an extra)
        from hub.store.postgres.record import PostgresRecord  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            f"{error.name} is not installed: a hub on PostgreSQL needs the extra, pip install 'hub[scaled]'"
        ) from error
    async with open_database(address, connections=2) as database:
        yield PostgresRecord(database)


def file_named(name: str) -> Path | None:
    path = Path(name)
    return path if path.is_file() else None


def workflow_of(path: Path) -> Workflow:
    """Return the workflow in a file; raises ConfigError with everything wrong with it."""
    report = load_alone(path)
    if report.workflow is None:
        raise ConfigError("\n".join(str(problem) for problem in report.problems))
    return report.workflow


async def live_workflow(record: Record, name: str) -> Workflow:
    """Return a live workflow of the hub; raises ConfigError with the nearest there is."""
    live = await live_workflows(record)
    if name not in live:
        fix = nearest(name, tuple(live)) or f"there are {', '.join(sorted(live)) or 'none'}"
        raise ConfigError(f"{name} is neither a file nor a live workflow of this hub: {fix}")
    text = await record.version(live[name].hash)
    return compile_stored(text or "", name)


@dataclass(frozen=True, slots=True)
class Sampled:
    """A line of a file that is a sample or a quote, and no event."""

    key: str
    sample: Sample | Quote
    at: int
    symbol_class: str | None = None


@dataclass(slots=True)
class FileReading:
    """How far a file is read; `refused` are the first lines that are no events, and why."""

    lines: int = 0
    bytes_done: int = 0
    duplicates: int = 0
    late: int = 0  # lines that tell of a time before that of a line above them
    refused_count: int = 0
    refused: list[str] = field(default_factory=list)

    def refuse(self, reason: str) -> None:
        self.refused_count += 1
        if len(self.refused) < _REFUSALS:
            self.refused.append(f"line {self.lines}: {reason}")


@final
class EventFile:
    """NDJSON: events as they are posted or as the hub lists them, samples and quotes; in the order of their time."""

    def __init__(self, path: Path, symbols: SymbolClasses | None = None) -> None:
        if not path.is_file():
            raise ConfigError(f"there is no file {path}: name an NDJSON file, one event a line")
        self.path = path
        self.reading = FileReading()
        self._symbols = symbols or SymbolClasses()
        self._quick = QuickReader(self._symbols)
        self._seen: set[bytes] = set()
        self._n = 0
        self._at = to_us(_BEGINNING)

    @property
    def size(self) -> int:
        return max(self.path.stat().st_size, 1)

    async def batches(self) -> AsyncIterator[Sequence[Input | Sampled]]:
        rows: list[Input | Sampled] = []
        with self.path.open("rb") as file:
            while line := file.readline(LONGEST_LINE + 1):
                self.reading.lines += 1
                self.reading.bytes_done += len(line)
                if len(line) > LONGEST_LINE:
                    raise RecordMalformed(
                        f"{self.path}:{self.reading.lines}: a line of more than {LONGEST_LINE} bytes is no event"
                    )
                text = line.strip()
                row = await self._read(text) if text else None
                if row is not None:
                    rows.append(row)
                    if len(rows) == AT_ONCE:
                        yield rows
                        rows = []
        yield rows

    async def _read(self, text: bytes) -> Input | Sampled | None:
        fact = self._quick.read(text, self._at, _SOURCE, None)
        if fact is None:
            if b'"received_at"' in text:
                return self._listed(text)
            if (b'"equity"' in text or b'"bid"' in text) and b'"type"' not in text:
                return self._sampled(text)
            fact = await self._posted(text)
        if fact is None:
            return None
        if fact.key in self._seen:
            self.reading.duplicates += 1
            return None
        if fact.key:
            self._seen.add(fact.key)
        return self._row(fact.partition, fact.account, fact.envelope.id, stored(fact.envelope), fact.event_us)

    def _listed(self, text: bytes) -> Input | None:
        """Take an event as the hub lists it, with its `received_at`, which is when the hub learned it."""
        try:
            envelope = decode_envelope(text)
            decode_data(envelope)
        except (msgspec.DecodeError, ValueError) as problem:
            self.reading.refuse(str(problem))
            return None
        identity = from_id(EVENT_PREFIX, envelope.id) or envelope.id.encode()
        if identity in self._seen:
            self.reading.duplicates += 1
            return None
        self._seen.add(identity)
        who = envelope.account
        partition = partition_of(who.server, who.login) if who else partition_of_key(envelope.source)
        return self._row(partition, who.key if who else "", envelope.id, text, us_of(envelope.received_at))

    def _sampled(self, text: bytes) -> Sampled | None:
        try:
            found = read_posted(parse_json(text)[0], None)
        except NotStrict as problem:
            self.reading.refuse(str(problem))
            return None
        if isinstance(found, list):
            self.reading.refuse("; ".join(f"{error.field}: {error.reason}" for error in found))
            return None
        self._at = max(self._at, found.at)
        if isinstance(found, PostedQuote):
            quote, name = Quote(found.bid, found.ask), found.symbol
            return Sampled(symbol_key(found.server, name), quote, self._at, self._symbols.of(name))
        sample = Sample(
            equity=found.equity,
            floating=found.floating,
            free_margin=found.free_margin,
            margin_level=found.margin_level,
            margin=found.margin,
            balance=found.balance,
            positions=tuple(
                PositionSample(each.position, each.profit, each.price) for each in found.positions
            ),
        )
        return Sampled(f"{found.server}:{found.login}", sample, self._at)

    async def _posted(self, text: bytes) -> Fact | None:
        """Read a line as the hub would a post of its own day: what is years old is history here, and not too old."""
        log = _Kept()
        try:
            receipt = await Receiver(log, _ThatDay(_moment(text, self._at)), symbols=self._symbols).accept(
                text, "application/json", source=_SOURCE
            )
        except NotStrict as problem:
            self.reading.refuse(str(problem))
            return None
        for result in receipt.results:
            for error in result.errors:
                self.reading.refuse(
                    f"{error.field}: {error.reason}" + (f"; {error.fix}" if error.fix else "")
                )
                return None
        return log.facts[0] if log.facts else None

    def _row(self, partition: int, key: str, ref: str, body: bytes, at: int) -> Input:
        self._n += 1
        if at >= self._at:
            self._at = at
        else:
            self.reading.late += 1
        return Input(partition, self._n, self._at, int(InputKind.EVENT), key, ref, None, body)


def _moment(text: bytes, otherwise: int) -> int:
    try:
        told = json.loads(text)["timestamp"]
        return to_us(datetime.fromisoformat(told))
    except (ValueError, KeyError, TypeError, RecursionError):
        return otherwise


@final
class _Kept(Teller):
    """Takes facts as the log would, and keeps them for whoever reads the file."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []

    @override
    async def append(
        self, facts: Sequence[Fact], *, marks: Sequence[Mark] = (), lane: Lane = Lane.LIVE
    ) -> list[Appended]:
        self.facts += facts
        return [Appended(fact.envelope.id, duplicate=False, mismatch=False) for fact in facts]

    @override
    async def find(self, key: bytes) -> Input | None:
        return None

    @override
    async def marks(self, source: str) -> dict[str, bytes]:
        return {}


@final
class _ThatDay(Clock):
    """Stands at the moment of one line."""

    def __init__(self, at: int) -> None:
        self._at = at

    @override
    def now(self) -> datetime:
        return from_us(self._at)

    @override
    def now_us(self) -> int:
        return self._at

    @override
    def monotonic(self) -> float:
        return 0.0

    @override
    async def sleep(self, duration: timedelta) -> None:
        return
