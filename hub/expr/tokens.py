"""Text into tokens: the first of two gates, where whatever is not in the language gets its hint."""

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Final

from hub.errors import ExpressionError
from hub.expr.tree import MAX_CHARACTERS


class Mark(Enum):
    NUMBER = "number"
    STRING = "string"
    PATH = "path"
    WORD = "word"  # a keyword of the language
    SIGN = "sign"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    mark: Mark
    text: str
    start: int
    end: int
    value: Decimal | str | None = None


WORDS: Final = frozenset(
    {"and", "or", "not", "in", "if", "else", "True", "true", "False", "false", "None", "null"}
)
_PYTHON_VALUES: Final = frozenset({"True", "False", "None"})  # no attribute can have these names
_VALUES: Final = _PYTHON_VALUES | {"true", "false", "null"}
MAX_DIGITS: Final = 28
LARGEST: Final = Decimal(10) ** 30
SMALLEST: Final = Decimal(1).scaleb(-30)

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_PATH: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
_NUMBER: Final = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_TAIL: Final = re.compile(r"[A-Za-z0-9_.]+")
_SIGN: Final = re.compile(r"//|==|!=|<=|>=|[-+*/%<>()\[\],]")
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPES: Final = {"\\": "\\", '"': '"', "'": "'", "n": "\n", "t": "\t"}

# Longest first, so that `:=` is not taken for a slice.
_FOREIGN_SIGNS: Final = {
    "===": "write `==`",
    "!==": "write `!=`",
    "&&": "write `and`",
    "||": "write `or`",
    "**": "powers are not in the language: multiply",
    "<>": "write `!=`",
    "<<": "shifts are not in the language",
    ">>": "shifts are not in the language",
    "=>": "write `>=`",
    "=<": "write `<=`",
    ":=": "an expression cannot assign: use a `set` step",
    "->": "arrows are not in the language",
    "...": "name each value",
    "=": "to compare write `==`; arguments are given by position, without names",
    "!": "write `not`",
    "&": "write `and`",
    "|": "write `or`",
    "^": "there is no exclusive or: write `!=` between two conditions",
    "~": "write `not`",
    "@": "this operator is not in the language",
    "?": "write `x if condition else y`",
    ":": "slices, records and lambdas are not in the language",
    ";": "write one expression",
    "{": "records and sets are not in the language: use a list, `[...]`",
    "}": "records and sets are not in the language",
    "#": "comments go beside the expression, in the file",
    "\\": "an expression may run over several lines as it is",
    "`": 'text goes between quotes: "..."',
    "$": "names are written without a sign",
    ".": "a field follows its record without spaces: `event.lots`",
}
# `==` and `!=` begin with a foreign sign, and are ours.
_FOREIGN: Final = re.compile(
    "|".join(re.escape(sign) + ("(?!=)" if sign in {"=", "!"} else "") for sign in _FOREIGN_SIGNS)
)
_FOREIGN_WORDS: Final = {
    "is": "write `==`, or `has(x)` to ask whether there is a value",
    "lambda": "functions cannot be defined here",
    "for": "there are no loops: use an aggregate or a `for_each` step",
    "while": "there are no loops",
    "await": "an expression does no I/O: read it in a step and use `steps.NAME`",
    "async": "an expression does no I/O",
    "yield": "there are no generators",
    "import": "nothing can be imported",
    "def": "functions cannot be defined here",
    "class": "classes cannot be defined here",
    "return": "write the value alone",
    "assert": "write the condition alone",
    "del": "an expression changes nothing",
    "global": "an expression changes nothing",
    "with": "write one expression",
    "elif": "write `a if c else b if d else e`",
}


def shown(text: str, limit: int = 40) -> str:
    """Return foreign text fit to stand in a message: short and printable."""
    clipped = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in clipped)


def tokenize(text: str) -> list[Token]:
    if len(text) > MAX_CHARACTERS:
        raise ExpressionError(
            f"the expression has {len(text)} characters, {MAX_CHARACTERS} are allowed: "
            "move parts of it into aggregates or steps",
            MAX_CHARACTERS,
            len(text) - MAX_CHARACTERS,
        )
    tokens: list[Token] = []
    at = _skip_space(text, 0)
    while at < len(text):
        token = _next(text, at)
        tokens.append(token)
        at = _skip_space(text, token.end)
    tokens.append(Token(Mark.END, "the end", len(text), len(text)))
    return tokens


def _skip_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _next(text: str, at: int) -> Token:
    character = text[at]
    if character in "\"'":
        return _string(text, at)
    if found := _PATH.match(text, at):
        return _word(text, found)
    if found := _NUMBER.match(text, at):
        return _number(text, found)
    if found := _FOREIGN.match(text, at):
        sign = found.group()
        raise ExpressionError(f"`{sign}` is not in the language: {_FOREIGN_SIGNS[sign]}", at, len(sign))
    if found := _SIGN.match(text, at):
        return Token(Mark.SIGN, found.group(), at, found.end())
    raise ExpressionError(
        f"unexpected character `{shown(character)}` (U+{ord(character):04X}): "
        "outside quotes only plain letters, digits and operators are allowed",
        at,
    )


def _word(text: str, found: re.Match[str]) -> Token:
    path, start, end = found.group(), found.start(), found.end()
    if end < len(text) and text[end] in "\"'":
        raise ExpressionError(
            f'text has no prefix `{shown(path)}`: write "..." alone, and join texts with `+`',
            start,
            end - start,
        )
    at = start
    for position, name in enumerate(path.split(".")):
        if name.startswith("_"):
            raise ExpressionError(
                f"`{shown(name)}`: names begin with a letter; what begins with _ is out of reach",
                at,
                len(name),
            )
        if position == 0 and name in _FOREIGN_WORDS:
            raise ExpressionError(f"`{name}` is not in the language: {_FOREIGN_WORDS[name]}", at, len(name))
        if name in (_VALUES if position == 0 else _PYTHON_VALUES) and name != path:
            raise ExpressionError(f"`{name}` is a value and has no fields", at, len(name))
        at += len(name) + 1
    if path in WORDS:
        return Token(Mark.WORD, path, start, end)
    return Token(Mark.PATH, path, start, end)


def _number(text: str, found: re.Match[str]) -> Token:
    digits, start, end = found.group(), found.start(), found.end()
    if tail := _TAIL.match(text, end):
        raise ExpressionError(
            f"`{shown(digits + tail.group())}` is not a number: write it with digits and one point, such as 1000.5",
            start,
            tail.end() - start,
        )
    if re.match(r"0[0-9]", digits):
        raise ExpressionError(
            f"`{shown(digits)}`: write the number without leading zeros", start, end - start
        )
    mantissa, _, exponent = digits.lower().partition("e")
    if len(mantissa) > MAX_DIGITS + 1 or len(exponent) > 4:
        raise ExpressionError(f"numbers have at most {MAX_DIGITS} digits", start, end - start)
    value = Decimal(digits)
    if value and not SMALLEST <= value <= LARGEST:
        raise ExpressionError("numbers lie between 1e-30 and 1e30", start, end - start)
    return Token(Mark.NUMBER, digits, start, end, value or Decimal(0))


def _string(text: str, start: int) -> Token:
    quote = text[start]
    if text.startswith(quote * 3, start):
        raise ExpressionError("text goes between one pair of quotation marks, not three", start, 3)
    at, parts = start + 1, list[str]()
    while at < len(text) and text[at] != quote:
        if text[at] == "\\":
            piece, after = _escaped(text, at)
            parts.append(piece)
            at = after
        elif text[at] < " " or "\ud800" <= text[at] <= "\udfff" or text[at] == "\x7f":
            raise ExpressionError("text cannot hold control characters: write \\n or \\t", at)
        else:
            parts.append(text[at])
            at += 1
    if at >= len(text):
        raise ExpressionError(f"this text has no closing {quote}", start, len(text) - start)
    return Token(Mark.STRING, text[start : at + 1], start, at + 1, "".join(parts))


def _escaped(text: str, at: int) -> tuple[str, int]:
    found = _ESCAPE.match(text, at)
    if found and found.group(1):
        code = int(found.group(1), 16)
        if code >= 0x20 and not 0xD800 <= code <= 0xDFFF:
            return chr(code), found.end()
    elif found and found.group(2) in _ESCAPES:
        return _ESCAPES[found.group(2)], found.end()
    raise ExpressionError(
        "unknown escape: \\\\ \\\" \\' \\n \\t and \\uXXXX are known; for a backslash write \\\\",
        at,
        len(text[at : at + 2]),
    )
