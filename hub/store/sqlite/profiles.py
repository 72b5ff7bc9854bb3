"""What the broker says about accounts, on SQLite."""

from collections.abc import Sequence
from typing import Literal, final

import apsw
from typing_extensions import override

from hub.events.facts import Fact
from hub.ingest.profiles import ProfileStore, StoredProfile
from hub.store.sqlite.append import Written
from hub.store.sqlite.log import SqliteLog
from hub.store.sqlite.reader import Reader
from hub.store.sqlite.writer import Writer

_COLUMNS = "account, version, body, created_at, updated_at"
_Put = Literal["stored", "stale"]


@final
class SqliteProfiles(ProfileStore):
    def __init__(self, writer: Writer, reader: Reader, log: SqliteLog) -> None:
        self._writer = writer
        self._reader = reader
        self._log = log

    @override
    async def get(self, account: str) -> StoredProfile | None:
        def work(connection: apsw.Connection) -> StoredProfile | None:
            row = connection.execute(
                f"SELECT {_COLUMNS} FROM account_profile WHERE account = ?", (account,)
            ).fetchone()
            return StoredProfile._make(row) if row else None

        return await self._reader.read(work)

    @override
    async def put(self, profile: StoredProfile, facts: Sequence[Fact]) -> _Put:
        def work(connection: apsw.Connection) -> tuple[_Put, Written | None]:
            row = connection.execute(
                "SELECT version FROM account_profile WHERE account = ?", (profile.account,)
            ).fetchone()
            if (int(row[0]) if row else 0) != profile.version - 1:
                return "stale", None
            connection.execute(
                f"INSERT OR REPLACE INTO account_profile ({_COLUMNS}) VALUES (?,?,?,?,?)", profile
            )
            return "stored", self._log.write(connection, [(facts, ())]) if facts else None

        def committed(result: tuple[_Put, Written | None]) -> None:
            if result[1] is not None:
                self._log.published(result[1])

        return (await self._writer.submit(work, committed))[0]
