"""What the routes need from the rest of the hub, as small as the need; `app` passes the implementations in."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple, Protocol

from aiohttp.abc import AbstractResolver
from typing_extensions import override

from hub.api.backtest_ports import Backtests
from hub.api.feeds import Feeds
from hub.bus.log import Input, Teller
from hub.bus.pages import BadCursor, Page
from hub.clock import Clock
from hub.control.control import Control
from hub.control.keys import Keys
from hub.dispatch.addresses import Networks
from hub.dispatch.bounces import Bounces
from hub.dispatch.challenge import Challenger
from hub.dispatch.contacts import Suppressions
from hub.dispatch.devices import Devices
from hub.dispatch.effects.aftermath import Aftermath
from hub.dispatch.health import Healths
from hub.dispatch.messages import Messages
from hub.dispatch.outbox import Attempt, Delivery, Endpoints
from hub.dispatch.public_links import PublicLinks
from hub.dispatch.replay_desk import ReplayDesk
from hub.dispatch.sms_reports import SmsReports
from hub.engine.ballots import Ballot
from hub.engine.problems import Problem
from hub.engine.rows import ANY_APPROVAL, ApprovalFilter, ApprovalRow, RunRow
from hub.errors import HubError
from hub.events.declared import Known, nothing_declared
from hub.ingest.directory import Directory
from hub.ingest.profiles import Profiles
from hub.ingest.reading import Reading
from hub.ingest.receive import Receiver
from hub.ingest.samples import Quote, Sample, Sink
from hub.ingest.watcher import SampleReceipt
from hub.intents.intent import Intent, State

__all__ = ["LOCAL_HOSTS", "BadCursor", "Page"]


class EventReader(Protocol):
    async def events(
        self,
        *,
        after: str,
        limit: int,
        types: Sequence[str] = (),
        account: str = "",
        newest_first: bool = False,
    ) -> Page[Input]:
        """Return events behind a cursor ("" is the beginning), in the order the hub learned them.

        `types` are patterns (trade.closed, trade.*), `account` is "server:login"; empty means all. Raises BadCursor.
        """


class DeliveryReader(Protocol):
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
        """Return deliveries that began at `since` or later, the newest first. Raises BadCursor."""

    async def delivery(self, endpoint: str, partition: int, n: int) -> Delivery | None: ...

    async def attempts(self, endpoint: str, partition: int, n: int) -> list[Attempt]:
        """Return what was tried, in order."""


class DealPage(NamedTuple):
    """The newest first. `next` None: no more were found. `complete`: nor are there any."""

    rows: Sequence[Input]
    next: str | None
    complete: bool


class TooManyLooks(HubError):
    def __init__(self) -> None:
        super().__init__("many look for deals just now: ask again")


class DealReader(Protocol):
    async def deals(self, account: str, patterns: Sequence[str], *, after: str, limit: int) -> DealPage:
        """Return an account's events of these types behind a cursor. Raises BadCursor, TooManyLooks."""


class Watching(Sink, Protocol):
    """Where samples and quotes go, and what was last seen of an account by this process."""

    @override
    async def samples(self, batch: Sequence[Sample]) -> SampleReceipt: ...

    @override
    async def quotes(self, batch: Sequence[Quote]) -> SampleReceipt: ...

    def last_seen(self, key: str) -> Reading | None:
        """Return the last believable sample of an account ("server:login"), None where another process sees them."""


class ActionReader(Protocol):
    async def actions(
        self, *, after: str, limit: int, state: State | None = None, account: str = "", workflow: str = ""
    ) -> Page[Intent]:
        """Return intents, the newest first. Raises BadCursor."""

    async def get(self, key: str) -> Intent | None: ...


class WorkflowInfo(NamedTuple):
    """`version` is the hash of the text; `mode` off, shadow or live; `file` where it was read."""

    id: str
    title: str
    mode: str
    version: str
    file: str
    key: str
    triggers: tuple[str, ...]


class Reason(NamedTuple):
    """One decision, or one condition as it stands: `at` in µs and `event` where a stored decision is meant.

    `remains` says how far it is; `share` from 0 to 1, so that of several the nearest can be told.
    """

    outcome: str
    text: str
    at: int | None = None
    event: str = ""
    remains: tuple[str, ...] = ()
    share: float | None = None


class Why(NamedTuple):
    """`decided`: stored decisions, the newest first; `now`: each trigger on the present state.

    Of an event or a time nothing was decided for, `then` tells how each trigger stood there; `note` says from what, and what an aggregate may lack.
    """

    workflow: str
    key: str
    decided: Sequence[Reason]
    now: Sequence[Reason]
    then: Sequence[Reason] = ()
    note: str = ""


class WorkflowReader(Protocol):
    async def workflows(self) -> Sequence[WorkflowInfo]:
        """Return those that are live, in order of id."""

    def file_problems(self) -> Sequence[Problem]:
        """Return what is wrong with the files; of one with errors, the version stays live that was."""

    async def why(self, workflow: str, key: str, *, event: str = "", at: int | None = None) -> Why | None:
        """Return why it fired or did not, with an event or at a time (µs); None when there is no such workflow."""

    async def run(self, run_id: str) -> RunRow | None: ...

    async def runs(
        self, *, after: str, limit: int, workflow: str = "", key: str = "", state: str = ""
    ) -> Page[RunRow]:
        """Return runs, the newest first. Raises BadCursor."""


class StartAsked(NamedTuple):
    """`run` is the id it begins under; `duplicate`: it was asked for before, under the same name."""

    run: str
    duplicate: bool


class Starts(Protocol):
    async def start(
        self,
        workflow: str,
        key: str,
        *,
        trigger: str | None,
        inputs: Mapping[str, str],
        name: str,
        by: str,
        permits: Callable[[str], bool],
    ) -> StartAsked | None:
        """Ask for a run, once for every `name`; None when there is no such workflow.

        `permits` says whether who asks has a permission. Raises StartRefused, and StoreUnavailable when it may not be
        stored.
        """


class MovedRun(NamedTuple):
    """What has become of an open run of an older version, or would: `left_out` are new steps before its place.

    `state` is moved, would move, stays (`reason` says why), or ordered where it is not decided yet.
    """

    run: str
    key: str
    version: str
    live: str
    state: str
    reason: str = ""
    left_out: tuple[str, ...] = ()


class RunMover(Protocol):
    async def migrate(
        self, workflow: str, *, run: str = "", after: str = "", dry_run: bool, by: str
    ) -> Page[MovedRun]:
        """Have a workflow's open runs, or one of them, go over to its live version, a page at a time.

        Raises BadCursor, and StoreUnavailable when that may not be stored.
        """


class AccountView(NamedTuple):
    """`account` and `client` are JSON objects, as the engine folded them; `sequence` counts the account's events."""

    account: bytes
    client: bytes | None
    sequence: int


class AccountReader(Protocol):
    async def account(self, key: str) -> AccountView | None:
        """Return what is known of an account ("server:login")."""


class ApprovalReader(Protocol):
    async def approvals(
        self, *, after: str, limit: int, wanted: ApprovalFilter = ANY_APPROVAL
    ) -> Page[ApprovalRow]:
        """Return what people are or were asked, the newest first, without what they are shown. Raises BadCursor."""

    async def approval(self, name: str) -> ApprovalRow | None: ...


class Approvals(ApprovalReader, Protocol):
    async def decide(self, asked: ApprovalRow, ballot: Ballot) -> ApprovalRow:
        """Store a ballot; return the question once the ballot was looked at, or after a while as it stands then.

        Raises StoreUnavailable when the ballot may not be stored.
        """


class Readiness(Protocol):
    async def problems(self) -> Sequence[str]:
        """Return why the hub cannot do its work now: store not writable, leases not held; empty when it can."""


LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


def _no_pressure() -> float:
    return 0.0


async def _nobody_to_tell() -> None:
    return


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiDeps:
    """Everything the API reaches. `hosts` are names this hub may be called by; None lets any through (behind a proxy).

    `pressure` says for how many seconds posting should pause, 0 for not at all. `endpoints_changed` is awaited after
    every change of endpoints; `topics` are those of Kafka that endpoints may name. `names` says where an endpoint's
    host leads; None does not ask. `metrics` returns Prometheus text.
    `declared` returns the custom events that are declared now.
    `accounts_at_hand` returns what is known of an account where that takes no reading.
    `written_together` is how many events of several senders may share one call of the log: one, where a part of the log
    can be away while the rest goes on.
    """

    clock: Clock
    log: Teller
    keys: Keys
    receiver: Receiver
    watcher: Watching
    directory: Directory
    profiles: Profiles
    suppressions: Suppressions
    messages: Messages
    devices: Devices
    endpoints: Endpoints
    healths: Healths
    disable_after: timedelta
    events: EventReader
    deliveries: DeliveryReader
    actions: ActionReader
    workflows: WorkflowReader
    accounts: AccountReader
    accounts_at_hand: Callable[[str], AccountView | None] | None = None
    deals: DealReader
    approvals: Approvals
    starts: Starts
    control: Control
    runs: RunMover
    backtests: Backtests
    replays: ReplayDesk
    readiness: Readiness
    feeds: Feeds
    metrics: Callable[[], bytes]
    docs: Path | None = None
    pressure: Callable[[], float] = _no_pressure
    endpoints_changed: Callable[[], Awaitable[None]] = _nobody_to_tell
    allow_loopback_endpoints: bool = False
    challenger: Challenger | None = None
    topics: tuple[str, ...] = ()
    links: PublicLinks | None = None
    aftermath: Aftermath | None = None
    sms_reports: SmsReports | None = None
    bounces: Bounces | None = None
    networks: Networks = ()
    names: AbstractResolver | None = None
    hosts: frozenset[str] | None = LOCAL_HOSTS
    declared: Known = nothing_declared
    written_together: int = 200
