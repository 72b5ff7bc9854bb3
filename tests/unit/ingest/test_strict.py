"""Strict JSON: everything two parsers could read differently is refused, with its place."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.ingest.strict import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_ITEMS,
    NotStrict,
    Unreadable,
    parse_json,
    parse_ndjson,
    plain_numbers,
    read_value,
    too_deep,
)

KEYS = st.sampled_from(["a", "b", 'q"', "back\\slash", ":", "é", "\u2028", "a:", '\\"', ""])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    | KEYS
    | st.sampled_from([0.5, 1.25, -3.0])
)


@st.composite
def json_with_repeats(draw: st.DrawFn, depth: int = 3) -> tuple[str, bool]:
    """Return a JSON object as text, and whether a key is there twice in any object of it."""
    pairs: list[str] = []
    keys = draw(st.lists(KEYS, max_size=4))
    repeated = len(set(keys)) != len(keys)
    for key in keys:
        if depth and draw(st.booleans()):
            value, inner = draw(json_with_repeats(depth=depth - 1))
            repeated |= inner
            if draw(st.booleans()):
                value = f"[{value}]"
        else:
            value = json.dumps(draw(SCALARS), ensure_ascii=draw(st.booleans()))
        space = draw(st.sampled_from(["", " ", "\n", "\t "]))
        pairs.append(f"{json.dumps(key, ensure_ascii=draw(st.booleans()))}{space}:{space}{value}")
    return "{" + ",".join(pairs) + "}", repeated


def slow(text: bytes) -> Any:
    """Return what the standard library reads with every check switched on."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("repeated")
        return dict(pairs)

    def never(constant: str) -> None:
        raise ValueError(constant)

    return json.loads(text.decode(), object_pairs_hook=unique, parse_constant=never)


@given(json_with_repeats())
def test_a_repeated_key_is_found_exactly_where_there_is_one(made: tuple[str, bool]) -> None:
    text, repeated = made

    if repeated:
        with pytest.raises(ValueError, match="twice"):
            read_value(text.encode())
    else:
        assert plain_numbers(read_value(text.encode())) == slow(text.encode())


@given(st.text(st.sampled_from('{}[]",:\\u0022ab1.e-+ \n'), max_size=40))
def test_what_is_taken_means_what_the_standard_library_reads(text: str) -> None:
    try:
        value = read_value(text.encode())
    except ValueError:
        return

    assert plain_numbers(value) == slow(text.encode())


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for parse in (parse_json, parse_ndjson):
        try:
            items = parse(body)
        except NotStrict:
            continue
        assert all(isinstance(item, dict | Unreadable) for item in items)


REFUSED = {
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":-Infinity}',
    "1e999": b'{"a":1e999}',
    "a tiny number": b'{"a":1e-99999999999999999999}',
    "a repeated key": b'{"a":1,"a":2}',
    "a repeated key, escaped": b'{"a":1,"\\u0061":2}',
    "a repeated key beside an escaped quote": b'{"q":"\\u0022","a":1,"a":2}',
    "an integer beyond 64 bits": b'{"a":18446744073709551616}',
    "5,000 digits": b'{"a":' + b"1" * 5000 + b"}",
    "too deep": b'{"a":' + b"[" * 32 + b"]" * 32 + b"}",
    "100,000 brackets": b"[" * 100_000,
    "latin-1": '{"a":"é"}'.encode("latin-1"),
    "utf-16": '{"a":1}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"a":1}',
    "a lone surrogate": b'{"a":"\\ud800"}',
    "an encoded surrogate": b'{"a":"\xed\xa0\x80"}',
    "a raw newline in a string": b'{"a":"x\ny"}',
    "a comment": b'{"a":1}//',
    "a trailing comma": b'{"a":1,}',
    "single quotes": b"{'a':1}",
    "a leading zero": b'{"a":01}',
    "two values": b'{"a":1}{"b":2}',
    "nothing": b"",
    "a number": b"1",
    "a string": b'"a"',
    "null": b"null",
    "half": b'{"a":',
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED.keys())
def test_the_whole_body_is_refused(body: bytes) -> None:
    with pytest.raises(NotStrict):
        parse_json(body)


def test_depth_is_counted_exactly() -> None:
    fits = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH

    assert read_value(fits) is not None
    with pytest.raises(ValueError, match="deeper than 32"):
        read_value(b"[" + fits + b"]")
    assert not too_deep({"a": []}, 2)
    assert too_deep({"a": []}, 1)


def test_brackets_in_strings_are_not_depth() -> None:
    assert read_value(b'{"a":"' + b"[" * 500 + b'"}') == {"a": "[" * 500}


def test_a_refusal_names_the_item_and_the_key() -> None:
    with pytest.raises(NotStrict) as caught:
        parse_json(b'[{"a":1},{"a":{"b":1,"b":2}}]')

    assert caught.value.unreadable == Unreadable("the key 'b' is there twice", "say each key once", 1)


def test_an_item_that_is_no_object_spares_the_others() -> None:
    items = parse_json(b'[{"a":1},7,{"b":2}]')

    assert items[0] == {"a": 1}
    assert isinstance(items[1], Unreadable)
    assert items[2] == {"b": 2}


def test_a_bad_line_spares_the_others() -> None:
    items = parse_ndjson(b'{"a":1}\n\n  \n{"a":1,"a":2}\r\nnope\n{"b":2}')

    assert items[0] == {"a": 1}
    assert [item.item for item in items[1:3] if isinstance(item, Unreadable)] == [1, 2]
    assert items[3] == {"b": 2}


def test_too_much_is_refused_before_it_is_read() -> None:
    for body in (b"[" + b"{}," * MAX_ITEMS + b"{}]", b" " * (MAX_BYTES + 1)):
        with pytest.raises(NotStrict) as caught:
            parse_json(body)
        assert caught.value.too_large
    with pytest.raises(NotStrict) as caught:
        parse_ndjson(b"{}\n" * (MAX_ITEMS + 1))
    assert caught.value.too_large
    assert len(parse_ndjson(b"{}\n" * MAX_ITEMS)) == MAX_ITEMS


def test_decimals_stay_exact() -> None:
    value = read_value(b'{"price":0.1000000000000000055511151231257827}')

    assert str(value["price"]) == "0.1000000000000000055511151231257827"
    assert plain_numbers({"a": [value["price"], 1, "x"]}) == {"a": [0.1, 1, "x"]}
