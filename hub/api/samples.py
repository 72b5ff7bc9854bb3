"""Samples in: what accounts are worth, and what symbols cost."""

import msgspec
from aiohttp import web

from hub.api.bodies import answer, content_type, read_body, refused
from hub.api.problems import Problem
from hub.api.routing import DEPS, PRINCIPAL, Route
from hub.control.keys import Scope
from hub.ingest.posted_samples import PostedQuote, PostedSample, read_posted
from hub.ingest.receive import NDJSON
from hub.ingest.refusals import FieldError
from hub.ingest.samples import Quote, Sample
from hub.ingest.strict import NotStrict, parse_json, parse_ndjson
from hub.ingest.watcher import NOTHING_SEEN


class RefusedSample(msgspec.Struct):
    index: int
    errors: list[FieldError]


class SamplesAnswer(msgspec.Struct):
    """`degraded` samples are kept out of every decision; `late` ones are older than one already seen.

    `waiting` ones follow money that came or went: the next sample is judged in their place.
    """

    accepted: int
    degraded: int
    late: int
    waiting: int
    rejected: int
    results: list[RefusedSample]


async def post_samples(request: web.Request) -> web.Response:
    app = request.app[DEPS]
    who = request[PRINCIPAL]
    body = await read_body(request)
    try:
        items = parse_ndjson(body) if content_type(request) in NDJSON else parse_json(body)
    except NotStrict as error:
        raise refused(error) from None
    if not items:
        raise Problem(400, "not-json", "holds no sample")
    samples: list[Sample] = []
    quotes: list[Quote] = []
    rejected: list[RefusedSample] = []
    for index, item in enumerate(items):
        read = read_posted(item, who.servers)
        if isinstance(read, Sample):
            samples.append(read)
        elif isinstance(read, Quote):
            quotes.append(read)
        else:
            rejected.append(RefusedSample(index, read))
    receipt = await app.watcher.samples(samples)
    quoted = await app.watcher.quotes(quotes) if quotes else NOTHING_SEEN
    result = SamplesAnswer(
        receipt.judged + quoted.judged,
        receipt.degraded + quoted.degraded,
        receipt.late + quoted.late,
        receipt.waiting,
        len(rejected),
        rejected,
    )
    return answer(result, 202 if samples or quotes else 422)


ROUTES = (
    Route(
        "POST",
        "/v1/samples",
        post_samples,
        Scope.SAMPLES_WRITE,
        "Post samples of accounts and quotes of symbols: one, an array, or NDJSON",
        "samples",
        body=PostedSample,
        or_body=PostedQuote,
        answers={
            202: "Compared with every watched level; crossings found in them are on disk.",
            422: "Every sample was refused, each with its reasons.",
            503: "A crossing could not be stored: send again after Retry-After.",
        },
    ),
)
