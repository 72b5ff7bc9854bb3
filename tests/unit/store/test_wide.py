"""Many rows in one statement: every row once, in order, however many there are, and nothing that was not given."""

from collections.abc import Iterator

import apsw
import pytest

from hub.store.sqlite.wide import Row, among, insert

COUNTS = [0, 1, 2, 3, 4, 5, 16, 17, 31, 64, 100, 255, 256, 257, 512, 700]


class Table:
    """A table that numbers its rows as they come, and every statement it was given."""

    def __init__(self) -> None:
        self.connection = apsw.Connection(":memory:")
        self.connection.execute("CREATE TABLE t (rank INTEGER PRIMARY KEY, x INTEGER UNIQUE, y TEXT) STRICT")
        self.statements: list[str] = []
        self.connection.exec_trace = self._note

    def insert(self, rows: list[Row], tail: str = "") -> None:
        insert(self.connection, "INSERT INTO t (x, y)", rows, tail)

    def stored(self) -> list[Row]:
        return list(self.connection.execute("SELECT x, y FROM t ORDER BY rank"))

    def _note(self, _: object, statement: str, __: object) -> bool:
        self.statements.append(statement)
        return True


@pytest.fixture
def table() -> Iterator[Table]:
    table = Table()
    yield table
    table.connection.close()


@pytest.mark.parametrize("count", COUNTS)
def test_every_row_is_inserted_once_and_in_its_order(table: Table, count: int) -> None:
    rows = [(x * 7919 % 1_000, str(x)) for x in range(count)]

    table.insert(rows)

    assert table.stored() == rows


@pytest.mark.parametrize(("count", "statements"), [(0, 0), (1, 1), (31, 1), (256, 1), (257, 2), (700, 3)])
def test_rows_share_a_statement_as_far_as_it_goes(table: Table, count: int, statements: int) -> None:
    table.insert([(x, "") for x in range(count)])
    inserted = len(table.statements)
    among(table.connection, "DELETE FROM t WHERE (x, y)", [(x, "") for x in range(count)])

    assert (inserted, len(table.statements) - inserted) == (statements, statements)


@pytest.mark.parametrize("count", [1, 3, 5, 31])
def test_a_row_of_nothing_but_nulls_is_a_row_like_any_other(table: Table, count: int) -> None:
    rows = [(x, "y") for x in range(count - 1)] + [(None, None)]

    table.insert(rows)

    assert table.stored() == rows


def test_few_sizes_of_statement_serve_all_counts(table: Table) -> None:
    for count in range(1, 257):
        table.insert([(None, "")] * count)

    assert len(set(table.statements)) <= 2 * 9


@pytest.mark.parametrize("bad", [0, 2, 4])
def test_a_row_the_table_refuses_is_not_left_out_but_told(table: Table, bad: int) -> None:
    rows: list[Row] = [(x, "y") for x in range(5)]
    rows[bad] = (100, b"not text")

    with pytest.raises(apsw.ConstraintError):
        table.insert(rows)

    assert table.stored() == []


@pytest.mark.parametrize("count", [1, 3, 40])
def test_a_tail_says_what_happens_to_rows_that_are_there(table: Table, count: int) -> None:
    table.insert([(x, "old") for x in range(0, count, 2)])

    table.insert([(x, "new") for x in range(count)], "ON CONFLICT (x) DO UPDATE SET y = excluded.y || x")

    wanted = {(x, f"new{x}" if x % 2 == 0 else "new") for x in range(count)}
    assert set(table.stored()) == wanted
    assert len(table.stored()) == count


@pytest.mark.parametrize("count", COUNTS)
def test_what_is_asked_for_is_found_once_and_nothing_else(table: Table, count: int) -> None:
    table.insert([(x, str(x)) for x in range(1_000)])

    found = among(table.connection, "SELECT x FROM t WHERE x", [(x,) for x in range(0, 3 * count, 3)])

    assert sorted(found) == [(x,) for x in range(0, 3 * count, 3) if x < 1_000]


@pytest.mark.parametrize("count", COUNTS)
def test_deleting_by_key_takes_those_rows_and_returns_them(table: Table, count: int) -> None:
    table.insert([(x, str(x % 2)) for x in range(1_000)])

    removed = among(
        table.connection, "DELETE FROM t WHERE (x, y)", [(x, "1") for x in range(count)], "RETURNING x"
    )

    gone = [(x,) for x in range(1, count, 2)]
    assert sorted(removed) == gone
    assert [x for x, _ in table.stored()] == [x for x in range(1_000) if (x,) not in gone]


def test_a_key_asked_for_twice_is_found_once(table: Table) -> None:
    table.insert([(1, "a"), (2, "b")])

    assert among(table.connection, "SELECT y FROM t WHERE x", [(1,), (1,), (2,), (1,), (None,)]) == [
        ("a",),
        ("b",),
    ]
