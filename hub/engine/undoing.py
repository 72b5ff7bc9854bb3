"""A run that fails takes back what it has done: the steps that said how, in reverse order, each known before the next."""

from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
from typing_extensions import override

from hub.engine.account_rows import AccountRow
from hub.engine.assumed import with_effect
from hub.engine.branches import Taken
from hub.engine.decision import Verdict
from hub.engine.program_steps import Do
from hub.engine.run import Run
from hub.engine.steps import NothingToDo, StepFailed, encoded, parameters
from hub.intents.intent import State
from hub.intents.outcome import Outcome
from hub.intents.verbs import VERBS

# What backends call the fields they read, and what they are called here.
_READ_AS = {
    "group": "group",
    "leverage": "leverage",
    "enable": "enabled",
    "enabled": "enabled",
    "trading_enabled": "trading_enabled",
    "balance": "balance",
    "credit": "credit",
}


def as_before(account: AccountRow, before: dict[str, Any] | None) -> AccountRow:
    """Return an account as it was before an action: as the backend read it, the rest as it was known."""
    found: dict[str, Any] = {}
    for name, value in (before or {}).items():
        field = _READ_AS.get(name)
        if name == "read_only" and isinstance(value, bool):
            found["trading_enabled"] = not value
        elif field in {"balance", "credit"}:
            found[field] = _decimal(value)
        elif field is not None and isinstance(value, str | int):
            found[field] = value
    return msgspec.structs.replace(account, **found)


def _decimal(value: object) -> Decimal | None:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return None


class Undoing(Run):
    @override
    def applied(self, do: Do, before: AccountRow) -> None:
        if do.undo is None:
            return
        env = self.env()
        env["account"] = before
        problem, body = "", b"{}"
        try:
            body = encoded(parameters(do.undo, env, self.scene.account.digits))
        except (StepFailed, NothingToDo) as why:
            problem = why.reason
        self.undos.append(Taken(do.path, self.item, do.undo.verb.name, msgspec.Raw(body), problem))

    @override
    def fail(self, reason: str, step: str = "") -> tuple[Verdict, str]:
        if not self.undos or self.error is not None:
            return super().fail(reason, step)
        self.undoing = {"step": step or self._step_name(), "message": reason}
        verdict, more = self._take_back()
        return (Verdict.FAILED, more or reason) if verdict is Verdict.FIRED else (verdict, more)

    def taken_back(self, outcome: Outcome, state: State) -> tuple[Verdict, str]:
        """Go on with what came of taking one step back; what could not be is said, and holds up none of the others."""
        assert self.undoing is not None
        taken = self.undos.pop()
        if state is not State.APPLIED:
            self._could_not(taken, f"{outcome.verb} was {state.value}: {outcome.reason or 'no reason given'}")
        verdict, reason = self._take_back()
        if verdict is Verdict.FIRED:
            return verdict, f"step {taken.path} was taken back" if state is State.APPLIED else reason
        return verdict, reason

    def _take_back(self) -> tuple[Verdict, str]:
        """Ask for the next step to be taken back; when none is left, fail as the run would have at once."""
        assert self.undoing is not None
        while self.undos:
            taken = self.undos[-1]
            if taken.problem:
                self._could_not(self.undos.pop(), taken.problem)
                continue
            key = f"{self.key_of(taken.path, taken.item)}/undo"
            shadow = self.shadow
            body = bytes(taken.params)
            self.ask(key, f"{taken.path}.undo", taken.verb, body, State.SHADOW if shadow else State.READY)
            if not shadow:
                self._store(waiting=key, verb=taken.verb, params=taken.params)
                self._row("running", f"takes back what it did: {key}")
                return Verdict.FIRED, ""
            self.undos.pop()
            params = VERBS[taken.verb].params.model_validate_json(body)
            self.assumed = with_effect(self.assumed, taken.verb, params)
        failed, self.undoing = self.undoing, None
        return super().fail(failed["message"], failed["step"])

    def _could_not(self, taken: Taken, reason: str) -> None:
        assert self.undoing is not None
        told = f"{self.undoing['message']}; step {taken.path} was not taken back: {reason}"
        self.undoing = {**self.undoing, "message": told}
