"""Which intents must wait for another one of the same account: who may go next, decided in memory.

An account has one manager action in flight. A money operation whose outcome is open holds back the account's later
money operations, so that looking for it is unambiguous; it does not hold back a protective action. Desired-state
actions hold one another back, so that an older "disable" cannot undo a newer "enable".
"""

from hub.dispatch.effects.machine import is_money
from hub.intents.intent import Intent, State

_Lane = tuple[str, bool]


class Lanes:
    def __init__(self) -> None:
        self._busy: set[str] = set()
        self._open: dict[_Lane, Intent] = {}

    def may_go(self, intent: Intent) -> bool:
        if intent.account in self._busy:
            return False
        holder = self._open.get(_lane(intent))
        return holder is None or holder.key == intent.key

    def holds(self, intent: Intent) -> bool:
        """Say whether it is the one the others of its lane wait for: its `due` has moved on, so they sort before it."""
        holder = self._open.get(_lane(intent))
        return holder is not None and holder.key == intent.key

    def enter(self, intent: Intent) -> None:
        self._busy.add(intent.account)

    def leave(self, account: str) -> None:
        self._busy.discard(account)

    def stands(self, intent: Intent) -> None:
        """Hear where an intent stands: begun and not ended, it holds its lane."""
        lane = _lane(intent)
        begun = intent.state in {State.SENDING, State.UNKNOWN} or (
            intent.state is State.READY and intent.attempts > 0
        )
        if begun:
            self._open.setdefault(lane, intent)
            if self._open[lane].key == intent.key:
                self._open[lane] = intent
        elif lane in self._open and self._open[lane].key == intent.key:
            del self._open[lane]

    def next_due(self, now_us: int) -> int | None:
        """Return when the next action that was begun and has to wait is due again."""
        return min(
            (
                intent.due
                for intent in self._open.values()
                if intent.state is not State.SENDING and intent.due > now_us
            ),
            default=None,
        )

    def __len__(self) -> int:
        return len(self._open)


def _lane(intent: Intent) -> _Lane:
    return intent.account, is_money(intent.verb)
