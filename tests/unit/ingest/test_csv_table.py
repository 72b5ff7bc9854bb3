"""CSV in pieces: every good row is read, whatever stands beside it."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.ingest.csv_table import CsvRow, CsvTable, HeaderWrong
from hub.ingest.lines import LONGEST, Lines


def read(text: bytes, piece: int = 1 << 20) -> list[CsvRow]:
    table = CsvTable()
    rows: list[CsvRow] = []
    for start in range(0, len(text), piece):
        rows += table.feed(text[start : start + piece])
    return rows + list(table.end())


def good(rows: list[CsvRow]) -> list[tuple[int, list[str]]]:
    return [(row.line, list(row.cells.values())) for row in rows if not row.problem]


@pytest.mark.parametrize("piece", [1, 3, 1 << 20])
def test_rows_are_read_however_the_bytes_come(piece: int) -> None:
    text = b'\xef\xbb\xbfid,email\r\nc1,a@b.c\r\n\r\n"c,2","say ""hi"""\nc3,"two\nlines"\nc4,last'

    assert good(read(text, piece)) == [
        (2, ["c1", "a@b.c"]),
        (4, ["c,2", 'say "hi"']),
        (5, ["c3", "two\nlines"]),
        (7, ["c4", "last"]),
    ]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_the_header_tells_what_stands_between_cells(mark: str) -> None:
    assert good(read(f"id{mark}email\nc1{mark}a@b.c\n".encode())) == [(2, ["c1", "a@b.c"])]


def test_a_mark_that_is_never_closed_costs_its_own_line() -> None:
    rows = read(b'id,name\nc1,"oops\nc2,two\nc3,three\n' + b"c4,four\n" * 40)

    assert [(row.line, row.problem) for row in rows if row.problem] == [
        (2, "a quotation mark is opened and not closed")
    ]
    assert len(good(rows)) == 42


def test_a_mark_that_a_later_row_closes_costs_its_own_line() -> None:
    rows = read(b'id,name\nc1,"oops\nc2,two\nc3,"three"\nc4,four\n')

    assert [row.line for row in rows if row.problem] == [2]
    assert [cells[0] for _, cells in good(rows)] == ["c2", "c3", "c4"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"c1", "there are 1 cells for 2 columns"),
        (b"c1,a,b", "there are 3 cells for 2 columns"),
        (b"c1,\xff", "not valid UTF-8: save the file as UTF-8"),
        (b"c1,\x00", "a zero byte stands in it"),
        (b"c1," + b"x" * (LONGEST + 1), f"the line is longer than {LONGEST // 1024} KiB"),
    ],
)
def test_a_bad_row_stops_no_other(line: bytes, problem: str) -> None:
    rows = read(b"id,name\n" + line + b"\nc2,b\n", piece=10_000)

    assert rows == [CsvRow(2, {}, problem), CsvRow(3, {"id": "c2", "name": "b"})]


@pytest.mark.parametrize("header", [b"\n", b"id,id\n", b"id,\xff\n", b"id,,\n"])
def test_without_columns_nothing_is_read(header: bytes) -> None:
    with pytest.raises(HeaderWrong):
        read(header + b"c1,c2\n")


def test_what_never_ends_is_not_gathered() -> None:
    lines = Lines(longest=100)

    for _ in range(1_000):
        assert lines.feed(b"x" * 99) == []
        assert len(lines._rest) <= 100

    assert [line.text for line in lines.feed(b"\nshort\n")] == [None, b"short\n"]


CELLS = st.text(st.sampled_from('ab",\n;é '), max_size=6).filter(lambda cell: "\r" not in cell)


@given(st.lists(st.tuples(CELLS, CELLS), max_size=8), st.integers(1, 20))
def test_what_another_program_writes_is_read_as_it_meant(rows: list[tuple[str, str]], piece: int) -> None:
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(["id", "name"])
    writer.writerows(rows)

    read_rows = read(out.getvalue().encode(), piece)

    assert [tuple(row.cells.values()) for row in read_rows] == rows
