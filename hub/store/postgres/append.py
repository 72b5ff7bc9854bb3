"""Adding to the log inside a transaction: recognise what is known, number what is new, write it in one statement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import msgspec

from hub import ids
from hub.bus.lease import Lease
from hub.bus.log import Appended, Input, InputKind, NewInput
from hub.errors import StoreUnavailable
from hub.events.facts import Fact, says_the_same, stored, with_entity_version
from hub.events.records import decode_envelope
from hub.store.postgres.arrivals import send
from hub.store.postgres.database import Connection
from hub.store.postgres.numbering import Numbering

Content: TypeAlias = tuple[Sequence[Fact], Sequence[NewInput]]
Held: TypeAlias = Mapping[int, Sequence[Lease]]
ROW = "partition, n, at, kind, key, ref, sequence, body, rank"

FACTS = "SELECT * FROM fact WHERE key = ANY($1::bytea[]) UNION ALL SELECT * FROM fact_hashed WHERE key = ANY($2::bytea[])"

_INSERT = f"""
WITH
  facts AS (INSERT INTO fact SELECT * FROM unnest($10::bytea[], $11::smallint[], $12::bigint[], $13::bigint[])),
  hashed AS (INSERT INTO fact_hashed SELECT * FROM unnest($14::bytea[], $15::smallint[], $16::bigint[], $17::bigint[])),
  heads AS (
    INSERT INTO head SELECT * FROM unnest($18::smallint[], $19::bigint[], $20::bigint[])
    ON CONFLICT (partition) DO UPDATE SET n = excluded.n, at = excluded.at
    WHERE head.n = (SELECT before FROM unnest($18::smallint[], $23::bigint[]) AS place (p, before) WHERE p = head.partition)
    RETURNING partition
  ),
  sequences AS (
    INSERT INTO sequence SELECT * FROM unnest($21::text[], $22::bigint[])
    ON CONFLICT (account) DO UPDATE SET last = excluded.last
  ),
  inputs AS (
    INSERT INTO input ({ROW})
    SELECT * FROM unnest(
      $1::smallint[], $2::bigint[], $3::bigint[], $4::smallint[], $5::text[], $6::text[], $7::bigint[], $8::bytea[],
      $9::bigint[]
    )
  )
SELECT count(*) FROM heads
"""


class Written(NamedTuple):
    """What one transaction added to the log: its rows, the heads it left, and the answer to every append."""

    rows: list[Input]
    heads: dict[int, int]
    answers: list[list[Appended]]


class Where(NamedTuple):
    """The row a key is stored in. `at` is there because the log is kept in ranges of it."""

    partition: int
    n: int
    at: int


@dataclass(slots=True)
class _Page:
    """What one transaction is about to write."""

    stored: dict[bytes, Where]
    differing: frozenset[bytes] = frozenset()
    now: dict[bytes, bytes] = field(default_factory=dict)  # keys this transaction adds, with their content
    rows: list[Input] = field(default_factory=list)
    keys: list[tuple[bytes, int, int]] = field(default_factory=list)
    sequences: dict[str, int] = field(default_factory=dict)


async def write(
    connection: Connection, numbering: Numbering, held: Held, now_us: int, appends: Sequence[Content]
) -> Written:
    """Write what belongs into the partitions held; what does not is left for its owner."""
    appends = await _with_versions(connection, held, appends)
    facts = [fact for part, _ in appends for fact in part if fact.partition in held and fact.key]
    items = [item for _, part in appends for item in part]
    uniques = {item.unique: ids.hashed(0, item.unique) for item in items if item.unique}
    known = await where_stored(connection, [*(fact.key for fact in facts), *uniques.values()])
    page = _Page(known, await _differing(connection, facts, known))
    touched = sorted({fact.partition for fact in facts} | {item.partition for item in items} & held.keys())
    await numbering.refresh(connection, {p: held[p] for p in touched})
    await numbering.load_sequences(connection, {f.account: f.partition for f in facts if f.account})

    at = numbering.at(now_us, touched)
    away_facts: list[Fact] = []
    away_items: list[NewInput] = []
    answers: list[list[Appended]] = []
    for part, others in appends:
        answers.append([_fact(page, numbering, held, at, fact, away_facts) for fact in part])
        for item in others:
            if item.partition in held:
                _item(page, numbering, at, item, uniques)
            else:
                away_items.append(item)
    rows = await _insert(connection, at, page)
    await send(connection, away_facts, away_items)
    return Written(rows, {row.partition: row.n for row in rows}, answers)


async def where_stored(connection: Connection, keys: Sequence[bytes]) -> dict[bytes, Where]:
    """Return which of the keys are stored, and in which row."""
    if not keys:
        return {}
    rows = await connection.fetch(FACTS, *by_kind(keys))
    return {row["key"]: Where(row["partition"], row["n"], row["at"]) for row in rows}


def by_kind(keys: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Return the numbered keys and the hashed ones, as `FACTS` takes them."""
    return [key for key in keys if key[2] != ids.HASHED], [key for key in keys if key[2] == ids.HASHED]


async def rows_at(connection: Connection, places: Sequence[Where]) -> list[Input]:
    """Return the rows in these places, in order of rank; those pruned are missing."""
    if not places:
        return []
    rows = await connection.fetch(
        f"SELECT {ROW} FROM input JOIN unnest($1::smallint[], $2::bigint[], $3::bigint[]) AS place (partition, n, at) "
        "USING (partition, n, at) ORDER BY rank",
        *columns(places, 3),
    )
    return [Input(*row) for row in rows]


def columns(rows: Sequence[Sequence[object]], count: int) -> list[list[object]]:
    """Turn rows into columns, for unnest; `count` is how many when there are no rows."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(count)]


def _fact(page: _Page, numbering: Numbering, held: Held, at: int, fact: Fact, away: list[Fact]) -> Appended:
    event_id = fact.envelope.id
    if fact.partition not in held:  # its owner will say whether it is new
        away.append(fact)
        return Appended(event_id, duplicate=False, mismatch=False)
    if not fact.key:  # an entity told again in the state it is in
        return Appended("", duplicate=True, mismatch=False)
    if fact.key in page.now:
        return Appended(
            event_id,
            duplicate=True,
            mismatch=not says_the_same(fact.envelope.type, page.now[fact.key], fact.content),
        )
    if fact.key in page.stored:
        return Appended(event_id, duplicate=True, mismatch=_said(fact) in page.differing)
    n = numbering.next_n(fact.partition)
    sequence = None
    if fact.account:
        sequence = page.sequences[fact.account] = numbering.next_sequence(fact.partition, fact.account)
    body = stored(fact.envelope)
    page.rows.append(Input(fact.partition, n, at, InputKind.EVENT, fact.account, event_id, sequence, body))
    page.now[fact.key] = fact.content
    page.keys.append((fact.key, fact.partition, n))
    return Appended(event_id, duplicate=False, mismatch=False)


def _item(page: _Page, numbering: Numbering, at: int, item: NewInput, uniques: Mapping[str, bytes]) -> None:
    key = uniques[item.unique] if item.unique else None
    if key is not None and (key in page.stored or key in page.now):
        return
    n = numbering.next_n(item.partition)
    page.rows.append(Input(item.partition, n, at, item.kind, item.key, item.ref, None, item.body))
    if key is not None:
        page.now[key] = b""
        page.keys.append((key, item.partition, n))


async def _with_versions(connection: Connection, held: Held, appends: Sequence[Content]) -> Sequence[Content]:
    """Return the appends, facts of an entity with the key its count of changes gives them; without a key if nothing changed."""
    names = {f.entity.name for facts, _ in appends for f in facts if f.entity and f.partition in held}
    if not names:
        return appends
    rows = await connection.fetch(
        "SELECT name, version, state FROM entity WHERE name = ANY($1::text[])", list(names)
    )
    entities: dict[str, tuple[int, str]] = {row["name"]: (row["version"], row["state"]) for row in rows}
    changed: dict[str, tuple[str, int, str]] = {}

    def versioned(fact: Fact) -> Fact:
        if fact.entity is None or fact.partition not in held:
            return fact
        name, now = fact.entity.name, fact.entity.state
        version, state = entities.get(name, (0, None))
        if state == now:
            return msgspec.structs.replace(fact, key=b"")
        entities[name] = (version + 1, now)
        changed[name] = (name, version + 1, now)
        return with_entity_version(fact, version)

    told = [([versioned(fact) for fact in facts], items) for facts, items in appends]
    if not changed:
        return told
    await connection.execute(
        "INSERT INTO entity SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[]) "
        "ON CONFLICT (name) DO UPDATE SET version = excluded.version, state = excluded.state",
        *columns(sorted(changed.values()), 3),
    )
    return told


def _said(fact: Fact) -> bytes:
    return fact.key + fact.content


async def _differing(
    connection: Connection, facts: Sequence[Fact], known: Mapping[bytes, Where]
) -> frozenset[bytes]:
    """Return what is told now under a known key, where the first telling said something else."""
    again = [fact for fact in facts if fact.key in known]
    rows = await rows_at(connection, list({known[fact.key] for fact in again}))
    first = {(row.partition, row.n): row for row in rows if row.kind == InputKind.EVENT}
    differing: set[bytes] = set()
    for fact in again:
        row = first.get(known[fact.key][:2])
        # Of what was pruned the content can no longer be compared.
        envelope = decode_envelope(row.body) if row is not None else None
        if envelope is not None and not says_the_same(envelope.type, bytes(envelope.data), fact.content):
            differing.add(_said(fact))
    return frozenset(differing)


async def _insert(connection: Connection, at: int, page: _Page) -> list[Input]:
    """Write the page and return its rows with the ranks they got."""
    if not page.rows:
        return []
    # Drawn under the fence, so that a later owner of a partition draws higher ones.
    ranks = await connection.fetch(
        "SELECT nextval('input_rank') AS rank FROM generate_series(1, $1)", len(page.rows)
    )
    rows = [row._replace(rank=drawn["rank"]) for row, drawn in zip(page.rows, ranks, strict=True)]
    keys = [(*key, at) for key in page.keys]
    heads = {row.partition: (row.partition, row.n, at) for row in rows}
    first = {row.partition: row.n for row in reversed(rows)}
    moved = await connection.fetchval(
        _INSERT,
        *columns(rows, 9),
        *columns([key for key in keys if key[0][2] != ids.HASHED], 4),
        *columns([key for key in keys if key[0][2] == ids.HASHED], 4),
        *columns(list(heads.values()), 3),
        *columns(list(page.sequences.items()), 2),
        [first[partition] - 1 for partition in heads],
    )
    if moved != len(heads):
        # A transaction of ours that we took for failed was committed after all, while this one was numbering.
        raise StoreUnavailable("a partition has grown since it was looked at: nothing was stored, ask again")
    return rows
