"""Salesforce: records by an external id, one request each; notes, activities and tasks at a record.

To write a record is repeatable; to add to it is not, for Salesforce knows no key by which it would see a copy.
"""

from datetime import timedelta
from typing import Final, final

from typing_extensions import override

from hub.clock import SECOND_US, iso, to_us
from hub.dispatch.channels.crm.answers import BadAccess, Made, Maybe, NotNow, Verdict
from hub.dispatch.channels.crm.batch import Result
from hub.dispatch.channels.crm.generic_settings import CALLS
from hub.dispatch.channels.crm.line import Line, under
from hub.dispatch.channels.crm.profile import Profile
from hub.dispatch.channels.crm.salesforce_answers import OURS_US, calls_left, made_of, verdict_of
from hub.dispatch.channels.crm.salesforce_token import Access
from hub.dispatch.channels.crm.settings import SalesforceObject, SalesforceSettings
from hub.dispatch.channels.crm.wanted import Plain, Wanted
from hub.dispatch.channels.one_exchange import Lost, NotSent, Reply

_LEFT_ALONE_US: Final = 3_600 * SECOND_US
_LONGEST_SUBJECT: Final = 255
_LONGEST_TITLE: Final = 80
_PRIORITY: Final = {"low": "Low", "normal": "Normal", "high": "High"}


@final
class Salesforce(Profile):
    objects: dict[str, SalesforceObject]

    def __init__(self, settings: SalesforceSettings, access: Access, line: Line) -> None:
        self._settings = settings
        self._access = access
        self.line = line
        self.objects = settings.objects
        self.offers = frozenset(CALLS)

    @override
    def repeatable(self, verb: str) -> bool:
        return verb == "crm.upsert"

    @override
    async def upsert(self, of: str, wanted: Wanted, fields: dict[str, Plain]) -> Result:
        rule = self.objects[of]
        # It says itself which record it is: among the fields it would be refused.
        values = {name: value for name, value in fields.items() if name != rule.id}
        found = await self._ask("PATCH", (rule.type, rule.id, wanted.id), values)
        if not isinstance(found, Reply):
            return found
        if 200 <= found.status < 300 and (made := made_of(found)) is not None:
            return made
        return self._no(found, rule.id)

    @override
    async def attach(self, of: str, wanted: Wanted, fields: dict[str, Plain]) -> Result:
        rule = self.objects[of]
        record = await self._record(rule, wanted.id)
        if not isinstance(record, Made):
            # To look is harmless, so nothing of it is unknown.
            return NotNow(record.reason) if isinstance(record, Maybe | Lost) else record
        kind, values = _object(wanted, rule, record.id)
        found = await self._ask("POST", (kind,), values | fields)
        if not isinstance(found, Reply):
            return found
        if 200 <= found.status < 300:
            return made_of(found) or Maybe(f"answered {found.status} without an id")
        return self._no(found)

    async def _record(self, rule: SalesforceObject, own: str) -> Result:
        """Return Salesforce's own id of a record. One that is not there may be on its way."""
        found = await self._ask("GET", (rule.type, rule.id, own), fields="Id")
        if not isinstance(found, Reply):
            return found
        if found.status == 404:
            return NotNow(f"there is no {rule.type} with this {rule.id} yet")
        if 200 <= found.status < 300:
            own_id = found.json().get("Id")
            return (
                Made(own_id)
                if isinstance(own_id, str) and own_id.isalnum()
                else Maybe("answered without an id")
            )
        return self._no(found)

    async def _ask(
        self, method: str, path: tuple[str, ...], body: dict[str, Plain] | None = None, **query: str
    ) -> Reply | NotSent | Lost | NotNow:
        """Ask, and once more with another token where the one there was is refused: then nothing was done."""
        refused = ""
        while True:
            access = await self._access.token(instead_of=refused)
            if isinstance(access, NotNow):
                self.line.heard(access)
                return access
            token, base = access
            url = under(f"{base}/services/data/v{self._settings.version}/sobjects", *path, **query)
            found = await self.line.ask(method, url, {"Authorization": f"Bearer {token}"}, body)
            if isinstance(found, Reply):
                self._keep_some(found)
                verdict = None if found.status < 400 else verdict_of(found, self.line.clock.now_us())
                if isinstance(verdict, BadAccess) and not refused:
                    refused = token
                    continue
            return found

    def _keep_some(self, reply: Reply) -> None:
        """Leave the last of the day's requests to others, if the settings say so."""
        keep, left = self._settings.leave_calls, calls_left(reply)
        if keep and left is not None and left <= keep:
            why = f"{left} of the day's requests are left, and leave_calls keeps {keep} for others"
            self.line.rest(_LEFT_ALONE_US, why)

    def _no(self, reply: Reply, known_by: str = "") -> Verdict:
        verdict = verdict_of(reply, self.line.clock.now_us(), known_by=known_by)
        if isinstance(verdict, BadAccess):  # of a new token, too
            verdict = NotNow(f"{verdict.reason}, and a new one was refused", OURS_US, ours=True, all=True)
        self.line.heard(verdict)
        return verdict


def _object(wanted: Wanted, rule: SalesforceObject, record: str) -> tuple[str, dict[str, Plain]]:
    """Return what kind of thing is made, and its fields."""
    subject, text = wanted.title[:_LONGEST_SUBJECT], wanted.text or None
    tied = {rule.related_by: record}
    match wanted.kind:
        case "note":
            first = wanted.text.strip().split("\n", 1)[0]
            return "Note", {
                "ParentId": record,
                "Title": first[:_LONGEST_TITLE] or "Note",
                "Body": wanted.text,
            }
        case "meeting":
            return "Event", {
                **tied,
                "Subject": subject,
                "Description": text,
                "StartDateTime": iso(to_us(wanted.began)),
                "DurationInMinutes": wanted.minutes or 1,
            }
        case "task":
            due = wanted.due.date().isoformat() if wanted.due is not None else None
            return "Task", {
                **tied,
                "Subject": subject,
                "Description": text,
                "Status": "Not Started",
                "Priority": _PRIORITY[wanted.priority or "normal"],
                "ActivityDate": due,
            }
        case _:
            took = timedelta(minutes=wanted.minutes or 0)
            return "Task", {
                **tied,
                "Subject": subject,
                "Description": text,
                "Status": "Completed",
                "Priority": _PRIORITY["normal"],
                "TaskSubtype": wanted.kind.capitalize(),
                "ActivityDate": wanted.began.date().isoformat(),
                **(
                    {"CallDurationInSeconds": int(took.total_seconds())}
                    if wanted.kind == "call" and took
                    else {}
                ),
            }
