"""A folder somebody lived in, what a store of either shape says of the same hub, and a move of the one into the other."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
from conformance.backends import PostgresBackend, SqliteBackend, StoreBackend
from typing_extensions import override

from hub.bus.log import InputKind, Mark, NewInput
from hub.clock import ManualClock, to_us
from hub.control.keys import ApiKey, Scope
from hub.control.tokens import Token
from hub.dispatch.contacts import Asked, Suppression
from hub.dispatch.devices import Device
from hub.dispatch.health import Health
from hub.dispatch.messages import message_id
from hub.dispatch.options import EndpointOptions
from hub.dispatch.outbox import DeliveryState
from hub.dispatch.replays import Asked as Wanted
from hub.dispatch.replays import Replay, ReplayState
from hub.engine.rows import (
    ApprovalMove,
    ApprovalRow,
    LevelRow,
    Peak,
    RunRow,
    SeriesRow,
    StateRow,
    TimerRow,
    TraceRow,
)
from hub.ids import PARTITIONS
from hub.ingest.directory import StoredClient
from hub.ingest.profiles import StoredProfile
from hub.intents.intent import State
from hub.moving.move import Compared, Move, Watching
from hub.moving.source import open_source
from hub.moving.tables import TABLES
from hub.moving.target import open_target
from hub.testing import (
    MORNING,
    a_delivery,
    a_deposit,
    a_trade_closed,
    an_account,
    an_account_state,
    an_endpoint,
    an_event,
    an_input,
    an_intent,
    settled,
)

NOW = to_us(MORNING)
KEY = "live-1:7001"
YEARS = timedelta(days=500)
LONG_AGO = [a_trade_closed(an_account(login=7000 + n % 5), deal=500 + n) for n in range(20)]
TRADES = [a_trade_closed(an_account(login=7000 + n % 23), deal=1_000 + n) for n in range(150)]
POSTED = [an_event("custom.kyc", an_account(), dedupe_key=f"posted-{n}", answer=f"{n}") for n in range(9)]
OTHERS = [an_account_state("vip"), an_account_state("std"), a_deposit()]
CLIENT_TOKEN = Token("tok_1", b"t" * 32, "c1", ("live-1:7001",), ("trade.*",), "app", 1, 2)
API_KEY = ApiKey(
    "key_1",
    b"h" * 32,
    "crm",
    (Scope.READ, Scope.EVENTS_WRITE),
    ("live-1",),
    NOW,
    NOW + 5,
    None,
    ("money.approve",),
)
APPROVAL = ApprovalRow(
    0,
    "apr_1",
    KEY,
    "payouts",
    "r1",
    "ok",
    "Pay",
    KEY,
    "money.approve",
    "open",
    NOW,
    NOW + 9,
    "h",
    b"\x01{}",
    b"{}",
)


async def live_in(folder: Path) -> None:
    """Leave a hub in the folder that has something in every table, and things its last run put in no place yet."""
    hub = await SqliteBackend(folder).open()
    try:
        await _write_everything(hub)
    finally:
        await hub.close()


async def _write_everything(hub: SqliteBackend) -> None:
    await hub.log.append(LONG_AGO)
    await hub.clock.advance(YEARS)
    await hub.log.append([a_trade_closed(an_account(login=8001), deal=4_000)])
    assert await hub.store.pruner.prune() == len(LONG_AGO)  # their keys, and their accounts' numbers, stay
    now = hub.clock.now_us()
    await hub.log.append(TRADES[:100], marks=[Mark("mt5", "cursor", b"\x00\xff"), Mark("mt5", "old", b"1")])
    await hub.log.append(OTHERS)
    await hub.log.append(POSTED, inputs=[an_input(7, unique="once"), an_input(8)])
    states = [StateRow(n % PARTITIONS, f"key-{n}", 1, "lots", b"%d" % n) for n in range(40)]
    series = [SeriesRow(0, KEY, "day", 10 * n, f"evt_{n}", str(n)) for n in range(30)]
    await hub.decide(
        positions={0: 1, 9: 1},
        states=states,
        series=series,
        timers=[TimerRow(n % PARTITIONS, now + n, f"tmr_{n}", KEY, "window", b"{}") for n in range(12)],
        levels=[
            LevelRow(0, "l1", KEY, "equity", "below", "900", "950", 3, "armed", '{"inclusive":true}', "1010")
        ],
        runs=[
            RunRow(0, f"r{n}", KEY, "bonus", "v1", "running" if n else "done", now, b"\x01") for n in range(3)
        ],
        intents=[
            an_intent("i1"),
            an_intent("i2", state=State.SENDING, account="mt:4:99"),
            an_intent("i3", account="", verb="event.publish"),
        ],
        approvals=[APPROVAL, APPROVAL._replace(id="apr_2")],
        approval_moves=[ApprovalMove("apr_2", "approved", b"votes")],
        traces=[TraceRow(0, 5, str(n), "bonus", KEY, now, "fired", b"{}") for n in range(4)],
        mail=[NewInput(3, InputKind.MAIL, "client=1", f"evt_{n}", b"mail") for n in range(2)],
        facts=[a_trade_closed(an_account(login=9001), deal=555)],
    )
    await hub.engine.save_peaks([Peak(0, "l1", 3, "1010")], [await hub.lease()])
    await hub.store.journal.fold()
    # These stand in the journal, and the numbers of these accounts in the log alone.
    await hub.decide(
        states=[states[0]._replace(value=None), states[1]._replace(value=b"changed")],
        series=[series[0]._replace(value=None), series[1]._replace(value="7")],
    )
    await hub.log.append(TRADES[100:])
    await _write_deliveries(hub)
    await hub.store.clients.put(StoredClient("c1", 1, b'{"id":"c1"}', now, now), [KEY, "live-1:7002"], [])
    await hub.store.profiles.put(StoredProfile(KEY, 1, b'{"phase":"1"}', now, now), [])
    await hub.store.devices.put(Device("dev_1", "c1", "token-" + "a" * 60, "ios", now, now))
    await hub.store.contacts.add(Suppression.of("address", "a@b.c", "all", "hard bounce", "crm", now))
    for number in range(2):
        await hub.store.contacts.admit(a_contact(number, now))
    await hub.store.keys.add(API_KEY)
    await hub.store.tokens.add(CLIENT_TOKEN, most=1)
    await hub.store.replays.add(A_REPLAY)
    await hub.engine.save_version("v1", "bonus", "id: bonus für alle")
    await hub.engine.activate('{"bonus":"v1"}', [an_input(5)])


A_REPLAY = Replay(
    id="rep_1",
    endpoint="ep_1",
    state=ReplayState.DONE,
    asked=Wanted(until=NOW, since=1, types=("trade.*",), missing=True),
    by="Zoë",
    created_at=NOW,
    updated_at=NOW + 1,
    ended_at=NOW + 1,
    place="",
    upto=(7,),
    reached=NOW,
    looked=9,
    queued=4,
    left_out=5,
    expected=4,
    reason="",
)


def a_contact(number: int, at: int) -> Asked:
    """Two a day are enough for anybody."""
    return Asked(f"mail-{number}", "email", "b@c.d", "c1", KEY, "service", 2, at - 86_400_000_000, at)


async def _write_deliveries(hub: SqliteBackend) -> None:
    await hub.endpoints.create(an_endpoint("ep_1", schedule=(0.0, 5.0)))
    await hub.healths.save(Health("ep_1", 10, 7, 20, "timeout", 2, 15, 30))
    await hub.endpoints.create(
        an_endpoint("ep_2", state="paused", options=EndpointOptions(rate=2.5, order="account"))
    )
    rows = [await hub.log.find(fact.key) for fact in TRADES[:6]]
    owed = [a_delivery("ep_1", row.partition, row.n, event_id=row.ref) for row in rows if row is not None]
    await hub.deliveries.fan_out(
        {owed[0].partition: owed[0].n}, owed[:4], [settled(owed[4], DeliveryState.DELIVERED)]
    )
    again = settled(owed[0], DeliveryState.WAITING, due=NOW + 60_000_000)
    await hub.deliveries.settle([again, settled(owed[1], DeliveryState.EXHAUSTED)])


async def said_by(hub: StoreBackend) -> dict[str, Any]:
    """Return all a hub can be asked for, as its own rooms ask for it."""
    rows = [await hub.log.read(partition, 0, 10_000) for partition in range(PARTITIONS)]
    told = [*LONG_AGO, *TRADES, *POSTED]
    keys = [(n % PARTITIONS, f"key-{n}") for n in range(40)] + [(0, KEY)]
    known = await hub.engine.load(keys)
    return {
        "log": rows,
        "order": await hub.log.scan(0, 10_000),
        "heads": list(hub.log.heads()),
        "found": [await hub.log.find(fact.key) for fact in told],
        "marks": dict(await hub.log.marks("mt5")),
        "positions": [await hub.engine.positions(who) for who in ("engine", "webhooks")],
        "state": {
            key: (sorted(of.states), [tuple(row) for row in of.series], list(of.levels))
            for key, of in known.items()
        },
        "levels": await hub.engine.levels(),
        "runs": [await hub.engine.run(f"r{n}") for n in range(3)],
        "approvals": [await hub.store.approvals.approval(name) for name in ("apr_1", "apr_2")],
        "open runs": await hub.engine.open_runs(0),
        "traces": sorted(await hub.engine.traces(workflow="bonus", key=KEY, limit=10)),
        "workflows": [await hub.engine.active(), await hub.engine.version("v1")],
        "intents": [await hub.intents.get(key) for key in ("i1", "i2", "i3")],
        "due": await hub.intents.due(2**60, 100),
        "endpoints": await hub.endpoints.all(),
        "healths": await hub.healths.get("ep_1"),
        "fanned out": await hub.deliveries.fanned_out(),
        "waiting": await hub.deliveries.waiting("ep_1", after=(0, 0, 0), limit=100),
        "attempts": [
            await hub.deliveries.attempts("ep_1", row.partition, row.n) for row in await hub.log.scan(0, 200)
        ],
        "clients": await hub.store.clients.list(after="", limit=10),
        "profile": await hub.store.profiles.get(KEY),
        "suppressions": await hub.store.contacts.list(after="", limit=10),
        "devices": await hub.store.devices.of_client("c1"),
        "messages": [
            await hub.store.messages.get(message_id(a_contact(number, 0).intent)) for number in range(2)
        ],
        "a third message": await hub.store.contacts.admit(a_contact(3, hub.clock.now_us())),
        "keys": await hub.store.keys.all(),
        "tokens": await hub.store.tokens.of("", after="", limit=10),
        "replays": (await hub.store.replays.page(after="", limit=10)).items,
    }


class Stopwatch(Watching):
    """Counts what it hears; after so many batches it sends this process a signal."""

    def __init__(self, *, die_after: int = 0, by: signal.Signals = signal.SIGKILL) -> None:
        self.rows: dict[str, int] = {}
        self.begun: list[tuple[str, int]] = []
        self.batches = 0
        self._die_after = die_after
        self._by = by

    @override
    def begin(self, doing: str, rows: int) -> None:
        self.begun.append((doing, rows))

    @override
    def advance(self, table: str, rows: int) -> None:
        self.rows[table] = self.rows.get(table, 0) + rows
        self.batches += 1
        if self.batches == self._die_after:
            os.kill(os.getpid(), self._by)


async def carry(
    folder: Path,
    dsn: str,
    *,
    watching: Stopwatch | None = None,
    rows: int = 7,
    finish: bool = True,
    keep: bool = False,
) -> list[Compared]:
    """Move without Kafka, which has no part in what is carried over; return what the comparison said."""
    with open_source(folder) as source:
        async with open_target(dsn) as target:
            move = Move(source, target, watching or Stopwatch(), rows_a_batch=rows)
            assert await move.begin()
            await move.carry_over()
            if not finish:
                return []
            compared = list(await move.compare())
            if all(each.is_same for each in compared):
                await move.finish(keep=keep)
            return compared


async def tell(dsn: str, statement: str, *values: object) -> list[Any]:
    connection = await asyncpg.connect(dsn)
    try:
        return list(await connection.fetch(statement, *values))
    finally:
        await connection.close()


async def dump(dsn: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table, and what comes next in the sequences."""
    found = {
        table.name: sorted((tuple(row) for row in await tell(dsn, f"SELECT * FROM {table.name}")), key=repr)
        for table in TABLES
    }
    for sequence in ("input_rank", "attempt_rank_seq"):
        found[sequence] = [
            tuple(row) for row in await tell(dsn, f"SELECT last_value, is_called FROM {sequence}")
        ]
    return found


@asynccontextmanager
async def opened(dsn: str, clock: ManualClock) -> AsyncIterator[PostgresBackend]:
    """Open the moved hub as one process that owns everything."""
    hub = await PostgresBackend(dsn, clock).open()
    try:
        yield hub
    finally:
        await hub.close()
