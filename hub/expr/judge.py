"""A condition asked away from where it was compiled: with its text, the values it was given, and what was just read."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from hub.expr.compiled import Expression, compile_expression
from hub.expr.scope import Scope
from hub.expr.types import ANY, Kind, Type

_RECORD: Final = Type(
    Kind.OBJECT, optional=True, mapping=True
)  # of fields nobody declares: looked at when it runs


@lru_cache(maxsize=512)
def undeclared(text: str, paths: frozenset[str]) -> Expression:
    """Compile a condition over the roots these paths begin with, whatever they hold. Raises ExpressionError."""
    roots = {path.partition(".")[0]: _RECORD if "." in path else ANY.or_missing() for path in sorted(paths)}
    return compile_expression(text, Scope(roots, sampled_allowed=True), expects=Kind.BOOL)


def judge(
    text: str, values: Mapping[str, object], fresh: Mapping[str, object], read_anew: Iterable[str]
) -> str | None:
    """Return why a condition does not hold for the account just read, None when it does. Raises ExpressionError.

    The fields of the account that are `read_anew` are taken from nowhere else.
    """
    anew = frozenset(read_anew)
    known = {path.removeprefix("account."): value for path, value in values.items() if _is_of(path)}
    env: dict[str, Any] = {
        "account": {**{name: value for name, value in known.items() if name not in anew}, **fresh}
    }
    for path, value in sorted(values.items()):
        if not _is_of(path):
            _put(env, path.split("."), value)
    expression = undeclared(text, frozenset([*values, "account.balance"]))
    return None if expression.test(env) is True else expression.explain(env)


def _is_of(path: str) -> bool:
    return path.startswith("account.")


def _put(env: dict[str, Any], names: list[str], value: object) -> None:
    *outer, last = names
    for name in outer:
        inner = env.get(name)
        env[name] = dict(inner) if isinstance(inner, Mapping) else {}
        env = env[name]
    env[last] = value
