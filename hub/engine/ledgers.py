"""How ledgers are named, begun, timed and closed."""

from typing import Any, NamedTuple
from urllib.parse import unquote

from msgspec.structs import replace

from hub.clock import MICROSECOND, SECOND_US, iso
from hub.engine.calendars import facts_of, label_of, span_of
from hub.engine.decision import Trace, Verdict, encode_trace
from hub.engine.ledger import AGES, Ledger
from hub.engine.periods import periods
from hub.engine.plans import Plan, quoted
from hub.engine.program import Grant
from hub.engine.promise import plain
from hub.engine.roots import RunBody
from hub.engine.rows import RunRow
from hub.engine.run_rows import Cause
from hub.engine.scene import Scene
from hub.engine.so_far import so_far
from hub.engine.timed_rows import cancel_timer, set_timer
from hub.engine.values import Kind

MOST_BEHIND = 60  # periods a ledger is begun for at most, when the hub was down for long
KEPT_CLOSED = (
    400 * 86_400 * SECOND_US
)  # how long a period that is closed is remembered: its runs are kept as runs are
BEFORE = "before"  # why a ledger was closed before anything was booked
MARK = "grant:"  # a ledger among what has changed


class Entry(NamedTuple):
    """The parts of a booking's identity."""

    name: str
    key: str
    number: int


def name_of(workflow: str, grant: Grant, start: int) -> str:
    return f"{workflow}/{grant.id}/{label_of(grant.calendar, start)}"


def workflow_of(name: str) -> str:
    return name.partition("/")[0]


def label_in(name: str) -> str:
    return name.rpartition("/")[2]


def run_id(scene: Scene, name: str) -> str:
    """Return what all bookings of a ledger have in common, as a run's identity names workflow and key."""
    workflow, grant, label = name.split("/")
    return "/".join([quoted(workflow), quoted(scene.state.key), quoted(grant), quoted(label)])


def entry_of(intent: str) -> Entry | None:
    """Return which booking an intent is; None where it cannot be any."""
    parts = [unquote(part) for part in intent.split("/")]
    if len(parts) != 5 or not (parts[4].isascii() and parts[4].isdecimal()) or len(parts[4]) > 9:
        return None
    workflow, key, grant, label, number = parts
    return Entry(f"{workflow}/{grant}/{label}", key, int(number))


def ledger_of(scene: Scene, name: str) -> Ledger | None:
    return so_far(scene, (Kind.GRANT.value, name), Ledger)


def plan_of(scene: Scene, name: str, ledger: Ledger) -> Plan | None:
    """Return the plan a ledger goes by: the live one until something was booked, then the one it was booked by."""
    live = scene.program.plans.get(workflow_of(name))
    if live is not None and is_new(ledger):
        return live
    plan = scene.program.version(ledger.version, workflow_of(name))
    return plan if plan is not None and plan.workflow.grant is not None else None


def is_new(ledger: Ledger) -> bool:
    """Return whether nothing was promised by any text yet."""
    return ledger.stage == "open" and not ledger.entries


def ended(scene: Scene, name: str, ledger: Ledger) -> str:
    """Return why a ledger is not followed any more with what is live now; empty where it is."""
    live = scene.program.plans.get(workflow_of(name))
    grant = live.workflow.grant if live is not None else None
    if grant is None or grant.id != name.split("/")[1]:
        return "the workflow is live no more"
    plan = plan_of(scene, name, ledger)
    if not is_new(ledger) and (plan is None or not scene.program.follows(plan)):
        return "what it is worked out from was edited"
    return ""


def begin_first(scene: Scene) -> None:
    """Begin a ledger for the present period of every grant that has none."""
    for plan in scene.program.granting:
        grant = plan.workflow.grant
        assert grant is not None
        begin(scene, plan, grant, span_of(grant.calendar, scene.item.at))


def begin(scene: Scene, plan: Plan, grant: Grant, span: tuple[int, int]) -> None:
    """Begin the ledger of a period; one that was there already stays, whatever became of it."""
    name = name_of(plan.workflow.id, grant, span[0])
    if ledger_of(scene, name) is not None:
        return
    new = Ledger(*span, version=plan.workflow.hash, begun=scene.item.at if span[1] == AGES else 0)
    put(scene, name, timed(scene, name, new, booking_time(grant, new)))
    mark(scene, name)


def turn_down(scene: Scene, name: str, ledger: Ledger) -> None:
    """Close a promise for ever that would be owed for what was so before it began; it is remembered as such."""
    none = Ledger(ledger.start, ledger.end, ledger.version, "closed", closes=scene.item.at, held=BEFORE)
    timed(scene, name, ledger, 0)
    put(scene, name, none)


def begin_next(scene: Scene, plan: Plan, grant: Grant, ledger: Ledger) -> None:
    """Begin the ledger of the period after one; of those that ended while the hub was down, the latest."""
    if grant.calendar is None or ledger.end == AGES:
        return
    spans, now = periods(grant.calendar), scene.item.at
    following = spans.span(ledger.end)
    first = spans.span(max(now - grant.delay // MICROSECOND, following[0]))
    for _ in range(MOST_BEHIND):
        if first[0] <= following[0]:
            break
        first = spans.before(first)
    if first[0] > following[0]:
        left_out = f"{label_of(grant.calendar, following[0])} to {label_of(grant.calendar, first[0] - 1)}"
        trace = Trace(
            f"grant {grant.id}", f"{left_out} ended while the hub was down: nothing is booked for them"
        )
        scene.decision.trace(plan.workflow.id, f"{grant.id}/{left_out}/missed", Verdict.HELD_BACK, trace)
    begin(scene, plan, grant, first)


def booking_time(grant: Grant, ledger: Ledger) -> int:
    """Return when a ledger's period is over and booked, 0 for a lifetime."""
    return 0 if ledger.end == AGES else ledger.end + grant.delay // MICROSECOND


def timed(scene: Scene, name: str, ledger: Ledger, due: int) -> Ledger:
    """Return the ledger with one timer, at `due`, in the place of the one it has; 0 for none."""
    cancel_timer(scene, ledger)
    if not due:
        return replace(ledger, due=0, timer="")
    timer = set_timer(scene, name, f"{name}${ledger.entries}", due, "grant")
    return replace(ledger, due=due, timer=timer)


def must_wait(scene: Scene, ledger: Ledger) -> bool:
    """Return whether its breaker has refused it so lately that it is not asked yet."""
    return scene.item.at < ledger.again


def next_look(scene: Scene, ledger: Ledger, due: int) -> int:
    """Return when a ledger has to be looked at that is due at a moment, or at none (0): at the latest when it may be asked again."""
    if not must_wait(scene, ledger):
        return due
    return min(due, ledger.again) if due else ledger.again


def watched(scene: Scene, name: str, ledger: Ledger, closes: int) -> Ledger:
    """Return the ledger as it is followed from now on until a moment; it is looked at once at least."""
    return timed(
        scene,
        name,
        replace(ledger, stage="watched", closes=closes),
        next_look(scene, ledger, max(closes, scene.item.at + 1)),
    )


def _forget_long_closed(scene: Scene, name: str) -> None:
    """Keep no more of periods than may come back: only what follows an open period is ever begun again."""
    mine, long_ago = f"{name.rpartition('/')[0]}/", scene.item.at - KEPT_CLOSED
    for other, ledger in scene.state.of_kind(Kind.GRANT):
        if (
            other.startswith(mine)
            and isinstance(ledger, Ledger)
            and ledger.stage == "closed"
            and ledger.end != AGES
            and max(ledger.closes, ledger.end) < long_ago
        ):
            put(scene, other, None)


def close(scene: Scene, name: str, ledger: Ledger, reason: str) -> None:
    """End a ledger; while a booking is under way it waits for what becomes of it, and does nothing more."""
    ledger = timed(scene, name, ledger, 0)
    if ledger.asked is not None:
        put(
            scene,
            name,
            replace(ledger, stage="watched", closes=min(ledger.closes or scene.item.at, scene.item.at)),
        )
        return
    if not ledger.entries:
        put(scene, name, None)
        return
    ended = Ledger(
        ledger.start,
        ledger.end,
        ledger.version,
        "closed",
        closes=scene.item.at,
        shadow=ledger.shadow,
        booked=ledger.booked,
        entries=ledger.entries,
        short=ledger.short,
        held=ledger.held,
        foreign=ledger.foreign,
    )
    put(scene, name, ended)
    _forget_long_closed(scene, name)
    left = f"; {plain(ledger.short)} was not there to be taken back" if ledger.short else ""
    if ledger.held and ledger.held != "short":
        left += f"; what was held back last ({ledger.held}) is settled no more"
    keep(scene, name, ended, Verdict.DONE, f"{reason}: {plain(ledger.booked)} stays booked{left}")
    show(scene, name, ended, "done", reason)


def is_closing(ledger: Ledger) -> bool:
    """Return whether it only waits for what becomes of its last booking."""
    return ledger.stage == "watched" and not ledger.timer


def outlasts_watch(ledger: Ledger) -> bool:
    """Return whether its watch is over, but for one booking that waits for something."""
    return ledger.stage == "watched" and ledger.due > ledger.closes + 1


def put(scene: Scene, name: str, ledger: Ledger | None) -> None:
    scene.decision.put_ledger(name, ledger)


def mark(scene: Scene, name: str) -> None:
    """Have a ledger looked at once this input is applied."""
    writes = scene.decision.writing()
    writes.changed = (*writes.changed, MARK + name)


def keep(
    scene: Scene, name: str, ledger: Ledger, verdict: Verdict, reason: str, intent: str | None = None
) -> None:
    """Keep why a ledger did what it did."""
    workflow, grant, label = name.split("/")
    event = scene.envelope.id if scene.envelope is not None else None
    mode = "shadow" if ledger.shadow else "live"
    trace = Trace(
        f"grant {grant}", f"{reason} ({label})", event, run_id(scene, name), [intent] if intent else [], mode
    )
    scene.decision.trace(workflow, f"{grant}/{label}/{ledger.entries}/{verdict.value}", verdict, trace)


def show(scene: Scene, name: str, ledger: Ledger, state: str, reason: str) -> None:
    """Keep a ledger as it stands for whoever looks at runs."""
    workflow, grant, _ = name.split("/")
    plan = plan_of(scene, name, ledger)
    made = plan.workflow.grant if plan is not None else None
    period = facts_of(made.calendar, ledger.start, ledger.end) if made is not None else None
    standing: dict[str, Any] = {"booked": plain(ledger.booked), "entries": ledger.entries}
    if ledger.asked is not None:
        standing["asked"] = plain(ledger.asked)
    foreign = ledger.aimed if ledger.asked is not None else ledger.foreign
    if foreign is not None:
        standing |= {
            "worth": plain(foreign.worth.normalize()),
            "currency": foreign.currency,
            "rate": foreign.rate,
        }
        standing["rate_at"] = iso(foreign.at)
    body = RunBody(
        Cause(grant, scene.now, period=period),
        scene.item.ref,
        "shadow" if ledger.shadow else "live",
        {grant: standing},
        reason,
    )
    row = RunRow(
        scene.state.partition,
        run_id(scene, name),
        scene.state.key,
        workflow,
        ledger.version,
        state,
        scene.item.at,
        encode_trace(body),
    )
    scene.decision.writing().runs.append(row)


def said_until(ledger: Ledger) -> str:
    return f"watched until {iso(ledger.closes)}" if ledger.closes else "not booked yet"
