import msgspec
import pytest
import yarl
from hypothesis import given
from hypothesis import strategies as st

from hub.dispatch.attempt_record import (
    LONGEST_VALUE,
    MOST_BYTES,
    MOST_HEADERS,
    Record,
    Seen,
    answer_headers,
    asked,
    kept_headers,
    read,
    request_headers,
    written,
)
from hub.dispatch.keyring import SigningKey
from hub.dispatch.safe_http import base_headers
from hub.dispatch.signing import generate_secret

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
URL = yarl.URL("https://hooks.example.com:8443/T0/very-secret-path?token=abc")
AT = 1_767_225_600_500_000


def an_endpoint_asks(**options):
    headers = base_headers() | {"Authorization": "Bearer 12345", "X-Broker": "seven", "X-Pin": "4711"}
    return asked(URL, headers, keys=[SigningKey(SECRET).id], secret_headers=["x-pin"], **options)


def a_record(seen=None, size=213):
    found = read(written(an_endpoint_asks(), size, seen))
    assert found is not None
    return found


def test_a_record_says_what_went_out_and_no_secret_of_it():
    stored = written(an_endpoint_asks(), 213, Seen())

    headers = request_headers(a_record(), "evt_1", AT)

    name = SigningKey(SECRET).id
    assert headers == [
        ("Host", "hooks.example.com:8443"),
        *base_headers().items(),
        ("Authorization", "(hidden)"),
        ("X-Broker", "seven"),
        ("X-Pin", "(hidden)"),
        ("webhook-id", "evt_1"),
        ("webhook-timestamp", "1767225600"),
        ("webhook-signature", f"(signed with {name})"),
        ("Content-Length", "213"),
    ]
    for secret in (b"12345", b"4711", b"very-secret-path", b"abc", SECRET.encode()):
        assert secret not in stored


def test_a_key_keeps_its_name_and_every_key_has_its_own():
    keys = [SigningKey(generate_secret()) for _ in range(50)]

    assert len({key.id for key in keys}) == 50
    assert SigningKey(SECRET).id == SigningKey(SECRET).id


def test_what_the_transport_saw_comes_back_as_it_was():
    seen = Seen("203.0.113.7", "TLSv1.3", 900, 11_000, 12_000, 40_000, [(b"Server", b"nginx")], 2)

    assert a_record(seen).seen == seen
    assert answer_headers(seen) == [("Server", "nginx")]


@pytest.mark.parametrize(
    "name", [b"Set-Cookie", b"WWW-Authenticate", b"X-Auth-Token", b"x-api-key", b"X-Amz-Security-Token"]
)
def test_an_answers_secrets_are_not_kept(name):
    assert kept_headers([(b"Server", b"a"), (name, b"s3cret")]) == (
        [(b"Server", b"a"), (name, b"(hidden)")],
        0,
    )


@given(st.lists(st.tuples(st.binary(max_size=80), st.binary(max_size=2_000)), max_size=120))
def test_what_is_kept_of_an_answers_headers_is_bounded_and_counted(raw):
    kept, left_out = kept_headers(raw)

    assert len(kept) + left_out == len(raw)
    assert len(kept) <= MOST_HEADERS
    assert sum(len(name) + len(value) for name, value in kept) <= MOST_BYTES
    assert all(len(value) <= LONGEST_VALUE for _, value in kept)
    assert [name for name, _ in kept] == [name for name, _ in raw[: len(kept)]]


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_an_answers_headers_are_shown_without_what_steers_a_terminal(name, value):
    ((shown_name, shown),) = answer_headers(Seen(headers=[(name, value)]))

    assert (shown_name + shown).isprintable()


def test_an_attempt_of_before_there_were_records_has_none():
    assert read(b"") is None


@given(st.binary(max_size=60))
def test_no_bytes_break_the_reading_of_a_record(stored):
    found = read(stored)

    assert found is None or isinstance(found, Record)


def test_a_record_of_a_newer_version_with_more_in_it_is_still_read():
    stored = msgspec.msgpack.encode([["POST", "h", [], ["k"], "more"], 5, None, "more"])

    found = read(stored)

    assert found is not None
    assert (found.asked.host, found.size) == ("h", 5)


def test_a_usual_record_is_small():
    seen = Seen(
        "203.0.113.7",
        "TLSv1.3",
        None,
        None,
        None,
        40_000,
        [(b"Server", b"nginx"), (b"Date", b"x" * 29)],
        0,
        True,
    )

    assert len(written(asked(URL, base_headers(), keys=[SigningKey(SECRET).id]), 1_000, seen)) < 400
