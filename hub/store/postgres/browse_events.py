"""Pages of the log, which several owners write: each partition is read from where the cursor left it.

A partition's rows are numbered in the order of their commits, and `at` never decreases in it. So a place in every
partition is a cursor that passes nothing over, however late another partition commits. Towards the past the rank is
enough: what commits late there is newer than where the reader began.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from hub import ids
from hub.bus.log import Input, InputKind
from hub.bus.pages import Page
from hub.ids import PARTITIONS
from hub.store.cursors import bad_cursor, is_wanted, number
from hub.store.postgres.append import Where, rows_at
from hub.store.postgres.database import Connection

MOST_SCANNED = 20_000  # rows a page looks at: about 100 ms
_MOST_BYTES = 32 << 20  # of bodies a filtered page reads
_BYTES_AT_ONCE = 8 << 20
_SPARE = 8  # rows looked at for each event of an unfiltered page: the log has more than events
_PLACE_BYTES = 5  # a trillion rows in a partition
_FORMAT = b"\x01"
_LENGTH = 428  # of the text: 1 + 64 * 5 bytes
_LAST = 2**62


class Wanted(NamedTuple):
    types: Sequence[str]
    account: str
    limit: int


class _Seen(NamedTuple):
    """A row without its body."""

    partition: int
    n: int
    at: int
    kind: int
    key: str
    rank: int
    size: int


_SEEN = "partition, n, at, kind, key, rank, octet_length(body) AS size"


class _Scan(NamedTuple):
    rows: Sequence[_Seen]
    more: bool


async def oldest_first(connection: Connection, wanted: Wanted, after: str) -> Page[Input]:
    places = _read_places(after)
    scan = await _merge(connection, wanted, places)
    found, used = await _pick(connection, wanted, scan.rows)
    for row in scan.rows[:used]:
        places[row.partition] = row.n
    more = scan.more or used < len(scan.rows)
    return Page(found, write_places(places) if more else None)


async def newest_first(connection: Connection, wanted: Wanted, after: str) -> Page[Input]:
    most = _most(wanted)
    rows = await connection.fetch(
        f"SELECT {_SEEN} FROM input WHERE rank < $1 ORDER BY rank DESC LIMIT $2", number(after, _LAST), most
    )
    seen = [_Seen(*row) for row in rows]
    found, used = await _pick(connection, wanted, seen)
    more = len(seen) == most or used < len(seen)
    return Page(found, str(seen[used - 1].rank) if more else None)


async def _merge(connection: Connection, wanted: Wanted, places: Sequence[int]) -> _Scan:
    """Return rows behind the places in the order of (at, partition, n), as far as that order is known."""
    partitions = _partitions(wanted.account)
    most = _most(wanted)
    each = min(most, MOST_SCANNED // len(partitions))
    rows = await connection.fetch(
        f"SELECT found.* FROM unnest($1::smallint[], $2::bigint[]) AS place (partition, n) CROSS JOIN LATERAL "
        f"(SELECT {_SEEN} FROM input WHERE input.partition = place.partition AND input.n > place.n "
        "ORDER BY input.n LIMIT $3) AS found ORDER BY at, partition, n LIMIT $4",
        partitions,
        [places[partition] for partition in partitions],
        each,
        most,
    )
    seen: list[_Seen] = []
    counts = dict.fromkeys(partitions, 0)
    for row in map(_Seen._make, rows):
        seen.append(row)
        counts[row.partition] += 1
        if counts[row.partition] == each:  # what this partition has next may come before the others' next
            return _Scan(seen, more=True)
    return _Scan(seen, more=len(seen) == most)


async def _pick(connection: Connection, wanted: Wanted, rows: Sequence[_Seen]) -> tuple[list[Input], int]:
    """Return the rows that are wanted, and how many were looked at to find them."""
    candidates = [
        (place, row)
        for place, row in enumerate(rows)
        if row.kind == InputKind.EVENT and (not wanted.account or row.key == wanted.account)
    ]
    found: list[Input] = []
    read = used = 0
    for chunk in _chunks(candidates, wanted.limit):
        bodies = await _read(connection, [row for _, row in chunk])
        for place, row in chunk:
            used = place + 1
            item = bodies.get((row.partition, row.n))
            if item is not None and is_wanted(item, wanted.types):
                found.append(item)
                if len(found) == wanted.limit:
                    return found, used
        read += sum(row.size for _, row in chunk)
        if read >= _MOST_BYTES:
            return found, used
    return found, len(rows)


def _chunks(candidates: Sequence[tuple[int, _Seen]], first: int) -> Iterator[Sequence[tuple[int, _Seen]]]:
    """Part the candidates: first as many as may do, then what fits into memory."""
    chunk: list[tuple[int, _Seen]] = []
    size, is_first = 0, True
    for candidate in candidates:
        chunk.append(candidate)
        size += candidate[1].size
        if size >= _BYTES_AT_ONCE or (is_first and len(chunk) == first):
            yield chunk
            chunk, size, is_first = [], 0, False
    if chunk:
        yield chunk


async def _read(connection: Connection, rows: Iterable[_Seen]) -> dict[tuple[int, int], Input]:
    found = await rows_at(connection, [Where(row.partition, row.n, row.at) for row in rows])
    return {(row.partition, row.n): row for row in found}


def _most(wanted: Wanted) -> int:
    if wanted.types or wanted.account:
        return MOST_SCANNED
    return min(wanted.limit * _SPARE, MOST_SCANNED)


def _partitions(account: str) -> list[int]:
    """Return where the rows of an account are; without an account they are everywhere."""
    server, _, login = account.rpartition(":")
    if server and login.isascii() and login.isdigit():
        return [ids.partition_of(server, int(login))]
    return list(range(PARTITIONS))


def _read_places(cursor: str) -> list[int]:
    if not cursor:
        return [0] * PARTITIONS
    try:
        data = base64.b64decode(cursor, altchars=b"-_", validate=True) if len(cursor) == _LENGTH else b""
    except (ValueError, binascii.Error):
        data = b""
    if data[:1] != _FORMAT:
        raise bad_cursor()
    return [
        int.from_bytes(data[start : start + _PLACE_BYTES], "big")
        for start in range(1, len(data), _PLACE_BYTES)
    ]


def write_places(places: Sequence[int]) -> str:
    data = _FORMAT + b"".join(place.to_bytes(_PLACE_BYTES, "big") for place in places)
    return base64.urlsafe_b64encode(data).decode()
