"""Reading what a path names out of an environment, with any missing level taken as missing."""

from collections.abc import Mapping
from decimal import Decimal

from hub.expr.arithmetic import Unknowable, exact
from hub.expr.tree import Hop, Path
from hub.expr.types import NUMERIC, UNKNOWN, Kind


def read(path: Path, env: Mapping[str, object]) -> object:
    """Return the value at the path, or raise ``Unknowable`` saying why there is none."""
    value = env.get(path.names[0])
    for name, hop in zip(path.names[1:], path.hops, strict=True):
        value = step(value, name, hop)
    return usable(value, path)


def step(value: object, name: str, hop: Hop) -> object:
    # Declared fields are found either way, so a record handed over in the other form is slower, not wrong.
    if isinstance(value, Mapping):
        return value.get(name)
    return None if hop is Hop.DYNAMIC else getattr(value, name, None)


def usable(value: object, path: Path) -> object:
    if value is None or value is UNKNOWN:
        raise Unknowable(f"{path.dotted} is missing")
    kind = path.type.kind
    if isinstance(value, float) and (kind in NUMERIC or kind is Kind.ANY):
        value = exact(value)
    if kind is Kind.BOOL and not isinstance(value, bool):
        raise Unknowable(f"{path.dotted} is not true or false")
    if kind in NUMERIC and not isinstance(value, (Decimal, int)):
        raise Unknowable(f"{path.dotted} is not a number")
    if isinstance(value, Decimal) and not value.is_finite():
        raise Unknowable(f"{path.dotted} is not a finite number")
    return value


def present(path: Path, env: Mapping[str, object]) -> bool:
    try:
        read(path, env)
    except Unknowable:
        return False
    return True
