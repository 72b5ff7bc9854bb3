import pytest

from hub.errors import RecordMalformed
from hub.intents.outcome import MAX_OUTCOME_BYTES, Outcome, decode_outcome, encode_outcome


def test_an_outcome_survives_being_written_and_says_only_what_it_has_to():
    outcome = Outcome("k", "credit.grant", "applied", ticket=7, before={"credit": "0"})

    assert decode_outcome(encode_outcome(outcome)) == outcome
    assert encode_outcome(Outcome("k", "v", "rejected")) == b'{"intent":"k","verb":"v","state":"rejected"}'


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"intent":1}', b'"' + b"x" * MAX_OUTCOME_BYTES + b'"'])
def test_what_is_no_outcome_is_malformed(body):
    with pytest.raises(RecordMalformed):
        decode_outcome(body)
