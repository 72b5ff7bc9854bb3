"""Lists over a log that several owners write: nothing that commits late is passed over, and no read is without bounds."""

import pytest
from conformance.backends import PostgresBackend

from hub.bus.log import InputKind
from hub.clock import to_us
from hub.ids import PARTITIONS
from hub.store.postgres import browse_events
from hub.testing import MORNING

NOW = to_us(MORNING)

_BODY = '{"id":"evt","type":"trade.closed","timestamp":"2026-06-23T09:00:00Z","received_at":"2026-06-23T09:00:00Z","source":"t","dedupe_key":"k","data":{}}'


async def put(
    postgres: PostgresBackend, partition: int, first: int, rows: int = 1, *, at: int = NOW, kind: int = 1
) -> None:
    """Write rows as an owner of this partition would, each a microsecond after the last."""
    await postgres.sql(
        f"INSERT INTO input SELECT {partition}, n, {at} + n, {kind}, 'live-1:' || n % 7, '{partition}/' || n, n, "
        f"'{_BODY}'::bytea, nextval('input_rank') FROM generate_series({first}, {first + rows - 1}) AS n"
    )


async def listed(
    postgres: PostgresBackend, after: str, limit: int = 4, **filters: object
) -> tuple[list[str], str]:
    page = await postgres.store.browser.events(after=after, limit=limit, **filters)  # type: ignore[arg-type]  # as given
    return [row.ref for row in page.items], page.next or ""


async def test_what_commits_late_stands_behind_the_cursor(postgres: PostgresBackend) -> None:
    await put(postgres, 1, 1, 6)
    page, after = await listed(postgres, "")
    assert page == ["1/1", "1/2", "1/3", "1/4"]

    # Partition 2 learned it first and its commit took longer.
    await put(postgres, 2, 1, at=NOW - 1_000_000)
    page, after = await listed(postgres, after, limit=2)
    await put(postgres, 0, 1, at=NOW - 1_000_000)
    rest, after = await listed(postgres, after)

    assert (page, rest, after) == (["2/1", "1/5"], ["0/1", "1/6"], "")


async def test_partitions_are_merged_in_the_order_the_hub_learned_them(postgres: PostgresBackend) -> None:
    await put(postgres, 3, 1, 3)
    await put(postgres, 2, 1, 3)

    page, _ = await listed(postgres, "", limit=6)

    assert page == ["2/1", "3/1", "2/2", "3/2", "2/3", "3/3"]


@pytest.mark.parametrize("newest", [False, True])
async def test_a_page_looks_at_so_many_rows_and_goes_on_from_there(
    postgres: PostgresBackend, monkeypatch: pytest.MonkeyPatch, newest: bool
) -> None:
    monkeypatch.setattr(browse_events, "MOST_SCANNED", 2 * PARTITIONS)
    for partition in (1, 2):
        await put(postgres, partition, 1, 150, kind=InputKind.TIMER)
        await put(postgres, partition, 151, 3)
    pages, found, after = 0, [], ""
    while True:
        page, after = await listed(postgres, after, limit=5, types=["trade.*"], newest_first=newest)
        pages, found = pages + 1, found + page
        if not after:
            break

    right = [f"{partition}/{n}" for n in (151, 152, 153) for partition in (1, 2)]
    assert sorted(found) == sorted(right)
    assert newest or found == right
    assert pages > 2


async def test_a_page_reads_no_more_bodies_than_fit_into_memory(
    postgres: PostgresBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browse_events, "_BYTES_AT_ONCE", 3 * len(_BODY))
    monkeypatch.setattr(browse_events, "_MOST_BYTES", 9 * len(_BODY))
    await put(postgres, 1, 1, 40)

    page, after = await listed(postgres, "", limit=20, types=["trade.opened"])
    assert page == []
    assert after
    found: list[str] = []
    after = ""
    while True:
        page, after = await listed(postgres, after, limit=20, types=["trade.closed"])
        assert len(page) <= 9
        found += page
        if not after:
            break

    assert found == [f"1/{n}" for n in range(1, 41)]


async def test_an_account_is_looked_for_in_its_partition(postgres: PostgresBackend) -> None:
    await postgres.sql(
        "INSERT INTO input SELECT p, 1, 5, 1, 'live-1:7001', p || '/1', 1, "
        f"'{_BODY}'::bytea, nextval('input_rank') FROM generate_series(0, 63) AS p"
    )

    page, after = await listed(postgres, "", account="live-1:7001")

    assert (len(page), after) == (1, "")
