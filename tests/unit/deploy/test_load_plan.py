"""The numbers of the load plan, worked out again from its own assumptions and measurements."""

import math
import re

import pytest
from doc_blocks import DOCS

PAGE = (DOCS / "load-plan.md").read_text(encoding="utf-8")
ACCOUNTS = (1_000, 100_000, 10_000_000)
EVENTS, BUSIEST, OPEN, ANSWER, FULL = 10, 5, 0.10, 0.050, 0.5
ALONE, BATCHED, SAMPLE, BYTES = 190e-6, 130e-6, 1.5e-6, 1900
DAY = 86_400
API, API_BATCHED, INGEST, ENGINE = 167e-6, 48e-6, 750e-6, 196e-6
DISPATCH, POSTGRES, KAFKA = 93e-6, 98e-6, 144e-6
ON_DISK, IN_WAL, IN_KAFKA = 2700, 3700, 1300
UNITS = {"MB": 1e6, "GB": 1e9, "TB": 1e12, "": 1.0}

EXPECTED = {
    "events a day": lambda n: n * EVENTS,
    "events/s, average": lambda n: n * EVENTS / DAY,
    "events/s, busiest hour": lambda n: n * EVENTS * BUSIEST / DAY,
    "samples/s": lambda n: n * OPEN,
    "cores for events, posted alone": lambda n: n * EVENTS * BUSIEST / DAY * ALONE,
    "cores for events, posted by 100": lambda n: n * EVENTS * BUSIEST / DAY * BATCHED,
    "cores for samples": lambda n: n * OPEN * SAMPLE,
    "webhooks on their way at once": lambda n: n * EVENTS * BUSIEST / DAY * ANSWER,
    "disk a day": lambda n: n * EVENTS * BYTES,
    "disk for 400 days, 286 of them with trade": lambda n: n * EVENTS * BYTES * 286,
    "Kafka for 7 days, 5 of them with trade, 3 copies of 1 KB": lambda n: n * EVENTS * 5 * 3 * 1000,
    "cores of `api`, posted alone": lambda n: busiest(n) * API,
    "cores of `api`, posted by 100": lambda n: busiest(n) * API_BATCHED,
    "cores of `ingest`, if connectors tell everything": lambda n: busiest(n) * INGEST,
    "cores of `engine`, posted alone": lambda n: busiest(n) * ENGINE,
    "cores of `dispatch`, posted alone": lambda n: busiest(n) * DISPATCH,
    "cores of PostgreSQL, posted by 100": lambda n: busiest(n) * POSTGRES,
    "cores of Kafka, posted alone": lambda n: busiest(n) * KAFKA,
    "PostgreSQL's disk a day": lambda n: n * EVENTS * ON_DISK,
    "PostgreSQL's WAL a second": lambda n: busiest(n) * IN_WAL,
    "into Kafka a second, each copy": lambda n: busiest(n) * IN_KAFKA,
}


def busiest(accounts: int) -> float:
    return accounts * EVENTS * BUSIEST / DAY


def row(name: str) -> list[str]:
    found = re.search(rf"^\| {re.escape(name)} \| [^|]+ \|(.+)\|$", PAGE, re.MULTILINE)
    assert found, name
    return [cell.strip() for cell in found[1].split("|")]


def number(cell: str) -> tuple[float, float]:
    """Return what a cell says, and half of its last digit."""
    found = re.fullmatch(r"([\d,]+(?:\.(\d+))?) ?(MB|GB|TB|)", cell)
    assert found, cell
    unit = UNITS[found[3]]
    return float(found[1].replace(",", "")) * unit, 0.5 * 10 ** -len(found[2] or "") * unit


@pytest.mark.parametrize("name", EXPECTED)
def test_a_row_of_the_load_plan_is_what_its_formula_gives(name):
    for accounts, cell in zip(ACCOUNTS, row(name), strict=True):
        shown, half_a_digit = number(cell)
        exact = EXPECTED[name](accounts)

        assert shown == pytest.approx(exact, abs=half_a_digit * 1.01, rel=1e-9), accounts


def test_the_assumptions_and_measurements_are_those_of_the_page():
    for shown in ("| 10 |", "| 5 times |", "| 10 % |", "| 50 ms |", "| half |", "| 190 µs |", "| 130 µs |", "| 1.5 µs |", "| 1.9 KB |"):  # fmt: skip
        assert shown in PAGE, shown


def test_the_costs_of_several_processes_are_those_of_the_page():
    for shown in (
        "| 167 µs | 48 µs |", "| 750 µs |", "| 196 µs | 110 µs |", "| 93 µs | 78 µs |", "| 128 µs | 98 µs |", "| 144 µs | 26 µs |",
        "| 2.7 KB |", "| 3.7 KB |", "| 1.3 KB |",
    ):  # fmt: skip
        assert shown in PAGE, shown
    assert f"{FULL / INGEST:.0f} facts a second" in PAGE
    assert f"{FULL / DISPATCH:,.0f} webhooks a second" in PAGE
    for cost, count in (
        (API, "2 processes"),
        (INGEST, "9 with `ingest`"),
        (ENGINE, "3 engines"),
        (DISPATCH, "2 dispatchers"),
    ):
        assert f"{math.ceil(busiest(ACCOUNTS[2]) * cost / FULL)} {count.partition(' ')[2]}" == count
        assert count in PAGE


def test_the_end_of_one_process_is_where_the_page_says():
    event = EVENTS * BUSIEST * ALONE / DAY

    assert f"{FULL / (event + OPEN * SAMPLE) / 1e6:.1f} million accounts" in PAGE
    assert f"{FULL / event / 1e6:.1f} million without samples" in PAGE.replace("\n", " ")
    assert 60 * 5 / 7 * ACCOUNTS[2] * EVENTS * BYTES / 1e12 == pytest.approx(8, abs=0.5)
