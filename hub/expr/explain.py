"""Says why an expression came out as it did, with the values that decided it."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from hub.clock import iso, to_us
from hub.expr.evaluate import Env, Gap, Reason, evaluate
from hub.expr.tree import (
    And,
    Call,
    Choice,
    Comparison,
    ListOf,
    Literal,
    Membership,
    Narrow,
    Node,
    Not,
    Or,
    Path,
    paths,
)
from hub.expr.types import Kind

MAX_SHOWN: Final = 60
MAX_PARTS: Final = 6
_LINE_END: Final = re.compile(r"\s*\n\s*")


def explain(text: str, tree: Node, env: Env, *, answer: bool | None = None) -> str:
    """Return why; `answer` is what a condition came to, from whoever has asked it already."""
    return _Explainer(text, env).of(tree, answer)


class _Explainer:
    def __init__(self, text: str, env: Env) -> None:
        self._text = text
        self._env = env

    def of(self, node: Node, answer: bool | None = None) -> str:
        value = evaluate(node, self._env) if answer is None else answer
        if isinstance(value, Gap):
            return self._unknown(value)
        if node.type.kind is not Kind.BOOL:
            return self._value(node, value)
        match node:
            case Narrow(operand=operand):
                return self.of(operand)
            case And(parts=parts):
                return self._several(parts, decisive=False, value=value)
            case Or(parts=parts):
                return self._several(parts, decisive=True, value=value)
            case Not(operand=And() | Or() as inner):
                return self.of(inner, not value)
            case Choice(condition=condition, then=then, otherwise=otherwise):
                taken = then if evaluate(condition, self._env) is True else otherwise
                return f"{self.of(condition)}, so {self.of(taken)}"
            case _:
                return f"{self._source(node)} is {shown(value)}{self._evidence(node)}"

    def _source(self, node: Node) -> str:
        return _in_one_line(self._text[node.start : node.end])

    def _unknown(self, gap: Gap) -> str:
        return _joined([self._reason(reason) for reason in gap.reasons])

    def _reason(self, reason: Reason) -> str:
        if reason.path is not None:
            return reason.text
        place = _in_one_line(self._text[reason.start : reason.end])
        return f"{place} is unknown: {reason.text}"

    def _several(self, parts: tuple[Node, ...], *, decisive: bool, value: object) -> str:
        """Name the one part that decided, or all of them where all were needed: each came to the same then."""
        if value is decisive:
            for part in parts:
                if evaluate(part, self._env) is decisive:
                    return self.of(part, decisive)
        return _joined([self.of(part, not decisive) for part in parts])

    def _value(self, node: Node, value: object) -> str:
        if node.type.kind is Kind.SECRET:
            return f"{self._source(node)} is a secret"
        if isinstance(node, Literal):
            return f"it is always {shown(value)}"
        return f"{self._source(node)} is {shown(value)}{'' if isinstance(node, Path) else self._reads(node)}"

    def _evidence(self, node: Node) -> str:
        match node:
            case Not(operand=operand):
                return self._evidence(operand)
            case Comparison(operator=operator, left=left, right=right):
                one, other = (shown(evaluate(side, self._env)) for side in (left, right))
                return f" ({one} {operator} {other})"
            case Membership(item=item, container=ListOf(items=items)) if all(
                isinstance(each, Literal) for each in items
            ):
                return f" ({shown(evaluate(item, self._env))})"
            case Membership(item=item, container=container):
                one, other = (shown(evaluate(side, self._env)) for side in (item, container))
                return f" ({one} in {other})"
            case Call():
                return self._reads(node)
            case _:
                return ""

    def _reads(self, node: Node) -> str:
        read = {path.dotted: path for path in paths(node)}
        values = [(name, evaluate(path, self._env)) for name, path in read.items()]
        told = [f"{name} = {shown(value)}" for name, value in values if not isinstance(value, Gap)]
        more = ", …" if len(told) > MAX_PARTS else ""
        return f" ({', '.join(told[:MAX_PARTS])}{more})" if told else ""


def _in_one_line(text: str) -> str:
    return _LINE_END.sub(" ", text) if "\n" in text else text


def _joined(parts: list[str]) -> str:
    unique = list(dict.fromkeys(parts))
    more = " and more" if len(unique) > MAX_PARTS else ""
    return " and ".join(unique[:MAX_PARTS]) + more


def shown(value: object) -> str:
    """Return a value short enough to stand in a sentence."""
    match value:
        case None | Gap():
            return "missing"
        case bool():
            return "true" if value else "false"
        case Decimal():
            return _decimal(value)
        case int():
            return str(value) if abs(value) < 10**40 else "a very long number"
        case str():
            return json.dumps(_clipped(value), ensure_ascii=False)
        case datetime():
            return iso(to_us(value.astimezone(UTC))) if value.tzinfo else value.isoformat()
        case timedelta():
            return _duration(value)
        case list() | tuple() | set() | frozenset():
            items = [shown(item) for _, item in zip(range(MAX_PARTS), value, strict=False)]
            return f"[{', '.join(items)}{', …' if len(value) > MAX_PARTS else ''}]"
        case Mapping():
            return "a record"
        case _:
            return f"a {type(value).__name__}"


def _clipped(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


def _decimal(value: Decimal) -> str:
    if not value:
        return "0"
    # Written out only within sight: 1e999999 would be a million characters.
    return (
        format(value, "f")
        if -40 < value.adjusted() < 40 and len(value.as_tuple().digits) <= 60
        else f"{value:.6e}"
    )


def _duration(value: timedelta) -> str:
    sign = "-" if value < timedelta() else ""
    whole = abs(value)
    hours, rest = divmod(whole.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    parts = [(whole.days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s")]
    told = " ".join(f"{count}{unit}" for count, unit in parts if count)
    fraction = f"{'' if not told else ' '}{whole.microseconds}µs" if whole.microseconds else ""
    return f"{sign}{told}{fraction}" if told or fraction else "0s"
