"""How the triggers of a workflow stood at a moment of the past: a plain no leaves no trace, so it is decided again."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from hub.bus.log import Input, InputKind
from hub.clock import iso
from hub.engine.account_rows import AccountRow, ClientRow
from hub.engine.keys import KeyKind, form_of, kind_of, partition_of
from hub.engine.mail import decode_mail
from hub.engine.past import MOST_INPUTS, History, Past, Told
from hub.engine.program import Workflow
from hub.engine.state import KeyState
from hub.engine.values import ACCOUNT
from hub.engine.why import Standing, standing

MAIL_WITHIN = (
    60_000_000  # µs: an event's mail is decided this long after it at the latest, or it is not waited for
)

Turn = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Then:
    """`note` says what this is worked out from, and what is missing there."""

    standing: tuple[Standing, ...]
    note: str


async def stood(
    history: History,
    workflow: Workflow,
    key: str,
    turn: Turn,
    *,
    event: Input | None = None,
    at: int | None = None,
    known: tuple[AccountRow | None, ClientRow | None] = (None, None),
    most: int = MOST_INPUTS,
) -> Then:
    """Return how each trigger stood right after an event, or at a time.

    `known` is what is taken for known of an account whose beginning is not told. `turn` gives others a turn now and then.
    """
    whole = kind_of(key) is KeyKind.ACCOUNT
    if event is not None and whole and event.key != key:
        reason = f"that event is about {event.key or 'no account'}: ask with that key"
        return Then((Standing("", False, reason),), "")
    if workflow.key != kind_of(key):
        reason = f"the workflow is kept by {workflow.kept_by}: ask with {form_of(workflow.key)}"
        return Then((Standing("", False, reason),), "")
    until = at if at is not None else event.at + MAIL_WITHIN if event is not None else 0
    told = await history.told(key, until=until, last=event if whole else None, most=most)
    mail = None
    if event is not None and not whole:
        told, mail = _up_to(told, event)
        if mail is None:
            reason = (
                f"{key} was not told of that event: nothing of it concerned this workflow, or it is another's"
            )
            return Then((Standing("", False, reason),), "")
    past = Past(workflow, key, partition_of(key), told)
    if not told.complete:
        past.seed(*known)
    while past.go_on():
        await turn()
    moment = event.at if event is not None else until
    stands = standing(
        past.program,
        workflow.id,
        past.state,
        moment,
        event,
        account=_account(mail) if mail is not None else None,
    )
    when = "" if event is not None else f"at {iso(moment)}: "
    return Then(tuple(stands), when + past.note())


def _up_to(told: Told, event: Input) -> tuple[Told, Input | None]:
    """Return what a key was told up to an account's event that came to it by mail."""
    for place, row in enumerate(told.inputs):
        if row.kind == InputKind.MAIL and row.ref == event.ref:
            return Told(told.inputs[: place + 1], told.complete), row
    return told, None


def _account(mail: Input) -> KeyState:
    account = decode_mail(mail.body).account
    state = KeyState(0, f"{account.server}:{account.login}")
    state.values[ACCOUNT] = account
    state.note_rows()
    return state
