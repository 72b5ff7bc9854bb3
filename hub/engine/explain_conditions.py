"""Expressions in plain English; what cannot be said well stays as it is written, in backquotes.

Nothing is evaluated: a sentence is made of the checked tree alone, so it says what the file says whatever the values.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final, final

from hub.engine import explain_names as names
from hub.engine.explain_names import Param
from hub.engine.explain_results import Sources, result, result_flag
from hub.expr import Expression, Kind
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
    paths,
)
from hub.expr.types import NUMERIC
from hub.expr.written import what_is_read

# What each comparison says of its left side, and the one that says the opposite. `not x < y` is `x >= y` here: where
# one is unknown the other is too.
_COMPARED: Final = {
    "==": ("", "!="),
    "!=": ("not ", "=="),
    "<": ("less than ", ">="),
    "<=": ("at most ", ">"),
    ">": ("greater than ", "<="),
    ">=": ("at least ", "<"),
}
_IN_TIME: Final = {"<": "before ", "<=": "not after ", ">": "after ", ">=": "not before "}
_LENGTHS: Final = {"<": "shorter than ", ">": "longer than "}
_TURNED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
# How tightly the parts of a formula hold together, as in the language itself.
_ADD: Final = 1
_MULTIPLY: Final = 2
_SIGN: Final = 3
_TIGHTNESS: Final = {"+": _ADD, "-": _ADD, "*": _MULTIPLY, "/": _MULTIPLY}

# Functions that answer with true or false: of the first argument, what is said and what its opposite is.
_PREDICATES: Final = {
    "starts_with": ("starts with {1}", "does not start with {1}"),
    "ends_with": ("ends with {1}", "does not end with {1}"),
    "contains": ("contains {1}", "does not contain {1}"),
    "like": ("fits the pattern {1}", "does not fit the pattern {1}"),
    "between": ("is between {1} and {2}", "is not between {1} and {2}"),
    "has": ("is known", "is not known"),
}
# Functions that answer with a value.
_PHRASES: Final = {
    "abs": "{0} without its sign",
    "floor": "{0} rounded down",
    "ceil": "{0} rounded up",
    "lower": "{0} in small letters",
    "upper": "{0} in capitals",
    "default": "{0} ({1} if not known)",
    "number": "the number in {0}",
    "time": "the time in {0}",
    "day_of": "the day of {0} in {1}",
    "month_of": "the month of {0} in {1}",
    "weekday_of": "the weekday of {0} in {1}",
    "hour_of": "the hour of {0} in {1}",
}
_EXTREMES: Final = {"min": "the smallest of", "max": "the largest of"}
_SPANS: Final = {"seconds": "second", "minutes": "minute", "hours": "hour", "days": "day"}


@dataclass(frozen=True, slots=True)
class Wording:
    """`near` is the root that is being spoken of: its fields stand alone, as in "where lots is greater than 1"."""

    params: Mapping[str, Param]
    near: str = ""
    results: Sources = field(default_factory=dict)  # of what kind the steps are that are spoken of

    def of_the_event(self) -> "Wording":
        return replace(self, near="event")

    def condition(self, expression: Expression) -> str:
        return _Saying(expression.text, self).clause(expression.tree)

    def value(self, expression: Expression) -> str:
        saying, tree = _Saying(expression.text, self), _bare(expression.tree)
        if isinstance(tree, And | Or | Not | Comparison | Membership) or _is_predicate(tree):
            return f"whether {saying.clause(tree)}"
        return saying.value(tree)

    def summand(self, expression: Expression) -> str:
        """Return a value that stands behind `the sum of`: a formula in parentheses."""
        said = self.value(expression)
        return f"({said})" if isinstance(_bare(expression.tree), Arithmetic | Negate) else said

    def turning(self, expression: Expression) -> str:
        """Return what happens when a condition turns true."""
        saying, tree = _Saying(expression.text, self), _bare(expression.tree)
        match tree:
            case Comparison(left=left, operator=operator) if operator != "!=" and left.type.kind in {
                *NUMERIC,
                Kind.STRING,
            }:
                return saying.clause(tree, verb="becomes")
            case Membership(container=ListOf(), negated=False):
                return saying.clause(tree, verb="becomes")
            case _:
                return f"this turns true: {saying.clause(tree)}"

    def path(self, dotted: str) -> str:
        """Return the words for a path, as texts with values in them name it."""
        return _Saying(dotted, self).path(tuple(dotted.split(".")))


def _bare(node: Node) -> Node:
    while isinstance(node, Narrow):
        node = node.operand
    return node


def _is_predicate(node: Node) -> bool:
    return isinstance(node, Call) and node.function in _PREDICATES


@final
class _Saying:
    def __init__(self, text: str, wording: Wording) -> None:
        self._text = text
        self._wording = wording
        self._in_formula = False

    def clause(self, node: Node, yes: bool = True, verb: str = "is") -> str:
        """Return a condition, or its opposite, as a clause."""
        match node:
            case Narrow(operand=operand):
                return self.clause(operand, yes, verb)
            case Not(operand=operand):
                return self.clause(operand, not yes, verb)
            case And(parts=parts):
                return self._joined(parts, "and" if yes else "or", yes)
            case Or(parts=parts):
                return self._joined(parts, "or" if yes else "and", yes)
            case Comparison():
                return self._comparison(node, yes, verb)
            case Membership():
                return self._membership(node, yes, verb)
            case Choice(condition=condition, then=then, otherwise=otherwise):
                ways = f"{self._grouped(then, yes)}, otherwise {self._grouped(otherwise, yes)}"
                return f"if {self._grouped(condition, True)}: {ways}"
            case Call(function="default", arguments=(condition, Literal(value=bool() as value))):
                missing = "so too" if value is yes else "not"
                return f"{self._grouped(condition, yes)} ({missing} where that is not known)"
            case Call(function=function, arguments=arguments) if function in _PREDICATES:
                said = _PREDICATES[function][0 if yes else 1]
                first, *others = (self.value(argument) for argument in arguments)
                return f"{first} {said.format(first, *others)}"
            case Literal(value=bool() as value):
                return "it is always so" if value is yes else "it is never so"
            case Path(names=("params", name)) if name in self._wording.params:
                now = f"set to {self._wording.params[name].shown}"
                return f"params.{name} is {'true' if yes else 'false'} ({now})"
            case Path() if (sentence := self._flag(node.names, yes)) is not None:
                return sentence
            case Path() | Call():
                return f"{self.value(node)} is {'true' if yes else 'false'}"
            case _:
                return f"{self._source(node)} is {'true' if yes else 'false'}"

    def _joined(self, parts: tuple[Node, ...], word: str, yes: bool) -> str:
        return f" {word} ".join(self._grouped(part, yes, within=word) for part in parts)

    def _grouped(self, node: Node, yes: bool, within: str = "") -> str:
        """Return a clause that cannot be taken apart by what stands around it."""
        inner, so = node, yes
        while isinstance(inner, Not | Narrow):
            so = so is not isinstance(inner, Not)
            inner = inner.operand
        said = self.clause(inner, so)
        if isinstance(inner, Choice) or (isinstance(inner, Call) and inner.function == "default"):
            return f"({said})"
        if not isinstance(inner, And | Or):
            return said
        word = "and" if isinstance(inner, And) is so else "or"
        return said if word == within else f"({said})"

    def _comparison(self, node: Comparison, yes: bool, verb: str) -> str:
        operator, left, right = node.operator, node.left, node.right
        if isinstance(_bare(left), Literal) and not isinstance(_bare(right), Literal):
            operator, left, right = _TURNED[operator], right, left
        if not yes:
            operator = _COMPARED[operator][1]
        started = self._started(left, right) if operator in {"==", "!="} else None
        if started is not None:
            return f"it was {'' if operator == '==' else 'not '}started by {started}"
        said = _COMPARED[operator][0]
        match left.type.kind:
            case Kind.TIME:
                said = _IN_TIME.get(operator, said)
            case Kind.DURATION:
                said = _LENGTHS.get(operator, said)
            case _:
                pass
        return f"{self.value(left)} {verb} {said}{self.value(right)}"

    def _started(self, left: Node, right: Node) -> str | None:
        """Return the trigger a run is asked about, if that is what is compared."""
        named = isinstance(path := _bare(left), Path) and path.dotted == "trigger.id"
        return self.value(right) if named and isinstance(_bare(right), Literal) else None

    def _membership(self, node: Membership, yes: bool, verb: str) -> str:
        inside = yes is not node.negated
        item = self.value(node.item)
        match _bare(node.container):
            case ListOf(items=(single,)):
                return f"{item} {verb} {'' if inside else 'not '}{self.value(single)}"
            case ListOf(items=items):
                told = ", ".join(self.value(each) for each in items)
                return f"{item} {verb} {'one' if inside else 'none'} of {told}"
            case container:
                return f"{item} is {'' if inside else 'not '}among {self.value(container)}"

    def value(self, node: Node, tightness: int = 0) -> str:
        """Return a value; `tightness` is that of the formula around it."""
        match node:
            case Narrow(operand=operand):
                return self.value(operand, tightness)
            case Literal(value=value):
                return names.plain(value)
            case Path(names=path):
                sentence = self._flag(path, yes=True)
                return self.path(path) if sentence is None else f"whether {sentence}"
            case ListOf(items=items):
                return f"[{', '.join(self.value(item) for item in items)}]"
            case Arithmetic() | Negate():
                return self._formula(node, tightness)
            case Choice(condition=condition, then=then, otherwise=otherwise):
                said = f"{self.value(then)} if {self.clause(condition)}, otherwise {self.value(otherwise)}"
                return f"({said})"
            case Call():
                read = what_is_read(node)
                if read is not None:
                    return self.path(read.names)
                said = self._call(node)
                is_word = " " not in said or node.function in _SPANS
                return f"({said})" if tightness and not is_word else said
            case _:
                return self._source(node)

    def _flag(self, path: tuple[str, ...], yes: bool) -> str | None:
        if path[0] == "steps":
            return result_flag(path[1:], self._wording.results, yes=yes)
        return names.flag(path, yes)

    def path(self, path: tuple[str, ...]) -> str:
        if path[0] == "steps":
            return result(path[1:], self._wording.results)
        param = self._wording.params.get(path[1]) if path[0] == "params" and len(path) == 2 else None
        if param is None:
            return names.named(path, near=self._wording.near)
        return param.bare if self._in_formula else f"{param.shown} (params.{path[1]})"

    def _formula(self, node: Arithmetic | Negate, tightness: int) -> str:
        if self._in_formula:
            return self._term(node, tightness)
        self._in_formula = True
        said = self._term(node, tightness)
        self._in_formula = False
        read = dict.fromkeys(path.names[1] for path in paths(node) if path.dotted.startswith("params."))
        told = [
            f"params.{name} = {self._wording.params[name].shown}"
            for name in read
            if name in self._wording.params
        ]
        return f"{said} ({', '.join(told)})" if told else said

    def _term(self, node: Arithmetic | Negate, tightness: int) -> str:
        match node:
            case Negate(operand=operand):
                return f"-{self.value(operand, _SIGN)}"
            case Arithmetic(operator="//", left=left, right=right):
                return f"({self.value(left, _MULTIPLY)} / {self.value(right, _SIGN)}, rounded down)"
            case Arithmetic(operator="%", left=left, right=right):
                return f"(what remains of {self.value(left, _MULTIPLY)} / {self.value(right, _SIGN)})"
            case Arithmetic(operator="+", left=left, right=right) if node.type.kind is Kind.STRING:
                return f"{self.value(left)} followed by {self.value(right)}"
            case Arithmetic(operator=operator, left=left, right=right):
                own = _TIGHTNESS[operator]
                said = f"{self.value(left, own)} {operator} {self.value(right, own + 1)}"
                return f"({said})" if own < tightness else said

    def _call(self, node: Call) -> str:
        function, arguments = node.function, node.arguments
        if function in _SPANS:
            return self._span(arguments[0], _SPANS[function])
        said = [self._argument(argument) for argument in arguments]
        if function == "default" and said[1] == "“”":
            said[1] = "empty"
        if function in _PHRASES:
            return _PHRASES[function].format(*said)
        if function in _EXTREMES:
            return f"{_EXTREMES[function]} {', '.join(said)}"
        match function, said:
            case "round", [value]:
                return f"{value} rounded"
            case "round", [value, digits]:
                return f"{value} rounded to {digits} {'digit' if digits == '1' else 'digits'}"
            case "len", [value]:
                counted = "characters" if arguments[0].type.kind is Kind.STRING else "items"
                return f"the number of {counted} in {value}"
            case _:
                return self._source(node)

    def _argument(self, node: Node) -> str:
        said = self.value(node)
        return f"({said})" if isinstance(_bare(node), Arithmetic) else said

    def _span(self, length: Node, noun: str) -> str:
        match length:
            case Literal(value=Decimal() as value) if value == 1:
                return f"1 {noun}"
            case _:
                return f"{self._argument(length)} {noun}s"

    def _source(self, node: Node) -> str:
        return f"`{' '.join(self._text[node.start : node.end].split())}`"
