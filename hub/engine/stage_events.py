"""Events a story tells of, as facts: what it need not say of them is filled in as it usually is."""

from collections.abc import Mapping
from typing import Any, NoReturn

from pydantic import ValidationError

from hub.clock import from_us
from hub.engine.draft_names import belongs_to_no_account
from hub.engine.levels import Crossing, Seen
from hub.engine.stage_positions import event_of
from hub.engine.storybook import Given, StoryAccount, StoryEvent, extras
from hub.errors import HubError
from hub.events.account import AccountChanged, ClientChanged
from hub.events.base import AccountRef, Data
from hub.events.catalogue import EventType, event_type
from hub.events.declared import NONE_DECLARED, Declarations, Declared
from hub.events.facts import Fact, make_fact

SOURCE = "story"  # of its events
# What a story need not say of an event: a step states only what matters to it.
USUAL: Mapping[str, Any] = {
    "symbol": "EURUSD",
    "side": "buy",
    "lots": "1",
    "price": "1.1",
    "amount": "1",
    "client": "client-1",
    "request": "request-1",
    "kind": "correction",
    "connector": "story",
    "lots_before": "1",
    "lots_after": "2",
}
USUAL_ACCOUNT: Mapping[str, Any] = {"currency": "USD", "digits": 2}
NUMBERS = ("deal", "position", "ticket", "order")


class StageError(HubError):
    """The story itself cannot be told as it is written."""


def introduced(given: Given, account: StoryAccount, at: int) -> list[Fact]:
    """Return what the hub is told of an account and its client before the story begins."""
    found: list[Fact] = []
    fields = extras(account)
    if fields:
        fields = {**USUAL_ACCOUNT, **fields}
        changed = {name: {"after": value} for name, value in _flat(fields).items()}
        found.append(_fact("account.updated", AccountChanged, {"changed": changed}, account, at))
    client = given.client
    if client is not None:
        changed = {name: {"after": value} for name, value in _flat(extras(client)).items()}
        data = {"client": client.id, "changed": changed}
        found.append(_fact("client.updated", ClientChanged, data, account, at))
    return found


def happened(
    given: Given, event: StoryEvent, number: int, at: int, known: Declarations = NONE_DECLARED
) -> tuple[Fact, int]:
    """Return an event of the story, and the number the last thing in it was given: it needs new ones after `number`."""
    kind = event_type(event.type)
    if kind is None:
        raise StageError(f"unknown event type {event.type}")
    data = extras(event)
    for name, field in kind.model.model_fields.items():
        if name in NUMBERS and name not in data:
            number += 1
            data[name] = number
        elif name not in data and field.is_required() and name in USUAL:
            data[name] = USUAL[name]
    if "client" in data and given.client is not None and "client" not in extras(event):
        data["client"] = given.client.id
    account = event.account or given.account
    who = None if event.account is None and belongs_to_no_account(event.type) else account
    declared = known.get(event.type)
    if declared is not None:
        return _told(declared, data, who, at, event), number
    return _fact(event.type, kind.model, data, who, at, event), number


def _told(
    declared: Declared, data: Mapping[str, Any], account: StoryAccount | None, at: int, event: StoryEvent
) -> Fact:
    found = declared.read(data)
    if isinstance(found, list):
        raise StageError(f"{declared.name} as it is declared: {found[0]}")
    try:
        return _made(declared.kind, declared.name, found, account, at, event)
    except ValidationError as problem:
        _refuse(declared.name, problem)


def passed(crossing: Crossing, seen: Seen, account: StoryAccount | None, at: int) -> Fact:
    """Return the event of a level that a sample has passed."""
    level, degraded = crossing.level, seen.degraded
    name, model, data = event_of(crossing, from_us(at), seen)
    once = f"{level.level_id}:{level.generation}:{crossing.edge}"
    told = StoryEvent(type=name, degraded=degraded, dedupe_key=once)
    return _fact(name, model, data, account, at, told)


def _fact(
    name: str,
    model: type[Data],
    data: Mapping[str, Any],
    account: StoryAccount | None,
    at: int,
    event: StoryEvent | None = None,
) -> Fact:
    kind: EventType | None = event_type(name)
    assert kind is not None
    try:
        return _made(kind, name, model.model_validate(data), account, at, event)
    except ValidationError as problem:
        _refuse(name, problem)


def _made(
    kind: EventType,
    name: str,
    data: Data,
    account: StoryAccount | None,
    at: int,
    event: StoryEvent | None,
) -> Fact:
    reference = AccountRef(server=account.server, login=account.login) if account is not None else None
    return make_fact(
        kind,
        name,
        data,
        timestamp=(event.timestamp if event is not None else None) or from_us(at),
        received_us=at,
        source=SOURCE,
        account=reference,
        dedupe_key=event.dedupe_key if event is not None else None,
        replayed=event.replayed if event is not None else False,
        degraded=event.degraded if event is not None else False,
    )


def _refuse(name: str, problem: ValidationError) -> NoReturn:
    first = problem.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    raise StageError(f"{name}: {where}: {first['msg']}") from problem


def _flat(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields as an event names them: attributes one by one, a list as words, a time as text."""
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{part}": inner for part, inner in value.items()}
        elif isinstance(value, list):
            flat[name] = ", ".join(str(part) for part in value)
        else:
            flat[name] = value
    return flat
