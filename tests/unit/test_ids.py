"""Identity is derived: the same fact has the same id everywhere, and two facts never share one."""

import base64

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hub import ids
from hub.events.catalogue import BY_CODE, Kind

KEYS = st.binary(min_size=16, max_size=16)


@given(KEYS)
@example(b"\x00" * 16)
@example(b"\xff" * 16)
def test_an_id_is_the_keys_lower_case_base32_and_leads_back(key: bytes) -> None:
    text = ids.to_id("evt", key)

    assert text == "evt_" + base64.b32encode(key).decode().rstrip("=").lower()
    assert ids.from_id("evt", text) == key


@given(KEYS, st.integers(0, 29), st.characters())
def test_no_other_spelling_leads_to_a_key(key: bytes, place: int, character: str) -> None:
    text = ids.to_id("evt", key)
    other = text[:place] + character + text[place + 1 :]

    assert other == text or ids.from_id("evt", other) != key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "evt",
        "evt_",
        "evt_a",
        "EVT_" + "a" * 26,
        "evt_" + "A" * 26,
        "msg_" + "a" * 26,
        "evt_" + "1" * 26,
        "evt_" + "a" * 25 + "b",
        "evt_" + "é" * 26,
        "evt_" + "a" * 27,
        "evt__" + "a" * 25,
    ],
)
def test_what_is_no_id_is_none(text: str) -> None:
    assert ids.from_id("evt", text) is None


@given(
    server=st.integers(0, 2**16 - 1),
    kind=st.sampled_from(list(Kind)),
    number=st.integers(0, 2**64 - 1),
    code=st.sampled_from(sorted(BY_CODE)),
    ordinal=st.integers(0, 2**32 - 1),
)
def test_a_numbered_key_can_be_read_back(
    server: int, kind: int, number: int, code: int, ordinal: int
) -> None:
    key = ids.numbered(server, kind, number, code, ordinal)

    assert len(key) == 16
    assert ids.unpack(key) == ids.NumberedKey(server, kind, number, code, ordinal)


@given(st.integers(0, 2**16 - 1), st.text())
def test_a_hashed_key_names_its_server_and_nothing_else(server: int, text: str) -> None:
    key = ids.hashed(server, text)

    assert len(key) == 16
    assert int.from_bytes(key[:2], "big") == server
    assert ids.unpack(key) is None


@given(st.lists(st.integers(0, 2**64 - 1), min_size=2, max_size=2, unique=True))
def test_keys_of_one_server_sort_as_its_numbers_do(numbers: list[int]) -> None:
    first, second = sorted(numbers)

    assert ids.numbered(9, 1, first, 2) < ids.numbered(9, 1, second, 2)


def test_partitions_are_what_they_always_were() -> None:
    # Written into every stored row: another answer here would tear accounts from their history.
    assert ids.PARTITIONS == 64
    assert [ids.partition_of("live-1", login) for login in (1, 7001, 2**62)] == [52, 60, 29]
    assert [ids.partition_of_key(key) for key in ("", "client-1", "EURUSD")] == [0, 38, 43]
    assert ids.server_number("live-1") == 46955


@given(st.text(max_size=40), st.integers(1, 2**63 - 1))
def test_every_account_has_one_partition_within_range(server: str, login: int) -> None:
    partition = ids.partition_of(server, login)

    assert 0 <= partition < ids.PARTITIONS
    assert partition == ids.partition_of(server, login)


def test_accounts_spread_over_all_partitions() -> None:
    counts = [0] * ids.PARTITIONS
    for login in range(6_400):
        counts[ids.partition_of("live-1", login)] += 1

    assert min(counts) > 50
    assert max(counts) < 200


@given(st.text(), st.text())
def test_a_tag_fits_the_comment_of_both_platforms_and_starts_with_its_token(key: str, label: str) -> None:
    tag = ids.tag_of(key, label)

    assert len(tag.encode("ascii")) <= 31
    assert tag.isprintable()
    assert tag.startswith("H1:")
    assert tag[:20] == ids.tag_of(key, "another label")[:20]
    assert tag[19] == ":"
    assert ":" not in tag[20:]


def test_tags_of_two_intents_differ() -> None:
    assert ids.tag_of("intent-1", "bonus") != ids.tag_of("intent-2", "bonus")
