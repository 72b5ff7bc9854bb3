import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from hub.dispatch.signing import (
    Secret,
    SecretInvalid,
    SignatureInvalid,
    generate_secret,
    parse_secret,
    signature_header,
    verify,
)

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "standard_webhooks.json").read_text())
SIGNED = [vector for vector in VECTORS["sign"] if vector["scheme"] == "v1"]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = datetime(2026, 6, 23, 9, 0, tzinfo=UTC)
STAMP = str(int(NOW.timestamp()))


def headers_for(body, *, message_id="evt_1", stamp=STAMP, secret=SECRET):
    signature = parse_secret(secret).signature(message_id, stamp, body)
    return {"webhook-id": message_id, "webhook-timestamp": stamp, "webhook-signature": signature}


@pytest.mark.parametrize("vector", SIGNED, ids=lambda vector: vector["name"])
def test_the_published_vectors_are_signed_as_published(vector):
    secret = parse_secret(vector["secret"])

    signature = secret.signature(vector["id"], str(vector["timestamp"]), vector["body"].encode())

    assert signature == vector["signature"]


@pytest.mark.parametrize("vector", VECTORS["reject"], ids=lambda vector: vector["name"])
def test_the_published_wrong_signature_is_refused(vector):
    headers = {
        "webhook-id": vector["id"],
        "webhook-timestamp": str(vector["timestamp"]),
        "webhook-signature": vector["signature"],
    }

    with pytest.raises(SignatureInvalid):
        verify(
            parse_secret(vector["secret"]),
            headers,
            vector["body"].encode(),
            datetime.fromtimestamp(vector["timestamp"], UTC),
        )


def test_the_official_library_accepts_what_we_sign():
    secret = generate_secret()
    stamp = str(int(datetime.now(UTC).timestamp()))
    body = b'{"type":"trade.closed"}'

    headers = headers_for(body, secret=secret, stamp=stamp)

    assert standardwebhooks.Webhook(secret).verify(body, headers) == {"type": "trade.closed"}


def test_we_accept_what_the_official_library_signs():
    body = '{"lots":"2.5"}'
    signature = standardwebhooks.Webhook(SECRET).sign("msg_7", NOW, body)

    verify(
        parse_secret(SECRET),
        {"webhook-id": "msg_7", "webhook-timestamp": STAMP, "webhook-signature": signature},
        body.encode(),
        NOW,
    )


def test_during_a_rotation_a_receiver_may_hold_either_secret():
    old, new = parse_secret(SECRET), parse_secret(generate_secret())
    headers = headers_for(b"x") | {"webhook-signature": signature_header([new, old], "evt_1", STAMP, b"x")}

    verify(old, headers, b"x", NOW)
    verify(new, headers, b"x", NOW)


@pytest.mark.parametrize("off", [timedelta(minutes=5), timedelta(minutes=-5)])
def test_five_minutes_either_way_are_accepted_and_a_second_more_is_not(off):
    headers = headers_for(b"x")
    secret = parse_secret(SECRET)

    verify(secret, headers, b"x", NOW + off)
    with pytest.raises(SignatureInvalid, match="away from now"):
        verify(secret, headers, b"x", NOW + off + off / 300)


@pytest.mark.parametrize(
    "stamp", [f"+{STAMP}", f"0{STAMP}", f" {STAMP}", f"{STAMP}.0", "1e9", "-1", "", "١٦١٤", "9" * 400]
)
def test_only_one_spelling_of_a_timestamp_is_accepted_even_when_it_was_signed(stamp):
    headers = headers_for(b"x", stamp=stamp)

    with pytest.raises(SignatureInvalid):
        verify(parse_secret(SECRET), headers, b"x", NOW)


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_every_header_is_needed(missing):
    headers = headers_for(b"x")
    del headers[missing]

    with pytest.raises(SignatureInvalid, match=missing):
        verify(parse_secret(SECRET), headers, b"x", NOW)


@pytest.mark.parametrize(
    "value",
    ["v1", "garbage", "v1,a,b", "v1,", "v2,AAAA", "v1,é", "v1," + "A" * 43 + "é", ",", " ", "v1,\x00"],
)
def test_signatures_the_official_library_stumbles_over_are_simply_invalid(value):
    headers = headers_for(b"x") | {"webhook-signature": value}

    with pytest.raises(SignatureInvalid):
        verify(parse_secret(SECRET), headers, b"x", NOW)


def test_unknown_versions_beside_a_good_signature_are_passed_over():
    headers = headers_for(b"x")
    headers["webhook-signature"] = "v9,zzzz v1a,abc " + headers["webhook-signature"]

    verify(parse_secret(SECRET), headers, b"x", NOW)


def test_the_first_characters_of_a_signature_are_not_enough():
    headers = headers_for(b"x")
    headers["webhook-signature"] = headers["webhook-signature"][:11]

    with pytest.raises(SignatureInvalid):
        verify(parse_secret(SECRET), headers, b"x", NOW)


def test_the_spare_bits_of_base64_do_not_make_second_spellings():
    headers = headers_for(b"x")
    good = headers["webhook-signature"]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    twin = good[:-2] + alphabet[alphabet.index(good[-2]) ^ 1] + "="

    with pytest.raises(SignatureInvalid):
        verify(parse_secret(SECRET), headers | {"webhook-signature": twin}, b"x", NOW)


def test_a_body_that_is_no_text_can_be_verified():
    body = b"\xff\xfe\x00"

    verify(parse_secret(SECRET), headers_for(body), body, NOW)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_MfKQ9r8GKYqrTw",
        "whsec_" + "A" * 100,
        "whsec_not base64 at all!!",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS_",
    ],
)
def test_a_secret_that_is_none_is_refused_without_repeating_it(text):
    with pytest.raises(SecretInvalid) as refusal:
        parse_secret(text)

    assert len(text) < 10 or text[6:] not in str(refusal.value)


def test_a_secret_copied_without_its_padding_still_works():
    secret = generate_secret()
    assert secret.endswith("=")

    assert parse_secret(secret.rstrip("=")).signature("a", "1", b"") == parse_secret(secret).signature(
        "a", "1", b""
    )


def test_generated_secrets_differ_and_hold_thirty_two_bytes():
    secrets = {generate_secret() for _ in range(50)}

    assert len(secrets) == 50
    assert all(isinstance(parse_secret(secret), Secret) for secret in secrets)


@given(
    st.dictionaries(
        st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]),
        st.one_of(st.text(max_size=80), st.just(STAMP), st.text("v1,= ABab01", max_size=60)),
    ),
    st.binary(max_size=64),
)
def test_nothing_made_up_is_accepted_and_nothing_but_signature_invalid_is_raised(headers, body):
    with pytest.raises(SignatureInvalid):
        verify(parse_secret(SECRET), headers, body, NOW)


@given(st.data())
def test_any_change_of_one_character_anywhere_is_noticed(data):
    body = b'{"amount":"50.00"}'
    headers = headers_for(body)
    where = data.draw(st.sampled_from([*headers, "body"]))
    if where == "body":
        at = data.draw(st.integers(0, len(body) - 1))
        body = body[:at] + bytes([body[at] ^ data.draw(st.integers(1, 255))]) + body[at + 1 :]
    else:
        text = headers[where]
        at = data.draw(st.integers(0, len(text) - 1))
        other = data.draw(st.characters(min_codepoint=33, max_codepoint=126).filter(lambda c: c != text[at]))
        headers[where] = text[:at] + other + text[at + 1 :]

    with pytest.raises(SignatureInvalid):
        verify(parse_secret(SECRET), headers, body, NOW)
