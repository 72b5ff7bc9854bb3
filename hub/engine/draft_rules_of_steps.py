"""What a step may say beside its verb and its parameters: retries, timeouts, conditions on a fresh look, undo."""

from dataclasses import replace
from datetime import timedelta
from typing import Final, final

from hub.engine.draft import Draft
from hub.engine.model_steps import DoStep, RetryFile, UndoFile
from hub.engine.nodes import Location
from hub.engine.program_steps import Do, Retry
from hub.errors import ExpressionError
from hub.expr import Expression, Kind, Scope
from hub.expr.judge import undeclared

LONGEST_TIMEOUT: Final = timedelta(days=30)


@final
class StepRules:
    """`handles`: the steps are those of `on_error`."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self.handles = False
        self._silent: list[tuple[Location, Do]] = []  # actions that do not say how they are taken back
        self._undoes = False

    def of(self, at: Location, made: Do, file: DoStep, known: Scope) -> Do:
        """Return the step with everything it says beside its verb."""
        self._note_undo(at, made, file)
        return replace(
            made,
            retry=self._retry(at, made, file.retry) if file.retry is not None else None,
            goes_on=file.on_error == "continue",
            timeout=self._timeout(at, made, file) if file.timeout is not None else None,
            guard=self._fresh(at, "guard", made, file.guard, known),
            verify=self._fresh(at, "verify", made, file.verify, known),
        )

    def every_step_says_undo(self) -> None:
        """Where a workflow takes steps back, one that cannot be has to say so: somebody would count on it."""
        if not self._undoes:
            return
        for at, step in self._silent:
            name = step.verb.name
            if step.verb.reversed_by is None:
                self._draft.error(
                    (*at, "do"),
                    f"{name} cannot be taken back, and the workflow takes back what it did when it fails: "
                    "add `undo: none` to the step",
                )
            else:
                self._draft.warn(
                    (*at, "do"),
                    f"{name} is not taken back when the run fails, as others are: say how, such as "
                    f"`undo: {{do: {step.verb.reversed_by}, with: ...}}`, or `undo: none`",
                )

    def _retry(self, at: Location, made: Do, given: RetryFile) -> Retry:
        if not (made.verb.is_manager or made.verb.answers):
            self._draft.error(
                (*at, "retry"),
                f"{made.verb.name} is tried again by itself: `retry` is for actions on accounts and for requests",
            )
        return Retry(given.max, given.delay, given.factor, given.up_to)

    def _timeout(self, at: Location, made: Do, file: DoStep) -> timedelta | None:
        if made.verb.name == "event.publish":
            self._draft.error((*at, "timeout"), "event.publish is done at once: remove the `timeout`")
        elif file.timeout is not None and file.timeout > LONGEST_TIMEOUT:
            self._draft.error((*at, "timeout"), f"the longest timeout is {LONGEST_TIMEOUT.days}d")
        elif made.verb.is_manager and isinstance(file.undo, UndoFile):
            self._draft.error(
                (*at, "timeout"),
                "what the run stopped waiting for may happen yet, and nothing would take it back: remove `timeout` or `undo`",
            )
        return file.timeout

    def _fresh(self, at: Location, name: str, made: Do, text: str | None, known: Scope) -> Expression | None:
        if text is None:
            return None
        if not made.verb.is_manager:
            self._draft.error(
                (*at, name),
                f"`{name}` asks about an account, and {made.verb.name} is no action on one: use `if`",
            )
            return None
        found = self._draft.expression((*at, name), known.extended({}, sampled_allowed=True), Kind.BOOL)
        if found is not None and not any(path.startswith("account.") for path in found.reads):
            self._draft.warn(
                (*at, name),
                f"`{name}` reads nothing of the account, so a fresh look at it changes nothing: use `if`",
            )
        if found is not None:
            self._asked_elsewhere((*at, name), found)
        return found

    def _asked_elsewhere(self, location: Location, condition: Expression) -> None:
        """Say now what would come out only where the action is carried out: there, nobody knows the types."""
        try:
            undeclared(condition.text, condition.reads)
        except ExpressionError as error:
            self._draft.error(location, f"cannot be asked where the action is carried out: {error.message}")

    def _note_undo(self, at: Location, made: Do, file: DoStep) -> None:
        if file.undo is None:
            if made.verb.is_manager and not self.handles:
                self._silent.append((at, made))
        elif self.handles:
            self._draft.error((*at, "undo"), "what is done on an error is not taken back: remove `undo`")
        elif file.undo != "none":
            self._undoes = True
            if not made.verb.is_manager:
                self._draft.error(
                    (*at, "undo"), f"{made.verb.name} cannot be taken back: only actions on accounts can"
                )
