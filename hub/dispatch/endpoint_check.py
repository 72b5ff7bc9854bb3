"""Whether an endpoint can work as it stands: everything about it that the hub would stumble over later."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from hub.dispatch.addresses import Networks
from hub.dispatch.endpoint_url import EndpointUrlInvalid, parse_endpoint_url
from hub.dispatch.filters import FilterInvalid, filter_of
from hub.dispatch.formats import Formed, TransformInvalid, check_content_type, forms
from hub.dispatch.headers import HeadersInvalid, check_headers
from hub.dispatch.keyring import keyring_of
from hub.dispatch.outbox import Endpoint
from hub.events.declared import NONE_DECLARED, Declarations

KAFKA: Final = "kafka"


class Fault(NamedTuple):
    """`field` as the API names it."""

    field: str
    reason: str


def kafka_url(topic: str) -> str:
    """Return what stands for the URL of an endpoint that is a topic."""
    return f"kafka:{topic}"


def faults(
    endpoint: Endpoint,
    *,
    allow_loopback: bool,
    topics: tuple[str, ...],
    networks: Networks = (),
    declared: Declarations = NONE_DECLARED,
) -> list[Fault]:
    """Return what is wrong with an endpoint; `topics` are those it may name, `declared` what its filter may read."""
    return [
        *_destination(endpoint, allow_loopback, topics, networks),
        *_content(endpoint, declared),
        *_headers(endpoint),
        *_signing(endpoint),
        *_pace(endpoint),
    ]


def _destination(
    endpoint: Endpoint, allow_loopback: bool, topics: tuple[str, ...], networks: Networks
) -> Iterator[Fault]:
    options = endpoint.options
    if options.kind != KAFKA:
        if options.topic:
            yield Fault("topic", "belongs to an endpoint of kind kafka")
        try:
            parse_endpoint_url(endpoint.url, allow_loopback=allow_loopback, networks=networks)
        except EndpointUrlInvalid as error:
            yield Fault("url", str(error))
        return
    if not topics:
        yield Fault("kind", "no topics are open to endpoints here: name them in delivering.kafka.topics")
    elif options.topic not in topics:
        yield Fault("topic", f"is not open to endpoints: delivering.kafka.topics has {', '.join(topics)}")
    if endpoint.url != kafka_url(options.topic):
        yield Fault("url", "a topic has no URL: leave it out")
    if options.challenge:
        yield Fault("challenge", "a topic cannot answer: leave it out")


def _content(endpoint: Endpoint, declared: Declarations) -> Iterator[Fault]:
    options = endpoint.options
    try:
        filter_of(endpoint, declared)
    except FilterInvalid as error:
        yield Fault("where", str(error))
    if options.format == "raw" and not options.transform:
        yield Fault("transform", "a raw body is made by a transform: write one, or choose another format")
        return
    try:
        if options.content_type:
            check_content_type(options.content_type)
            if options.format != "raw":
                yield Fault("content_type", f"is given by the format {options.format}: leave it out")
        if forms(options):
            Formed(options, endpoint.events, declared)
    except TransformInvalid as error:
        field = "transform" if str(error).startswith("line ") else "content_type"
        yield Fault(field, str(error))


def _headers(endpoint: Endpoint) -> Iterator[Fault]:
    options = endpoint.options
    try:
        check_headers(options.headers)
    except HeadersInvalid as error:
        yield Fault("headers", str(error))
    there = {name.lower() for name, _ in options.headers}
    for name in options.secret_headers:
        if name.lower() not in there:
            yield Fault("secret_headers", f"{name[:64]!r} is none of the headers")


def _signing(endpoint: Endpoint) -> Iterator[Fault]:
    options = endpoint.options
    if options.scheme != "standard" and keyring_of(endpoint.secret).newest.kind != "v1":
        yield Fault(
            "scheme", f"{options.scheme} signatures need a shared secret: this endpoint signs with v1a"
        )


def _pace(endpoint: Endpoint) -> Iterator[Fault]:
    options = endpoint.options
    if options.burst is not None and options.rate is None:
        yield Fault("burst", "says how many may go at once within `rate`: give that too")
    if options.order == "none" and (options.stuck != "block" or options.stuck_s is not None):
        yield Fault(
            "stuck", "says what becomes of an account whose first event fails: it needs order: account"
        )
