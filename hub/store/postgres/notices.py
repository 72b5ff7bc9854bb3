"""Word from one process to the others that there is something to look at; the rows themselves say what.

A notice may be lost with the connection it goes over, so whoever listens also looks at everything after a gap. Notices
of busy transactions go out after the commit, because PostgreSQL lets only one commit with a notice in it happen at a time.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from hub.dispatch.outbox import Delivery
from hub.intents.intent import Intent, State
from hub.store.postgres.database import Connection, Database

WAITING = "hub_waiting"  # {"endpoint": [due, partition, n]}: deliveries wait, none of them before this key
INTENTS = "hub_intents"  # {"server": due}: intents were written, none of them due before this
ARRIVALS = "hub_arrivals"  # a partition: its owner has arrivals to take
ENDPOINTS = "hub_endpoints"  # an endpoint's id: it was created, changed or deleted
KEYS = "hub_keys"  # an API key's id: it was added or revoked
REPLAYS = "hub_replays"  # a replay's id: it was asked for, or turned
CHANNELS = (WAITING, INTENTS, ARRIVALS, ENDPOINTS, KEYS, REPLAYS)

EVERYTHING = "{}"
_NOTIFY = "SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload"
_LONGEST = 7_999  # bytes of a payload

Key = tuple[int, int, int]  # due, partition, n
_waiting = msgspec.json.Decoder(dict[str, Key])
_intents = msgspec.json.Decoder(dict[str, int])


def server_of(account: str) -> str:
    """Return the server of "server:login", and "" for what concerns no account."""
    return account.rpartition(":")[0]


def waiting_payload(deliveries: Iterable[Delivery]) -> str:
    least: dict[str, Key] = {}
    for delivery in deliveries:
        key = (delivery.due, delivery.partition, delivery.n)
        least[delivery.endpoint] = min(key, least.get(delivery.endpoint, key))
    return _payload(least)


def read_waiting(payload: str) -> Mapping[str, Key]:
    """Return the least new key of each endpoint that has some; empty means that any may have."""
    try:
        return _waiting.decode(payload)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return {}


def intents_payload(intents: Iterable[Intent]) -> str:
    least: dict[str, int] = {}
    for intent in intents:
        if intent.state in {State.READY, State.UNKNOWN}:
            server = server_of(intent.account)
            least[server] = min(intent.due, least.get(server, intent.due))
    return _payload(least)


def read_intents(payload: str) -> Mapping[str, int]:
    """Return the earliest due moment of each server that has new intents; empty means that any may have."""
    try:
        return _intents.decode(payload)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return {}


def _payload(content: Mapping[str, Key] | Mapping[str, int]) -> str:
    encoded = msgspec.json.encode(content)
    return encoded.decode() if len(encoded) <= _LONGEST else EVERYTHING


async def notify(database: Database, channel: str, payloads: Collection[str]) -> None:
    """Send one notice for each payload; the statement is a transaction by itself."""
    if payloads:
        await database.fetch(_NOTIFY, channel, list(payloads))


async def notify_inside(connection: Connection, channel: str, payloads: Sequence[str]) -> None:
    """Send notices with the commit of a transaction that is rare."""
    await connection.execute(_NOTIFY, channel, payloads)


async def notify_intents(database: Database, intents: Sequence[Intent]) -> None:
    """Tell the dispatchers of intents another transaction wrote."""
    if any(intent.state in {State.READY, State.UNKNOWN} for intent in intents):
        await notify(database, INTENTS, [intents_payload(intents)])


async def notify_arrivals(database: Database, partitions: Iterable[int]) -> None:
    """Tell the owners of these partitions that another transaction left them something."""
    await notify(database, ARRIVALS, [str(partition) for partition in sorted(set(partitions))])
