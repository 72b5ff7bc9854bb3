"""Gives every part of the tree its type, and refuses what means nothing."""

from dataclasses import replace
from typing import Final

from hub.expr.algebra import alike, arithmetic, comparable, is_null, problem
from hub.expr.functions import FUNCTIONS, Function
from hub.expr.scope import Scope, nearest
from hub.expr.tokens import shown
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
from hub.expr.types import ANY, BOOL, NUMBER, NUMERIC, STRING, Kind, Type, spoken
from hub.expr.written import READS, as_text, read_of

_TRUE_OR_FALSE: Final = "write a condition, such as a comparison"


def check(node: Node, scope: Scope, expects: Kind | None) -> Node:
    """Return the tree with types, of the kind that is needed."""
    checked = _Checker(scope).typed(node)
    found = checked.type.kind
    if expects in {None, Kind.ANY, found} or (found in NUMERIC and expects in NUMERIC):
        return checked
    assert expects is not None
    if is_null(checked):
        return checked
    if found is Kind.ANY and expects is not Kind.SECRET:
        return _narrowed(checked, expects)
    hint = f": {_TRUE_OR_FALSE}" if expects is Kind.BOOL else ""
    raise problem(f"this is {checked.type}, but {spoken(expects)} is needed here{hint}", checked)


def _narrowed(node: Node, kind: Kind) -> Narrow:
    return Narrow(start=node.start, end=node.end, operand=node, kind=kind, type=Type(kind, optional=True))


class _Checker:
    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def typed(self, node: Node) -> Node:
        match node:
            case Literal(value=value):
                return replace(node, type=_literal_type(value))
            case Path():
                return read_of(self._scope.resolve(node))
            case ListOf(items=items):
                return self._list(node, items)
            case Negate(operand=operand):
                return self._negation(node, operand)
            case Arithmetic(operator=operator):
                left, right = self._part(node.left), self._part(node.right)
                result = arithmetic(operator, left, right, node)
                return replace(node, left=left, right=right, type=result)
            case Comparison(operator=operator):
                left, right = self._part(node.left), self._part(node.right)
                return replace(node, left=left, right=right, type=comparable(operator, left, right, node))
            case Membership():
                return self._membership(node)
            case And(parts=parts) | Or(parts=parts):
                checked = tuple(self._condition(part) for part in parts)
                optional = any(part.type.optional for part in checked)
                return replace(node, parts=checked, type=BOOL.or_missing(optional))
            case Not(operand=operand):
                condition = self._condition(operand)
                return replace(node, operand=condition, type=condition.type)
            case Choice():
                return self._choice(node)
            case Call():
                return self._call(node)
            case _:
                raise AssertionError(f"the parser builds no {type(node).__name__}")

    def _part(self, node: Node) -> Node:
        """Check a part of something larger, which no secret can be."""
        checked = self.typed(node)
        _refuse_secret(checked)
        return checked

    def _condition(self, node: Node) -> Node:
        checked = self._part(node)
        if checked.type.kind is Kind.BOOL:
            return checked
        if checked.type.kind is Kind.ANY and not is_null(checked):
            return _narrowed(checked, Kind.BOOL)
        what = "null" if is_null(checked) else str(checked.type)
        raise problem(f"this is {what}, not true or false: {_TRUE_OR_FALSE}", checked)

    def _list(self, node: ListOf, items: tuple[Node, ...]) -> Node:
        checked = tuple(self._part(item) for item in items)
        together: Node | None = None
        for item in checked:
            if is_null(item):
                raise problem("null cannot stand in a list: ask for missing values with `has(x)`", item)
            together = item if together is None else replace(together, type=alike(together, item, item))
        optional = any(item.type.optional for item in checked)
        return replace(
            node,
            items=checked,
            type=Type(Kind.LIST, optional=optional, item=together.type if together else ANY),
        )

    def _negation(self, node: Negate, operand: Node) -> Node:
        checked = self._part(operand)
        if checked.type.kind not in NUMERIC | {Kind.DURATION, Kind.ANY} or is_null(checked):
            raise problem(f"`-` needs a number, and this is {_or_null(checked)}", checked)
        return replace(node, operand=checked, type=checked.type)

    def _membership(self, node: Membership) -> Node:
        item, container = self._part(node.item), self._part(node.container)
        if container.type.kind is Kind.STRING:
            raise problem("`in` looks in lists: for a part of a text write `contains(text, part)`", container)
        if container.type.kind not in {Kind.LIST, Kind.ANY} or is_null(container):
            raise problem(f"`in` needs a list, and this is {_or_null(container)}", container)
        if isinstance(container, ListOf):
            if not container.items:
                raise problem("this list is empty: nothing is in it", container)
            for candidate in container.items:
                comparable("==", item, candidate, candidate)
        else:
            # Stands for whatever the list will hold, so that the rule of `==` decides.
            some = Path(
                start=container.start, end=container.end, names=("item",), type=container.type.item or ANY
            )
            comparable("==", item, some, node)
        optional = item.type.optional or container.type.optional
        return replace(node, item=item, container=container, type=BOOL.or_missing(optional))

    def _choice(self, node: Choice) -> Node:
        condition = self._condition(node.condition)
        then, otherwise = self._part(node.then), self._part(node.otherwise)
        result = alike(then, otherwise, node)
        return replace(
            node,
            condition=condition,
            then=then,
            otherwise=otherwise,
            type=result.or_missing(result.optional or condition.type.optional),
        )

    def _call(self, node: Call) -> Node:
        function = FUNCTIONS.get(node.function)
        if function is None:
            hint = nearest(node.function, FUNCTIONS) or f"; known are {', '.join(FUNCTIONS)}"
            raise problem(f"unknown function {shown(node.function)}{hint}", node)
        arguments = tuple(self._argument(function, argument) for argument in node.arguments)
        _count(function, arguments, node)
        for position, argument in enumerate(arguments):
            _fits(function, position, argument)
        result = _result(function, arguments, node)
        return replace(node, arguments=arguments, type=result)

    def _argument(self, function: Function, argument: Node) -> Node:
        # What a function reads out of a text itself need not be read for it: the text says the same either way.
        if isinstance(argument, Path) and READS.get(function.name) is not None:
            path = self._scope.resolve(argument)
            if path.type.written and path.type.kind is READS[function.name]:
                return as_text(path)
        # Asking whether there is a position is not reading its price.
        if function.name == "has" and isinstance(argument, Path):
            argument = self._scope.resolve(argument, whole=False)
            _refuse_secret(argument)
            return argument
        return self._part(argument)


def _refuse_secret(node: Node) -> None:
    if node.type.kind is Kind.SECRET:
        raise problem("a secret stands alone as a whole value: it is not compared, joined or passed on", node)


def _literal_type(value: object) -> Type:
    if value is None:
        return ANY.or_missing()
    if isinstance(value, bool):
        return BOOL
    return STRING if isinstance(value, str) else NUMBER


def _or_null(node: Node) -> str:
    return "null" if is_null(node) else str(node.type)


def _count(function: Function, arguments: tuple[Node, ...], node: Call) -> None:
    most = function.most
    if len(arguments) < function.fewest or (most is not None and len(arguments) > most):
        raise problem(f"write `{function.signature}`: {len(arguments)} given", node)


def _fits(function: Function, position: int, argument: Node) -> None:
    parameter = function.parameter(position)
    if is_null(argument):
        if function.name == "default" and position == 1:
            return
        raise problem(f"{function.name}() cannot work on null", argument)
    if function.name == "has" and not isinstance(argument, Path):
        raise problem("has() asks about a field or a name, such as `has(account.country)`", argument)
    kind = argument.type.kind
    if kind is not Kind.ANY and kind not in parameter.kinds:
        hint = "; for lists write `in`" if function.name == "contains" and kind is Kind.LIST else ""
        raise problem(
            f"{function.name}() needs {parameter.wanted} as {parameter.name}, and this is {argument.type}{hint}",
            argument,
        )
    if parameter.check is not None and isinstance(argument, Literal):
        complaint = parameter.check(argument.value)
        if complaint:
            raise problem(complaint, argument)


def _result(function: Function, arguments: tuple[Node, ...], node: Call) -> Type:
    optional = any(argument.type.optional for argument in arguments)
    if function.name == "has":
        return BOOL
    first = arguments[0]
    if function.name == "default":
        return alike(first, arguments[1], node).or_missing(arguments[1].type.optional)
    together = first.type
    if function.alike:
        for argument in arguments[1:]:
            comparable("<", first, argument, argument)
            together = alike(replace(first, type=together), argument, argument)
    if function.returns is not None:
        return Type(function.returns, optional=optional)
    return together.or_missing(optional)
