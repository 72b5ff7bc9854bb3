"""A CRM of any other kind, described: what is sent where, and how its answers are read."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, SecretStr, StringConstraints, model_validator

from hub.dispatch.channels.crm.object_settings import (
    CrmSection,
    ObjectSettings,
    ProfileName,
    ProfileSettings,
    SecretOrFile,
)
from hub.intents.http_request import HeaderName

GAP: Final = re.compile(r"\{([a-z_]+)\}")
# What a gap may stand for; of these `record` is all fields, and only whole.
KNOWN: Final = frozenset(
    {
        "id",
        "object",
        "record",
        "text",
        "title",
        "kind",
        "minutes",
        "due",
        "priority",
        "at",
        "key",
        "event",
        "account",
    }
)
CALLS: Final = {"crm.upsert": "upsert", "crm.note": "note", "crm.activity": "activity", "task.open": "task"}
_DEEPEST: Final = 8
_MOST_PARTS: Final = 500
Status = Annotated[int, Field(ge=100, le=599)]
Where = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,64}){0,7}$")]


def _path(text: str) -> str:
    for name in GAP.findall(text):
        if name not in KNOWN - {"record", "text"}:
            raise ValueError(
                f"{{{name}}} is nothing a path can hold: it may hold {_listed(KNOWN - {'record', 'text'})}"
            )
    rest = GAP.sub("x", text)
    if not re.fullmatch(r"(/[A-Za-z0-9._~:@!$&'()*+,;=%-]+)*/?(\?[A-Za-z0-9._~:@!$&'()*+,;=%/?-]*)?", rest):
        raise ValueError(
            "a path begins with / and has gaps such as {id}; other characters are percent-encoded"
        )
    if any(part in {".", ".."} for part in rest.partition("?")[0].split("/")):
        raise ValueError("`.` and `..` lead to another place")
    return text


def _body(value: JsonValue) -> JsonValue:
    for number, text in enumerate(_texts(value, 0)):
        if number >= _MOST_PARTS:
            raise ValueError(f"a body has at most {_MOST_PARTS} texts")
        for name in GAP.findall(text):
            if name not in KNOWN:
                raise ValueError(f"{{{name}}} is unknown: a body may hold {_listed(KNOWN)}")
            if name == "record" and text != "{record}":
                raise ValueError('{record} stands alone: "{record}"')
    return value


def _texts(value: Any, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        raise ValueError(f"a body is at most {_DEEPEST} levels deep")
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from _texts(item, depth + 1)
        case dict():
            for item in value.values():
                yield from _texts(item, depth + 1)
        case _:
            pass


def _listed(names: frozenset[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in sorted(names))


class Says(CrmSection):
    """What a text of the answer's JSON means, where the status alone does not tell; anything else is a no."""

    at: Where
    ok: Annotated[tuple[str, ...], Field(max_length=32)]
    retry: Annotated[tuple[str, ...], Field(max_length=32)] = ()


class CallSettings(CrmSection):
    """One request. `ok` are the statuses that are a yes (2xx if left out), `retry` those that say that nothing was done.

    `idempotent` says that the CRM does it once however often it is asked; PUT does. `made` is where its answer has the id.
    """

    method: Literal["POST", "PUT", "PATCH"]
    path: Annotated[str, Field(max_length=1_024), AfterValidator(_path)]
    body: Annotated[JsonValue, AfterValidator(_body)] = {"id": "{id}", "record": "{record}", "text": "{text}"}
    idempotent: bool = False
    ok: Annotated[tuple[Status, ...], Field(max_length=32)] = ()
    retry: Annotated[tuple[Status, ...], Field(max_length=32)] = (423, 425, 429)
    says: Says | None = None
    made: Where | None = None

    @property
    def repeatable(self) -> bool:
        return self.idempotent or self.method == "PUT"

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if both := sorted({*self.ok} & {*self.retry}):
            raise ValueError(f"{both[0]} stands in `ok` and in `retry`: keep one")
        return self


class GenericObject(ObjectSettings):
    """`type` is what `{object}` stands for."""

    type: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


class GenericCrmSettings(ProfileSettings):
    """`token` is sent as a bearer; `headers` go with every request, and their values are secrets."""

    kind: Literal["generic"]
    url: Annotated[str, Field(max_length=512, pattern=r"^https?://[^?#\s]+$")]
    token: SecretStr | None = None
    token_file: Path | None = None
    headers: Annotated[dict[HeaderName, SecretOrFile], Field(max_length=32)] = {}
    rate: Annotated[float, Field(gt=0, le=1_000)] = 10.0
    objects: Annotated[dict[ProfileName, GenericObject], Field(min_length=1, max_length=32)]
    upsert: CallSettings | None = None
    note: CallSettings | None = None
    activity: CallSettings | None = None
    task: CallSettings | None = None

    def call(self, verb: str) -> CallSettings | None:
        found: CallSettings | None = getattr(self, CALLS[verb])
        return found

    @property
    def verbs(self) -> frozenset[str]:
        return frozenset(verb for verb in CALLS if self.call(verb) is not None)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.token is not None and self.token_file is not None:
            raise ValueError("the token stands in one place: keep token or token_file")
        if (self.token or self.token_file) and any(name.lower() == "authorization" for name in self.headers):
            raise ValueError("`token` and a header Authorization say the same: keep one")
        if not (self.upsert or self.note or self.activity or self.task):
            raise ValueError("say at least one of upsert, note, activity and task")
        return self
