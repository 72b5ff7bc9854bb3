"""Strict JSON: what two parsers could read differently, or what costs too much to read, is refused with its place.

msgspec parses once, with decimals kept exact. It already refuses NaN, invalid UTF-8 and lone surrogates. What it lets
through is caught without a second parser: encoding what was parsed gives as many quotation marks as the text had,
unless a key was there twice; and the encoder refuses integers beyond 64 bits.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
import orjson

MAX_BYTES = 1 << 20
MAX_ITEMS = 500
MAX_DEPTH = 32
_MAX_EXPONENT = 40


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why an item (counted from 0) cannot be read; `item` None means the whole text."""

    reason: str
    fix: str = ""
    item: int | None = None

    @property
    def place(self) -> str:
        return "body" if self.item is None else f"item {self.item}"


class NotStrict(Exception):
    """The text as a whole cannot be read."""

    def __init__(self, unreadable: Unreadable, *, too_large: bool = False) -> None:
        super().__init__(f"{unreadable.place}: {unreadable.reason}")
        self.unreadable = unreadable
        self.too_large = too_large


Item = dict[str, Any] | Unreadable


_IMPLAUSIBLE = "a number has more digits, or a larger exponent, than any amount or price can have"
_REPEATED = "a key is there twice"


def _exact(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:  # an exponent no Decimal can hold
        raise ValueError(_IMPLAUSIBLE) from None
    if len(text) > 2 * _MAX_EXPONENT or not -_MAX_EXPONENT < number.adjusted() < _MAX_EXPONENT:
        raise ValueError(_IMPLAUSIBLE)
    return number


_parse = msgspec.json.Decoder(float_hook=_exact).decode
_split = msgspec.json.Decoder(list[msgspec.Raw]).decode


def parse_json(body: bytes) -> list[Item]:
    """Return the objects of a body that holds one object or an array of them; raises NotStrict."""
    if len(body) > MAX_BYTES:
        raise _too_large()
    try:
        parsed = read_value(body)
    except ValueError as error:
        raise NotStrict(_locate(body, str(error))) from None
    if type(parsed) is dict:
        return [parsed]
    if type(parsed) is not list:
        raise NotStrict(
            Unreadable("neither an object nor an array of objects", 'send {"type": …} or [{"type": …}, …]')
        )
    if len(parsed) > MAX_ITEMS:
        raise NotStrict(
            Unreadable(f"{len(parsed)} items, more than {MAX_ITEMS}", f"send at most {MAX_ITEMS} a request"),
            too_large=True,
        )
    return [
        item if type(item) is dict else Unreadable("not an object", 'each item is {"type": …}', index)
        for index, item in enumerate(parsed)
    ]


def split_json(body: bytes) -> Sequence[bytes | msgspec.Raw]:
    """Return the texts of the items of a body, unread; nothing where only `parse_json` can say what is wrong with it."""
    if len(body) > MAX_BYTES:
        return ()
    if not body.startswith(b"["):
        return (body,)
    try:
        texts = _split(body)
    except (ValueError, RecursionError):
        return ()
    return texts if len(texts) <= MAX_ITEMS else ()


def split_ndjson(body: bytes) -> list[bytes]:
    """Return the lines that are not blank; raises NotStrict."""
    if len(body) > MAX_BYTES:
        raise _too_large()
    lines = [line for line in body.split(b"\n") if line and not line.isspace()]
    if len(lines) > MAX_ITEMS:
        raise NotStrict(
            Unreadable(f"{len(lines)} lines, more than {MAX_ITEMS}", f"send at most {MAX_ITEMS} a request"),
            too_large=True,
        )
    return lines


def parse_ndjson(body: bytes) -> list[Item]:
    """Return one object, or why there is none, for every line that is not blank; raises NotStrict."""
    return [parse_line(line, index) for index, line in enumerate(split_ndjson(body))]


def read_value(text: bytes) -> Any:
    """Return the one JSON value a text holds; raises ValueError with the reason."""
    try:
        parsed = _parse(text)
    except UnicodeDecodeError:
        raise ValueError("not valid UTF-8") from None
    except RecursionError:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:
        raise ValueError(_in_plain_words(str(error))) from None
    # Fewer opening brackets than levels allowed: it cannot be too deep, and most single events stop here.
    if text.count(b"{") + text.count(b"[") > MAX_DEPTH and too_deep(parsed, MAX_DEPTH):
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    try:
        again = orjson.dumps(parsed, default=float)
    except (orjson.JSONEncodeError, OverflowError) as error:
        raise ValueError(
            "an integer is beyond 64 bits" if "64-bit" in str(error) else f"not encodable: {error}"
        ) from None
    if b"\\u" not in text and text.count(b'"') == again.count(b'"'):
        return parsed
    if quotes(text) != quotes(again):
        raise ValueError(_REPEATED)
    return parsed


def quotes(text: bytes) -> int:
    """Count the quotation marks that open or close a string."""
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    return text.count(b'"')


def too_deep(value: object, levels: int) -> bool:
    """Return whether containers are nested more than `levels` deep; itself never deeper than that."""
    if type(value) is dict:
        inner: Sequence[object] = list(value.values())
    elif type(value) is list:
        inner = value
    else:
        return False
    if levels == 0:
        return True
    return any(too_deep(item, levels - 1) for item in inner if type(item) is dict or type(item) is list)


def plain_numbers(value: Any) -> Any:
    """Return free-form data with its exact decimals as JSON numbers again; every other type of value stays."""
    if type(value) is Decimal:
        return float(value)
    if type(value) is dict:
        return {key: plain_numbers(item) for key, item in value.items()}
    if type(value) is list:
        return [plain_numbers(item) for item in value]
    return value


def parse_line(line: bytes, index: int) -> Item:
    try:
        parsed = read_value(line)
    except ValueError as error:
        return _explain(line, str(error), index)
    if type(parsed) is not dict:
        return Unreadable("not an object", 'each line is {"type": …}', index)
    return parsed


def _too_large() -> NotStrict:
    return NotStrict(
        Unreadable(f"larger than {MAX_BYTES} bytes", "send less a request, or use `hub ingest FILE`"),
        too_large=True,
    )


def _in_plain_words(message: str) -> str:
    return message.removeprefix("JSON is malformed: ").partition(" - at ")[0] or "not JSON"


class _Repeated(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for key, value in pairs:
        if key in seen:
            shown = key if len(key) <= 64 else key[:64] + "…"
            raise _Repeated(f"the key {shown!r} is there twice")
        seen[key] = value
    return seen


def _explain(text: bytes, reason: str, index: int | None) -> Unreadable:
    if reason == _REPEATED:
        try:
            json.loads(text, object_pairs_hook=_unique)
        except _Repeated as error:
            return Unreadable(str(error), "say each key once", index)
    return Unreadable(reason, item=index)


def _locate(body: bytes, reason: str) -> Unreadable:
    """Return the reason with the number of the item it is about, where the body is an array that can be told apart."""
    try:
        items = _split(body)
    except (ValueError, RecursionError):
        return _explain(body, reason, None)
    for index, item in enumerate(items):
        try:
            read_value(bytes(item))
        except ValueError as error:
            return _explain(bytes(item), str(error), index)
    return _explain(body, reason, None)
