"""The books at the end: what the broker says happened against what the hub knows, sent, and had done."""

from collections import Counter
from typing import Any

import msgspec

from hub.commands.demo.crm import Crm
from hub.commands.demo.mailbox import Mailbox
from hub.commands.demo.tally import Tally, percentile
from hub.commands.demo.view import latencies_ms
from hub.dispatch.metrics import Counters
from hub.intents.intent import FINAL, Intent, State
from hub.intents.verbs import VERBS
from hub.sim.serve import Simulator

# What the simulator counts, and the event that tells of it.
_FACTS = {
    "opens": "trade.opened",
    "closes": "trade.closed",
    "deposits": "balance.deposited",
    "withdrawals": "balance.withdrawn",
}


class Reckoning(msgspec.Struct):
    """Counts as `hub demo --json` prints them; `wrong` is empty when nothing was lost, doubled or wrongly signed."""

    events: dict[str, int]
    runs: dict[str, int]
    deliveries: dict[str, int]
    mails: dict[str, int]
    manager_effects: dict[str, int]
    latency_ms: dict[str, float]
    wrong: list[str]


def reckon(
    sim: Simulator, tally: Tally, crm: Crm, mailbox: Mailbox, counters: list[Counters], intents: list[Intent]
) -> Reckoning:
    wrong = [*_facts(sim, tally), *_deliveries(tally, crm)]
    effects = _effects(sim, intents, wrong)
    mails = _mails(mailbox, intents, wrong)
    wrong += [
        f"intent {intent.key} is still {intent.state}" for intent in intents if intent.state not in FINAL
    ]
    latency = latencies_ms(tally, crm)
    return Reckoning(
        events=dict(sorted(tally.events.items())),
        runs=dict(sorted(tally.runs.items())),
        deliveries={
            "sent": sum(each.delivered for each in counters),
            "verified": len(crm.receipts),
            "failed": crm.failed,
            "repeated": sum(receipt.copies - 1 for receipt in crm.receipts.values()),
        },
        mails=mails,
        manager_effects=effects,
        latency_ms={"p50": round(percentile(latency, 0.5), 2), "p95": round(percentile(latency, 0.95), 2)},
        wrong=wrong,
    )


def outstanding(
    sim: Simulator, tally: Tally, crm: Crm, counters: list[Counters], open_intents: int, backlog: int
) -> str:
    """Say what is still on its way; nothing when all is done."""
    if backlog:
        return f"{backlog} inputs to decide"
    if open_intents:
        return f"{open_intents} actions to settle"
    missing = sum(tally.events.values()) - len(crm.receipts)
    if missing > 0:
        return f"{missing} webhooks to deliver"
    unwritten = sum(tally.events.values()) - sum(each.delivered for each in counters)
    if unwritten > 0:
        return f"{unwritten} deliveries to write down"
    late = [what for what in _facts(sim, tally) if "missing" in what]
    return late[0] if late else ""


def _facts(sim: Simulator, tally: Tally) -> list[str]:
    wrong = []
    for platform in ("mt4", "mt5"):
        for counted, event in _FACTS.items():
            told, known = (
                sim.broker.counts[f"{platform}.{counted}"],
                tally.by_server[f"sim-{platform} {event}"],
            )
            if known < told:
                wrong.append(f"{platform} {event}: {told - known} of {told} missing")
            elif known > told:
                wrong.append(f"{platform} {event}: {known - told} too many, {told} happened")
    return wrong


def _deliveries(tally: Tally, crm: Crm) -> list[str]:
    wrong = [f"{crm.failed} webhooks with a wrong signature"] if crm.failed else []
    lost = tally.received.keys() - crm.receipts.keys()
    if lost:
        wrong.append(f"{len(lost)} events were never delivered, such as {min(lost)}")
    return wrong


def _effects(sim: Simulator, intents: list[Intent], wrong: list[str]) -> dict[str, int]:
    asked = [
        intent for intent in intents if VERBS[intent.verb].is_manager and intent.state is not State.SHADOW
    ]
    applied = [intent for intent in asked if intent.state is State.APPLIED]
    wanted: Counter[str] = Counter(
        "user.set" if intent.verb.startswith("account.") else "credit" for intent in applied
    )
    duplicates = 0
    for kind in ("user.set", "credit"):
        found = sum(1 for _ in sim.ledger.effects(kind=kind))
        duplicates += max(found - wanted[kind], 0)
        if found < wanted[kind]:
            wrong.append(f"{wanted[kind] - found} {kind} effects are not in the broker's ledger")
    duplicates = max(duplicates, len(sim.ledger.duplicates()))
    if duplicates:
        wrong.append(f"{duplicates} manager effects were applied twice")
    rejected = sum(intent.state is State.REJECTED for intent in asked)
    return {"asked": len(asked), "applied": len(applied), "rejected": rejected, "duplicates": duplicates}


def _mails(mailbox: Mailbox, intents: list[Intent], wrong: list[str]) -> dict[str, int]:
    asked = sum(intent.verb == "notify.email" for intent in intents)
    if asked != len(mailbox.mails):
        wrong.append(f"{asked} mails were asked for, {len(mailbox.mails)} came")
    return {"asked": asked, "received": len(mailbox.mails), "repeated": mailbox.copies - len(mailbox.mails)}


def as_dict(reckoning: Reckoning) -> dict[str, Any]:
    built: dict[str, Any] = msgspec.to_builtins(reckoning)
    return {"ok": not reckoning.wrong, **built}
