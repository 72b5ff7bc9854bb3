"""The positions somebody watches: whose each is, and how it was last seen. Of all others nothing is kept."""

from typing import final

from hub.events.watched import POSITION, decode_rule
from hub.ids import account_key
from hub.ingest.gaps import Unvouched
from hub.ingest.levels import LevelState
from hub.ingest.reading import Reading, position_key, position_reading
from hub.ingest.samples import Sample


@final
class OpenPositions:
    """By the keys of positions, `position=server:ticket`. False while nobody watches any."""

    def __init__(self) -> None:
        self._logins: dict[str, int] = {}
        self._by_account: dict[str, dict[str, None]] = {}
        self._last: dict[str, Reading] = {}

    def __len__(self) -> int:
        return len(self._logins)

    def follow(self, level: LevelState) -> None:
        """Take notice of a level; one of an account is none of ours."""
        if level.key.startswith(POSITION) and level.key not in self._logins:
            self._logins[level.key] = decode_rule(level.rule).login
            self._by_account.setdefault(self.account_of(level.key), {})[level.key] = None

    def let_go(self, key: str) -> None:
        """Forget a position that nobody watches any more."""
        if key not in self._logins:
            return
        account = self.account_of(key)
        mates = self._by_account[account]
        del mates[key], self._logins[key]
        if not mates:
            del self._by_account[account]
        self._last.pop(key, None)

    def account_of(self, key: str) -> str:
        """Return the key of the account whose position it is; "" for what is no position somebody watches."""
        login = self._logins.get(key)
        if login is None:
            return ""
        return account_key(key[len(POSITION) :].rpartition(":")[0], login)

    def of(self, account: str) -> tuple[str, ...]:
        return tuple(self._by_account.get(account, ()))

    def see(self, sample: Sample, account: Reading, doubted: Unvouched) -> list[Reading]:
        """Return what a believable sample says of the positions of its account that somebody watches."""
        found: list[Reading] = []
        mates = self._by_account.get(account.key)
        if mates is None:
            return found
        for each in sample.positions:
            key = position_key(sample.server, each.position)
            if key in mates:
                reading = self._last[key] = position_reading(key, account, each)
                found.append(reading)
                if doubted.any:
                    doubted.seen(key)
        return found

    def last_seen(self, key: str) -> Reading | None:
        return self._last.get(key)
