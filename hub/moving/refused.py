"""Says which row a database would not take, and why."""

from hub.errors import StoreRefused
from hub.moving.source import Record
from hub.moving.tables import Table
from hub.store.sqlite.database import FILE

_MOST = 120


def complaint(table: Table, record: Record | None, refused: StoreRefused) -> StoreRefused:
    """Return the refusal with the row it is about; `record` is None where no row alone is to blame."""
    if record is None:
        return StoreRefused(f"{table.name}: {refused}")
    row = dict(zip(table.columns.split(", "), record, strict=True))
    nul = next((name for name, value in row.items() if isinstance(value, str) and "\0" in value), None)
    why = (
        f"its {nul} contains the character NUL, which PostgreSQL's text cannot hold" if nul else str(refused)
    )
    return StoreRefused(
        f"{table.name} row {_named(table, row)} cannot be stored: {why}. Correct the row in {FILE} with the sqlite3 shell, "
        "and run the same command again"
    )


def _named(table: Table, row: dict[str, object]) -> str:
    """Return what tells the row from others; of everything else it may hold a secret is never shown."""
    names = [name.rpartition(".")[2] for name in table.key.split(", ")]
    if not set(names) <= row.keys():  # a row that counts itself there has a name of its own here
        names = ["partition", "n", "id"]
    shown = (value.hex() if isinstance(value := row[name], bytes) else repr(value) for name in names)
    return ", ".join(f"{name}={value[:_MOST]}" for name, value in zip(names, shown, strict=True))
