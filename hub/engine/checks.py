"""What a step's `guard` and `verify` take along: their text, and what their names stand for as the step is decided."""

from datetime import datetime, timedelta
from decimal import Decimal

from hub.clock import MICROSECOND
from hub.engine.program_steps import Do
from hub.engine.scene import Env
from hub.expr import Expression
from hub.expr.paths import step
from hub.expr.tree import Hop
from hub.expr.written import read_values
from hub.intents.checks import FRESH, Check, Checks
from hub.intents.kept import Kept, keep

PLAIN = (bool, int, str, Decimal, datetime, timedelta, list, tuple)


def needs_checks(do: Do) -> bool:
    return do.guard is not None or do.verify is not None or (do.verb.answers and do.timeout is not None)


def checks_for(do: Do, env: Env) -> Checks:
    within = do.timeout // MICROSECOND if do.verb.answers and do.timeout is not None else 0
    return Checks(
        _check(do.guard, env) if do.guard is not None else None,
        _check(do.verify, env) if do.verify is not None else None,
        within,
    )


def _check(condition: Expression, env: Env) -> Check:
    values: dict[str, Kept] = {}
    read = read_values(condition.tree, env)
    for path in sorted(condition.reads):
        root, _, field = path.partition(".")
        if root == "account" and field in FRESH:
            continue
        if path in read:
            values[path] = keep(read[path])
            continue
        value: object = env.get(root)
        for name in path.split(".")[1:]:
            value = step(value, name, Hop.ATTRIBUTE)
        # Of a record it is only asked whether there is one.
        known: object = value
        if not isinstance(value, PLAIN):
            known = None if value is None else {}
        values[path] = keep(known)
    return Check(condition.text, values)
