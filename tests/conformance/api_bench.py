"""The whole HTTP interface over real sockets, with everything behind it in memory."""

import base64
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar, final

import aiohttp
from aiohttp.abc import AbstractResolver
from conformance.backends import StoreBackend
from conformance.feeds_bench import MemoryFeed, MemoryHistory, feeds_over
from conformance.replay_rows import ReplayRows
from pydantic import SecretStr
from typing_extensions import override

from hub.api.app import make_api
from hub.api.backtest_ports import Backtests
from hub.api.feeds import Feeds
from hub.api.ports import (
    AccountReader,
    AccountView,
    ActionReader,
    ApiDeps,
    Approvals,
    BadCursor,
    DeliveryReader,
    EventReader,
    MovedRun,
    Page,
    Readiness,
    Reason,
    RunMover,
    Why,
    WorkflowInfo,
    WorkflowReader,
)
from hub.api.server import Serving, serve
from hub.backtest_desk import BacktestDesk, Bounds
from hub.bus.log import Appended, Input, InputKind
from hub.clock import ManualClock
from hub.control.control import Control
from hub.control.keys import ApiKey, Keys, KeyStore, Scope
from hub.control.memory import MemorySwitches
from hub.deals import Deals
from hub.dispatch.bounces import Bounces
from hub.dispatch.memory import MemoryEndpoints
from hub.dispatch.memory_contacts import MemoryContacts
from hub.dispatch.memory_health import MemoryHealths
from hub.dispatch.memory_messages import MemoryDevices
from hub.dispatch.outbox import Attempt, Delivery
from hub.dispatch.patterns import matches
from hub.dispatch.public_links import PublicLinks, PublicSettings
from hub.dispatch.replay_desk import ReplayDesk
from hub.dispatch.return_path import ReturnPath
from hub.dispatch.sms_reports import SmsReports
from hub.engine.ballots import Ballot
from hub.engine.memory import MemoryEngineStore, MemoryLog
from hub.engine.problems import Problem
from hub.engine.programs import Programs
from hub.engine.rows import ANY_APPROVAL, ApprovalFilter, ApprovalRow, RunRow
from hub.errors import Place, StoreUnavailable
from hub.events.declared import Known, nothing_declared
from hub.events.facts import Fact
from hub.events.records import decode_envelope
from hub.ingest.directory import ClientStore, Directory, PutOutcome, StoredClient
from hub.ingest.profiles import Profiles, ProfileStore, StoredProfile
from hub.ingest.receive import Receiver
from hub.ingest.symbols import SymbolClasses
from hub.ingest.watcher import Watcher
from hub.intents.intent import Intent, State
from hub.parts import compile_stored
from hub.position_past import PositionPast
from hub.sending import Recipients, aftermath
from hub.start_desk import StartDesk
from hub.testing import MORNING

T = TypeVar("T")
BOUNDS = Bounds(data="nowhere", address=None, most_events=1, longest=timedelta(seconds=1))


def page(items: Sequence[T], after: str, limit: int) -> Page[T]:
    """Cut a page out of a list; the cursor is the place in it."""
    try:
        start = int(base64.urlsafe_b64decode(after)) if after else 0
    except ValueError:
        raise BadCursor(after) from None
    end = start + limit
    following = base64.urlsafe_b64encode(str(end).encode()).decode() if end < len(items) else None
    return Page(items[start:end], following)


@final
class MemoryKeys(KeyStore):
    def __init__(self) -> None:
        self.keys: dict[str, ApiKey] = {}
        self.broken = False

    @override
    async def all(self) -> list[ApiKey]:
        return list(self.keys.values())

    @override
    async def add(self, key: ApiKey) -> None:
        if self.broken:
            raise StoreUnavailable("disk full")
        self.keys[key.id] = key

    @override
    async def remove(self, key_id: str) -> bool:
        if self.broken:
            raise StoreUnavailable("disk full")
        return self.keys.pop(key_id, None) is not None

    @override
    async def used(self, moments: Mapping[str, int]) -> None:
        if self.broken:
            raise StoreUnavailable("disk full")
        for key_id, moment in moments.items():
            if key_id in self.keys:
                self.keys[key_id] = self.keys[key_id]._replace(last_used=moment)


@final
class MemoryClients(ClientStore):
    def __init__(self, log: MemoryLog) -> None:
        self.log = log
        self.clients: dict[str, StoredClient] = {}
        self.accounts: dict[str, str] = {}

    @override
    async def get(self, client_id: str) -> StoredClient | None:
        return self.clients.get(client_id)

    @override
    async def list(self, *, after: str, limit: int) -> Sequence[StoredClient]:
        return [self.clients[name] for name in sorted(self.clients) if name > after][:limit]

    @override
    async def put(self, client: StoredClient, accounts: Sequence[str], facts: Sequence[Fact]) -> PutOutcome:
        known = self.clients.get(client.id)
        if (known.version if known else 0) != client.version - 1:
            return PutOutcome("stale")
        for account in accounts:
            owner = self.accounts.get(account, client.id)
            if owner != client.id:
                return PutOutcome("taken", account, owner)
        self.accounts = {account: owner for account, owner in self.accounts.items() if owner != client.id}
        self.accounts |= dict.fromkeys(accounts, client.id)
        self.clients[client.id] = client
        await self.log.append(facts)
        return PutOutcome("stored")


@final
class MemoryProfiles(ProfileStore):
    def __init__(self, log: MemoryLog) -> None:
        self.log = log
        self.profiles: dict[str, StoredProfile] = {}

    @override
    async def get(self, account: str) -> StoredProfile | None:
        return self.profiles.get(account)

    @override
    async def put(self, profile: StoredProfile, facts: Sequence[Fact]) -> Literal["stored", "stale"]:
        known = self.profiles.get(profile.account)
        if (known.version if known else 0) != profile.version - 1:
            return "stale"
        self.profiles[profile.account] = profile
        await self.log.append(facts)
        return "stored"


class SwitchableLog:
    """The log in memory, with a switch for a store that cannot be written."""

    def __init__(self, real: MemoryLog) -> None:
        self.real = real
        self.broken = False
        self.listeners: list[Callable[[Sequence[Input]], None]] = []

    async def append(self, facts: Sequence[Fact], **more: Any) -> list[Appended]:
        if self.broken:
            raise StoreUnavailable("disk full")
        before = len(self.real)
        answers = await self.real.append(facts, **more)
        for listener in self.listeners:
            listener(self.real.ranked(before, len(self.real)))
        return answers

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


@dataclass
class Shelves(
    EventReader, DeliveryReader, ActionReader, WorkflowReader, AccountReader, Approvals, RunMover, Readiness
):
    """Everything the routes only read."""

    log: MemoryLog
    rows: list[Delivery] = field(default_factory=list)
    tried: list[Attempt] = field(default_factory=list)
    intents: list[Intent] = field(default_factory=list)
    kept_runs: list[RunRow] = field(default_factory=list)
    older_runs: list[MovedRun] = field(default_factory=list)
    orders: list[tuple[str, str, bool, str]] = field(default_factory=list)
    asked: dict[str, ApprovalRow] = field(default_factory=dict)
    ballots: list[Ballot] = field(default_factory=list)
    decided: Callable[[ApprovalRow, Ballot], ApprovalRow] = lambda row, _ballot: row
    views: dict[str, AccountView] = field(default_factory=dict)
    trouble: list[str] = field(default_factory=list)

    @override
    async def events(
        self,
        *,
        after: str,
        limit: int,
        types: Sequence[str] = (),
        account: str = "",
        newest_first: bool = False,
    ) -> Page[Input]:
        found = [
            row
            for row in self.log.ranked(0, 100_000)
            if row.kind == InputKind.EVENT
            and account in {"", row.key}
            and (not types or any(matches(pattern, decode_envelope(row.body).type) for pattern in types))
        ]
        return page(found[::-1] if newest_first else found, after, limit)

    @override
    async def deliveries(
        self,
        *,
        after: str,
        limit: int,
        endpoint: str = "",
        state: str = "",
        event_id: str = "",
        since: int = 0,
    ) -> Page[Delivery]:
        rows = [row for row in self.rows if row.created_at >= since]
        found = [row for row in rows if endpoint in {"", row.endpoint} and state in {"", row.state}]
        return page([row for row in found if event_id in {"", row.event_id}], after, limit)

    @override
    async def delivery(self, endpoint: str, partition: int, n: int) -> Delivery | None:
        wanted = (endpoint, partition, n)
        return next((row for row in self.rows if (row.endpoint, row.partition, row.n) == wanted), None)

    @override
    async def attempts(self, endpoint: str, partition: int, n: int) -> list[Attempt]:
        wanted = (endpoint, partition, n)
        return [row for row in self.tried if (row.endpoint, row.partition, row.n) == wanted]

    @override
    async def actions(
        self, *, after: str, limit: int, state: State | None = None, account: str = "", workflow: str = ""
    ) -> Page[Intent]:
        found = [
            item for item in self.intents if state in {None, item.state} and account in {"", item.account}
        ]
        return page([item for item in found if workflow in {"", item.workflow}], after, limit)

    @override
    async def get(self, key: str) -> Intent | None:
        return next((item for item in self.intents if item.key == key), None)

    @override
    async def workflows(self) -> Sequence[WorkflowInfo]:
        return [
            WorkflowInfo("bonus", "A bonus", "live", "abc", "workflows/bonus.yaml", "account", ("monthly",))
        ]

    @override
    def file_problems(self) -> Sequence[Problem]:
        return [Problem(Place("workflows/typo.yaml", 3, 5), "unknown key `wehn`: did you mean `when`?")]

    @override
    async def why(self, workflow: str, key: str, *, event: str = "", at: int | None = None) -> Why | None:
        if workflow != "bonus":
            return None
        return Why(
            workflow,
            key,
            [Reason("fired", "lots > 20", 1_782_205_200_000_000, "evt_x")],
            [Reason("no", "3 of 20")],
        )

    @override
    async def run(self, run_id: str) -> RunRow | None:
        return next((run for run in self.kept_runs if run.id == run_id), None)

    @override
    async def runs(
        self, *, after: str, limit: int, workflow: str = "", key: str = "", state: str = ""
    ) -> Page[RunRow]:
        found = [run for run in self.kept_runs if workflow in {"", run.workflow} and key in {"", run.key}]
        return page([run for run in found if state in {"", run.state}], after, limit)

    @override
    async def migrate(
        self, workflow: str, *, run: str = "", after: str = "", dry_run: bool, by: str
    ) -> Page[MovedRun]:
        found = page([each for each in self.older_runs if run in {"", each.run}], after, 2)
        self.orders.append((workflow, run, dry_run, by))
        return found

    @override
    async def approvals(
        self, *, after: str, limit: int, wanted: ApprovalFilter = ANY_APPROVAL
    ) -> Page[ApprovalRow]:
        found = [
            row
            for row in self.asked.values()
            if all(value in {"", getattr(row, column)} for column, value in wanted._asdict().items())
        ]
        return page([row._replace(shown=b"") for row in found], after, limit)

    @override
    async def approval(self, name: str) -> ApprovalRow | None:
        return self.asked.get(name)

    @override
    async def decide(self, asked: ApprovalRow, ballot: Ballot) -> ApprovalRow:
        """Keep the ballot; what comes of it is `decided`'s to say, in the place of the engine."""
        self.ballots.append(ballot)
        self.asked[asked.id] = self.decided(self.asked[asked.id], ballot)
        return self.asked[asked.id]

    @override
    async def account(self, key: str) -> AccountView | None:
        return self.views.get(key)

    @override
    async def problems(self) -> Sequence[str]:
        return self.trouble


@dataclass
class ApiBench:
    clock: ManualClock
    log: SwitchableLog
    shelves: Shelves
    store: MemoryKeys
    keys: Keys
    endpoints: MemoryEndpoints
    healths: MemoryHealths
    watcher: Watcher
    serving: Serving
    session: aiohttp.ClientSession
    secrets: dict[Scope, str]
    busy: list[float]
    refreshed: list[int]
    programs: Programs
    rows_kept: MemoryEngineStore
    contacts: MemoryContacts
    devices: MemoryDevices
    links: PublicLinks
    feeds: Feeds
    feed: MemoryFeed
    replays: ReplayRows

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.serving.port}"

    def headers(self, scope: Scope | None = Scope.ADMIN, **more: str) -> dict[str, str]:
        return {**({"Authorization": f"Bearer {self.secrets[scope]}"} if scope else {}), **more}

    async def ask(
        self,
        method: str,
        path: str,
        *,
        scope: Scope | None = Scope.ADMIN,
        headers: Mapping[str, str] | None = None,
        **body: Any,
    ) -> tuple[int, Any, Mapping[str, str]]:
        """Return status, body (decoded where it is JSON) and headers."""
        head = {**self.headers(scope), **(headers or {})}
        async with self.session.request(method, self.url + path, headers=head, **body) as response:
            read = await response.json() if "json" in response.content_type else await response.text()
            return response.status, read, response.headers

    def rows(self) -> list[Input]:
        return self.log.real.ranked(0, 100_000)


@asynccontextmanager
async def an_api(
    docs: Path | None = None,
    names: AbstractResolver | None = None,
    backtests: Backtests | None = None,
    *,
    over: StoreBackend | None = None,
    limits: Mapping[str, Any] | None = None,
    more: Mapping[str, Any] | None = None,
    declared: Known = nothing_declared,
    **settings: Any,
) -> AsyncIterator[ApiBench]:
    """Start the interface on a free port, with one key for every scope, named after it; `more` is for its `ApiDeps`.

    `over`: streams are of this store's log, and its tokens; everything else is in memory all the same.
    """
    clock = over.clock if over is not None else ManualClock(MORNING)
    real = MemoryLog(clock)
    log: Any = SwitchableLog(real)
    shelves = Shelves(real)
    store = MemoryKeys()
    keys = Keys(store, clock)
    secrets = {scope: (await keys.create(scope.value.replace(":", "-"), [scope]))[0] for scope in Scope}
    endpoints = MemoryEndpoints()
    replay_rows = ReplayRows(endpoints)
    directory = Directory(MemoryClients(log), clock)
    feed, history = MemoryFeed(real), MemoryHistory(real)
    rows = MemoryEngineStore(real)
    programs = Programs(rows, compile_stored)

    async def heads() -> Sequence[int]:
        return real.heads()

    past = PositionPast(rows, programs, history, heads, clock)
    if over is not None:
        feeds = feeds_over(
            over.store.feed,
            clock,
            keys,
            directory,
            past,
            tokens=over.store.tokens,
            tickets=over.store.tickets,
            **(limits or {}),
        )
    else:
        feeds = feeds_over(feed, clock, keys, directory, past, **(limits or {}))
    log.listeners.append(feeds.tail.offer)
    symbols = SymbolClasses({"EUR*": "fx"})
    watcher = Watcher(log, clock, seen=feeds.board.hear, class_of=symbols.of)
    healths = MemoryHealths(endpoints)
    busy = [0.0]
    refreshed: list[int] = []

    async def refresh() -> None:
        refreshed.append(1)

    async def folded(key: str) -> Mapping[str, Any] | None:
        return json.loads(shelves.views[key].account) if key in shelves.views else None

    control = Control(MemorySwitches(), clock, real)
    contacts, devices = MemoryContacts(), MemoryDevices()
    recipients = Recipients(contacts, contacts, contacts.messages, devices, MemorySwitches())
    links = PublicLinks(PublicSettings(url="https://hub.example", link_secret=SecretStr("s" * 40)))
    after = aftermath(recipients, real, clock)
    app = make_api(
        ApiDeps(
            clock=clock,
            log=log,
            keys=keys,
            receiver=Receiver(log, clock, symbols=symbols, declared=declared),
            declared=declared,
            watcher=watcher,
            directory=directory,
            suppressions=contacts,
            messages=contacts.messages,
            devices=devices,
            links=links,
            aftermath=after,
            bounces=Bounces(
                "hub@broker.example",
                ReturnPath("bounces@broker.example", [SecretStr("s" * 40)]),
                contacts.messages,
                after,
                clock,
            ),
            sms_reports=SmsReports(SecretStr("12345"), links, contacts.messages, after, clock),
            profiles=Profiles(MemoryProfiles(real), clock, folded),
            endpoints=endpoints,
            healths=healths,
            disable_after=timedelta(days=5),
            events=shelves,
            deliveries=shelves,
            actions=shelves,
            workflows=shelves,
            accounts=shelves,
            accounts_at_hand=shelves.views.get,
            deals=Deals(history, real, clock),
            approvals=shelves,
            starts=StartDesk(programs, rows, real),
            control=control,
            backtests=backtests or BacktestDesk(BOUNDS, clock),
            runs=shelves,
            replays=ReplayDesk(
                replay_rows,
                shelves,
                real.find,
                endpoints,
                clock,
                attempts_kept=timedelta(days=30),
            ),
            readiness=shelves,
            feeds=feeds,
            metrics=lambda: b"hub_up 1\n",
            docs=docs,
            pressure=lambda: busy[0],
            endpoints_changed=refresh,
            **(more or {}),
            names=names,
        )
    )
    async with (
        serve(app, **settings) as serving,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session,
    ):
        yield ApiBench(
            clock,
            log,
            shelves,
            store,
            keys,
            endpoints,
            healths,
            watcher,
            serving,
            session,
            secrets,
            busy,
            refreshed,
            programs,
            rows,
            contacts,
            devices,
            links,
            feeds,
            feed,
            replay_rows,
        )
