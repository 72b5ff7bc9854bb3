"""An intent: what one step of one run asked for, from the decision to its outcome."""

from enum import StrEnum
from typing import NamedTuple
from urllib.parse import unquote


class State(StrEnum):
    """Where an intent stands.

    Manager actions: READY → SENDING → APPLIED | REJECTED | UNKNOWN → READY (once, after two complete looks) | PARKED.
    Notifications: READY → DELIVERED | EXHAUSTED | SUPPRESSED, with `due` moved forward between attempts. A request or a message that
    must not be sent twice goes through SENDING as well; a message nobody knows the fate of is PARKED.
    """

    READY = "ready"
    SENDING = "sending"  # written before the socket: a crash that finds it makes it UNKNOWN, never READY
    UNKNOWN = "unknown"  # it may have happened: wait until `due`, then look
    APPLIED = "applied"
    REJECTED = "rejected"
    PARKED = "parked"  # nobody can tell: a person decides
    DELIVERED = "delivered"
    EXHAUSTED = "exhausted"
    SHADOW = "shadow"  # recorded instead of sent
    SUPPRESSED = "suppressed"  # a message that may not go to its client; the reason says why


MOVES: dict[State, frozenset[State]] = {
    State.READY: frozenset(
        {State.SENDING, State.REJECTED, State.DELIVERED, State.EXHAUSTED, State.SUPPRESSED, State.READY}
    ),
    State.SENDING: frozenset(
        {
            State.APPLIED,
            State.REJECTED,
            State.UNKNOWN,
            State.READY,
            State.DELIVERED,
            State.EXHAUSTED,
            State.PARKED,
        }
    ),
    State.UNKNOWN: frozenset({State.APPLIED, State.READY, State.PARKED, State.UNKNOWN}),
    State.PARKED: frozenset({State.APPLIED, State.REJECTED, State.READY}),
}
FINAL = frozenset(
    {State.APPLIED, State.REJECTED, State.DELIVERED, State.EXHAUSTED, State.SHADOW, State.SUPPRESSED}
)


class Intent(NamedTuple):
    """`key` is the idempotency key everywhere downstream; `account` is "server:login" or ""; `params` JSON.

    `partition` is where it was decided: that of the account, or of the client, group or symbol the workflow is kept by.

    Times are µs. `sends` counts how often it was really sent, `looks` how many complete reads in a row did not find it.
    """

    key: str
    partition: int
    account: str
    verb: str
    params: bytes
    workflow: str
    run: str
    step: str
    caused_by: str
    state: State
    at: int
    due: int
    priority: int = 1  # 0 critical, 1 normal, 2 bulk
    attempts: int = 0
    sends: int = 0
    looks: int = 0
    sent_at: int | None = None
    ticket: int | None = None
    reason: str = ""


def decided_by(intent: Intent) -> str:
    """Return the key whose run asked for it, as the run's identity names it: what came of it is told there."""
    workflow, _, rest = intent.run.partition("/")
    return unquote(rest.partition("/")[0]) if workflow and rest else intent.account
