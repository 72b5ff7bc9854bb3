"""A client's record as the directory takes it, and the fields of it that events tell."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from hub.events.base import Flag, Login, Scalar, ServerName, Text

MAX_ACCOUNTS = 256
_ID = r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$"
_TOLD_LENGTH = 256  # an event's scalar is no longer


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _is_zone(name: str) -> str:
    if name not in _zones():
        raise ValueError("not an IANA time zone such as Europe/Berlin")
    return name


ClientId = Annotated[str, StringConstraints(strict=True, pattern=_ID)]
Email = Annotated[
    str,
    StringConstraints(
        strict=True, max_length=254, pattern=r"^[^\s\x00-\x1f\x7f<>,;@]+@[^\s\x00-\x1f\x7f<>,;@]+$"
    ),
]
Phone = Annotated[str, StringConstraints(strict=True, pattern=r"^\+?[0-9][0-9 ().-]{3,30}$")]
Language = Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$")]
Country = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Z]{2}$")]
Zone = Annotated[str, StringConstraints(strict=True, max_length=64), AfterValidator(_is_zone)]
Tag = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$")]
AttributeName = Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class LinkedAccount(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    server: ServerName
    login: Login

    @property
    def key(self) -> str:
        return f"{self.server}:{self.login}"


def _spelled(value: object) -> object:
    """Take "live-1:7001" apart; everything else is left to the model."""
    if not isinstance(value, str):
        return value
    server, _, login = value.rpartition(":")
    if not (login.isascii() and login.isdigit() and len(login) < 20):
        raise ValueError('not an account such as "live-1:7001"')
    return {"server": server, "login": int(login)}


Linked = Annotated[LinkedAccount, BeforeValidator(_spelled, json_schema_input_type=str | LinkedAccount)]
Tags = Annotated[tuple[Tag, ...], Field(max_length=32)]
Attributes = Annotated[dict[AttributeName, Scalar], Field(max_length=64)]


def fits_an_event(tags: tuple[str, ...]) -> tuple[str, ...]:
    if len(",".join(tags)) > _TOLD_LENGTH:
        raise ValueError(f"tags are longer than {_TOLD_LENGTH} characters together")
    return tags


class Client(BaseModel):
    """The whole record: what is left out is not known. `attributes` are read in workflows as client.attributes.name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    email: Email | None = None
    phone: Phone | None = None
    first_name: Text | None = None
    last_name: Text | None = None
    language: Language | None = None
    country: Country | None = None
    timezone: Zone | None = None
    consent_marketing: Flag | None = None
    kyc: Text | None = None
    ib: Text | None = None
    tags: Tags = ()
    attributes: Attributes = {}
    accounts: Annotated[tuple[Linked, ...], Field(max_length=MAX_ACCOUNTS)] = ()

    @model_validator(mode="after")
    def _says_each_thing_once(self) -> "Client":
        fits_an_event(self.tags)
        if len(set(self.accounts)) != len(self.accounts):
            raise ValueError("an account is listed twice")
        return self


NOTHING = Client()
_PLAIN = tuple(name for name in Client.model_fields if name not in {"tags", "attributes", "accounts"})


def told(client: Client) -> Mapping[str, Any]:
    """Return the fields events tell, flat, each a scalar or None where it is not known."""
    fields: dict[str, Any] = {name: getattr(client, name) for name in _PLAIN}
    fields["tags"] = ",".join(client.tags) or None
    accounts = ",".join(account.key for account in client.accounts)
    # A longer list than an event can carry is left unknown rather than cut.
    fields["accounts"] = accounts if 0 < len(accounts) <= _TOLD_LENGTH else None
    for name, value in client.attributes.items():
        fields[f"attributes.{name}"] = value
    return fields
