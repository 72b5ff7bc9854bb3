"""Holds, waits and approvals by the thousand: the rules that begin them, what is posted, and a pure check of what became of them."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from processes.client import HubClient

SERVER, FIRST_LOGIN = "live-1", 10_000
HELD, WAITED, ASKED = KINDS = ("held", "waited", "asked")  # workflows, and the ends of their events' types
DECLINED = "action.declined"
LISTENED = ",".join((*(f"custom.{kind}" for kind in KINDS), DECLINED))
_BEGINS = {
    ("trade.closed", True): HELD,
    ("trade.closed", False): WAITED,
    ("withdrawal.requested", False): ASKED,
}
_BIG, _SMALL = "10.00", "0.01"  # lots: what begins a hold, and what begins a wait

_HEAD = """\
schema: 1
id: {kind}
title: Tell of what {kind} {span} seconds
owner: tests
mode: live
key: account
"""
_TELL = "  - {{do: event.publish, with: {{type: custom.{kind}, data: {{n: = account.login}}}}}}\n"
RULES = {
    HELD: """\
aggregates: {{lots: {{from: trade.closed, sum: event.lots, window: {{sliding: 7d}}}}}}
when: [{{becomes: lots > 5, for: {span}s, on_first: true}}]
steps:
""",
    WAITED: """\
when: [{{event: trade.closed, where: event.lots < 1}}]
steps:
  - {{id: pause, wait: {{for: {span}s}}}}
""",
    ASKED: """\
when: [{{event: withdrawal.requested}}]
steps:
  - {{id: sign_off, approve: {{permission: money.approve, within: {span}s}}}}
""",
}
Name = tuple[str, int]  # of what is pending: its workflow and its account's login


def write_rules(folder: Path, spans: Mapping[str, int]) -> Path:
    """Write the workflows, with how many seconds each takes."""
    folder.mkdir()
    for kind, rule in RULES.items():
        text = (_HEAD + rule + _TELL).format(kind=kind, span=spans[kind])
        (folder / f"{kind}.yaml").write_text(text, encoding="utf-8")
    return folder


def beginnings(count: int, seed: int) -> list[dict[str, Any]]:
    """Return the events that begin `count` of them in all, a third of each kind, one of a kind for an account, in any order."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    names = [(KINDS[index % len(KINDS)], FIRST_LOGIN + index // len(KINDS)) for index in range(count)]
    random.Random(seed).shuffle(names)
    return [_beginning(kind, login, now) for kind, login in names]


def _beginning(kind: str, login: int, now: str) -> dict[str, Any]:
    data: dict[str, Any]
    if kind == ASKED:
        name = "withdrawal.requested"
        data = {"request": f"w{login}", "amount": "50", "requested_by": "carl"}
    else:
        name, deal = "trade.closed", login if kind == HELD else login + 10_000_000
        lots = _BIG if kind == HELD else _SMALL
        data = {"deal": deal, "symbol": "EURUSD", "side": "buy", "lots": lots, "profit": "1.00"}
    return {
        "type": name,
        "timestamp": now,
        "account": {"server": SERVER, "login": login},
        "data": data,
        "dedupe_key": f"{kind}/{login}",
    }


@dataclass(frozen=True, slots=True)
class Fired:
    """One event that tells of an end, and when the hub woke for it."""

    name: Name
    at: datetime


@dataclass(frozen=True, slots=True)
class Records:
    """`due`: what was begun. `declined`: the approvals told of as undecided. `approvals` and `runs`: states, as the API lists them.

    `late` are those overdue when the hub came back, with what it says of why they fired; `prompt`, others.
    """

    due: Mapping[Name, datetime]
    fired: Sequence[Fired]
    declined: Sequence[int] = ()
    approvals: Sequence[tuple[int, str]] = ()
    runs: Sequence[tuple[Name, str]] = ()
    late: Mapping[Name, str] = field(default_factory=dict)
    prompt: Mapping[Name, str] = field(default_factory=dict)


def breaches(records: Records) -> list[str]:
    """Return one sentence for each promise that was broken; empty when all were kept."""
    return [
        *_once(records.due, [fired.name for fired in records.fired], "fired"),
        *_none_early(records),
        *_once(records.due, [name for name, _ in records.runs], "has a run"),
        *(f"the run of {name} is {state}" for name, state in records.runs if state != "done"),
        *_approvals(records),
        *(
            f"{name} was late, and its reason does not say so: {why}"
            for name, why in records.late.items()
            if "late_by" not in why
        ),
        *(
            f"{name} was not late, and its reason says so: {why}"
            for name, why in records.prompt.items()
            if "late_by" in why
        ),
    ]


def _once(due: Mapping[Name, datetime], found: Sequence[Name], what: str) -> Iterator[str]:
    times = Counter(found)
    for name in sorted(due.keys() | times.keys()):
        expected = int(name in due)
        if times[name] != expected:
            yield f"{name} {what} {times[name]} times, not {expected}"


def _none_early(records: Records) -> Iterator[str]:
    for fired in records.fired:
        due = records.due.get(fired.name)
        if due is not None and fired.at < due:
            yield f"{fired.name} fired at {fired.at}, before {due}"


def _approvals(records: Records) -> Iterator[str]:
    due = {name: at for name, at in records.due.items() if name[0] == ASKED}
    yield from _once(due, [(ASKED, login) for login in records.declined], "was told of as undecided")
    yield from _once(due, [(ASKED, login) for login, _ in records.approvals], "is listed as an approval")
    for login, state in records.approvals:
        if state != "expired":
            yield f"the approval of {login} is {state}"


class Listener:
    """Reads the hub's log on from where it was, over restarts."""

    def __init__(self, client: HubClient) -> None:
        self._client = client
        self._after = ""
        self._seen: set[str] = set()
        self.fired: list[Fired] = []
        self.declined: list[int] = []
        self.names: set[Name] = set()

    async def listen(self) -> None:
        """Take in what is new."""
        while True:
            after = {"after": self._after} if self._after else {}
            page = await self._client.get("/v1/events", type=LISTENED, limit="500", **after)
            for event in page["items"]:
                if event["id"] not in self._seen:  # a page that was not full is read again
                    self._seen.add(event["id"])
                    self._take(event)
            if page["next"] is None:
                return
            self._after = page["next"]

    def _take(self, event: Mapping[str, Any]) -> None:
        if event["type"] == DECLINED:
            self.declined.append(event["account"]["login"])
            return
        name = event["type"].removeprefix("custom."), int(event["data"]["n"])
        self.fired.append(Fired(name, datetime.fromisoformat(event["received_at"])))
        self.names.add(name)


async def due_times(client: HubClient, spans: Mapping[str, int]) -> dict[Name, datetime]:
    """Return what was begun by the hub's own log, and when it is over."""
    found: dict[Name, datetime] = {}
    async for event in client.pages("/v1/events", type="trade.closed,withdrawal.requested"):
        kind = _BEGINS[event["type"], event["data"].get("lots") in {"10", _BIG}]
        name = kind, event["account"]["login"]
        assert name not in found, f"{name} was begun twice"
        found[name] = datetime.fromisoformat(event["received_at"]) + timedelta(seconds=spans[kind])
    return found


async def reasons(client: HubClient, names: Sequence[Name]) -> dict[Name, str]:
    """Return why each fired, in the hub's words."""
    found: dict[Name, str] = {}
    for kind, login in names:
        answer = await client.get(f"/v1/workflows/{kind}/why", key=f"{SERVER}:{login}")
        found[kind, login] = " | ".join(each["text"] for each in answer["decided"])
    return found


async def reckoned(
    client: HubClient,
    due: Mapping[Name, datetime],
    heard: Listener,
    *,
    late: Sequence[Name] = (),
    prompt: Sequence[Name] = (),
) -> Records:
    """Read everything there is to know."""
    runs = [
        ((kind, int(run["key"].rpartition(":")[2])), run["state"])
        for kind in KINDS
        async for run in client.pages(f"/v1/workflows/{kind}/runs")
    ]
    approvals = [
        (int(row["key"].rpartition(":")[2]), row["state"])
        async for row in client.pages("/v1/approvals", state="any")
    ]
    return Records(
        due,
        heard.fired,
        heard.declined,
        approvals,
        runs,
        await reasons(client, late),
        await reasons(client, prompt),
    )
