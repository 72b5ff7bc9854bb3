"""What a hub consists of: each table of the database, and where its rows stand in an embedded hub's folder."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """`select` from `source` gives `columns`. `key` names a row there, in an order that no pause of the move changes.

    `only` says which rows go along, `only_there` which of the database's are meant.
    """

    name: str
    columns: str
    select: str
    source: str
    key: str
    only: str = ""
    only_there: str = ""

    @property
    def counting(self) -> str:
        """Return the query for how many rows go along, whatever `source` joins to them."""
        where = f" WHERE {self.only}" if self.only else ""
        return f"SELECT count(*) FROM {self.name}{where}"

    def reading(self, *, going_on: bool) -> str:
        """Return the query for (key, columns); going on, it takes the key it is to go on after."""
        conditions = [self.only] if self.only else []
        if going_on:
            conditions.append(f"({self.key}) > ({', '.join('?' for _ in self.key.split(', '))})")
        where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
        return f"SELECT {self.key}, {self.select} FROM {self.source} {where}ORDER BY {self.key}"

    @property
    def checking(self) -> str:
        """Return the query for what the database holds of it."""
        where = f" WHERE {self.only_there}" if self.only_there else ""
        return f"SELECT {self.columns} FROM {self.name}{where}"

    @property
    def key_columns(self) -> int:
        return len(self.key.split(", "))


def _same(name: str, columns: str, key: str, only: str = "") -> Table:
    """Return a table that looks alike on both sides."""
    return Table(name, columns, columns, name, key, only, only)


_INTENT = (
    "verb, params, workflow, run, step, caused_by, state, at, due, priority, attempts, sends, looks, sent_at, "
    "ticket, reason"
)
_ATTEMPT = (
    "rank, endpoint, partition, n, number, event_id, state, at, outcome, status, error, latency_us, response, due, "
    "created_at, record"
)
_REPLAY = (
    "id, endpoint, state, asked, by, created_at, updated_at, ended_at, place, upto, reached, looked, queued, left_out, "
    "expected, reason"
)
_IS_OPEN = "state IN ('running', 'paused')"
_ENDED_STATE = f"CASE WHEN {_IS_OPEN} THEN 'cancelled' ELSE state END"
_ENDED_AT = f"CASE WHEN {_IS_OPEN} THEN updated_at ELSE ended_at END"
_ENDED_WHY = f"CASE WHEN {_IS_OPEN} THEN 'the hub was moved' ELSE reason END"

TABLES = (
    _same("input", "partition, n, at, kind, key, ref, sequence, body, rank", "rank"),
    # Moments never go back: a folder knows the last one of all its rows, which is not before that of any partition.
    Table(
        "head",
        "partition, n, at",
        "partition, n, coalesce((SELECT at FROM input ORDER BY rank DESC LIMIT 1), 0)",
        "head",
        "partition",
    ),
    # A key says in which row its fact stands: by rank there, by place here. One whose row was pruned is as known as
    # any other, and its place is one where there never is a row.
    Table(
        "fact",
        "key, partition, n, at",
        "f.key, coalesce(i.partition, 0), coalesce(i.n, 0), coalesce(i.at, 0)",
        "fact AS f LEFT JOIN input AS i ON i.rank = f.input",
        "f.key",
    ),
    Table(
        "fact_hashed",
        "key, partition, n, at",
        "f.key, coalesce(i.partition, 0), coalesce(i.n, 0), f.at",
        "fact_hashed AS f LEFT JOIN input AS i ON i.rank = f.input",
        "f.key",
    ),
    _same("sequence", "account, last", "account"),
    _same("entity", "name, version, state", "name"),
    _same("mark", "source, name, value", "source, name"),
    _same("position", "consumer, partition, n", "consumer, partition"),
    _same("state", "partition, key, kind, name, value", "partition, key, kind, name"),
    _same("series", "partition, key, name, at, ref, value", "partition, key, name, at, ref"),
    _same("timer", "partition, due, id, key, kind, body", "due, id"),
    _same(
        "level",
        "level_id, partition, key, field, side, threshold, rearm, generation, state, rule, peak",
        "level_id",
    ),
    _same("run", "id, partition, key, workflow, version, state, at, body", "id"),
    _same(
        "approval",
        "id, partition, key, workflow, run, step, title, account, permission, state, at, due, hash, shown, votes",
        "id",
    ),
    Table(
        "trace",
        "partition, n, id, workflow, key, at, outcome, body",
        "partition, n, id, workflow, key, at, outcome, body",
        "trace",
        "rank",
    ),
    _same("workflow_version", "hash, workflow, body, at", "hash"),
    Table(
        "intent",
        f"key, partition, account, server, {_INTENT}",
        f"key, partition, account, server_of(account), {_INTENT}",
        "intent",
        "key",
    ),
    _same(
        "endpoint", "id, url, events, secret, state, description, created_at, schedule, reason, options", "id"
    ),
    _same(
        "endpoint_health",
        "endpoint, failing_since, failures, failed_at, last_error, stage, told_at, paused_until",
        "endpoint",
    ),
    _same(
        "waiting",
        "endpoint, due, partition, n, event_id, attempts, created_at",
        "endpoint, due, partition, n",
    ),
    # An attempt that was written down twice is one here, where the moment is a part of its name.
    Table(
        "attempt",
        _ATTEMPT,
        _ATTEMPT,
        "attempt",
        "rank",
        only="NOT EXISTS (SELECT 1 FROM attempt AS a WHERE a.n = attempt.n AND a.partition = attempt.partition "
        "AND a.endpoint = attempt.endpoint AND a.number = attempt.number AND a.at = attempt.at AND a.rank < attempt.rank)",
    ),
    # One that is open knows its place in the folder's log alone: it ends here, and can be asked for again.
    Table(
        "replay",
        _REPLAY,
        _REPLAY.replace("state", _ENDED_STATE, 1)
        .replace("ended_at", _ENDED_AT, 1)
        .replace("reason", _ENDED_WHY, 1),
        "replay",
        "id",
    ),
    _same("client", "id, version, body, created_at, updated_at", "id"),
    _same("client_account", "account, client", "account"),
    _same("account_profile", "account, version, body, created_at, updated_at", "account"),
    _same("suppression", "id, kind, value, channel, reason, added_by, at", "id"),
    _same(
        "message",
        "id, intent, client, account, channel, address, category, template, version, at, expires, ref, status, error, status_at",
        "id",
    ),
    _same("device", "id, client, token, platform, added_at, seen_at", "id"),
    _same("contact", "intent, client, category, at", "intent"),
    _same("api_key", "id, hash, name, scopes, servers, created_at, expires_at, last_used, permissions", "id"),
    _same("client_token", "id, hash, client, accounts, events, issued_by, created_at, expires_at", "id"),
    _same("meta", "name, value", "name", only="name = 'active'"),
)

# What stays behind: who owned the folder, what the folder's own way of storing needs, and what is valid for a minute.
LEFT_BEHIND = frozenset({"lease", "landmark", "state_change", "series_change", "stream_ticket"})
# What begins anew over there: who owns what, and what its processes have for one another.
BEGUN_ANEW = frozenset({"lease", "arrival", "stream_ticket"})
