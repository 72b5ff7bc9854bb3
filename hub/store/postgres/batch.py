"""Writing one batch of the engine: a few statements, however many rows it has."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hub.engine.rows import Batch
from hub.store.postgres.append import columns
from hub.store.postgres.database import Connection
from hub.store.postgres.intents import write_intents

TIMER = "partition, due, id, key, kind, body"
_TOLD = "partition, level_id, key, field, side, threshold, rearm, generation, state, rule"
LEVEL = f"{_TOLD}, peak"
RUN = "partition, id, key, workflow, version, state, at, body"
APPROVAL = (
    "partition, id, key, workflow, run, step, title, account, permission, state, at, due, hash, shown, votes"
)
TRACE = "partition, n, id, workflow, key, at, outcome, body"
_TYPES = {
    "partition": "smallint", "kind": "smallint", "n": "bigint", "at": "bigint", "due": "bigint", "value": "bytea",
    "body": "bytea", "generation": "bigint", "shown": "bytea", "votes": "bytea",
}  # fmt: skip


def _unnest(names: str, **other: str) -> str:
    """Return rows made of one array a column; columns are text unless they are known to be something else."""
    types = {**_TYPES, **other}
    arrays = [f"${i}::{types.get(name, 'text')}[]" for i, name in enumerate(names.split(", "), 1)]
    return f"unnest({', '.join(arrays)}) AS told ({names})"


def _insert(table: str, names: str, conflict: str, **other: str) -> str:
    return f"INSERT INTO {table} ({names}) SELECT * FROM {_unnest(names, **other)} ON CONFLICT {conflict}"


def _delete(table: str, names: str, **other: str) -> str:
    same = " AND ".join(f"{table}.{name} = told.{name}" for name in names.split(", "))
    return f"DELETE FROM {table} USING {_unnest(names, **other)} WHERE {same}"


_STATES = _insert(
    "state", "partition, key, kind, name, value", "(partition, key, kind, name) DO UPDATE SET value = excluded.value"
)  # fmt: skip
_SERIES = _insert(
    "series", "partition, key, name, at, ref, value",
    "(partition, key, name, at, ref) DO UPDATE SET value = excluded.value", value="text",
)  # fmt: skip
_LEVELS = _insert(
    "level", _TOLD,
    "(level_id) DO UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in _TOLD.split(", "))
    # The peak is written beside the engine, and stands as long as the row is of the same generation.
    + ", peak = CASE WHEN level.generation = excluded.generation THEN level.peak ELSE '' END",
)  # fmt: skip
_RUNS = _insert(
    "run",
    RUN,
    "(id) DO UPDATE SET version = excluded.version, state = excluded.state, body = excluded.body",
)
_TIMERS = _insert("timer", TIMER, "DO NOTHING", kind="text")
_TRACES = _insert("trace", TRACE, "DO NOTHING")
_APPROVALS = _insert("approval", APPROVAL, "DO NOTHING")
_APPROVAL_MOVES = (
    f"UPDATE approval SET state = told.state, votes = told.votes FROM {_unnest('id, state, votes')} "
    "WHERE approval.id = told.id"
)
_NO_STATES = _delete("state", "partition, key, kind, name")
_NO_SERIES = _delete("series", "partition, key, name, at, ref")
_NO_LEVELS = _delete("level", "level_id")
_NO_TIMERS = _delete("timer", "partition, due, id")


async def write_batch(connection: Connection, batch: Batch) -> None:
    """Write the batch's rows; of several with one name the last stands, since a statement touches a row once."""
    states = _last(batch.states, lambda row: row[:4])
    series = _last(batch.series, lambda row: row[:5])
    levels = _last(batch.levels, lambda row: row.level_id)
    await _do(connection, _STATES, [row for row in states if row.value is not None])
    await _do(connection, _NO_STATES, [row[:4] for row in states if row.value is None])
    await _do(connection, _SERIES, [row for row in series if row.value is not None])
    await _do(connection, _NO_SERIES, [row[:5] for row in series if row.value is None])
    await _do(connection, _LEVELS, [row[:-1] for row in levels if row.state != "gone"])
    await _do(connection, _NO_LEVELS, [(row.level_id,) for row in levels if row.state == "gone"])
    # Cancelled first: a timer may be set anew in the batch that cancels it.
    await _do(connection, _NO_TIMERS, batch.cancelled)
    await _do(connection, _TIMERS, batch.timers)
    await _do(connection, _RUNS, _last(batch.runs, lambda row: row.id))
    await _do(connection, _APPROVALS, batch.approvals)
    await _do(connection, _APPROVAL_MOVES, _last(batch.approval_moves, lambda move: move.id))
    await _do(connection, _TRACES, batch.traces)
    await write_intents(connection, batch.intents)


async def _do(connection: Connection, statement: str, rows: Sequence[Sequence[object]]) -> None:
    if rows:
        await connection.execute(statement, *columns(rows, len(rows[0])))


def _last(rows: Sequence[Any], name: Callable[[Any], object]) -> list[Any]:
    found: Mapping[object, Any] = {name(row): row for row in rows}
    return list(found.values())
