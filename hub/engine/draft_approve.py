"""The step that waits for a person: who may not decide, what is shown, and the text they read."""

from datetime import timedelta
from typing import Final

from hub.engine.draft import Draft
from hub.engine.draft_values import compile_value
from hub.engine.model_approve import ApproveStep
from hub.engine.nodes import Location
from hub.engine.problems import did_you_mean, quoted
from hub.engine.program_steps import Approve, Computed, Value
from hub.expr import Kind, Scope

SHORTEST: Final = timedelta(seconds=1)
LONGEST: Final = timedelta(days=366)
NAMES: Final = frozenset({Kind.STRING, Kind.NUMBER, Kind.LIST, Kind.ANY})


def approve(draft: Draft, at: Location, file: ApproveStep, scope: Scope) -> Approve | None:
    """Return the step; everything wrong with it is noted."""
    here, given = (*at, "approve"), file.approve
    show = _usually(scope) if given.show is None else given.show
    sound = _can_be_shown(draft, here, show, scope)
    if not SHORTEST <= given.within <= LONGEST:
        draft.error((*here, "within"), f"`within` is from 1s to {LONGEST.days}d")
        sound = False
    not_by = [
        _name(draft, (*here, "not_by", position), raw, scope) for position, raw in enumerate(given.not_by)
    ]
    names = tuple(name for name in not_by if name is not None)
    text = None
    if given.text is not None:
        text = compile_value(draft, (*here, "text"), given.text, scope, human=True)
        sound = sound and text is not None
    if not sound or len(names) < len(not_by):
        return None
    return Approve(
        file.id,
        file.id,
        given.permission,
        given.quorum,
        names,
        tuple(dict.fromkeys(show)),
        given.within,
        given.on_timeout,
        text,
    )


def _name(draft: Draft, at: Location, raw: str, scope: Scope) -> Value | None:
    value = compile_value(draft, at, raw, scope)
    if isinstance(value, Computed) and value.expression.type.kind not in NAMES:
        draft.error(at, f"`not_by` holds names of keys: {quoted(raw)} is none")
        return None
    return value


def _usually(scope: Scope) -> list[str]:
    """Return what is shown where the file does not say: what the run began with, and whom it is about."""
    names = [name for name in ("event", "account") if name in scope.roots]
    asked_for = "inputs" in (scope.roots["trigger"].fields or {})
    return [*names, "trigger"] if asked_for or "event" not in names else names


def _can_be_shown(draft: Draft, here: Location, names: list[str], scope: Scope) -> bool:
    known = sorted(scope.roots.keys() - {"now", "error"})
    sound = True
    for position, name in enumerate(names):
        if name not in known:
            near = did_you_mean(name, known) or f"; here there is {', '.join(known)}"
            draft.error((*here, "show", position), f"{quoted(name)} cannot be shown{near}")
            sound = False
        else:
            draft.reads.add(name)
    return sound
