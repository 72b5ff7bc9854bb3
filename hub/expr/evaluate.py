"""The careful evaluator: three-valued, slow, and able to say what was missing.

``and``, ``or`` and ``not`` follow Kleene: ``false and unknown`` is false, ``true and unknown`` is unknown.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from hub.expr.arithmetic import (
    ARITHMETIC,
    COMPARE,
    Unknowable,
    equal,
    member,
    narrow,
    negate,
    why_not,
)
from hub.expr.functions import FUNCTIONS
from hub.expr.paths import present, read
from hub.expr.tree import (
    And,
    Arithmetic,
    Call,
    Choice,
    Comparison,
    ListOf,
    Literal,
    Membership,
    Narrow,
    Negate,
    Node,
    Not,
    Or,
    Path,
)

Env = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a value is unknown: a path without a value, or an operation without an answer at a place in the text."""

    text: str
    path: str | None
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Stands where a value should be."""

    reasons: tuple[Reason, ...]


MAX_REASONS: Final = 16


def merged(gaps: list[Gap]) -> Gap:
    reasons = dict.fromkeys(reason for gap in gaps for reason in gap.reasons)
    return Gap(tuple(reasons)[:MAX_REASONS])


def evaluate(node: Node, env: Env) -> object:
    """Return the value, or a ``Gap`` where it is unknown; nothing raises."""
    match node:
        case Literal(value=None):
            return _gap(node, "null stands for no value")
        case Literal(value=literal):
            return literal
        case Path():
            return _read(node, env)
        case ListOf(items=items):
            return _strictly(node, lambda *values: list(values), items, env)
        case Negate(operand=operand):
            return _strictly(node, negate, (operand,), env)
        case Arithmetic(operator=operator, left=left, right=right):
            return _strictly(node, ARITHMETIC[operator], (left, right), env, operator)
        case Comparison(operator=operator, left=left, right=right):
            return _strictly(node, COMPARE[operator], (left, right), env)
        case Membership():
            return _membership(node, env)
        case And(parts=parts):
            return _joined(parts, env, decided_by=False)
        case Or(parts=parts):
            return _joined(parts, env, decided_by=True)
        case Not(operand=operand):
            value = evaluate(operand, env)
            return value if isinstance(value, Gap) else not value
        case Choice(condition=condition, then=then, otherwise=otherwise):
            value = evaluate(condition, env)
            return value if isinstance(value, Gap) else evaluate(then if value else otherwise, env)
        case Narrow(operand=operand, kind=kind):
            return _strictly(node, lambda value: narrow(kind, value), (operand,), env)
        case Call(function="has", arguments=(Path() as path,)):
            return present(path, env)
        case Call(function="default", arguments=(first, fallback)):
            value = evaluate(first, env)
            return evaluate(fallback, env) if isinstance(value, Gap) else value
        case Call(function=name, arguments=arguments):
            return _strictly(node, FUNCTIONS[name].run, arguments, env)
        case _:
            raise AssertionError(f"no meaning for {type(node).__name__}")


def _gap(node: Node, reason: str, path: str | None = None) -> Gap:
    return Gap((Reason(reason, path, node.start, node.end),))


def _read(path: Path, env: Env) -> object:
    try:
        return read(path, env)
    except Unknowable as problem:
        return _gap(path, problem.reason, path.dotted)
    except Exception:  # a record whose own code fails must not stop the other rules
        return _gap(path, f"{path.dotted} cannot be read", path.dotted)


def _strictly(
    node: Node, run: Callable[..., object], parts: tuple[Node, ...], env: Env, operator: str = ""
) -> object:
    """Work out all parts, then the whole; one unknown part makes it unknown."""
    values = [evaluate(part, env) for part in parts]
    if gaps := [value for value in values if isinstance(value, Gap)]:
        return merged(gaps)
    try:
        return run(*values)
    except Exception as problem:  # whatever an operation cannot do is unknown, never an error for the caller
        return _gap(node, why_not(problem, operator))


def _joined(parts: tuple[Node, ...], env: Env, *, decided_by: bool) -> object:
    gaps: list[Gap] = []
    for part in parts:
        value = evaluate(part, env)
        if isinstance(value, Gap):
            gaps.append(value)
        elif value is decided_by:
            return decided_by
    return merged(gaps) if gaps else not decided_by


def _membership(node: Membership, env: Env) -> object:
    found = _found(node, env)
    return not found if isinstance(found, bool) and node.negated else found


def _found(node: Membership, env: Env) -> object:
    if not isinstance(node.container, ListOf):
        return _strictly(node, member, (node.item, node.container), env)
    item = evaluate(node.item, env)
    if isinstance(item, Gap):
        return item
    gaps: list[Gap] = []
    for candidate in node.container.items:
        value = evaluate(candidate, env)
        if isinstance(value, Gap):
            gaps.append(value)
            continue
        try:
            if equal(item, value):
                return True
        except Exception as problem:  # as above
            gaps.append(_gap(node, why_not(problem)))
    return merged(gaps) if gaps else False
