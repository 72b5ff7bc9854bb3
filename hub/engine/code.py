"""A workflow's steps as a flat list of instructions: where a run stands is one number."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hub.engine.program import Workflow
from hub.engine.program_steps import Approve, Do, ForEach, If, Parallel, Set, Step, Stop, Wait
from hub.expr import Expression


@dataclass(frozen=True, slots=True)
class Act:
    do: Do


@dataclass(frozen=True, slots=True)
class Branch:
    """Go on when the condition holds, to `otherwise` when it does not, to `end` when nobody can tell."""

    path: str
    condition: Expression
    otherwise: int
    end: int


@dataclass(frozen=True, slots=True)
class Jump:
    target: int


@dataclass(frozen=True, slots=True)
class Fork:
    """The run goes on at `end` when its branches have been through their slices: each its own, or all the one of `each`."""

    path: str
    id: str | None
    slices: tuple[tuple[int, int], ...]
    each: ForEach | None
    concurrency: int
    goes_on: bool
    end: int


Instruction = Act | Branch | Jump | Fork | Set | Stop | Wait | Approve


def name_of(step: Instruction) -> str | None:
    """Return what messages call a step."""
    match step:
        case Act(do=do):
            return f"{do.path} ({do.verb.name})"
        case Jump():
            return None
        case _:
            return step.path


class Code(NamedTuple):
    """The instructions of a workflow; `handler` is where those begin that a failed run takes."""

    steps: Sequence[Instruction]
    handler: int | None


def code_of(workflow: Workflow) -> Code:
    """Return a workflow's steps, behind its quiet hours if it waits for their end, and before what it does on an error."""
    quiet, code = workflow.quiet, list[Instruction]()
    if quiet is not None and not quiet.skip:
        code.append(Wait("quiet_hours", None, None, None, None, None, False, None, None, "continue", quiet))
    code += flatten(workflow.steps, len(code))
    if not workflow.on_error:
        return Code(code, None)
    handler = len(code) + 1
    handling = flatten(workflow.on_error, handler)
    return Code([*code, Jump(handler + len(handling)), *handling], handler)


def flatten(steps: Sequence[Step], start: int = 0) -> list[Instruction]:
    code: list[Instruction] = []
    for step in steps:
        here = start + len(code)
        match step:
            case Do():
                code.append(Act(step))
            case Set() | Stop() | Wait() | Approve():
                code.append(step)
            case If():
                then = flatten(step.then, here + 1)
                otherwise_at = here + 1 + len(then) + 1
                otherwise = flatten(step.otherwise, otherwise_at)
                end = otherwise_at + len(otherwise)
                code += [Branch(step.path, step.condition, otherwise_at, end), *then, Jump(end), *otherwise]
            case Parallel():
                code += _forked(step, step.branches, None, len(step.branches), here)
            case ForEach():
                code += _forked(step, (step.steps,), step, step.concurrency, here)
    return code


def _forked(
    step: Parallel | ForEach,
    branches: Sequence[Sequence[Step]],
    each: ForEach | None,
    concurrency: int,
    here: int,
) -> list[Instruction]:
    inner, slices = list[Instruction](), list[tuple[int, int]]()
    for branch in branches:
        start = here + 1 + len(inner)
        inner += flatten(branch, start)
        slices.append((start, here + 1 + len(inner)))
    end = here + 1 + len(inner)
    return [Fork(step.path, step.id, tuple(slices), each, concurrency, step.goes_on, end), *inner]
