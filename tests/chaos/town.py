"""The scenery of the kill scenarios: the hub's configuration, the events sources post, and what each side remembers."""

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import Any

import aiohttp
from chaos.accounting import MONEY, Asked, Effect, Logged, Records
from processes.client import HubClient
from processes.harness import SimProcess
from processes.receiver import VerifyingReceiver

from hub.sim.ledger import TOKEN_LENGTH

MT4, MT5 = "sim-mt4", "sim-mt5"
FIRST_DEAL = 9_000_000_000  # far from every ticket of the simulator
_CONNECT_WITHIN = 10.0
BIG = 50  # lots, as in workflows/; nobody in the simulator trades that much
GROUP_MOVE_AFTER = 4  # big closes
FINAL = {"applied", "rejected", "parked", "delivered", "exhausted", "shadow"}
Told = Mapping[tuple[str, str], int]
COUNTED = {"trade.opened": "opens", "trade.closed": "closes", "credit.granted": "credits_granted"}


def configuration(sim: SimProcess) -> dict[str, Any]:
    """Return hub.yaml: both gateways, the manager backend on the first, and short waits throughout."""
    gateway = {
        "server": MT4,
        "url": sim.mt_remote_url,
        "login": sim.manager_login,
        "password": sim.manager_password,
        "zone": sim.zone,
    }
    accounts = [{"login": account.login, "password": account.password} for account in sim.on("mt5")]
    pace = {
        "retry_first": "100ms",
        "retry_longest": "500ms",
        "reconcile_history": "2s",
        "confirm_after": "500ms",
    }
    return {
        "sources": [
            {
                "kind": "mt_remote",
                "name": MT4,
                "reconcile_open": "2s",
                "reconnect_delay": "100ms",
                **gateway,
                **pace,
            },
            {
                "kind": "mt5rest",
                "name": MT5,
                "server": MT5,
                "url": sim.mt5rest_url,
                "zone": sim.zone,
                "accounts": accounts,
                "reconcile_open": "2s",
                **pace,
            },
        ],
        "managers": [{**gateway, "simulated": True}],
        "actions": {"money_quiesce": "1s", "state_quiesce": "1s", "between_looks": "300ms"},
        "delivering": {"timeout": "2s", "concurrency": 16, "schedule": [0, *[0.3] * 4, *[1.0] * 14]},
    }


def closes(count: int, logins: Sequence[int], seed: int, *, first: int = 0) -> list[dict[str, Any]]:
    """Return closed trades to post, numbered from `first`; every tenth is big, and the big ones go round the logins in turn."""
    dice = random.Random(seed)
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    events = []
    for index in range(first, first + count):
        big = index % 10 == 0
        login = logins[index // 10 % len(logins)] if big else dice.choice(logins)
        lots = str(BIG) if big else f"{dice.randint(1, 400) / 100:.2f}"
        events.append(
            {
                "type": "trade.closed",
                "timestamp": now,
                "account": {"server": MT4, "login": login},
                "data": {
                    "deal": FIRST_DEAL + index,
                    "position": FIRST_DEAL + index,
                    "symbol": "EURUSD",
                    "side": dice.choice(["buy", "sell"]),
                    "lots": lots,
                    "profit": f"{dice.randint(-90_000, 90_000) / 100:.2f}",
                },
            }
        )
    return events


def parcels(events: Sequence[dict[str, Any]], seed: int) -> Iterator[list[dict[str, Any]]]:
    """Cut the events into what is posted together: half of the posts are single, the others hold up to forty."""
    dice = random.Random(seed)
    start = 0
    while start < len(events):
        size = 1 if dice.random() < 0.5 else dice.randint(2, 40)
        yield list(events[start : start + size])
        start += size


def expected_effects(events: Sequence[dict[str, Any]]) -> dict[str, int]:
    big = Counter(event["account"]["login"] for event in events if event["data"]["lots"] == str(BIG))
    return {
        "credit.grant": sum(big.values()),
        "event.publish": sum(big.values()),
        "account.set_group": sum(count >= GROUP_MOVE_AFTER for count in big.values()),
    }


class Source:
    """Posts parcels from several tasks, evenly over the time given, and keeps each until it is acknowledged.

    What could not be posted when it was due is posted as soon as it can.
    """

    def __init__(self, parcels: Iterator[list[dict[str, Any]]], *, seconds: float, posters: int) -> None:
        self._parcels = deque(parcels)
        self._pause = seconds * posters / len(self._parcels)
        self.acknowledged: set[str] = set()

    async def post(self, client: HubClient) -> None:
        due = time.monotonic()
        while self._parcels:
            parcel = self._parcels.popleft()
            self.acknowledged.update(await client.post_until_acknowledged(parcel))
            due += self._pause
            await asyncio.sleep(max(due - time.monotonic(), 0.0))


class Control:
    """The simulator's control surface."""

    def __init__(self, sim: SimProcess, session: aiohttp.ClientSession) -> None:
        self._url = sim.control_url
        self._session = session

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        async with self._session.post(self._url + path, json=body) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def get(self, path: str) -> Any:
        async with self._session.get(self._url + path) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()


async def connected(
    client: HubClient, control: Control, sim: SimProcess, *, mt_remote_sessions: int = 1
) -> None:
    """Return once both connectors know the books as they are: from here on they tell what happens."""
    wanted = {"mt_remote": mt_remote_sessions, "mt5rest": len(sim.on("mt5"))}
    deadline = time.monotonic() + _CONNECT_WITHIN
    before = -1
    while True:
        sessions = (await control.get("/sim/state"))["sessions"]
        events = len(await logged(client))
        if all(sessions[name] >= count for name, count in wanted.items()) and events == before:
            return
        assert time.monotonic() < deadline, (
            f"the connectors did not come to rest: {sessions}, {events} events"
        )
        before = events
        await asyncio.sleep(0.3)


async def drained(
    client: HubClient,
    receiver: VerifyingReceiver,
    acknowledged: AbstractSet[str] = frozenset(),
    *,
    within: float,
    told: Callable[[], Awaitable[Told]] | None = None,
) -> None:
    """Return when all that was acknowledged and all that the broker did is in the log, which has stopped growing, all of
    it was delivered and every action has ended, or out of time.
    """
    deadline = time.monotonic() + within
    before = -1
    while time.monotonic() < deadline:
        began = time.monotonic()
        events, actions = await logged(client), await asked(client)
        still = len(events) == before and acknowledged <= {event.id for event in events}
        delivered = all(event.id in receiver.accepted for event in events)
        if told is not None:
            known = Counter(
                (event.account.rpartition(":")[0], event.type)
                for event in events
                if event.id not in acknowledged
            )
            still = still and all(known[what] >= count for what, count in (await told()).items())
        if still and delivered and all(action.state in FINAL for action in actions):
            return
        before = len(events)
        await asyncio.sleep(0.3 + time.monotonic() - began)  # a long log is not read without a pause


async def logged(client: HubClient) -> list[Logged]:
    found = []
    async for event in client.pages("/v1/events"):
        account = event.get("account")
        key = f"{account['server']}:{account['login']}" if account else ""
        found.append(Logged(event["id"], event["type"], key, event["sequence"]))
    return found


async def asked(client: HubClient) -> list[Asked]:
    return [
        Asked(
            action["key"],
            action["verb"],
            action["account"] or "",
            action["state"],
            action["caused_by"],
            action["reason"] or "",
        )
        async for action in client.pages("/v1/actions")
    ]


async def ledger(control: Control) -> list[Effect]:
    page = await control.get("/sim/ledger")
    return [
        Effect(
            row["kind"], row["login"], row["comment"][:TOKEN_LENGTH] if row["kind"] in MONEY.values() else ""
        )
        for row in page["effects"]
    ]


def told_by_broker(before: Mapping[str, int], after: Mapping[str, int]) -> dict[tuple[str, str], int]:
    """Return how often each server did what an event type tells of, between two of the simulator's own counts."""
    return {
        (server, kind): after.get(f"{platform}.{name}", 0) - before.get(f"{platform}.{name}", 0)
        for server, platform in ((MT4, "mt4"), (MT5, "mt5"))
        for kind, name in COUNTED.items()
    }


async def told_of_before(client: HubClient, start: datetime) -> Counter[tuple[str, str]]:
    """Count the openings of positions that stood when the hub first looked.

    One that closes is told to have opened as well, if a connector begins anew before the log knows of the closing.
    """
    begin = start.replace(microsecond=0)  # a platform knows seconds
    return Counter(
        [
            (event["account"]["server"], event["type"])
            async for event in client.pages("/v1/events")
            if event["type"] == "trade.opened" and datetime.fromisoformat(event["timestamp"]) < begin
        ]
    )


async def records(
    client: HubClient,
    control: Control,
    receiver: VerifyingReceiver,
    *,
    acknowledged: frozenset[str],
    expected: dict[str, int],
    told: Mapping[tuple[str, str], int],
) -> Records:
    return Records(
        acknowledged=acknowledged,
        logged=await logged(client),
        verified=receiver.verified,
        asked=await asked(client),
        ledger=await ledger(control),
        expected=expected,
        told_by_broker=told,
        numbered=[int(e["data"]["n"]) async for e in client.pages("/v1/events", type="custom.big_close")],
        receiver_complaints=receiver.complaints,
    )
