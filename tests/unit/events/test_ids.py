"""Ids are reversible, and two spellings never name one event."""

import base64

from hypothesis import given
from hypothesis import strategies as st

from hub import ids

KEYS = st.binary(min_size=16, max_size=16)


@given(KEYS)
def test_an_id_reads_back_as_its_key(key: bytes) -> None:
    assert ids.from_id("evt", ids.to_id("evt", key)) == key


@given(KEYS)
def test_an_id_is_base32_as_everybody_writes_it(key: bytes) -> None:
    assert ids.to_id("evt", key) == "evt_" + base64.b32encode(key).decode().rstrip("=").lower()


@given(KEYS)
def test_no_other_spelling_of_an_id_is_taken(key: bytes) -> None:
    text = ids.to_id("evt", key)

    assert ids.from_id("run", text) is None
    assert ids.from_id("evt", text.upper()) is None
    assert ids.from_id("evt", text + "=") is None
    assert ids.from_id("evt", text[:-1]) is None


@given(st.text(max_size=40))
def test_any_text_is_an_id_or_is_not_and_nothing_breaks(text: str) -> None:
    key = ids.from_id("evt", text)

    assert key is None or ids.to_id("evt", key) == text


def test_the_last_letter_of_an_id_has_one_spelling() -> None:
    # 26 letters hold 130 bits, two more than a key has: were they ignored, four ids would name one event.
    text = ids.to_id("evt", bytes(16))

    assert ids.from_id("evt", text[:-1] + "b") is None


@given(
    st.integers(0, 2**16 - 1),
    st.integers(0, 254),
    st.integers(0, 2**64 - 1),
    st.integers(0, 255),
    st.integers(0, 2**32 - 1),
)
def test_a_numbered_key_keeps_its_number(
    server: int, kind: int, number: int, code: int, ordinal: int
) -> None:
    key = ids.numbered(server, kind, number, code, ordinal)

    assert ids.unpack(key) == (server, kind, number, code, ordinal)


@given(st.integers(0, 2**16 - 1), st.text())
def test_a_hashed_key_never_looks_numbered(server: int, text: str) -> None:
    key = ids.hashed(server, text)

    assert len(key) == 16
    assert ids.unpack(key) is None


def test_the_numbers_of_one_server_sort_by_number() -> None:
    keys = [ids.numbered(7, 1, number, 2) for number in (1, 2, 255, 256, 2**40)]

    assert keys == sorted(keys)
