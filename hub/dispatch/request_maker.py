"""Makes the request of one attempt: the body in the form its endpoint asks for, its headers, and signatures made now.

A retry is made anew: signed with the keys that are live then, and in the form that is asked for then.
"""

from collections.abc import Collection
from typing import Protocol, final

import msgspec
import yarl
from typing_extensions import override

from hub.clock import SECOND_US
from hub.dispatch import attempt_record, signing
from hub.dispatch.exchange import header_lines
from hub.dispatch.formats import Formed, Former, NotShaped, TransformInvalid, forms
from hub.dispatch.keyring import Keyring, Signer, SigningKey, keyring_of, signers_of
from hub.dispatch.legacy_signing import LEGACY_HEADERS, legacy_header
from hub.dispatch.options import Scheme
from hub.dispatch.outbox import Delivery, Endpoint
from hub.dispatch.safe_http import Headers, base_headers
from hub.dispatch.workshop import Workshop
from hub.events.records import Account

__all__ = ["NotShaped", "PlainRequests", "RequestMaker", "request_maker"]

NOWHERE = yarl.URL()
KEY_HEADER = "hub-account"  # what a topic's transport takes for the key of the record


class RequestMaker(Protocol):
    @property
    def asked(self) -> msgspec.Raw:
        """Return what is kept of every request of the endpoint as it is made now."""

    async def prepare(self, delivery: Delivery, body: bytes, started_us: int) -> tuple[Headers, bytes]:
        """Return headers and body of an attempt that begins now. Raises NotShaped when there can be none."""

    def at_once(self, delivery: Delivery, body: bytes, started_us: int) -> str | None:
        """Return the lines of the same headers where the body goes out as it is; None where there is more to do."""
        return None


@final
class PlainRequests(RequestMaker):
    """What nearly every endpoint gets: the event as it is told, signed with every key that is live. Raises SecretInvalid."""

    def __init__(
        self,
        ring: Keyring,
        headers: Headers,
        scheme: Scheme = "standard",
        *,
        url: yarl.URL = NOWHERE,
        secret_headers: Collection[str] = (),
    ) -> None:
        self._ring = ring
        self._url = url
        self._secret_headers = secret_headers
        self._headers = headers
        self._scheme: Scheme = scheme
        self._live: tuple[SigningKey, ...] = ()
        self._signers: tuple[Signer, ...] = signers_of(
            ring.keys
        )  # all of them, so that one that cannot sign is told now
        self._changes_us: float = 0
        self._asked = self._kept()
        try:
            self._begins: str | None = header_lines(headers)
        except ValueError:
            self._begins = None  # `prepare` makes them, and whoever sends them says what is wrong

    @property
    @override
    def asked(self) -> msgspec.Raw:
        return self._asked

    @override
    async def prepare(self, delivery: Delivery, body: bytes, started_us: int) -> tuple[Headers, bytes]:
        if started_us >= self._changes_us:
            self._look(started_us)
        headers = self._headers.copy()
        timestamp = str(started_us // SECOND_US)
        headers[signing.ID_HEADER] = delivery.event_id
        headers[signing.TIMESTAMP_HEADER] = timestamp
        headers[signing.SIGNATURE_HEADER] = signing.signature_header(
            self._signers, delivery.event_id, timestamp, body
        )
        if self._scheme != "standard":
            legacy = legacy_header(self._scheme, self._live, timestamp, body)
            if legacy is not None:
                headers[legacy[0]] = legacy[1]
        return headers, body

    @override
    def at_once(self, delivery: Delivery, body: bytes, started_us: int) -> str | None:
        begins, event_id = self._begins, delivery.event_id
        if (
            begins is None
            or self._scheme != "standard"
            or not (event_id.isascii() and event_id.isprintable())
        ):
            return None
        if started_us >= self._changes_us:
            self._look(started_us)
        timestamp = str(started_us // SECOND_US)
        signature = signing.signature_header(self._signers, event_id, timestamp, body)
        return (
            f"{begins}{signing.ID_HEADER}: {event_id}\r\n{signing.TIMESTAMP_HEADER}: {timestamp}\r\n"
            f"{signing.SIGNATURE_HEADER}: {signature}\r\n"
        )

    def _look(self, now_us: int) -> None:
        """Take the keys that are live now, until the next of them ends."""
        self._live = self._ring.live(now_us)
        self._signers = signers_of(self._live)
        change = self._ring.next_change(now_us)
        self._changes_us = float("inf") if change is None else change
        self._asked = self._kept()

    def _kept(self) -> msgspec.Raw:
        signed = [signing.SIGNATURE_HEADER]
        if self._scheme != "standard":
            signed.append(LEGACY_HEADERS[self._scheme])
        return attempt_record.asked(
            self._url,
            self._headers,
            keys=[key.id for key in self._live],
            secret_headers=self._secret_headers,
            signature_headers=signed,
        )


@final
class FormedRequests(RequestMaker):
    """In another form: what is signed is what is sent."""

    def __init__(self, endpoint: str, plain: RequestMaker, former: Former, workshop: Workshop) -> None:
        self._endpoint = endpoint
        self._plain = plain
        self._former = former
        self._workshop = workshop

    @property
    @override
    def asked(self) -> msgspec.Raw:
        return self._plain.asked

    @override
    async def prepare(self, delivery: Delivery, body: bytes, started_us: int) -> tuple[Headers, bytes]:
        formed = await self._workshop.form(self._endpoint, self._former, body)
        return await self._plain.prepare(delivery, formed, started_us)


class _Whose(msgspec.Struct, frozen=True, gc=False):
    account: Account | None = None


_whose = msgspec.json.Decoder(_Whose).decode


@final
class KafkaRequests(RequestMaker):
    """For a topic: the record's key is the account, so that an account's records stay in one partition."""

    def __init__(self, inner: RequestMaker) -> None:
        self._inner = inner

    @property
    @override
    def asked(self) -> msgspec.Raw:
        return self._inner.asked

    @override
    async def prepare(self, delivery: Delivery, body: bytes, started_us: int) -> tuple[Headers, bytes]:
        headers, made = await self._inner.prepare(delivery, body, started_us)
        account = _whose(body).account
        if account is not None:
            headers[KEY_HEADER] = account.key
        return headers, made


@final
class Unmakeable(Former):
    """Stands for a transform of another version that this hub cannot read: attempts fail with its reason, and come again."""

    content_type = "application/json"

    def __init__(self, why: str) -> None:
        self._why = why

    @override
    def form(self, body: bytes) -> bytes:
        raise NotShaped(self._why)


def headers_of(endpoint: Endpoint, content_type: str) -> Headers:
    """Return what every request to an endpoint says beside its id, timestamp and signature."""
    return {**base_headers(), **dict(endpoint.options.headers), "Content-Type": content_type}


def former_of(endpoint: Endpoint) -> Former | None:
    """Return what makes the endpoint's bodies, None where they are the hub's own. Raises TransformInvalid."""
    return Formed(endpoint.options, endpoint.events) if forms(endpoint.options) else None


def request_maker(endpoint: Endpoint, workshop: Workshop, url: yarl.URL = NOWHERE) -> RequestMaker:
    """Return the maker of an endpoint's requests. Raises SecretInvalid."""
    former: Former | None
    try:
        former = former_of(endpoint)
    except TransformInvalid as problem:
        former = Unmakeable(str(problem))
    content_type = "application/json" if former is None else former.content_type
    requests: RequestMaker
    plain = PlainRequests(
        keyring_of(endpoint.secret),
        headers_of(endpoint, content_type),
        endpoint.options.scheme,
        url=url,
        secret_headers=endpoint.options.secret_headers,
    )
    requests = plain if former is None else FormedRequests(endpoint.id, plain, former, workshop)
    return KafkaRequests(requests) if endpoint.options.kind == "kafka" else requests
