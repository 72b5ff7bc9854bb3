"""Adding to the log inside a transaction: recognise what is known, number what is new, write it in a few wide statements."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import apsw
import msgspec

from hub import ids
from hub.bus.log import Appended, Input, InputKind, NewInput
from hub.events.facts import Fact, says_the_same, stored, with_entity_version
from hub.events.records import decode_envelope
from hub.store.sqlite.numbering import LANDMARK_EVERY, Numbering
from hub.store.sqlite.wide import among, insert

_new = tuple.__new__  # a named tuple without its own constructor, which takes twice as long
Content = tuple[Sequence[Fact], Sequence[NewInput]]


class Written(NamedTuple):
    """What one transaction added to the log: its rows, the heads it left, and the answer to every append."""

    rows: list[Input]
    heads: list[int]
    answers: list[list[Appended]]


class _Known(NamedTuple):
    """Keys that are stored already, and where."""

    stored: dict[bytes, int]
    now: dict[bytes, bytes]  # keys this transaction adds, with their content


def write(connection: apsw.Connection, numbering: Numbering, at: int, appends: Sequence[Content]) -> Written:
    numbering.refresh()
    facts = _with_versions(connection, [fact for part, _ in appends for fact in part])
    items = [item for _, part in appends for item in part]
    uniques = {item.unique: ids.hashed(0, item.unique) for item in items if item.unique}
    known = _Known(_stored(connection, [fact.key for fact in facts if fact.key] + list(uniques.values())), {})
    numbering.load_sequences(fact.account for fact in facts if fact.account)

    rows: list[Input] = []
    keys: list[tuple[bytes, int]] = []
    appended = [_fact(connection, numbering, at, fact, known, rows, keys) for fact in facts]
    for item in items:
        key = uniques[item.unique] if item.unique else None
        if key is not None and (key in known.stored or key in known.now):
            continue
        n = numbering.next_n(item.partition)
        rank = numbering.next_rank()
        rows.append(Input(item.partition, n, at, item.kind, item.key, item.ref, None, item.body, rank))
        if key is not None:
            known.now[key] = b""
            keys.append((key, rank))
    _insert(connection, numbering, at, rows, keys)
    return Written(rows, numbering.heads(), _split(appended, appends))


_ROW = "partition, n, at, kind, key, ref, sequence, body, rank"


def read_rows(connection: apsw.Connection, partition: int, after: int, limit: int) -> list[Input]:
    found = connection.execute(
        f"SELECT {_ROW} FROM input WHERE rank >= ? AND partition = ? AND n > ? ORDER BY rank LIMIT ?",
        (_landmark(connection, partition, after), partition, after, limit),
    )
    return [Input._make(row) for row in found]


def scan_rows(connection: apsw.Connection, after: int, limit: int) -> list[Input]:
    found = connection.execute(
        f"SELECT {_ROW} FROM input WHERE rank > ? ORDER BY rank LIMIT ?", (after, limit)
    )
    return [_new(Input, row) for row in found]


def start_of(connection: apsw.Connection, positions: Sequence[int]) -> int:
    heads = connection.execute("SELECT partition, n FROM head")
    ranks = [_landmark(connection, p, positions[p]) - 1 for p, n in heads if positions[p] < n]
    last = connection.execute("SELECT coalesce(max(rank), 0) FROM input").fetchone()
    return max(min(ranks, default=int(last[0]) if last else 0), 0)


def find_row(connection: apsw.Connection, key: bytes) -> Input | None:
    rank = _stored(connection, [key]).get(key)
    return None if rank is None else row_at(connection, rank)


def find_rows(connection: apsw.Connection, keys: Sequence[bytes]) -> list[Input]:
    """Return the rows stored under these keys, in order of rank."""
    ranks = [(rank,) for rank in sorted(_stored(connection, keys).values())]
    found = among(connection, f"SELECT {_ROW} FROM input WHERE rank", ranks, "ORDER BY rank")
    return [Input._make(row) for row in found]


def rows_at(connection: apsw.Connection, places: Iterable[tuple[int, int]]) -> list[Input]:
    """Return the rows with these numbers of their partitions, as far as they are kept; each is looked for by itself."""
    found: list[Input] = []
    for partition, n in places:
        row = connection.execute(
            f"SELECT {_ROW} FROM input WHERE rank >= ? AND partition = ? AND n >= ? ORDER BY rank LIMIT 1",
            (_landmark(connection, partition, n - 1), partition, n),
        ).fetchone()
        if row is not None and row[1] == n:
            found.append(Input._make(row))
    return found


def row_at(connection: apsw.Connection, rank: int) -> Input | None:
    row = connection.execute(f"SELECT {_ROW} FROM input WHERE rank = ?", (rank,)).fetchone()
    return None if row is None else Input._make(row)


def _landmark(connection: apsw.Connection, partition: int, n: int) -> int:
    """Return a rank at or before the row after n of a partition, fewer than 64 of its rows away."""
    row = connection.execute(
        "SELECT rank FROM landmark WHERE partition = ? AND n <= ? ORDER BY n DESC LIMIT 1", (partition, n + 1)
    ).fetchone()
    return int(row[0]) if row else 0


def _fact(
    connection: apsw.Connection,
    numbering: Numbering,
    at: int,
    fact: Fact,
    known: _Known,
    rows: list[Input],
    keys: list[tuple[bytes, int]],
) -> Appended:
    if not fact.key:  # an entity told again in the state it is in
        return Appended("", duplicate=True, mismatch=False)
    event_id = fact.envelope.id
    if fact.key in known.now:
        return Appended(
            event_id,
            duplicate=True,
            mismatch=not says_the_same(fact.envelope.type, known.now[fact.key], fact.content),
        )
    if fact.key in known.stored:
        return Appended(event_id, duplicate=True, mismatch=_differs(connection, known.stored[fact.key], fact))
    n = numbering.next_n(fact.partition)
    sequence = numbering.next_sequence(fact.account) if fact.account else None
    rank, body = numbering.next_rank(), stored(fact.envelope)
    rows.append(Input(fact.partition, n, at, InputKind.EVENT, fact.account, event_id, sequence, body, rank))
    known.now[fact.key] = fact.content
    keys.append((fact.key, rank))
    return Appended(event_id, duplicate=False, mismatch=False)


def _with_versions(connection: apsw.Connection, facts: list[Fact]) -> list[Fact]:
    """Return the facts, those of an entity with the key its count of changes gives them; without a key if nothing changed."""
    names = {fact.entity.name for fact in facts if fact.entity}
    if not names:
        return facts
    found = among(
        connection, "SELECT name, version, state FROM entity WHERE name", [(name,) for name in names]
    )
    entities: dict[str, tuple[int, str | None]] = {name: (version, state) for name, version, state in found}
    changed: dict[str, tuple[str, int, str]] = {}
    versioned: list[Fact] = []
    for fact in facts:
        if fact.entity is None:
            versioned.append(fact)
            continue
        name, now = fact.entity.name, fact.entity.state
        version, state = entities.get(name, (0, None))
        if state == now:
            versioned.append(msgspec.structs.replace(fact, key=b""))
            continue
        entities[name] = (version + 1, now)
        changed[name] = (name, version + 1, now)
        versioned.append(with_entity_version(fact, version))
    insert(connection, "INSERT OR REPLACE INTO entity", list(changed.values()))
    return versioned


def _stored(connection: apsw.Connection, keys: Sequence[bytes]) -> dict[bytes, int]:
    """Return which of the keys are stored, and in which row."""
    numbered = [(key,) for key in keys if key[2] != ids.HASHED]
    hashed = [(key,) for key in keys if key[2] == ids.HASHED]
    found = among(connection, "SELECT key, input FROM fact WHERE key", numbered)
    found += among(connection, "SELECT key, input FROM fact_hashed WHERE key", hashed)
    return dict(found)


def _differs(connection: apsw.Connection, where: int, fact: Fact) -> bool:
    row = row_at(connection, where)
    if row is None or row.kind != InputKind.EVENT:  # pruned: its content can no longer be compared
        return False
    envelope = decode_envelope(row.body)
    return not says_the_same(envelope.type, bytes(envelope.data), fact.content)


def _insert(
    connection: apsw.Connection,
    numbering: Numbering,
    at: int,
    rows: list[Input],
    keys: list[tuple[bytes, int]],
) -> None:
    if not rows:
        return
    insert(connection, f"INSERT INTO input ({_ROW})", rows)
    insert(
        connection,
        "INSERT INTO landmark",
        [(row.partition, row.n, row.rank) for row in rows if row.n % LANDMARK_EVERY == 1],
    )
    insert(connection, "INSERT OR REPLACE INTO head", list({row.partition: row.n for row in rows}.items()))
    insert(connection, "INSERT INTO fact", [pair for pair in keys if pair[0][2] != ids.HASHED])
    insert(connection, "INSERT INTO fact_hashed", [(*pair, at) for pair in keys if pair[0][2] == ids.HASHED])
    if numbering.sequences_are_due:
        write_sequences(connection, numbering)


def write_sequences(connection: apsw.Connection, numbering: Numbering) -> None:
    """Bring the `sequence` table up to the latest row."""
    insert(
        connection,
        "INSERT INTO sequence",
        numbering.take_sequences(),
        "ON CONFLICT (account) DO UPDATE SET last = excluded.last",
    )
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('sequences', ?)", (str(numbering.rank),))


def _split(answers: list[Appended], appends: Sequence[Content]) -> list[list[Appended]]:
    parts, start = [], 0
    for facts, _ in appends:
        parts.append(answers[start : start + len(facts)])
        start += len(facts)
    return parts
