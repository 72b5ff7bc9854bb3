"""HubSpot: records by a property of the hub's own, several in one request; notes, activities and tasks at a record.

To write a record is repeatable; to add to its timeline is not, for HubSpot knows no key by which it would see a copy.
"""

from datetime import timedelta
from html import escape
from typing import Final, final

from typing_extensions import override

from hub.clock import from_us, iso, to_us
from hub.dispatch.channels.crm.answers import Made, Maybe, No, NotNow, Verdict
from hub.dispatch.channels.crm.batch import Batch, Result
from hub.dispatch.channels.crm.generic_settings import CALLS
from hub.dispatch.channels.crm.hubspot_answers import error_of, made_of, verdict_of
from hub.dispatch.channels.crm.line import Line, under
from hub.dispatch.channels.crm.profile import Profile
from hub.dispatch.channels.crm.settings import HubSpotObject, HubSpotSettings
from hub.dispatch.channels.crm.wanted import Plain, Wanted
from hub.dispatch.channels.one_exchange import Lost, NotSent, Reply

MOST_AT_ONCE: Final = 100
# Which number ties what to which kind of record, as HubSpot defines them.
ASSOCIATIONS: Final = {
    "note": {"contacts": 202, "companies": 190, "deals": 214, "tickets": 228},
    "task": {"contacts": 204, "companies": 192, "deals": 216, "tickets": 230},
    "call": {"contacts": 194, "companies": 182, "deals": 206, "tickets": 220},
    "email": {"contacts": 198, "companies": 186, "deals": 210, "tickets": 224},
    "meeting": {"contacts": 200, "companies": 188, "deals": 212, "tickets": 226},
}
_PRIORITY: Final = {"low": "LOW", "normal": "MEDIUM", "high": "HIGH"}
_Of = tuple[str, str]  # the kind of record, and the property it is known by


@final
class HubSpot(Profile):
    objects: dict[str, HubSpotObject]

    def __init__(self, settings: HubSpotSettings, token: str, url: str, line: Line) -> None:
        self._settings = settings
        self._headers = {"Authorization": f"Bearer {token}"}
        self._url = f"{url}/crm/v3/objects"
        self.line = line
        self.objects = settings.objects
        self.offers = frozenset(CALLS)
        self._batch = Batch[_Of](line, self._write, MOST_AT_ONCE)

    @override
    def repeatable(self, verb: str) -> bool:
        return verb == "crm.upsert"

    @override
    async def upsert(self, of: str, wanted: Wanted, fields: dict[str, Plain]) -> Result:
        rule = self.objects[of]
        values = {name: _text(value) for name, value in fields.items()} | {rule.id: wanted.id}
        found = await self._batch.put((rule.type, rule.id), wanted.id, values)
        if not isinstance(found, NotSent | Lost | Made):
            self.line.heard(found)
        return found

    @override
    async def attach(self, of: str, wanted: Wanted, fields: dict[str, Plain]) -> Result:
        rule = self.objects[of]
        tie = _tie(rule, wanted.kind)
        if tie is None:
            return No(
                f"nothing says how a {wanted.kind} is tied to {rule.type}: name the number under `association` of {of}"
            )
        record = await self._record(rule, wanted.id)
        if not isinstance(record, Made):
            # To look is harmless, so nothing of it is unknown.
            return NotNow(record.reason) if isinstance(record, Maybe | Lost) else record
        properties = _properties(wanted) | {name: _text(value) for name, value in fields.items()}
        body = {"properties": properties, "associations": [{"to": {"id": record.id}, "types": [tie]}]}
        url = under(self._url, _PLURAL[wanted.kind])
        found = await self.line.ask("POST", url, self._headers, body)
        if not isinstance(found, Reply):
            return found
        if 200 <= found.status < 300:
            return made_of(found.json()) or Maybe(f"answered {found.status} without an id")
        return self._no(found)

    async def _record(self, rule: HubSpotObject, own: str) -> Result:
        """Return HubSpot's own id of a record. One that is not there may be on its way."""
        url = under(self._url, rule.type, own, idProperty=rule.id, properties=rule.id)
        found = await self.line.ask("GET", url, self._headers)
        if not isinstance(found, Reply):
            return found
        if found.status == 404:
            return NotNow(f"there is none of {rule.type} with this {rule.id} yet")
        if 200 <= found.status < 300:
            return made_of(found.json()) or Maybe(f"answered {found.status} without an id")
        return self._no(found)

    async def _write(self, of: _Of, records: list[tuple[str, dict[str, str]]]) -> list[Result | None]:
        """Write up to a hundred; of None nothing is known, and each such goes again by itself."""
        kind, known_by = of
        inputs = [
            {"id": own, "idProperty": known_by, "objectWriteTraceId": str(number), "properties": values}
            for number, (own, values) in enumerate(records)
        ]
        url = under(self._url, kind, "batch", "upsert")
        found = await self.line.ask_now("POST", url, self._headers, {"inputs": inputs})
        if not isinstance(found, Reply):
            return [found] * len(records)
        if not 200 <= found.status < 300:
            verdict = verdict_of(found, self.line.clock.now_us())
            # One that is not right spoils all of them.
            return [None if isinstance(verdict, No) and len(records) > 1 else verdict] * len(records)
        return _each(found, known_by, [own for own, _ in records])

    def _no(self, reply: Reply) -> Verdict:
        verdict = verdict_of(reply, self.line.clock.now_us())
        self.line.heard(verdict)
        return verdict


_PLURAL: Final = {"note": "notes", "task": "tasks", "call": "calls", "email": "emails", "meeting": "meetings"}


def _each(reply: Reply, known_by: str, ids: list[str]) -> list[Result | None]:
    """Return what became of each: by the number it went with, or by its id."""
    said = reply.json()
    results, errors = (said.get(name) for name in ("results", "errors"))
    results, errors = (list(some) if isinstance(some, list) else [] for some in (results, errors))
    if len(ids) == 1:
        made = made_of(results[0]) if results else error_of(errors[0], reply.status) if errors else None
        return [made or Maybe(f"answered {reply.status} without the record")]
    found: dict[str, Result] = {}
    for result in results:
        if (one := made_of(result)) is not None:
            properties = result.get("properties")
            own = properties.get(known_by) if isinstance(properties, dict) else None
            found[f"#{result.get('objectWriteTraceId')}"] = found[f"={own}"] = one
    for error in errors:
        context = error.get("context") if isinstance(error, dict) else None
        traces = context.get("objectWriteTraceId") if isinstance(context, dict) else None
        for trace in traces if isinstance(traces, list) else ():
            found[f"#{trace}"] = error_of(error, reply.status)
    return [found.get(f"#{number}") or found.get(f"={own}") for number, own in enumerate(ids)]


def _tie(rule: HubSpotObject, kind: str) -> dict[str, object] | None:
    for category, number in (
        ("USER_DEFINED", rule.association.get(kind)),  # type: ignore[call-overload]  # one of the five
        ("HUBSPOT_DEFINED", ASSOCIATIONS[kind].get(rule.type)),
    ):
        if number is not None:
            return {"associationCategory": category, "associationTypeId": number}
    return None


def _properties(wanted: Wanted) -> dict[str, str]:
    at = iso(wanted.at)
    match wanted.kind:
        case "note":
            return {"hs_timestamp": at, "hs_note_body": _rich(wanted.text)}
        case "task":
            due = iso(to_us(wanted.due)) if wanted.due is not None else at
            return {
                "hs_timestamp": due,
                "hs_task_subject": wanted.title,
                "hs_task_body": _rich(wanted.text),
                "hs_task_status": "NOT_STARTED",
                "hs_task_priority": _PRIORITY.get(wanted.priority or "", "NONE"),
                "hs_task_type": "TODO",
            }
        case "call":
            return {
                "hs_timestamp": iso(to_us(wanted.began)),
                "hs_call_title": wanted.title,
                "hs_call_body": _rich(wanted.text),
                "hs_call_status": "COMPLETED",
                **({"hs_call_duration": str(wanted.minutes * 60_000)} if wanted.minutes else {}),
            }
        case "email":
            return {
                "hs_timestamp": at,
                "hs_email_subject": wanted.title,
                "hs_email_text": wanted.text,
                "hs_email_direction": "EMAIL",
                "hs_email_status": "SENT",
            }
        case _:
            end = from_us(wanted.at)
            return {
                "hs_timestamp": iso(to_us(wanted.began)),
                "hs_meeting_title": wanted.title,
                "hs_meeting_body": _rich(wanted.text),
                "hs_meeting_start_time": iso(to_us(wanted.began)),
                "hs_meeting_end_time": iso(to_us(end if wanted.minutes else end + timedelta(minutes=1))),
                "hs_meeting_outcome": "COMPLETED",
            }


def _rich(text: str) -> str:
    """Return text for a field HubSpot shows as HTML: a trader's name must not become markup there."""
    return escape(text).replace("\n", "<br>")


def _text(value: Plain) -> str:
    match value:
        case None:
            return ""  # which empties the property
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case _:
            return format(value, "f") if not isinstance(value, int) else str(value)
