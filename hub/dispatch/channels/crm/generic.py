"""A CRM its profile describes: the gaps of a path and a body are filled in, and the answer is read as it says."""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, final
from urllib.parse import quote

import yarl
from typing_extensions import override

from hub.clock import SECOND_US, iso, to_us
from hub.dispatch.channels.crm.answers import Made, Maybe, No, NotNow, Verdict, own_id
from hub.dispatch.channels.crm.batch import Result
from hub.dispatch.channels.crm.generic_settings import GAP, CallSettings, GenericCrmSettings, GenericObject
from hub.dispatch.channels.crm.line import Line
from hub.dispatch.channels.crm.profile import Profile
from hub.dispatch.channels.crm.wanted import Plain, Wanted
from hub.dispatch.channels.one_exchange import Reply
from hub.dispatch.schedule import parse_retry_after

_SHORT_US: Final = 10 * SECOND_US
_OURS_US: Final = 60 * SECOND_US
_LONGEST_WORD: Final = 64
_LONGEST_LINE: Final = 255
Gaps = Mapping[str, Any]


@final
class Generic(Profile):
    """`headers` are those of every request, with the secrets they hold."""

    objects: dict[str, GenericObject]

    def __init__(
        self, settings: GenericCrmSettings, headers: Mapping[str, str], url: str, line: Line
    ) -> None:
        self._settings = settings
        self._headers = headers
        self._url = url
        self.line = line
        self.objects = settings.objects
        self.offers = settings.verbs

    @override
    def repeatable(self, verb: str) -> bool:
        call = self._settings.call(verb)
        return call is None or call.repeatable

    @override
    async def upsert(self, of: str, wanted: Wanted, fields: dict[str, Plain]) -> Result:
        return await self._do("crm.upsert", of, wanted, fields)

    @override
    async def attach(self, of: str, wanted: Wanted, fields: dict[str, Plain]) -> Result:
        verb = {"note": "crm.note", "task": "task.open"}.get(wanted.kind, "crm.activity")
        return await self._do(verb, of, wanted, fields)

    async def _do(self, verb: str, of: str, wanted: Wanted, fields: dict[str, Plain]) -> Result:
        call = self._settings.call(verb)
        if call is None:
            return No(f"{self.line.name} does not say how it takes {verb}")
        gaps = gaps_of(wanted, self.objects[of].type, fields)
        headers = {**self._headers, "Idempotency-Key": _line(wanted.key), "X-Hub-Event": _line(wanted.event)}
        url = yarl.URL(f"{self._url}{path_with(call.path, gaps)}", encoded=True)
        found = await self.line.ask(call.method, url, headers, filled(call.body, gaps))
        if not isinstance(found, Reply):
            return found
        result = meaning(call, found, self.line.clock.now_us())
        if not isinstance(result, Made):
            self.line.heard(result)
        return result


def meaning(call: CallSettings, reply: Reply, now_us: int) -> Made | Verdict:
    """Return what an answer means, as the profile reads it."""
    status, reason = reply.status, f"answered {reply.status}"
    wait = parse_retry_after(reply.retry_after, now_us) or 0
    if status in call.ok or (not call.ok and 200 <= status < 300):
        return _said(call, reply, wait)
    if status in call.retry:
        every = status in {429, 503}
        return NotNow(f"{reason}: not now", wait or (_SHORT_US if every else 0), all=every)
    if status in {401, 403}:
        return NotNow(f"{reason}: it does not let us in", wait or _OURS_US, ours=True, all=status == 401)
    if 400 <= status < 500 and status != 408:
        return No(reason)
    return Maybe(reason, wait)


def _said(call: CallSettings, reply: Reply, wait: int) -> Made | Verdict:
    try:
        body = json.loads(reply.content or b"null")
    except (ValueError, RecursionError):
        body = None
    own = own_id(_at(body, call.made)) if call.made is not None else ""
    if call.says is None:
        return Made(own)
    word = _at(body, call.says.at)
    text = word if isinstance(word, str) else json.dumps(word) if isinstance(word, bool | int) else ""
    if text in call.says.ok and text:
        return Made(own)
    reason = f"answered {reply.status}, and {call.says.at} is no yes"
    if text and text in call.says.retry:
        return NotNow(f"{reason}: {text[:_LONGEST_WORD]}", wait)
    # Without the word nobody can say what this answer is.
    return No(reason) if text else Maybe(f"answered {reply.status} without {call.says.at}", wait)


def _at(body: Any, where: str) -> Any:
    for name in where.split("."):
        if isinstance(body, list) and name.isdigit() and int(name) < len(body):
            body = body[int(name)]
        elif isinstance(body, dict):
            body = body.get(name)
        else:
            return None
    return body


def gaps_of(wanted: Wanted, kind: str, fields: Mapping[str, Plain]) -> Gaps:
    """Return what the gaps stand for; None for what the step did not say."""
    return {
        "id": wanted.id,
        "object": kind,
        "record": dict(fields),
        "text": wanted.text or None,
        "title": wanted.title or None,
        "kind": wanted.kind or None,
        "minutes": wanted.minutes,
        "due": iso(to_us(wanted.due)) if wanted.due is not None else None,
        "priority": wanted.priority,
        "at": iso(wanted.at),
        "key": wanted.key,
        "event": wanted.event or None,
        "account": wanted.account or None,
    }


def path_with(path: str, gaps: Gaps) -> str:
    """Return the path; what fills a gap cannot leave it."""
    return GAP.sub(lambda gap: quote(_plain(gaps[gap[1]]), safe=""), path)


def filled(body: Any, gaps: Gaps) -> Any:
    """Return the body; a gap that stands alone becomes the value itself, and one without a value is left out."""
    match body:
        case str():
            alone = GAP.fullmatch(body)
            return gaps[alone[1]] if alone else GAP.sub(lambda gap: _plain(gaps[gap[1]]), body)
        case dict():
            return {
                name: made
                for name, part in body.items()
                if (made := filled(part, gaps)) is not None or part is None
            }
        case list():
            return [made for part in body if (made := filled(part, gaps)) is not None or part is None]
        case _:
            return body


def _plain(value: object) -> str:
    return "" if value is None else str(value)


def _line(text: str) -> str:
    """Return text as a header takes it. One that is too long is told by its digest: cut short, it might be another's."""
    line = quote(text, safe="/:=@#,;+ ")
    return line if len(line) <= _LONGEST_LINE else sha256(text.encode()).hexdigest()
