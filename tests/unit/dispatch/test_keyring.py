import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import standardwebhooks
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hub.clock import SystemClock, to_us
from hub.dispatch.keyring import (
    Keyring,
    RotationRefused,
    SigningKey,
    generate,
    keyring_of,
    rotated,
    signer_of,
    text_of,
)
from hub.dispatch.options import EndpointOptions
from hub.dispatch.outbox import Delivery, DeliveryState, Endpoint
from hub.dispatch.request_maker import request_maker
from hub.dispatch.signing import SecretInvalid, SignatureInvalid
from hub.dispatch.signing_v1a import parse_private, verify_v1a
from hub.dispatch.workshop import Workshop

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "standard_webhooks.json").read_text())
NOW = datetime(2026, 6, 23, 9, 0, tzinfo=UTC)
NOW_US = to_us(NOW)
HOUR = timedelta(hours=1)
HOUR_US = 3_600_000_000
BODY = b'{"a": 1}'
DELIVERY = Delivery("ep", 0, 1, "evt_1", DeliveryState.WAITING, 0, 0, 0)


@pytest.fixture(autouse=True)
def _at_that_moment(monkeypatch):
    """Let the official library read the same clock: the whole suite may take longer than a signature is good for."""

    class Then(datetime):
        @classmethod
        def now(cls, tz=None):
            return NOW.astimezone(tz)

    monkeypatch.setattr(standardwebhooks.webhooks, "datetime", Then)


async def sent(ring, at=NOW_US, body=BODY, **options):
    asks = EndpointOptions(**options)
    endpoint = Endpoint("ep", "https://a.example/", ("*",), text_of(ring), "enabled", "", 0, options=asks)
    return await request_maker(endpoint, Workshop(SystemClock())).prepare(DELIVERY, body, at)


# --- v1a


@pytest.mark.parametrize("vector", VECTORS["sign"], ids=lambda vector: vector["name"])
def test_every_published_vector_is_signed_as_published(vector):
    signer = signer_of(vector["secret"])

    signed = signer.signature(vector["id"], str(vector["timestamp"]), vector["body"].encode())

    assert signed == vector["signature"]
    assert SigningKey(vector["secret"]).kind == vector["scheme"]
    assert SigningKey(vector["secret"]).public == vector.get("public")


def test_the_published_vector_of_v1a_verifies_and_a_changed_one_does_not():
    (vector,) = [vector for vector in VECTORS["sign"] if vector["scheme"] == "v1a"]
    headers = {
        "webhook-id": vector["id"],
        "webhook-timestamp": str(vector["timestamp"]),
        "webhook-signature": f"v1,AAAA {vector['signature']}",
    }
    at = datetime.fromtimestamp(vector["timestamp"], UTC)
    body = vector["body"].encode()

    verify_v1a(vector["public"], headers, body, at)
    for wrong in (headers | {"webhook-id": "other"}, headers | {"webhook-signature": "v1a,AAAA v1a,ü x"}):
        with pytest.raises(SignatureInvalid):
            verify_v1a(vector["public"], wrong, body, at)
    with pytest.raises(SignatureInvalid):
        verify_v1a(vector["public"], headers, body + b" ", at)
    with pytest.raises(SignatureInvalid):
        verify_v1a(vector["public"], headers, body, at + timedelta(seconds=301))


async def test_a_pair_signs_what_anybody_with_its_public_half_can_verify():
    pair = SigningKey(generate("v1a"))

    headers, body = await sent(Keyring((pair,)))

    public = base64.b64decode(pair.public.removeprefix("whpk_"))
    version, _, text = headers["webhook-signature"].partition(",")
    assert version == "v1a"
    signed = f"evt_1.{int(NOW.timestamp())}.".encode() + body
    Ed25519PublicKey.from_public_bytes(public).verify(base64.b64decode(text), signed)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsk_",
        "whsk_AAAA",
        "whsk_!!",
        "whsk_" + base64.b64encode(bytes(64)).decode(),
        "whpk_" + base64.b64encode(bytes(32)).decode(),
    ],
)
def test_what_is_no_pair_is_refused_and_never_repeated(text):
    with pytest.raises(SecretInvalid) as refused:
        parse_private(text)

    assert len(text) < 10 or text not in str(refused.value)


# --- rotation


async def test_all_live_keys_sign_until_the_grace_is_over():
    old, new = generate("v1"), generate("v1")
    ring = rotated(keyring_of(old), new, now_us=NOW_US, grace=HOUR)
    asks = Endpoint("ep", "https://a.example/", ("*",), text_of(ring), "enabled", "", 0)
    maker = request_maker(asks, Workshop(SystemClock()))

    during, body = await maker.prepare(DELIVERY, BODY, NOW_US)
    last, _ = await maker.prepare(DELIVERY, BODY, NOW_US + HOUR_US - 1)
    after, _ = await maker.prepare(DELIVERY, BODY, NOW_US + HOUR_US)

    for secret in (old, new):
        standardwebhooks.Webhook(secret).verify(body, during)
    assert [len(headers["webhook-signature"].split(" ")) for headers in (during, last, after)] == [2, 2, 1]
    stamp = str((NOW_US + HOUR_US) // 1_000_000)
    assert after["webhook-signature"] == signer_of(new).signature("evt_1", stamp, BODY)


async def test_a_key_and_a_pair_sign_side_by_side():
    ring = rotated(keyring_of(generate("v1")), generate("v1a"), now_us=NOW_US, grace=HOUR)

    headers, body = await sent(ring)

    entries = headers["webhook-signature"].split(" ")
    assert [entry.partition(",")[0] for entry in entries] == ["v1a", "v1"]
    verify_v1a(ring.newest.public, headers, body, NOW)
    standardwebhooks.Webhook(ring.keys[1].secret).verify(body, headers)


def test_without_a_grace_nothing_old_signs_any_more():
    ring = keyring_of(generate("v1"))
    for _ in range(3):
        ring = rotated(ring, generate("v1"), now_us=NOW_US, grace=HOUR)

    ring = rotated(ring, "whsec_new", now_us=NOW_US, grace=timedelta())

    assert ring == Keyring((SigningKey("whsec_new"),))
    assert text_of(ring) == "whsec_new"


def test_ten_old_keys_may_sign_and_no_more_but_in_an_emergency():
    ring = keyring_of(generate("v1"))
    for number in range(10):
        ring = rotated(ring, generate("v1"), now_us=NOW_US + number, grace=HOUR)
    assert len(ring.live(NOW_US)) == 11

    with pytest.raises(RotationRefused):
        rotated(ring, generate("v1"), now_us=NOW_US, grace=HOUR)
    assert len(rotated(ring, generate("v1"), now_us=NOW_US, grace=timedelta()).keys) == 1
    assert len(rotated(ring, generate("v1"), now_us=NOW_US + HOUR_US, grace=HOUR).keys) == 11


def test_keys_are_stored_and_read_as_they_were():
    ring = rotated(keyring_of(generate("v1")), generate("v1a"), now_us=NOW_US, grace=HOUR)

    assert keyring_of(text_of(ring)) == ring


@pytest.mark.parametrize("text", ["{", '{"keys": []}', '{"keys": [{"secret": 1}]}'])
def test_keys_nobody_can_read_are_told_as_such(text):
    with pytest.raises(SecretInvalid):
        keyring_of(text)


def test_the_name_of_a_key_gives_nothing_of_it_away_and_stays():
    key = SigningKey(generate("v1"))

    assert key.id == SigningKey(key.secret, until=5).id
    assert key.id.removeprefix("key_") not in hashlib.sha256(key.secret.encode()).hexdigest()


# --- older schemes


async def test_a_receiver_of_stripes_scheme_verifies_with_any_live_secret():
    old, new = generate("v1"), generate("v1")
    ring = rotated(keyring_of(old), new, now_us=NOW_US, grace=HOUR)

    headers, body = await sent(ring, scheme="stripe")

    pairs = [part.partition("=")[::2] for part in headers["Hub-Signature"].split(",")]
    stamp = dict(pairs)["t"]
    assert stamp == headers["webhook-timestamp"]
    expected = [
        hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
        for secret in (new, old)
    ]
    assert [value for name, value in pairs if name == "v1"] == expected
    standardwebhooks.Webhook(new).verify(body, headers)


async def test_a_receiver_of_githubs_scheme_has_the_grace_to_take_the_new_secret_in():
    old, new = generate("v1"), generate("v1")
    ring = rotated(keyring_of(old), new, now_us=NOW_US, grace=HOUR)

    during, body = await sent(ring, scheme="github")
    after, _ = await sent(ring, NOW_US + HOUR_US, scheme="github")

    def signed(secret):
        return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()

    assert during["X-Hub-Signature-256"] == signed(old)
    assert after["X-Hub-Signature-256"] == signed(new)
    standardwebhooks.Webhook(new).verify(body, during)
