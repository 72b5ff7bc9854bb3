"""Questions to people, on PostgreSQL: read page by page; the batch that asks and answers them writes them."""

from typing import Any, Final, final

from hub.bus.pages import Page
from hub.engine.rows import ANY_APPROVAL, ApprovalFilter, ApprovalRow
from hub.store.approvals import APPROVAL, columns, listed, page, place
from hub.store.postgres.database import Connection, Database

_LISTED: Final = listed("''::bytea")


@final
class PostgresApprovals:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def approvals(
        self, *, after: str, limit: int, wanted: ApprovalFilter = ANY_APPROVAL
    ) -> Page[ApprovalRow]:
        sought = columns(wanted)
        conditions = "".join(f" AND {column} = ${number}" for number, column in enumerate(sought, 3))
        values: list[Any] = [*place(after), *sought.values(), limit]

        async def work(connection: Connection) -> Page[ApprovalRow]:
            rows = await connection.fetch(
                f"SELECT {_LISTED} FROM approval WHERE (at, id) < ($1::bigint, $2::text){conditions} "
                f"ORDER BY at DESC, id DESC LIMIT ${len(values)}",
                *values,
            )
            return page([ApprovalRow(*row) for row in rows], limit)

        return await self._database.read(work)

    async def approval(self, name: str) -> ApprovalRow | None:
        async def work(connection: Connection) -> ApprovalRow | None:
            row = await connection.fetchrow(f"SELECT {APPROVAL} FROM approval WHERE id = $1", name)
            return ApprovalRow(*row) if row else None

        return await self._database.read(work)

    async def open_approvals(self) -> int:
        found = await self._database.read(
            lambda connection: connection.fetchval("SELECT count(*) FROM approval WHERE state = 'open'")
        )
        return int(found or 0)
