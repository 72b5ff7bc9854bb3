"""The events of the benchmarks: closed trades of 10,000 accounts, every deal number its own."""

import json
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from typing import Any

from bench.poster import prepare

from hub.ids import PARTITIONS, partition_of

SERVER = "bench-1"
ACCOUNTS = 10_000
FIRST_LOGIN = 100_000
FIRES = 0.01  # of events: those of more than five lots
_LONGEST_TEXT = 250
_COMMENT = "opened by the trend follower, closed by hand; " * 6


class Trades:
    """Deal numbers go on from call to call; the webhooks of `large` ones are a kilobyte.

    The accounts are spread over so many `partitions`.
    """

    def __init__(self, *, large: bool = False, seed: int = 1, partitions: int = PARTITIONS) -> None:
        self._deals = count(1)
        self._dice = random.Random(seed)
        self._comment = _COMMENT if large else ""
        logins = (login for login in count(FIRST_LOGIN) if partition_of(SERVER, login) < partitions)
        self._logins = list(islice(logins, ACCOUNTS))
        self._dice.shuffle(self._logins)
        self._start = datetime.now(UTC) - timedelta(hours=1)

    def take(self, number: int) -> list[dict[str, Any]]:
        return [self._one(next(self._deals)) for _ in range(number)]

    def _one(self, deal: int) -> dict[str, Any]:
        dice = self._dice
        # Trades of one moment would have their timers fall due at one moment too, and scatter over the table.
        at = (self._start + timedelta(milliseconds=deal)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        lots = 5 + dice.random() if dice.random() < FIRES else dice.randint(1, 480) / 100
        data: dict[str, Any] = {
            "deal": deal,
            "position": deal,
            "symbol": "EURUSD",
            "side": "buy",
            "lots": f"{lots:.2f}",
            "profit": f"{dice.randint(-9_000, 9_000) / 100:.2f}",
        }
        if self._comment:
            data |= {
                "order": deal,
                "open_price": "1.08423",
                "close_price": "1.08467",
                "opened_at": at,
                "closed_at": at,
                "swap": "-0.42",
                "commission": "-3.50",
                "fee": "0.00",
                "magic": 771_204,
                "reason": self._comment[:_LONGEST_TEXT],
                "comment": self._comment[:_LONGEST_TEXT],
            }
        return {
            "type": "trade.closed",
            "timestamp": at,
            "account": {"server": SERVER, "login": self._logins[deal % ACCOUNTS]},
            "data": data,
        }


def requests(
    url: str, events: Sequence[dict[str, Any]], batch: int, headers: dict[str, str] | None = None
) -> list[bytes]:
    """Return prepared posts of `batch` events each; one alone is posted as an object."""
    return list(_requests(url + "/v1/events", events, batch, headers or {}))


def _requests(
    url: str, events: Sequence[dict[str, Any]], batch: int, headers: dict[str, str]
) -> Iterator[bytes]:
    for start in range(0, len(events), batch):
        part: Any = events[start : start + batch]
        body = json.dumps(part[0] if batch == 1 else part, separators=(",", ":")).encode()
        yield prepare(url, body, headers)
