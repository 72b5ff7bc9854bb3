"""Request bodies in, JSON out: bounded in size and time, and strict."""

import asyncio
from typing import Any, TypeVar

import msgspec
from aiohttp import hdrs, web
from pydantic import BaseModel, ValidationError

from hub.api.problems import Problem
from hub.ingest.refusals import FieldError, field_errors
from hub.ingest.strict import MAX_BYTES, NotStrict, read_value

READ_WITHIN_S = 10.0
_JSON = {"Content-Type": "application/json"}
_encode = msgspec.json.Encoder().encode
M = TypeVar("M", bound=BaseModel)


async def read_body(request: web.Request) -> bytes:
    """Return the body; raises Problem when it is too large, too slow or compressed."""
    if hdrs.CONTENT_ENCODING in request.headers:
        raise Problem(415, "content-encoding", "send the body uncompressed")
    try:
        if request.content.is_eof():  # the usual case: all of it came with the head, and no timer is needed
            return await request.read()
        async with asyncio.timeout(READ_WITHIN_S):
            return await request.read()
    except TimeoutError:
        raise Problem(
            408,
            "body-too-slow",
            f"the body did not arrive within {READ_WITHIN_S:g} s",
            headers={"Connection": "close"},
        ) from None
    except web.HTTPRequestEntityTooLarge:
        raise Problem(413, "body-too-large", f"a request holds at most {MAX_BYTES} bytes") from None
    except (web.RequestPayloadError, ConnectionError) as error:
        raise Problem(400, "body-broken", "the body ended early or is malformed") from error


def content_type(request: web.Request) -> str:
    """Return the media type; raises Problem for a character set other than UTF-8."""
    header = request.headers.get(hdrs.CONTENT_TYPE, "")
    if ";" not in header:
        return header.strip().lower()
    if (request.charset or "utf-8").lower().replace("-", "") not in {"utf8", "usascii"}:
        raise Problem(415, "content-type", "send UTF-8")
    return request.content_type


async def read_model(request: web.Request, model: type[M]) -> M:
    """Return the body as a model; raises Problem with every field that is wrong."""
    try:
        return model.model_validate(read_value(await read_body(request)))
    except ValidationError as error:
        raise Problem(
            422, "invalid", "some fields are not right", errors=field_errors(error, model)
        ) from error
    except ValueError as error:
        raise Problem(400, "not-json", str(error)) from error


def refused(error: NotStrict) -> Problem:
    what = error.unreadable
    return Problem(
        413 if error.too_large else 400,
        "body-too-large" if error.too_large else "not-json",
        str(error),
        errors=[FieldError(what.place, what.reason, what.fix)],
    )


def encoded(value: Any) -> bytes:
    return _encode(value)


def answer(value: Any, status: int = 200) -> web.Response:
    """Return a value msgspec can encode as a JSON response."""
    return web.Response(body=_encode(value), status=status, headers=_JSON)
