"""What a request was answered with, as later steps read it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from hub.engine.program_steps import Do, Literally
from hub.intents.intent import State
from hub.intents.outcome import Outcome
from hub.intents.shape import Misfit, conform, tellable


class Answer(NamedTuple):
    """`body` has the fields the step's schema names. `assumed`: nobody was asked."""

    ok: bool
    state: str
    reason: str = ""
    status: int | None = None
    body: Any = None
    assumed: bool = False

    def values(self) -> dict[str, Any]:
        known = self._asdict()
        return {name: value for name, value in known.items() if value is not None and value is not False} | {
            "ok": self.ok
        }

    def told(self) -> dict[str, Any]:
        return {**self.values(), "body": tellable(self.body)}


def answer_from(do: Do, outcome: Outcome, state: State) -> Answer:
    told = outcome.after or {}
    status = told.get("status")
    known = status if isinstance(status, int) else None
    if state is not State.DELIVERED:
        return Answer(ok=False, state=state.value, reason=outcome.reason, status=known)
    body = None
    if do.shape is not None:
        try:
            body = conform(do.shape, told.get("body"), told=True)
        except Misfit as problem:
            return Answer(ok=False, state=state.value, reason=str(problem), status=known)
    return Answer(ok=True, state=state.value, status=known, body=body)


def assumed_answer(do: Do) -> Answer:
    """Return what the step says it would be answered with: in shadow nobody is asked."""
    sample = do.params.get("sample")
    if do.shape is None:
        return Answer(ok=True, state=State.SHADOW.value, status=_status(do), assumed=True)
    if not isinstance(sample, Literally):
        reason = "in shadow nobody is asked, and the step has no `sample` of an answer"
        return Answer(ok=False, state=State.SHADOW.value, reason=reason, assumed=True)
    body = conform(do.shape, sample.value, told=True, where="sample")
    return Answer(ok=True, state=State.SHADOW.value, status=_status(do), body=body, assumed=True)


def _status(do: Do) -> int:
    expect = do.params.get("expect")
    given = expect.value if isinstance(expect, Literally) and isinstance(expect.value, Mapping) else {}
    return next(iter(given.get("status") or ()), 200)
