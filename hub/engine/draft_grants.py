"""Grants and period ends on their way from a file to a program: which period, what may be read, what may be paid."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from hub.engine.draft import Draft
from hub.engine.draft_names import zone_is_known
from hub.engine.keys import KeyKind
from hub.engine.model import WorkflowFile
from hub.engine.model_aggregates import CalendarWindow
from hub.engine.model_grants import GrantFile, PeriodEndFile, PeriodEndTrigger, TakeBackFile
from hub.engine.money import converted
from hub.engine.nodes import Location
from hub.engine.problems import did_you_mean, quoted
from hub.engine.program import Aggregate, Calendar, Grant, PeriodEnd, SinceEnd, Sliding, TakeBack, Tumbling
from hub.engine.program_steps import Rendered, Value
from hub.expr import Expression, Kind, Scope
from hub.intents.verbs import VERBS, Verb

_GIVES: Final = ("credit.grant", "bonus.grant", "balance.deposit")
# What a grant changes by being booked: an amount made of it would grow with each booking.
_CHANGES: Final = {
    "credit.grant": ("account.credit", ("credit.granted", "credit.removed")),
    "bonus.grant": ("account.credit", ("bonus.granted", "bonus.removed")),
    "balance.deposit": ("account.balance", ("balance.deposited", "balance.withdrawn")),
}
_SHORTEST: Final = {
    "day": timedelta(hours=23),
    "week": timedelta(days=6, hours=23),
    "month": timedelta(days=27, hours=23),
    "quarter": timedelta(days=89),
    "year": timedelta(days=364),
}
MOST_PERIODS: Final = 60  # that are followed at a time
NO_TIME: Final = timedelta()
GRANT: Final[Location] = ("grant",)


def calendars(file: WorkflowFile) -> list[Calendar]:
    """Return the periods a file speaks of: those of its triggers, or else of its aggregates."""
    ends = [trigger.period_end for trigger in file.when if isinstance(trigger, PeriodEndTrigger)]
    found = [Calendar(each.calendar, each.tz, each.daily_at) for each in ends] or [
        Calendar(each.window.calendar, each.window.tz, each.window.daily_at)
        for each in file.aggregates.values()
        if isinstance(each.window, CalendarWindow)
    ]
    return list(dict.fromkeys(found))


def since_end(draft: Draft, location: Location, function: str) -> SinceEnd | None:
    """Return the window `since: period_end` of an aggregate."""
    if function not in {"sum", "count", "min", "max", "avg"}:
        draft.error(
            (*location, "window"),
            f"`{function}` cannot be kept `since: period_end`: sum, count, min, max and avg can",
        )
        return None
    if len(draft.scopes.calendars) != 1:
        known = ", ".join(f"{each.period} in {each.zone}" for each in draft.scopes.calendars)
        which = (
            f"the file speaks of several: {known}" if known else "no other aggregate has a calendar window"
        )
        draft.error((*location, "window"), f"`since: period_end` cannot tell which period is meant: {which}")
        return None
    return SinceEnd(draft.scopes.calendars[0])


def period_end(draft: Draft, location: Location, name: str, file: PeriodEndTrigger) -> PeriodEnd | None:
    given, at = file.period_end, (*location, "period_end")
    if not zone_is_known(draft, (*at, "tz"), given.tz) or not _delay_fits(draft, at, given):
        return None
    return PeriodEnd(
        name, Calendar(given.calendar, given.tz, given.daily_at), given.delay or NO_TIME, file.catch_up
    )


def grant(
    draft: Draft, file: GrantFile | None, aggregates: Iterable[Aggregate], pinned: frozenset[object] | None
) -> Grant | None:
    """Return the grant; `pinned` are the currencies the scope lets through, None if nobody can tell."""
    if file is None:
        return None
    if draft.scopes.key is not KeyKind.ACCOUNT:
        draft.key_error(
            GRANT,
            f"a grant is paid to an account, and `key: {draft.scopes.kept_by}` names none: use `key: account`",
        )
        return None
    verb = _verb(draft, file)
    calendar = _calendar(draft, file)
    scope = draft.scopes.grant(of_period=calendar is not None)
    amount = draft.expression((*GRANT, "amount"), scope, Kind.NUMBER)
    condition = draft.expression((*GRANT, "while"), scope, Kind.BOOL)
    take_back = _take_back(draft, file.take_back, scope)
    comment: Value | None = None
    if file.comment is not None:
        template = draft.template((*GRANT, "comment"), file.comment, scope)
        comment = Rendered(template) if template is not None else None
    if verb is None or amount is None or condition is None or take_back is None:
        return None
    by_name = {each.name: each for each in aggregates}
    for key, expression in (("amount", amount), ("while", condition)):
        _windows_fit(draft, (*GRANT, key), expression, by_name, calendar)
    _feeds_not_itself(draft, verb, amount, by_name)
    _is_followed(draft, file)
    _currency(draft, amount, pinned)
    delay, watch = file.book.delay or NO_TIME, file.watch or NO_TIME
    if calendar is not None:
        _spans_fit(draft, calendar, delay, watch)
    back = VERBS[verb.reversed_by or ""]
    place = draft.document.place((*GRANT, "action"))
    at_end = file.book.at == "period_end"
    on_first = file.book.on_first
    if on_first and calendar is not None:
        draft.error(
            (*GRANT, "book", "on_first"),
            f"`on_first` is for promises without a period: the {calendar.period} in which the workflow goes live counts whole",
        )
    return Grant(
        id=file.id,
        verb=verb,
        back=back,
        amount=amount,
        condition=condition,
        calendar=calendar,
        at_end=at_end,
        on_first=on_first,
        delay=delay,
        watch=watch,
        take_back=take_back,
        comment=comment,
        place=place,
    )


def _verb(draft: Draft, file: GrantFile) -> Verb | None:
    if file.action in _GIVES:
        return VERBS[file.action]
    near = did_you_mean(file.action, _GIVES)
    draft.error((*GRANT, "action"), f"a grant gives {', '.join(_GIVES)}, not {quoted(file.action)}{near}")
    return None


def _calendar(draft: Draft, file: GrantFile) -> Calendar | None:
    known = draft.scopes.calendars
    if len(known) > 1:
        named = ", ".join(f"{each.period} in {each.zone}" for each in known)
        draft.error(
            (*GRANT, "book"),
            f"the aggregates are kept by several calendars, and a grant has one period: {named}",
        )
    elif not known and file.book.at == "period_end":
        draft.error(
            (*GRANT, "book", "at"),
            "which period? Give an aggregate a `window: {calendar: month, tz: Europe/Nicosia}`, or book `at: once_true`",
        )
    return known[0] if known else None


def _take_back(draft: Draft, file: TakeBackFile, scope: Scope) -> TakeBack | None:
    found: list[Expression | None] = []
    for key, text in (("deposit", file.deposit), ("cap", file.cap)):
        expression = (
            draft.expression((*GRANT, "take_back", key), scope, Kind.NUMBER) if text is not None else None
        )
        if text is not None and expression is None:
            return None
        found.append(expression)
    return TakeBack(file.mode, found[0], found[1], file.if_short == "hold")


def _windows_fit(
    draft: Draft,
    location: Location,
    expression: Expression,
    aggregates: dict[str, Aggregate],
    calendar: Calendar | None,
) -> None:
    for name in sorted(expression.reads & aggregates.keys()):
        window = aggregates[name].window
        if isinstance(window, Tumbling):
            draft.error(
                location,
                f"`{name}` begins anew with every span, and what was granted for it would be taken back: use a calendar window",
            )
        elif isinstance(window, Sliding) and location[-1] == "amount":
            draft.warn(
                location,
                f"`{name}` slides: it shrinks as time passes, and as long as the grant is watched so does what is granted",
            )
    if calendar is None and any(
        isinstance(aggregates[name].window, SinceEnd) for name in expression.reads & aggregates.keys()
    ):
        draft.error(location, "`since: period_end` needs a period: use an aggregate with a calendar window")


def _feeds_not_itself(draft: Draft, verb: Verb, amount: Expression, aggregates: dict[str, Aggregate]) -> None:
    field, events = _CHANGES[verb.name]
    if field in amount.reads:
        draft.error(
            (*GRANT, "amount"),
            f"{verb.name} changes {field}: an amount made of it would grow with each booking",
        )
    for name in sorted(amount.reads & aggregates.keys()):
        source = aggregates[name].source
        if source not in events:
            continue
        if aggregates[name].where is None:
            draft.error(
                (*GRANT, "amount"),
                f"{verb.name} leads to {events[0]}, and `{name}` counts {source}: the amount would grow with each booking. "
                "Give the aggregate a `where` that leaves the grant itself out",
            )
        else:
            draft.warn(
                (*GRANT, "amount"),
                f"{verb.name} leads to {events[0]}, and `{name}` counts {source}: see that its `where` leaves the grant out",
            )


def _currency(draft: Draft, amount: Expression, pinned: frozenset[object] | None) -> None:
    currency = amount.type.currency
    if pinned is None or currency is None or pinned == frozenset[object]({currency}):
        return
    draft.warn((*GRANT, "amount"), converted(currency))


def _is_followed(draft: Draft, file: GrantFile) -> None:
    if file.watch is None and file.take_back.mode != "none" and file.book.at == "period_end":
        draft.warn(
            (*GRANT, "take_back"),
            "without `watch` nobody looks any more once it is booked: nothing is taken back",
        )


def _spans_fit(draft: Draft, calendar: Calendar, delay: timedelta, watch: timedelta) -> None:
    shortest = _SHORTEST[calendar.period]
    if delay >= shortest:
        draft.error(
            (*GRANT, "book", "delay"), f"the next {calendar.period} would be over before this one is booked"
        )
    if (delay + watch) // shortest >= MOST_PERIODS:
        draft.error(
            (*GRANT, "watch"),
            f"more than {MOST_PERIODS} periods would be followed at a time: watch for a shorter time",
        )


def _delay_fits(draft: Draft, location: Location, file: PeriodEndFile) -> bool:
    if file.delay is not None and file.delay >= _SHORTEST[file.calendar]:
        draft.error(
            (*location, "delay"), f"the next {file.calendar} would be over before this one is told of"
        )
        return False
    return True
