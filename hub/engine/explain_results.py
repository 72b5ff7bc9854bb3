"""How an explanation speaks of what came of earlier steps: by the kind of step it is the result of."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

from hub.engine.explain_names import field
from hub.engine.program_steps import Approve, Do, ForEach, If, Parallel, Set, Step

Of = Literal["kept", "decided", "answered"]
Sources = Mapping[str, Of]

_DECIDED: Final[Mapping[str, str]] = {
    "at": "when {0} was decided",
    "by": "who decided {0}",
    "comment": "the comment of who decided {0}",
    "decision": "what was decided at {0}",
}
_FLAGS: Final[Mapping[str, tuple[str, str]]] = {
    "ok": ("step {0} succeeded", "step {0} did not succeed"),
    "timed_out": ("step {0} waited in vain", "step {0} did not wait in vain"),
}
_DECIDED_FLAGS: Final[Mapping[str, tuple[str, str]]] = {
    "approved": ("{0} was approved", "{0} was not approved"),
    "assumed": ("{0} was assumed to be approved", "{0} was not only assumed to be approved"),
    "rejected": ("{0} was rejected", "{0} was not rejected"),
}


def sources(steps: Sequence[Step]) -> dict[str, Of]:
    """Return of each step whose results read better for it, by its id, what they are results of."""
    return dict(_sources(steps))


def _sources(steps: Sequence[Step]) -> Iterator[tuple[str, Of]]:
    for step in steps:
        match step:
            case Set(id=name):
                yield name, "kept"
            case Approve(id=name):
                yield name, "decided"
            case Do(id=str() as name) if step.verb.answers:
                yield name, "answered"
            case If(then=then, otherwise=otherwise):
                yield from _sources((*then, *otherwise))
            case Parallel(branches=branches):
                for branch in branches:
                    yield from _sources(branch)
            case ForEach(steps=inner):
                yield from _sources(inner)
            case _:
                pass


def result(names: tuple[str, ...], of: Sources) -> str:
    """Return `steps.…` in words; the names begin with the step's."""
    if not names:
        return "the steps"
    step, *fields = names
    match of.get(step), fields:
        case "kept", [*inner] if inner:
            return f"{_within(inner)} kept as {step}"
        case "decided", [name] if name in _DECIDED:
            return _DECIDED[name].format(step)
        case "answered", ["body", *inner]:
            return f"{_within(inner)} in the answer to {step}" if inner else f"the answer to {step}"
        case "answered", ["status"]:
            return f"the status of the answer to {step}"
        case _:
            return "".join(f"the {field(name)} of " for name in reversed(fields)) + f"step {step}"


def result_flag(names: tuple[str, ...], of: Sources, *, yes: bool) -> str | None:
    """Return the sentence of a result that is true or false, where there is a better one than that it is."""
    if len(names) != 2 or of.get(names[0]) == "kept":
        return None
    step, name = names
    said = _DECIDED_FLAGS.get(name) if of.get(step) == "decided" else None
    said = said or _FLAGS.get(name)
    return None if said is None else said[0 if yes else 1].format(step)


def _within(fields: Sequence[str]) -> str:
    return " of ".join(f"the {field(name)}" for name in reversed(fields))
