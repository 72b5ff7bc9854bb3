"""The Jinja2 that human text is written in: values, conditions and a few filters; no loops, calls or definitions.

Without loops, assignments and string repetition the work is linear in the text and in what it looks at, and both are
bounded: nothing has to be timed, and a run that is decided again is decided the same.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec
from jinja2 import StrictUndefined, UndefinedError, nodes
from jinja2.environment import Template as Compiled
from jinja2.exceptions import SecurityError, TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from typing_extensions import override

from hub.text import work
from hub.text.filters import FILTERS, LONGEST, Encoded, plain

MAX_SOURCE: Final = 16_384
MAX_DEPTH: Final = 40
MAX_DIGITS: Final = 30

_TESTS: Final = frozenset({"defined", "undefined", "none", "eq", "ne", "lt", "le", "gt", "ge", "in"})
_ALLOWED: Final = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Const,
    nodes.List,
    nodes.Tuple,
    nodes.Getattr,
    nodes.Getitem,
    nodes.Filter,
    nodes.Test,
    nodes.If,
    nodes.CondExpr,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Neg,
    nodes.Pos,
    nodes.Add,
    nodes.Sub,
    nodes.Mul,
    nodes.Div,
    nodes.FloorDiv,
    nodes.Mod,
    nodes.Keyword,
)
_REFUSALS: Final[Mapping[type[nodes.Node], str]] = {
    nodes.For: "there are no loops in text: prepare the value in `vars`, or join a list with `|join`",
    nodes.Call: "nothing can be called in text: use a filter such as `|upper`",
    nodes.Assign: "text cannot set variables",
    nodes.AssignBlock: "text cannot set variables",
    nodes.Macro: "text cannot define macros",
    nodes.Include: "text cannot include other text",
    nodes.Import: "text cannot import",
    nodes.FromImport: "text cannot import",
    nodes.Extends: "text cannot extend other text",
    nodes.Pow: "powers are not allowed in text: calculate in an expression, `= ...`",
    nodes.Concat: "write two `{{ }}` one after the other instead of `~`",
    nodes.Slice: "slices are not allowed in text: use `|truncate(20)`",
    nodes.Dict: "records are not allowed in text",
}


class Missing(StrictUndefined):
    """A value that is not there: printing or comparing it fails with its name, instead of writing nothing."""

    __slots__ = ()

    @override
    def _fail_with_undefined_error(self, *args: Any, **kwargs: Any) -> Any:
        raise UndefinedError(self._undefined_name)

    # Jinja2 binds these when its class is made, so an override has to bind them again.
    __str__ = __len__ = __iter__ = _fail_with_undefined_error
    __eq__ = __ne__ = __bool__ = __contains__ = _fail_with_undefined_error
    __lt__ = __le__ = __gt__ = __ge__ = _fail_with_undefined_error
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _fail_with_undefined_error
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = _fail_with_undefined_error
    __mod__ = __rmod__ = __neg__ = __pos__ = __getitem__ = _fail_with_undefined_error
    __hash__ = None  # type: ignore[assignment]  # unhashable, like every value that cannot be compared


class Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%"})

    def __init__(self, form: "Form") -> None:
        super().__init__(
            undefined=Missing,
            finalize=_finalize_json if form == "json" else _finalize,
            keep_trailing_newline=True,
            cache_size=0,
            autoescape=form == "html",
        )
        self.globals = {}
        self.filters = {name: _counted(work) for name, work in FILTERS.items()}
        self.tests = {name: test for name, test in self.tests.items() if name in _TESTS}

    @override
    def getattr(self, obj: Any, attribute: str) -> Any:
        return self._field(obj, attribute)

    @override
    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(argument, str):
            return self._field(obj, argument)
        if isinstance(obj, list | tuple) and isinstance(argument, int) and -len(obj) <= argument < len(obj):
            work.count(obj[argument])
            return obj[argument]
        return self.undefined(obj=obj, name=str(argument)[:64])

    def _field(self, obj: Any, name: str) -> Any:
        if isinstance(obj, Missing):
            return self.undefined(name=f"{obj._undefined_name}.{name}")  # noqa: SLF001 (our own class)
        if name.startswith("_"):
            raise SecurityError(f"{name[:64]} is out of reach")
        value = obj.get(name) if isinstance(obj, Mapping) else getattr(obj, name, None)
        # Methods and classes are no data; text has no fields.
        if value is None or callable(value) or isinstance(obj, str | bytes):
            return self.undefined(obj=obj, name=name)
        work.count(value)
        return value

    @override
    def is_safe_callable(self, obj: Any) -> bool:
        return False

    @override
    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        both_text = isinstance(left, str) and isinstance(right, str)
        if operator != "+" or not both_text:
            for side in (left, right):
                if isinstance(side, str | bytes | list | tuple):
                    raise SecurityError(f"`{operator}` needs numbers on both sides in text")
                if isinstance(side, int) and side.bit_length() > 4 * MAX_DIGITS:
                    raise SecurityError("the numbers in this text grow too large")
        elif len(left) + len(right) > LONGEST:
            raise SecurityError(f"joined texts have at most {LONGEST} characters")
        work.count(left)
        work.count(right)
        return super().call_binop(context, operator, left, right)


def _counted(filter_: Callable[..., object]) -> Callable[..., object]:
    def counted(value: object, *given: object, **named: object) -> object:
        work.count(value)
        found = filter_(value, *given, **named)
        work.count(found)
        return found

    return counted


def _finalize(value: Any) -> Any:
    if value is None:
        raise UndefinedError("a value")
    if isinstance(value, str | Missing):
        return value
    if isinstance(value, bool | int | float | Decimal | date | timedelta):
        return plain(value)
    raise SecurityError(
        "only text, numbers and times can be written: name a field, or join a list with `|join`"
    )


def _finalize_json(value: Any) -> Any:
    """Write text so that it cannot leave the quotes it stands in; what `|json` wrote has its own."""
    text = _finalize(value)
    if isinstance(text, str) and not isinstance(text, Encoded):
        return msgspec.json.encode(text).decode()[1:-1]
    return text


Form = Literal["plain", "html", "json"]
_SANDBOXES: Final[Mapping[Form, Sandbox]] = {
    "plain": Sandbox("plain"),
    "html": Sandbox("html"),
    "json": Sandbox("json"),
}
Paths = tuple[tuple[tuple[str, ...], int], ...]  # the names of each path, and its line


class Refused(Exception):
    """The text is not one of ours; `line` counts from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


@lru_cache(maxsize=4096)
def compiled(source: str, form: Form = "plain") -> tuple[Compiled, Paths]:
    """Return the compiled text and every dotted path it reads, with its line; in `html` and `json` values are escaped."""
    sandbox = _SANDBOXES[form]
    work.begin()
    if len(source) > MAX_SOURCE:
        raise Refused(f"the text has {len(source)} characters, {MAX_SOURCE} are allowed", 1)
    try:
        tree = sandbox.parse(source)
        _check(tree)
        code = sandbox.compile(tree)
    except TemplateSyntaxError as error:
        raise Refused(_sentence(error.message or "not a valid text"), max(1, error.lineno)) from error
    except (RecursionError, MemoryError):
        raise Refused("nested too deeply: use fewer parentheses", 1) from None
    except (TemplateError, SyntaxError, ValueError, ArithmeticError, TypeError) as error:
        # Constant parts are evaluated while compiling.
        raise Refused(_sentence(str(error)), 1) from error
    return Compiled.from_code(sandbox, code, {}), tuple(_paths(tree))


def _sentence(message: str) -> str:
    return message.strip().rstrip(".")[:300]


def _check(tree: nodes.Template) -> None:
    waiting: list[tuple[nodes.Node, int]] = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise Refused("nested too deeply: use fewer parentheses", node.lineno)
        _check_node(node)
        waiting.extend((child, depth + 1) for child in node.iter_child_nodes())


def _check_node(node: nodes.Node) -> None:
    if not isinstance(node, _ALLOWED):
        known = next((hint for kind, hint in _REFUSALS.items() if isinstance(node, kind)), "")
        raise Refused(known or f"`{type(node).__name__.lower()}` is not allowed in text", node.lineno)
    match node:
        case nodes.Filter(name=name) if name not in FILTERS:
            raise Refused(f"unknown filter {name[:64]}; known are {', '.join(sorted(FILTERS))}", node.lineno)
        case nodes.Filter(node=None):
            raise Refused("filter blocks are not allowed in text", node.lineno)
        case nodes.Test(name=name) if name not in _TESTS:
            raise Refused(f"unknown test {name[:64]}; known are {', '.join(sorted(_TESTS))}", node.lineno)
        case nodes.Getattr(attr=name) if name.startswith("_"):
            raise Refused(f"{name[:64]} is out of reach: names begin with a letter", node.lineno)
        case nodes.Name(name=name) if name.startswith("_") or name in {"self", "super", "caller", "loop"}:
            raise Refused(f"{name[:64]} is out of reach", node.lineno)
        case nodes.Const(value=float()):
            raise Refused(
                "fractions are inexact in text: calculate in an expression, `= ...`, and pass the result",
                node.lineno,
            )
        case nodes.Const(value=int() as number) if not isinstance(number, bool) and (
            number.bit_length() > 4 * MAX_DIGITS
        ):
            raise Refused(f"numbers have at most {MAX_DIGITS} digits", node.lineno)
        case nodes.Getitem(arg=argument) if not isinstance(argument, nodes.Const):
            raise Refused("an index in text is a literal", node.lineno)
        case _:
            pass


def _paths(node: nodes.Node) -> Iterator[tuple[tuple[str, ...], int]]:
    # Depth was bounded before.
    if (names := _dotted(node)) is not None:
        yield names, node.lineno
        return
    for child in node.iter_child_nodes():
        yield from _paths(child)


def _dotted(node: nodes.Node) -> tuple[str, ...] | None:
    match node:
        case nodes.Name(name=name):
            return (name,)
        case nodes.Getattr(node=inner, attr=name):
            names = _dotted(inner)
            return None if names is None else (*names, name)
        case nodes.Getitem(node=inner, arg=nodes.Const(value=str() as name)):
            names = _dotted(inner)
            return None if names is None else (*names, name)
        case _:
            return None
