"""What one intent wants written into a CRM, read from its parameters."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from hub.clock import from_us, iso, to_us
from hub.dispatch.channels.crm.object_settings import FieldSettings, ObjectSettings
from hub.intents.expiry import expires_at
from hub.intents.intent import Intent
from hub.intents.verbs import LogActivity, OpenTask, Params, ToCrm, WriteNote, WriteRecord

CLIENT = "client"  # what a record is where the step does not say
Plain = str | bool | Decimal | int | None


class Misfit(ValueError):
    """A value is not what the CRM keeps there; the text names the field and says no value."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """`kind` is note, task, or that of an activity; "" for a record itself. `at` is when the step asked for it, in µs."""

    id: str
    key: str
    event: str
    account: str
    at: int
    kind: str = ""
    title: str = ""
    text: str = ""
    minutes: int | None = None
    due: datetime | None = None
    priority: str | None = None
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def began(self) -> datetime:
        """Return when what took `minutes` began: the step asks once it is over."""
        return from_us(self.at) - timedelta(minutes=self.minutes or 0)


def wanted_by(intent: Intent, params: ToCrm) -> Wanted:
    """Return what the parameters of a step say."""
    said: dict[str, Any] = {}
    match params:
        case WriteRecord(record=record):
            said = {"record": record}
        case WriteNote(text=text):
            said = {"kind": "note", "text": text}
        case LogActivity():
            said = {
                "kind": params.kind,
                "title": params.title,
                "text": params.text or "",
                "minutes": params.minutes,
                "record": params.record,
            }
        case OpenTask():
            said = {
                "kind": "task",
                "title": params.title,
                "text": params.text or "",
                "due": _due(params, intent),
                "priority": params.priority,
                "record": params.record,
            }
        case _:
            raise AssertionError(type(params))
    return Wanted(
        str(params.id), intent.key.partition("#")[0], intent.caused_by, intent.account, intent.at, **said
    )


def _due(task: OpenTask, intent: Intent) -> datetime | None:
    until = expires_at(str(task.due), intent.at) if task.due is not None else None
    return None if until is None else from_us(until)


def named(of: ObjectSettings, record: Mapping[str, Any]) -> dict[str, Plain]:
    """Return the fields under the names the CRM has for them, as values it keeps. Raises Misfit."""
    found: dict[str, Plain] = {}
    for name, value in record.items():
        rule = of.field(name)
        if rule.name in found:
            raise Misfit(f"{name}: another field of the record is {rule.name} as well")
        found[rule.name] = _as_kept(rule, name, value)
    return found


def _as_kept(rule: FieldSettings, name: str, value: Any) -> Plain:
    if value is None:
        return None
    if isinstance(value, list):
        value = ";".join(value)  # as both large CRMs part several choices
    match rule.type:
        case "number":
            return _number(name, value)
        case "bool":
            if isinstance(value, bool):
                return value
            if value in {"true", "false"}:
                return bool(value == "true")
            raise Misfit(f"{name} is no truth value")
        case "date":
            return _moment(name, value).date().isoformat()
        case "time":
            return iso(to_us(_moment(name, value)))
        case "text":
            return value if isinstance(value, bool | int) else str(value)


def _number(name: str, value: Any) -> Decimal:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise Misfit(f"{name} is no number") from None
    if isinstance(value, bool) or not number.is_finite():
        raise Misfit(f"{name} is no number")
    return number


def _moment(name: str, value: Any) -> datetime:
    text = str(value)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Misfit(f"{name} is no time") from None
    if moment.tzinfo is None:
        if len(text) != 10:
            raise Misfit(f"{name} says no zone: end it with Z")
        return datetime.fromisoformat(f"{text}T00:00:00+00:00")
    return moment


PARAMS: Mapping[str, type[Params]] = {
    "crm.upsert": WriteRecord,
    "crm.note": WriteNote,
    "crm.activity": LogActivity,
    "task.open": OpenTask,
}
