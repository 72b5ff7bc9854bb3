"""Questions to people, on SQLite: written with the decisions that ask and answer them, read page by page."""

from typing import Any, Final, final

import apsw

from hub.bus.pages import Page
from hub.engine.rows import ANY_APPROVAL, ApprovalFilter, ApprovalRow, Batch
from hub.store.approvals import APPROVAL, columns, listed, page, place
from hub.store.sqlite.reader import Reader
from hub.store.sqlite.wide import insert

_LISTED: Final = listed("x''")


def write_approvals(connection: apsw.Connection, batch: Batch) -> None:
    insert(connection, f"INSERT OR IGNORE INTO approval ({APPROVAL})", batch.approvals)
    if batch.approval_moves:
        connection.executemany(
            "UPDATE approval SET state = ?, votes = ? WHERE id = ?",
            [(move.state, move.votes, move.id) for move in batch.approval_moves],
        )


@final
class SqliteApprovals:
    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def approvals(
        self, *, after: str, limit: int, wanted: ApprovalFilter = ANY_APPROVAL
    ) -> Page[ApprovalRow]:
        sought = columns(wanted)
        conditions = "".join(f" AND {column} = ?" for column in sought)
        values: tuple[Any, ...] = (*place(after), *sought.values(), limit)

        def work(connection: apsw.Connection) -> Page[ApprovalRow]:
            rows = connection.execute(
                f"SELECT {_LISTED} FROM approval WHERE (at, id) < (?, ?){conditions} ORDER BY at DESC, id DESC LIMIT ?",
                values,
            )
            return page([ApprovalRow._make(row) for row in rows], limit)

        return await self._reader.read(work)

    async def approval(self, name: str) -> ApprovalRow | None:
        def work(connection: apsw.Connection) -> ApprovalRow | None:
            row = connection.execute(f"SELECT {APPROVAL} FROM approval WHERE id = ?", (name,)).fetchone()
            return ApprovalRow._make(row) if row else None

        return await self._reader.read(work)

    async def open_approvals(self) -> int:
        def work(connection: apsw.Connection) -> int:
            row = connection.execute("SELECT count(*) FROM approval WHERE state = 'open'").fetchone()
            return int(row[0]) if row else 0

        return await self._reader.read(work)
