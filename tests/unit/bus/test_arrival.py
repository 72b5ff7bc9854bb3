"""What is left for a partition's owner comes out as it went in, and nothing else comes out."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.bus.arrival import decode, encode_fact, encode_input
from hub.bus.log import InputKind, NewInput
from hub.errors import RecordMalformed
from hub.testing import a_trade_closed, an_account_state, an_input

INPUTS = st.builds(
    NewInput,
    st.integers(0, 63),
    st.sampled_from(InputKind),
    st.text(),
    st.text(),
    st.binary(),
    st.none() | st.text(),
)


@given(item=INPUTS)
def test_an_input_comes_out_as_it_went_in(item: NewInput) -> None:
    assert decode(encode_input(item), item.partition) == item


def test_a_fact_comes_out_as_it_went_in() -> None:
    for fact in (a_trade_closed(), an_account_state("vip")):
        assert decode(encode_fact(fact), fact.partition) == fact


@pytest.mark.parametrize(
    "body",
    [b"", b"F", b"I", b"X123", b"I\xc0", b"I\x95\x63\xa0\xa0\xc4\x00\xc0", encode_input(an_input())[:-1]],
)
def test_what_cannot_be_read_says_so(body: bytes) -> None:
    with pytest.raises(RecordMalformed):
        decode(body, 3)


@given(body=st.binary(max_size=60), tag=st.sampled_from([b"", b"F", b"I", b"F\x01"]))
def test_no_bytes_do_anything_but_be_read_or_refused(body: bytes, tag: bytes) -> None:
    with contextlib.suppress(RecordMalformed):
        assert decode(tag + body, 3).partition == 3


def test_a_fact_is_not_taken_in_another_partition() -> None:
    fact = a_trade_closed()

    for partition in ((fact.partition + 1) % 64, 64, -1):
        with pytest.raises(RecordMalformed, match="partition"):
            decode(encode_fact(fact), partition)
