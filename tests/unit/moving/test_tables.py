"""Nothing of a hub is forgotten on its way: every table and column of both shapes is carried over, or stays for a reason."""

import re
from pathlib import Path

import apsw
import pytest

from hub.moving.tables import BEGUN_ANEW, LEFT_BEHIND, TABLES, Table
from hub.store.postgres.migrate import migrations
from hub.store.sqlite.database import FILE, open_writer

# What one side calls otherwise, or needs and the other does not: the reason stands with the table.
ONLY_THERE = {("head", "at"), ("fact", "partition"), ("fact", "n"), ("fact", "at"), ("intent", "server")}
ONLY_THERE |= {("fact_hashed", "partition"), ("fact_hashed", "n")}
ONLY_HERE = {("fact", "input"), ("fact_hashed", "input"), ("trace", "rank")}


def here(folder: Path) -> dict[str, set[str]]:
    connection = open_writer(folder / FILE)
    names = [str(row[0]) for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    found = {
        name: {str(row[1]) for row in connection.execute(f"PRAGMA table_info({name})")} for name in names
    }
    connection.close()
    return found


def there() -> dict[str, set[str]]:
    """Return the tables of the database as its migrations write them down."""
    text = "\n".join(re.sub(r"--.*", "", text) for _, text in migrations())
    found: dict[str, set[str]] = {}
    for name, body in re.findall(r"CREATE TABLE (\w+) \((.*?)\)(?: WITH| PARTITION BY|;)", text, re.DOTALL):
        flat = re.sub(r"PRIMARY KEY \([^)]*\)", "", body)
        found[name] = {part.split()[0] for part in flat.split(",") if part.strip()}
    for name, column in re.findall(r"ALTER TABLE (\w+) ADD COLUMN (\w+)", text):
        found[name].add(column)
    for name in re.findall(r"DROP TABLE (\w+)", text):
        del found[name]
    return found


def test_every_table_of_the_folder_goes_along_or_is_named_as_left_behind(tmp_path: Path) -> None:
    assert {table.name for table in TABLES} | LEFT_BEHIND == set(here(tmp_path))


def test_every_table_of_the_database_is_filled_or_is_named_as_begun_anew() -> None:
    assert {table.name for table in TABLES} | BEGUN_ANEW == set(there())


def test_every_column_of_a_table_that_goes_along_goes_along(tmp_path: Path) -> None:
    folder, database = here(tmp_path), there()

    for table in TABLES:
        told = set(table.columns.split(", "))
        assert told == database[table.name], table.name
        assert {(table.name, column) for column in told - folder[table.name]} <= ONLY_THERE
        assert {(table.name, column) for column in folder[table.name] - told} <= ONLY_HERE


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_table_is_read_in_the_order_of_an_index_and_goes_on_without_reading_what_is_before(
    tmp_path: Path, table: Table
) -> None:
    connection = open_writer(tmp_path / FILE)
    connection.create_scalar_function("server_of", lambda *_: "", 1)
    plan = [
        str(row[3])
        for row in connection.execute(
            f"EXPLAIN QUERY PLAN {table.reading(going_on=True)}", (0,) * table.key_columns
        )
    ]
    connection.close()

    assert not [step for step in plan if "TEMP B-TREE" in step], plan
    assert plan[0].startswith("SEARCH"), plan


def test_a_query_asks_for_the_key_first_and_then_for_what_is_stored() -> None:
    table = Table("a", "x, y", "x, f(y)", "a", "x", only="y > 0")

    assert table.reading(going_on=False) == "SELECT x, x, f(y) FROM a WHERE y > 0 ORDER BY x"
    assert table.reading(going_on=True) == "SELECT x, x, f(y) FROM a WHERE y > 0 AND (x) > (?) ORDER BY x"
    assert table.counting == "SELECT count(*) FROM a WHERE y > 0"
    assert table.checking == "SELECT x, y FROM a"


def test_rows_with_text_as_keys_are_read_in_the_order_of_their_bytes(tmp_path: Path) -> None:
    connection: apsw.Connection = open_writer(tmp_path / FILE)
    for name in ("b", "ü", "Z", "a\0", "a"):
        connection.execute("INSERT INTO entity VALUES (?, 1, '')", (name,))
    table = next(table for table in TABLES if table.name == "entity")

    rows = connection.execute(table.reading(going_on=True), ("Z",)).fetchall()
    connection.close()

    assert [row[0] for row in rows] == ["a", "a\0", "b", "ü"]
