"""A key as it stood at a moment of the past: its inputs decided again from the log, as many as are looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from hub.bus.log import Input, InputKind
from hub.clock import iso
from hub.engine.account_rows import AccountRow, ClientRow
from hub.engine.decide import advance
from hub.engine.index import Program
from hub.engine.keys import KeyKind
from hub.engine.program import Workflow
from hub.engine.state import KeyState
from hub.engine.values import ACCOUNT, CLIENT

MOST_INPUTS = 10_000
TURN = 100  # inputs decided before others get a turn: two milliseconds


@dataclass(frozen=True, slots=True)
class Told:
    """Inputs of one key up to a moment, oldest first. `complete`: there are none before them."""

    inputs: Sequence[Input]
    complete: bool


class History(Protocol):
    async def told(self, key: str, *, until: int, last: Input | None, most: int) -> Told:
        """Return the latest inputs of a key at or before a moment, or up to one of them, as far as a bounded look finds them."""


class Past:
    """Decides a key's inputs again, a few at a time."""

    def __init__(self, workflow: Workflow, key: str, partition: int, told: Told) -> None:
        self.program = Program([workflow])
        self.state = KeyState(partition, key)
        self._told = told
        self._done = 0
        self.undecided = 0

    def seed(self, account: AccountRow | None, client: ClientRow | None) -> None:
        """Take an account for known whose beginning the log does not tell."""
        if self.state.kind is KeyKind.ACCOUNT and account is not None:
            self.state.values[ACCOUNT] = account
            if client is not None:
                self.state.values[CLIENT] = client
            self.state.note_rows()

    def go_on(self) -> bool:
        """Decide some more; return whether there is still more."""
        inputs = self._told.inputs
        end = min(self._done + TURN, len(inputs))
        for item in inputs[self._done : end]:
            if item.kind != InputKind.ACTIVATED:
                try:
                    advance(self.program, self.state, item)
                except (
                    Exception
                ):  # it was set aside then, or it is of a version that is gone: what follows is still told
                    self.undecided += 1
        self._done = end
        return end < len(inputs)

    def note(self) -> str:
        """Say how much of the key's life this is."""
        inputs = self._told.inputs
        if not inputs:
            return "the log holds nothing of this key up to then"
        count = f"decided again from {len(inputs)} inputs of the log, with the version that is live now"
        if not self._told.complete:
            count += f"; what came before {iso(inputs[0].at)} was not looked at, and what it counted is missing here"
        if self.undecided:
            count += f"; {self.undecided} could not be decided"
        return count
