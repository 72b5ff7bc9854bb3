"""Renders the reference of the language in Markdown, from the registry and the limits the code itself uses."""

from typing import Final

from hub.expr.functions import FUNCTIONS, Function
from hub.expr.tokens import MAX_DIGITS
from hub.expr.tree import MAX_CHARACTERS, MAX_DEPTH, MAX_NODES
from hub.expr.types import Kind, spoken

# Operator, what it does, an example. Loosest first: the order in which they bind, which is Python's.
OPERATORS: Final = (
    (
        "x if c else y",
        "the first where the condition holds, else the second",
        '"gold" if lots > 100 else "standard"',
    ),
    ("or", "one of them holds", 'event.symbol_class == "fx" or event.symbol_class == "metals"'),
    ("and", "all of them hold", 'lots > 20 and account.type == "real"'),
    ("not", "it does not hold", "not client.consent_marketing"),
    ("in, not in", "is one of a list", 'account.country in ["CY", "GR"]'),
    ("==, !=", "the same, not the same", 'event.side == "buy"'),
    ("<, <=, >, >=", "smaller and larger; may be chained", "0.1 <= event.lots < 5"),
    ("+, -", "sums, joined texts, a time and a duration", "event.profit + event.swap"),
    ("*, /", "products and quotients", "lots * params.rate"),
    ("//, %", "rounded down, and what remains, with the sign of the divisor", "event.login % 10 == 7"),
    ("-x", "the other sign", "-event.net_profit"),
)

KINDS: Final = (
    (Kind.NUMBER, f"exact decimals of up to {MAX_DIGITS} digits: `20`, `0.1`, `1e6`"),
    (
        Kind.MONEY,
        "a number with a currency; two currencies never mix. Without a currency it is in the account's own, which goes with any: `hub check` warns where it meets a named one and nothing asks for `account.currency`",
    ),
    (Kind.PERCENT, "a percent number: 5 is five percent. It behaves as a number"),
    (Kind.STRING, "text: `\"fx\"` or `'fx'`, with `\\\\ \\\" \\' \\n \\t \\uXXXX`"),
    (Kind.BOOL, "`true` and `false`, or `True` and `False`"),
    (Kind.TIME, "a moment; a time less a time is a duration"),
    (Kind.DURATION, "how long: `hours(6)`"),
    (Kind.LIST, '`["fx", "metals"]`, all items of one kind'),
    (Kind.OBJECT, "a record, whose fields are read as `event.lots`"),
    (Kind.SECRET, "stands alone as a whole value; it is not compared, joined or passed to a function"),
    (
        Kind.ANY,
        "JSON nobody declared, such as the body of a custom event: its kind is looked at when it is used",
    ),
)

UNKNOWN_RULES: Final = (
    ("unknown compared with anything", "unknown"),
    ("unknown in a sum, a product or a function", "unknown"),
    ("false and unknown", "false"),
    ("true and unknown", "unknown"),
    ("true or unknown", "true"),
    ("false or unknown", "unknown"),
    ("not unknown", "unknown"),
    ("x if unknown else y", "unknown"),
    ("x in [a, unknown]", "true if x is a, else unknown"),
    ("has(unknown)", "false"),
    ("default(unknown, y)", "y"),
    ("x / 0", "unknown"),
    ("a result of 1e31 or more", "unknown"),
)


def render_reference() -> str:
    parts = [
        "# Expressions\n",
        (
            "A small, typed part of Python's expressions. Names and types are checked while loading; a missing "
            "value makes an answer *unknown*, and a rule whose condition is unknown does not fire.\n"
        ),
        f"An expression has at most {MAX_CHARACTERS:,} characters, {MAX_NODES} parts and {MAX_DEPTH} levels.\n",
        "## Operators\n",
        "From the loosest to the tightest.\n",
        _table(("operator", "meaning", "example"), [(_code(o), m, _code(e)) for o, m, e in OPERATORS]),
        "## Kinds\n",
        _table(("kind", "meaning"), [(kind.value, meaning) for kind, meaning in KINDS]),
        "## Unknown\n",
        _table(("case", "result"), [(_code(case), result) for case, result in UNKNOWN_RULES]),
        "## Functions\n",
        *(_function(function) for function in FUNCTIONS.values()),
    ]
    return "\n".join(parts)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |\n" for line in lines)


def _code(text: str) -> str:
    return f"`{text}`"


def _function(function: Function) -> str:
    returns = spoken(function.returns) if function.returns is not None else "the kind of its arguments"
    takes = "; ".join(f"`{p.name}`: {p.wanted}" for p in function.parameters)
    return (
        f"### {function.signature}\n\n{function.summary}\n\n"
        f"- takes {takes}\n- gives {returns}\n- example: `{function.example}`\n"
    )
