"""Numbers are handed out from what is committed, and from nothing else."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest

from hub.bus.log import Mark
from hub.clock import ManualClock, to_us
from hub.errors import StoreUnavailable
from hub.store.sqlite import numbering as numbers
from hub.store.sqlite.database import FILE, open_writer
from hub.store.sqlite.numbering import Numbering
from hub.testing import MORNING, a_trade_closed, an_account, an_input, open_store


class FlakyConnection(apsw.Connection):
    """Fails one statement, once."""

    fails_on = ""

    def execute(self, statements: str, *rest: Any) -> apsw.Cursor:
        if self.fails_on and self.fails_on in statements:
            self.fails_on = ""
            raise apsw.IOError("a bad sector")
        return super().execute(statements, *rest)


@pytest.mark.parametrize("fails_on", ["FROM head", "FROM input"])
def test_reading_again_what_is_committed_counts_whole_or_not_at_all(tmp_path: Path, fails_on: str) -> None:
    open_writer(tmp_path / FILE).close()
    connection = FlakyConnection(str(tmp_path / FILE))
    connection.execute("INSERT INTO head VALUES (0, 41), (5, 7)").fetchall()
    connection.execute("INSERT INTO input VALUES (48, 0, 41, 1000, 1, '', '', NULL, x'')").fetchall()
    numbering = Numbering(connection)
    numbering.forget()
    connection.fails_on = fails_on

    with pytest.raises(apsw.IOError):
        numbering.refresh()
    numbering.refresh()

    assert (numbering.next_n(0), numbering.next_n(5), numbering.next_n(6)) == (42, 8, 1)
    assert numbering.next_rank() == 49
    connection.close()


async def test_a_failed_transaction_uses_up_no_numbers(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await store.log.append([a_trade_closed()])
        await store.writer.submit(
            lambda connection: connection.execute(
                "CREATE TRIGGER fault BEFORE INSERT ON mark BEGIN SELECT RAISE(ABORT, 'fault'); END"
            ).fetchall()
        )
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match="fault"):
                await store.log.append([a_trade_closed() for _ in range(5)], marks=[Mark("s", "a", b"1")])

        await store.log.append([a_trade_closed()])

        rows = await store.log.scan(0, 10)
        assert [(row.n, row.sequence, row.rank) for row in rows] == [(1, 1, 1), (2, 2, 2)]


async def test_the_moment_of_a_row_never_goes_back_with_the_clock(tmp_path: Path) -> None:
    async with open_store(tmp_path, ManualClock(MORNING)) as store:
        await store.log.append([], inputs=[an_input()])
    async with open_store(tmp_path, ManualClock(MORNING - timedelta(hours=3))) as store:
        await store.log.append([], inputs=[an_input()])
        rows = await store.log.scan(0, 10)
    assert [row.at for row in rows] == [to_us(MORNING), to_us(MORNING)]


async def test_sequences_are_right_when_more_accounts_come_than_memory_keeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbers, "_SEQUENCES_IN_MEMORY", 3)
    accounts = [an_account(login=login) for login in range(7000, 7008)]
    async with open_store(tmp_path) as store:
        for _ in range(3):
            await store.log.append([a_trade_closed(account) for account in accounts])

        rows = await store.log.scan(0, 100)

    for account in accounts:
        key = f"{account.server}:{account.login}"
        assert [row.sequence for row in rows if row.key == key] == [1, 2, 3]
