"""Live positions beside what accounts are worth: whoever asks for them names the accounts."""

from collections.abc import Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, final

import msgspec
from typing_extensions import override

from hub.api.problems import Problem
from hub.errors import HubError
from hub.ingest.board import View, told
from hub.ingest.position_board import PositionBoard
from hub.ingest.reading import Reading
from hub.stages import Service

_encode = msgspec.json.Encoder().encode


class TooManyAccounts(HubError):
    def __init__(self, most: int) -> None:
        super().__init__(f"the positions of {most} accounts are looked at now: no more are followed")


def too_many(error: TooManyAccounts) -> Problem:
    return Problem(429, "too-many-positions", str(error), headers={"Retry-After": "10"})


class PositionFeed(Service, Protocol):
    def followed(self, accounts: Collection[str]) -> AbstractContextManager[None]:
        """Have accounts' positions on the board for as long as somebody watches. Raises TooManyAccounts."""

    async def ready(self, account: str) -> None:
        """Return once an account's positions are on the board, where they stay for a while. Raises TooManyAccounts."""


@final
@dataclass(frozen=True)
class PositionsView(View):
    """Accounts with their positions; of some symbols alone unless there are none."""

    board: PositionBoard
    symbols: frozenset[str]

    @override
    def told(self, key: str, reading: Reading | None) -> bytes | None:
        positions = self.board.text(key, self.symbols)
        if reading is None:
            if positions is None:
                return None
            server, _, login = key.rpartition(":")
            head = _encode({"account": {"server": server, "login": int(login)}})
        else:
            head = told(reading)
        return head[:-1] + b"," + (positions or b'"positions":null') + b"}"
