"""What one unit of a currency is worth in the hub's base currency, and since when: from hub.yaml and from a file.

A rate without a moment is fixed and always holds, as that of cents. One with a moment holds from then on, until the
next one or until it is too old; before its moment, and behind its age, there is none: never a guess.
"""

import asyncio
import csv
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, final

import structlog
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from hub.clock import MICROSECOND, Clock, to_us
from hub.errors import ConfigError
from hub.events.base import Currency, Moment, Price
from hub.ingest.waiting import run_until

LOOK_EVERY: Final = timedelta(seconds=5)
MOST_BYTES: Final = 4 * 1024 * 1024
_FIXED: Final = -1
_COLUMNS: Final = ["currency", "rate", "at"]

log = structlog.get_logger(__name__)

Worth = Annotated[Price, Field(gt=0, le=Decimal(10) ** 9)]


class DatedRate(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    rate: Worth
    at: Moment | None = None


def _spelled(value: object) -> object:
    """Take a bare number for a fixed rate."""
    return value if isinstance(value, Mapping | DatedRate) else {"rate": value}


RateSetting = Annotated[DatedRate, BeforeValidator(_spelled)]


class Rate(NamedTuple):
    """`at` in µs; negative: it is fixed."""

    at: int
    rate: Decimal

    @property
    def is_fixed(self) -> bool:
        return self.at == _FIXED


class Quote(NamedTuple):
    currency: str
    rate: Decimal
    at: datetime | None


_quote = TypeAdapter(tuple[Currency, Worth, Moment | None])


@final
class Rates:
    """`more` replaces what the file says; currencies it does not name are as `fixed` in hub.yaml."""

    def __init__(self, settings: Mapping[str, DatedRate], *, longest: timedelta) -> None:
        self._settings = _sorted(Quote(name, dated.rate, dated.at) for name, dated in settings.items())
        self._longest_us = longest // MICROSECOND
        self._known = self._settings

    def load(self, quotes: Iterable[Quote]) -> None:
        self._known = {**self._settings, **_sorted(quotes)}

    def of(self, currency: str, at_us: int) -> Rate | None:
        """Return the rate that held at a moment; None when nobody has said."""
        known = self._known.get(currency)
        if known is None:
            return None
        place = bisect_right(known, at_us, key=_at)
        if not place:
            return None
        found = known[place - 1]
        return found if found.is_fixed or at_us - found.at <= self._longest_us else None

    def latest(self, at_us: int) -> dict[str, Rate]:
        """Return the rates that hold at a moment or held last before it, however old they are."""
        found: dict[str, Rate] = {}
        for currency, known in self._known.items():
            place = bisect_right(known, at_us, key=_at)
            if place:
                found[currency] = known[place - 1]
        return found


def _at(rate: Rate) -> int:
    return rate.at


def _sorted(quotes: Iterable[Quote]) -> dict[str, list[Rate]]:
    known: dict[str, dict[int, Rate]] = {}
    for quote in quotes:
        at = _FIXED if quote.at is None else to_us(quote.at)
        known.setdefault(quote.currency, {})[at] = Rate(at, quote.rate)
    return {currency: [rates[at] for at in sorted(rates)] for currency, rates in known.items()}


def read_rates(path: Path) -> list[Quote]:
    """Return what a file says. Raises ConfigError naming the line: half a table is worse than yesterday's."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"cannot read {path} ({error.strerror}): rates_file names a file of rates"
        ) from error
    if len(data) > MOST_BYTES:
        raise ConfigError(
            f"{path} is larger than {MOST_BYTES} bytes: leave out rates nobody asks for any more"
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not valid UTF-8: save it as UTF-8") from error
    rows = csv.reader(text.splitlines(), strict=True)
    try:
        header = [name.strip() for name in next(rows, [])]
        if header != _COLUMNS:
            raise ConfigError(f"{path}:1: the first line is {','.join(_COLUMNS)}")
        return [_read(path, rows.line_num, row) for row in rows if row]
    except csv.Error as error:
        raise ConfigError(f"{path}:{rows.line_num}: {error}") from error


def _read(path: Path, line: int, row: list[str]) -> Quote:
    cells: list[Any] = [cell.strip() for cell in row]
    if len(cells) != len(_COLUMNS):
        raise ConfigError(f"{path}:{line}: {len(cells)} cells for {len(_COLUMNS)} columns")
    try:
        return Quote(*_quote.validate_python((cells[0], cells[1], cells[2] or None)))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        column = _COLUMNS[int(first["loc"][0])]
        raise ConfigError(f"{path}:{line}: {column}: {first['msg']}") from error


@final
class RatesFile:
    """Reads the file again when it changes; one that cannot be read leaves the rates as they were."""

    def __init__(self, path: Path, rates: Rates, clock: Clock) -> None:
        self._path = path
        self._rates = rates
        self._clock = clock
        self._seen: tuple[int, int, int] | None = None

    def load(self) -> None:
        """Read it for the first time. Raises ConfigError."""
        self._seen = self._state()
        self._rates.load(read_rates(self._path))

    def look(self) -> None:
        """Read it again if it is another one now."""
        state = self._state()
        if state == self._seen:
            return
        self._seen = state
        try:
            self._rates.load(read_rates(self._path))
        except ConfigError as error:
            log.warning("rates.not_read", reason=str(error), advice="the rates before stay in force")
        else:
            log.info("rates.read", file=str(self._path))

    async def run(self, stopping: asyncio.Event) -> None:
        await run_until(stopping, self._keep_looking())

    async def _keep_looking(self) -> None:
        while True:
            await self._clock.sleep(LOOK_EVERY)
            self.look()

    def _state(self) -> tuple[int, int, int] | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino
