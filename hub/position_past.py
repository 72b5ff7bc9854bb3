"""How an account's open positions stand: as the engine keeps them where a workflow looks at them, or folded from the log."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Final, NamedTuple, final

from hub.bus.log import InputKind
from hub.clock import MICROSECOND, Clock
from hub.engine.changeover import CONSUMER
from hub.engine.keys import partition_of
from hub.engine.past import MOST_INPUTS, TURN, History
from hub.engine.positions import fold_positions
from hub.engine.programs import Programs
from hub.engine.rows import EngineStore
from hub.engine.state import KeyState
from hub.engine.values import Kind, decode_value
from hub.events.records import Envelope, decode_data, decode_envelope
from hub.turns import a_turn

# What the hub learned is in the log; other processes' clocks may run ahead of this one's.
_AHEAD_US: Final = timedelta(days=1) // MICROSECOND
FOLDED: Final = ("trade.", "position.")  # how the types of events begin that change positions


class Stand(NamedTuple):
    """An account's positions as of its row `n`. `doubtful`: a row after `n` and up to there may be among them already.

    `complete`: nothing that came before is missing.
    """

    state: KeyState
    n: int
    doubtful: int
    complete: bool


def fold(state: KeyState, event: Envelope) -> list[str]:
    """Take in an event; return the names of the rows it changed."""
    if not event.type.startswith(FOLDED):
        return []
    puts = fold_positions(state, event, decode_data(event)).puts
    for slot, row in puts.items():
        if row is None:
            state.values.pop(slot, None)
        else:
            state.values[slot] = row
    return [name for _, name in puts]


@final
class PositionPast:
    """`heads` says how far each partition's log is committed."""

    def __init__(
        self,
        store: EngineStore,
        programs: Programs,
        history: History,
        heads: Callable[[], Awaitable[Sequence[int]]],
        clock: Clock,
    ) -> None:
        self._store = store
        self._programs = programs
        self._history = history
        self._heads = heads
        self._clock = clock

    async def of(self, account: str) -> Stand | None:
        """Return how an account's positions stand; None while the engine has not come to what is committed by now."""
        partition = partition_of(account)
        program, _ = await self._programs.standing(partition)
        if program.folds_positions:
            return await self._kept(partition, account)
        return await self._folded(partition, account)

    async def _kept(self, partition: int, account: str) -> Stand | None:
        head = (await self._heads())[partition]
        before = (await self._store.positions(CONSUMER))[partition]
        if before < head:
            return None
        rows = (await self._store.load([(partition, account)]))[account]
        after = (await self._store.positions(CONSUMER))[partition]
        state = KeyState(partition, account)
        for kind, name, value in rows.states:
            if kind == Kind.POSITION:
                state.values[Kind.POSITION.value, name] = decode_value(kind, value)
        return Stand(state, before, after, complete=True)

    async def _folded(self, partition: int, account: str) -> Stand:
        until = self._clock.now_us() + _AHEAD_US
        told = await self._history.told(account, until=until, last=None, most=MOST_INPUTS)
        state = KeyState(partition, account)
        complete = told.complete
        for number, row in enumerate(told.inputs, 1):
            if row.kind == InputKind.EVENT:
                try:
                    fold(state, decode_envelope(row.body))
                except (ArithmeticError, ValueError):  # the engine set it aside
                    complete = False
            if not number % TURN:
                await a_turn()
        n = told.inputs[-1].n if told.inputs else 0
        return Stand(state, n, n, complete=complete)
