"""What an event of one type does in a program, made once: what is decoded of it, what counts it, who is asked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hub.engine.account_rows import AccountRow
from hub.engine.counting import Counting
from hub.engine.fold import Rule, folded, rule_of
from hub.engine.fold_trades import AT_ONCE, AtOnce
from hub.engine.index import Program
from hub.engine.mail import could_concern
from hub.engine.plans import Candidate, Feed, TypePlan
from hub.engine.reads import conditions
from hub.engine.split import ROOTS, Get, Hits, Split
from hub.engine.values import Slot
from hub.engine.windows import Accumulator
from hub.events.brief import brief_decoder
from hub.events.records import decode_envelope, record_type
from hub.events.watched import CROSSINGS
from hub.expr import Fast

MOST_COURSES = 4096  # custom types are named by whoever posts them
MOST_PLACES = 128  # of one type and one set of aggregates that counted
ACCOUNT_FIELDS = {name: f"account.{name}" for name in AccountRow.__struct_fields__}


# Records of slots: reading what is needed of one costs less than unpacking a named tuple, which is done item by item.
@dataclass(frozen=True, slots=True, eq=False)
class Fed:
    """An aggregate with everything at hand that counting into it needs.

    `running` where its present period is one value that only grows, `sliding` where a window is that lets go by itself;
    `alarm` where a condition reads it.
    """

    bit: int
    feed: Feed
    name: str
    slot: Slot
    alarm: Slot | None
    gate: Fast | None
    value: Fast | None
    ref: str | None
    params: Mapping[str, object]
    running: Accumulator | None
    sliding: Accumulator | None
    counting: Counting


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """Candidates under the literals of one field; `moves`: the event may have changed it."""

    root: str
    get: Get
    moves: bool
    hits: Mapping[object, Hits[Candidate]]


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where those stand whom an event may concern: those who always come, and those under a literal."""

    always: Hits[Candidate] | None
    looks: tuple[Look, ...]


Places = dict[tuple[str, ...], Place | None]
Find = Callable[[Mapping[str, Any]], Sequence[Fed]]


@dataclass(slots=True)
class Course:
    """`places` by which aggregates counted, then by what changed of the account; None where it takes care.

    `find` finds the aggregates among `feeds` where that takes a look at the event; else all of them are asked.
    """

    decode: Callable[[bytes], Any]
    type: str
    fields: frozenset[str]  # that the type may tell
    plan: TypePlan
    at_once: AtOnce | None
    rule: Rule | None
    feeds: tuple[Fed, ...]
    find: Find | None
    places: dict[int, Places]


def course_of(program: Program, body: bytes) -> Course | None:
    """Return the course of events like a stored one; None where each of them has to be decided with care."""
    name = decode_envelope(body).type
    plan = program.for_type(name)
    if program.looks_at_rows or name in CROSSINGS or plan.of_client or name in program.remembered:
        return None
    if plan.retracted or plan.begins or plan.absents or plan.anchored:
        return None
    read = _read(program)
    decode = brief_decoder(name, folded(name) | read) if read is not None else None
    if decode is None:
        return None
    feeds = tuple(_fed(1 << position, feed) for position, feed in enumerate(plan.feeds.items))
    record = record_type(name)
    fields = frozenset(record.__struct_fields__) if record is not None else frozenset[str]()
    at_once = AT_ONCE.get(name)
    return Course(decode, name, fields, plan, at_once, rule_of(name), feeds, _finder(plan.feeds, feeds), {})


def _read(program: Program) -> frozenset[str] | None:
    """Return the fields of events that conditions and aggregates read; None where one reads what only a whole one has."""
    paths = [
        path.split(".")
        for workflow in program.workflows.values()
        for each in conditions(workflow)
        for path in each.reads
    ]
    fields = {path[1] if len(path) > 1 else "id" for path in paths if path[0] == "event"}
    fields |= {feed.ref for feed in program.feeds.values() if feed.ref is not None}
    return None if "id" in fields else frozenset(fields)


def _fed(bit: int, feed: Feed) -> Fed:
    counting = feed.accumulator
    plain = counting if isinstance(counting, Accumulator) and not feed.granted else None
    return Fed(
        bit,
        feed,
        feed.name,
        feed.slot,
        feed.alarm if feed.watched else None,
        feed.gate_fast,
        feed.value_fast,
        feed.ref,
        feed.params,
        plain if plain is not None and plain.runs else None,
        plain if plain is not None and plain.slides else None,
        counting,
    )


def place_of(program: Program, course: Course, counted: int, changed: tuple[str, ...]) -> Place | None:
    """Return where to look when these aggregates counted and these fields of the account changed; it is remembered."""
    if len(course.places) >= MOST_PLACES:
        course.places.clear()
    places = course.places.setdefault(counted, {})
    if len(places) >= MOST_PLACES:
        places.clear()
    found = places[changed] = _place(program, course, counted, changed)
    return found


def _place(program: Program, course: Course, counted: int, changed: tuple[str, ...]) -> Place | None:
    """Return where to look when these aggregates counted and these fields of the account changed."""
    told = (fed.name for fed in course.feeds if counted & fed.bit)
    names = (*(ACCOUNT_FIELDS[field] for field in changed), *told)
    if program.anchored and program.anchored_by(course.plan, names):
        return None
    if any(could_concern(each, course.type, names) for each in program.mailed):
        return None
    places = program.candidates(course.plan, names)
    if len(places) != 1:
        return None
    split, fields = places[0], course.fields
    looks = tuple(
        Look(ROOTS[root], get, ROOTS[root] == "account" and field in changed, hits)
        for root, get, hits, field in split.tables
        if ROOTS[root] != "event" or field in fields  # what a type does not tell equals no literal
    )
    always = split.always
    return Place(always if always.sure or always.unsure else None, looks)


def _finder(split: Split[Feed], feeds: Sequence[Fed]) -> Find | None:
    """Return what finds the aggregates an event could count for, in the order of the careful way; None where all do."""
    fed = {each.feed.order: each for each in feeds}
    if split.is_plain:
        return None
    if len(split.tables) == 1:
        return _by_one_field(split, fed)

    def find(env: Mapping[str, Any]) -> Sequence[Fed]:
        roots = [env[root] for root in ROOTS]
        sure: list[Feed] = []
        unsure: list[Feed] = []
        split.find(roots, roots, sure, unsure)
        return [fed[feed.order] for feed in (*sure, *unsure)]

    return find


def _by_one_field(split: Split[Feed], fed: Mapping[int, Fed]) -> Find:
    """Return the same where one field tells all of them apart: what stands under each of its literals is listed."""
    (table,) = split.tables
    root, get, always = ROOTS[table.root], table.get, split.always

    def listed(under: Hits[Feed] | None) -> tuple[Fed, ...]:
        sure, unsure = (under.sure, under.unsure) if under is not None else ([], [])
        return tuple(fed[feed.order] for feed in (*always.sure, *sure, *always.unsure, *unsure))

    lists, others = {literal: listed(hits) for literal, hits in table.hits.items()}, listed(None)

    def find(env: Mapping[str, Any]) -> Sequence[Fed]:
        try:
            return lists.get(get(env[root]), others)
        except (AttributeError, TypeError):  # as in `Split.find`
            return others

    return find
