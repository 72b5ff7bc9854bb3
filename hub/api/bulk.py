"""Clients and account profiles, many in one body: NDJSON or CSV in, one line of NDJSON out for every row."""

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from hub.api.bodies import READ_WITHIN_S, content_type
from hub.api.problems import Problem, unavailable
from hub.api.queries import Query
from hub.api.routing import DEPS, PRINCIPAL, Route
from hub.control.keys import Scope
from hub.ingest.bulk import (
    ACCOUNT_COLUMNS,
    CLIENT_COLUMNS,
    MOST_BYTES,
    MOST_LINES,
    MOST_ROWS,
    AccountRows,
    Bulk,
    ClientRows,
    CsvRows,
    NdjsonRows,
    Rows,
    Taker,
    UnknownColumn,
)
from hub.ingest.csv_table import HeaderWrong
from hub.ingest.receive import NDJSON
from hub.ingest.refusals import FieldError

CSV = "text/csv"
_HEADERS = {"Content-Type": "application/x-ndjson"}
_encode = msgspec.json.Encoder().encode


class BulkSummary(msgspec.Struct, omit_defaults=True):
    """The last line. Without `done` the rows from `next_line` on were not looked at: send them again."""

    accepted: int
    duplicates: int
    rejected: int
    done: bool
    next_line: int = 0
    reason: str = ""


async def post_clients(request: web.Request) -> web.Response:
    merge = Query(request, "mode").choice("mode", "replace", "merge") == "merge"
    return await _take(request, ClientRows(request.app[DEPS].directory, merge=merge), CLIENT_COLUMNS)


async def post_accounts(request: web.Request) -> web.Response:
    taker = AccountRows(request.app[DEPS].profiles, request[PRINCIPAL].servers)
    return await _take(request, taker, ACCOUNT_COLUMNS)


async def _take(request: web.Request, taker: Taker, columns: frozenset[str]) -> web.Response:
    busy = request.app[DEPS].pressure()
    if busy:
        raise unavailable("more is waiting than can be taken in: send again later", int(busy))
    bulk = Bulk(_rows(request, columns), taker)
    try:
        await _read(request, bulk)
    except UnknownColumn as error:
        field = FieldError(
            error.column or "body", "unknown column" if error.column else "no columns", error.fix
        )
        raise Problem(422, "columns", str(error), errors=[field]) from None
    except HeaderWrong as error:
        raise Problem(422, "columns", str(error)) from None
    return _answer(bulk)


def _rows(request: web.Request, columns: frozenset[str]) -> Rows:
    if "Content-Encoding" in request.headers:
        raise Problem(415, "content-encoding", "send the body uncompressed")
    if (request.content_length or 0) > MOST_BYTES:
        raise _too_large()
    media = content_type(request)
    if media in NDJSON:
        return NdjsonRows()
    if media == CSV:
        return CsvRows(columns)
    raise Problem(415, "content-type", f"send application/x-ndjson or {CSV}")


async def _read(request: web.Request, bulk: Bulk) -> None:
    """Take rows as they come: never more of the body is held than the rows that are stored next."""
    size = 0
    while not bulk.is_full:
        try:
            async with asyncio.timeout(READ_WITHIN_S):
                data = await request.content.readany()
        except TimeoutError:
            raise Problem(
                408, "body-too-slow", f"nothing came for {READ_WITHIN_S:g} s", headers={"Connection": "close"}
            ) from None
        except (web.RequestPayloadError, ConnectionError) as error:
            raise Problem(400, "body-broken", "the body ended early or is malformed") from error
        if not data:
            await bulk.end()
            return
        size += len(data)
        if size > MOST_BYTES:
            raise _too_large()
        await bulk.feed(data)


def _answer(bulk: Bulk) -> web.Response:
    results = bulk.results()
    counts = {
        name: sum(each.status == name for each in results) for name in ("accepted", "duplicate", "rejected")
    }
    full = bulk.is_full
    last = BulkSummary(
        counts["accepted"],
        counts["duplicate"],
        counts["rejected"],
        done=not full,
        next_line=bulk.next_line,
        reason=f"a body holds at most {MOST_ROWS} rows on {MOST_LINES} lines" if full else "",
    )
    lines: list[Any] = [*results, last]
    return web.Response(body=b"".join(_encode(line) + b"\n" for line in lines), headers=_HEADERS)


def _too_large() -> Problem:
    return Problem(413, "body-too-large", f"a body holds at most {MOST_BYTES} bytes: send the rows in parts")


_ANSWERS = {
    200: "One line for every row, and a last one that counts them.",
    413: "Too many bytes. The rows before may be stored; sending them again is harmless.",
    415: "Content type or encoding is not read.",
    422: "The columns of a CSV body are not right: nothing was read.",
    503: "Send all of it again after Retry-After.",
}
ROUTES = (
    Route(
        "POST",
        "/v1/clients/bulk",
        post_clients,
        Scope.CLIENTS_WRITE,
        "Add or change many clients: NDJSON or CSV",
        "clients",
        parameters=("mode",),
        answers=_ANSWERS,
        media="application/x-ndjson",
    ),
    Route(
        "POST",
        "/v1/accounts/bulk",
        post_accounts,
        Scope.CLIENTS_WRITE,
        "Change the profiles of many accounts: NDJSON or CSV",
        "accounts",
        answers=_ANSWERS,
        media="application/x-ndjson",
    ),
)
