"""Many rows for the directory in one body: each taken or refused by itself, with its line, the reason and the fix."""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, Protocol, final

import msgspec
from pydantic import TypeAdapter, ValidationError
from typing_extensions import override

from hub.ingest.clients import Client, ClientId, LinkedAccount
from hub.ingest.csv_table import CsvRow, CsvTable
from hub.ingest.directory import AccountTaken, Directory
from hub.ingest.lines import LONGEST, Lines
from hub.ingest.profiles import AccountProfile, Profiles
from hub.ingest.refusals import FieldError, field_errors, nearest, shown
from hub.ingest.strict import Unreadable, parse_line

MOST_ROWS: Final = 10_000
MOST_LINES: Final = 5 * MOST_ROWS  # blank ones too
MOST_BYTES: Final = 16 * 1024 * 1024
AT_ONCE: Final = 32  # rows stored together share a write to disk

Fields = dict[str, Any]


class RowResult(msgspec.Struct, omit_defaults=True):
    """`line` counts from 1. A duplicate says nothing that was not known."""

    line: int
    status: Literal["accepted", "duplicate", "rejected"]
    id: str = ""
    errors: tuple[FieldError, ...] = ()


class Row(NamedTuple):
    """What a line says, or why nothing can be read from it."""

    line: int
    fields: Fields
    errors: tuple[FieldError, ...] = ()


class Rows(Protocol):
    """Reads rows from a body that comes in pieces; both methods raise HeaderWrong or UnknownColumn."""

    @property
    def lines(self) -> int:
        """Return how many lines there were, blank ones too."""

    def feed(self, data: bytes) -> Iterator[Row]: ...

    def end(self) -> Iterator[Row]: ...


class Taker(Protocol):
    """Says whose a row is and stores it."""

    def whose(self, fields: Fields) -> str | FieldError:
        """Return what a row is about: two rows about the same are stored one after the other."""

    async def take(self, whose: str, fields: Fields) -> bool | Sequence[FieldError]:
        """Store a row; return whether it said anything new, or why it cannot be stored. Raises AccountTaken."""


@final
class NdjsonRows(Rows):
    def __init__(self) -> None:
        self._lines = Lines()

    @property
    @override
    def lines(self) -> int:
        return self._lines.read

    @override
    def feed(self, data: bytes) -> Iterator[Row]:
        return self._read(self._lines.feed(data))

    @override
    def end(self) -> Iterator[Row]:
        return self._read(self._lines.end())

    @staticmethod
    def _read(lines: Sequence[Any]) -> Iterator[Row]:
        for number, text in lines:
            if text is None:
                yield Row(number, {}, (FieldError("body", f"the line is longer than {LONGEST // 1024} KiB"),))
            elif not text.isspace():
                item = parse_line(text, number)
                if isinstance(item, Unreadable):
                    yield Row(number, {}, (FieldError("body", item.reason, item.fix),))
                else:
                    yield Row(number, item)


_SEVERAL: Final = re.compile(r"[|,;\s]+")
_WHOLE: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})", re.ASCII)
_FLAGS: Final = {"true": True, "false": False}


@final
class CsvRows(Rows):
    """`columns` are the fields there can be. `tags` and `accounts` hold several, with blanks or | between them.

    An empty cell says nothing. A column attributes.NAME holds true, false, a whole number or text; with `:text` behind
    the name always text, for what only looks like a number.
    """

    def __init__(self, columns: frozenset[str]) -> None:
        self._known = columns
        self._table = CsvTable()
        self._checked = False

    @property
    @override
    def lines(self) -> int:
        return self._table.lines

    @override
    def feed(self, data: bytes) -> Iterator[Row]:
        return self._read(self._table.feed(data))

    @override
    def end(self) -> Iterator[Row]:
        yield from self._read(self._table.end())
        self._check()

    def _read(self, rows: Iterator[CsvRow]) -> Iterator[Row]:
        for row in rows:
            self._check()
            if row.problem:
                yield Row(row.line, {}, (FieldError("body", row.problem),))
            else:
                yield Row(row.line, _typed(row.cells))

    def _check(self) -> None:
        if self._checked:
            return
        if self._table.columns is None:
            raise UnknownColumn("", "the body is empty: its first line names the columns")
        for name in self._table.columns:
            if name not in self._known and not _ATTRIBUTE.fullmatch(name):
                fix = (
                    nearest(name, self._known)
                    or f"known are {', '.join(sorted(self._known))}, attributes.NAME"
                )
                raise UnknownColumn(shown(name), fix)
        self._checked = True


_ATTRIBUTE: Final = re.compile(r"attributes\.[a-z][a-z0-9_]{0,63}(:text)?", re.ASCII)


class UnknownColumn(ValueError):
    def __init__(self, column: str, fix: str) -> None:
        super().__init__(f"unknown column {column}: {fix}" if column else fix)
        self.column = column
        self.fix = fix


def _typed(cells: Mapping[str, str]) -> Fields:
    fields: Fields = {}
    attributes: Fields = {}
    for name, cell in cells.items():
        text = cell.strip()
        if not text:
            continue
        head, _, attribute = name.partition(".")
        if attribute:
            plain, _, as_text = attribute.partition(":")
            attributes[plain] = text if as_text else _scalar(text)
        elif head in {"tags", "accounts"}:
            fields[head] = [part for part in _SEVERAL.split(text) if part]
        elif head == "consent_marketing":
            fields[head] = _FLAGS.get(text.lower(), text)
        elif head == "login":
            fields[head] = int(text) if _WHOLE.fullmatch(text) else text
        else:
            fields[head] = text
    return fields | ({"attributes": attributes} if attributes else {})


def _scalar(text: str) -> Any:
    if text.lower() in _FLAGS:
        return _FLAGS[text.lower()]
    return int(text) if _WHOLE.fullmatch(text) else text


_client_id: TypeAdapter[str] = TypeAdapter(ClientId)

CLIENT_COLUMNS: Final = frozenset({"id", *Client.model_fields}) - {"attributes"}
ACCOUNT_COLUMNS: Final = frozenset({"account", "server", "login", *AccountProfile.model_fields}) - {
    "attributes"
}


@final
class ClientRows(Taker):
    """With `merge` a row changes what it names; otherwise it is the whole record."""

    def __init__(self, directory: Directory, *, merge: bool) -> None:
        self._directory = directory
        self._merge = merge

    @override
    def whose(self, fields: Fields) -> str | FieldError:
        try:
            return _client_id.validate_python(fields.pop("id", None))
        except ValidationError:
            return FieldError(
                "id",
                "a client's id has up to 128 letters, digits and . _ : @ - after a first letter or digit",
                'name the client: "id": "c-1001"',
            )

    @override
    async def take(self, whose: str, fields: Fields) -> bool | Sequence[FieldError]:
        try:
            if self._merge:
                kept = await self._directory.merge(whose, fields)
            else:
                kept = await self._directory.put(whose, Client.model_validate(fields))
        except ValidationError as error:
            return field_errors(error, Client)
        return kept.changed


@final
class AccountRows(Taker):
    """`servers` None means any."""

    def __init__(self, profiles: Profiles, servers: frozenset[str] | None) -> None:
        self._profiles = profiles
        self._servers = servers

    @override
    def whose(self, fields: Fields) -> str | FieldError:
        text = fields.pop("account", None)
        server, login = fields.pop("server", None), fields.pop("login", None)
        if isinstance(text, str) and server is None and login is None:
            server, _, digits = text.rpartition(":")
            login = int(digits) if _WHOLE.fullmatch(digits) else digits
        try:
            account = LinkedAccount.model_validate({"server": server, "login": login})
        except ValidationError:
            said = "no account is named" if text is None else f"{shown(text)} is no account"
            return FieldError("account", said, 'write "account": "live-1:7001"')
        if self._servers is not None and account.server not in self._servers:
            return FieldError("account", f"this key may not tell of server {account.server}")
        return account.key

    @override
    async def take(self, whose: str, fields: Fields) -> bool | Sequence[FieldError]:
        server, _, login = whose.rpartition(":")
        try:
            change = AccountProfile.model_validate(fields)
        except ValidationError as error:
            return field_errors(error, AccountProfile)
        kept = await self._profiles.change(LinkedAccount(server=server, login=int(login)), change)
        return kept.created or kept.changed


@final
class Bulk:
    """Takes rows in, so many at a time, as they come."""

    def __init__(self, rows: Rows, taker: Taker) -> None:
        self._rows = rows
        self._taker = taker
        self._results: list[RowResult] = []
        self._read = 0
        self.next_line = 0

    def results(self) -> list[RowResult]:
        """Return what became of the rows so far, in the order of their lines."""
        return sorted(self._results, key=_line)

    @property
    def is_full(self) -> bool:
        """Return whether there is more than one body may have: lines from `next_line` on were not looked at."""
        return self.next_line > 0

    async def feed(self, data: bytes) -> None:
        """Read a piece and store what is whole. Raises StoreUnavailable, HeaderWrong, UnknownColumn."""
        await self._take(self._rows.feed(data))

    async def end(self) -> None:
        await self._take(self._rows.end())

    async def _take(self, rows: Iterator[Row]) -> None:
        wave: dict[str, tuple[int, Fields]] = {}
        for row in rows:
            self._read += 1
            if self._read > MOST_ROWS:
                self.next_line = row.line
                break
            whose = row.errors[0] if row.errors else self._taker.whose(row.fields)
            if isinstance(whose, FieldError):
                self._results.append(RowResult(row.line, "rejected", errors=row.errors or (whose,)))
                continue
            if whose in wave or len(wave) >= AT_ONCE:
                await self._store(wave)
                wave = {}
            wave[whose] = row.line, row.fields
        await self._store(wave)
        if not self.is_full and self._rows.lines > MOST_LINES:
            self.next_line = self._rows.lines + 1

    async def _store(self, wave: Mapping[str, tuple[int, Fields]]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {
                    whose: group.create_task(self._attempt(whose, fields))
                    for whose, (_, fields) in wave.items()
                }
        except BaseExceptionGroup as problems:
            raise _first(problems) from None
        for whose, task in tasks.items():
            line, fields = wave[whose]
            said = task.result()
            if isinstance(said, AccountTaken):
                said = await self._attempt(whose, fields)  # another row of this wave may have let go of it
            if isinstance(said, AccountTaken):
                reason = f"{said.account} is linked to client {said.client}"
                said = [FieldError("accounts", reason, "unlink it there first")]
            if isinstance(said, bool):
                self._results.append(RowResult(line, "accepted" if said else "duplicate", whose))
            else:
                self._results.append(RowResult(line, "rejected", whose, tuple(said)))

    async def _attempt(self, whose: str, fields: Fields) -> bool | Sequence[FieldError] | AccountTaken:
        try:
            return await self._taker.take(whose, fields)
        except AccountTaken as taken:
            return taken


def _line(result: RowResult) -> int:
    return result.line


def _first(problems: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = problems
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
