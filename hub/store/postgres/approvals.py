"""Questions to people, on PostgreSQL: read page by page; the batch that asks and answers them writes them."""

from typing import Any, Final, final

from hub.bus.pages import Page
from hub.engine.rows import ApprovalRow
from hub.store.cursors import number
from hub.store.postgres.database import Connection, Database

_APPROVAL: Final = ", ".join(ApprovalRow._fields)
_LISTED: Final = _APPROVAL.replace("shown", "''::bytea AS shown")  # what is shown may be large
_LAST = 2**62


@final
class PostgresApprovals:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def approvals(
        self,
        *,
        after: str,
        limit: int,
        state: str = "",
        workflow: str = "",
        account: str = "",
        permission: str = "",
    ) -> Page[ApprovalRow]:
        at, _, last = after.partition(":")
        filters = {"state": state, "workflow": workflow, "account": account, "permission": permission}
        wanted = {column: value for column, value in filters.items() if value}
        conditions = "".join(f" AND {column} = ${place}" for place, column in enumerate(wanted, 3))
        values: list[Any] = [number(at, _LAST), last, *wanted.values(), limit]

        async def work(connection: Connection) -> Page[ApprovalRow]:
            rows = await connection.fetch(
                f"SELECT {_LISTED} FROM approval WHERE (at, id) < ($1::bigint, $2::text){conditions} "
                f"ORDER BY at DESC, id DESC LIMIT ${len(values)}",
                *values,
            )
            found = [ApprovalRow(*row) for row in rows]
            return Page(found, f"{found[-1].at}:{found[-1].id}" if len(found) == limit else None)

        return await self._database.read(work)

    async def approval(self, name: str) -> ApprovalRow | None:
        async def work(connection: Connection) -> ApprovalRow | None:
            row = await connection.fetchrow(f"SELECT {_APPROVAL} FROM approval WHERE id = $1", name)
            return ApprovalRow(*row) if row else None

        return await self._database.read(work)

    async def open_approvals(self) -> int:
        found = await self._database.read(
            lambda connection: connection.fetchval("SELECT count(*) FROM approval WHERE state = 'open'")
        )
        return int(found or 0)
