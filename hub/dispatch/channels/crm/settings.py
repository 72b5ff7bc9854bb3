"""How the hub writes into CRMs: one section of `crm` in hub.yaml each, by the name steps call it by."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from hub.dispatch.channels.crm.generic_settings import CALLS, GenericCrmSettings
from hub.dispatch.channels.crm.object_settings import ObjectSettings, ProfileName, ProfileSettings

_Host = Annotated[str, Field(max_length=512, pattern=r"^https?://[^?#\s]+$")]


class HubSpotObject(ObjectSettings):
    """`type` is contacts, companies, deals, or the name of a custom object; `id` a property whose values are unique.

    `association` says by number how notes, activities and tasks are tied to a custom object.
    """

    type: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,99}$")]
    association: Annotated[
        dict[Literal["note", "call", "email", "meeting", "task"], int], Field(max_length=5)
    ] = {}


class HubSpotSettings(ProfileSettings):
    """`token` is that of a private app; better in `token_file`.

    `rate` is how many requests are made in a second: an account bears 10, most bear 19.
    """

    kind: Literal["hubspot"]
    token: SecretStr | None = None
    token_file: Path | None = None
    url: _Host = "https://api.hubapi.com"
    rate: Annotated[float, Field(gt=0, le=1_000)] = 9.0
    objects: Annotated[dict[ProfileName, HubSpotObject], Field(min_length=1, max_length=32)]

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if (self.token is None) == (self.token_file is None):
            raise ValueError("give either token_file or token")
        return self


class SalesforceObject(ObjectSettings):
    """`type` is Contact, Lead, Account or a custom object; `id` a field that is an external ID and unique.

    `related` says by which field activities and tasks are tied to it; WhoId for contacts and leads if left out.
    """

    type: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,79}$")]
    id: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,79}$")]
    related: Literal["WhoId", "WhatId"] | None = None

    @property
    def related_by(self) -> str:
        return self.related or ("WhoId" if self.type in {"Contact", "Lead"} else "WhatId")


class SalesforceSettings(ProfileSettings):
    """Signs in as a connected app: with `client_secret`, or for `user` with `private_key`, the one of its certificate.

    `login_url` is where it signs in, the address of the company's own domain; `audience` is who the key's word is for.
    `leave_calls` are those of a day's requests that are left for others.
    """

    kind: Literal["salesforce"]
    login_url: _Host
    client_id: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[\x21-\x7e]+$")]
    client_secret: SecretStr | None = None
    client_secret_file: Path | None = None
    private_key: SecretStr | None = None
    private_key_file: Path | None = None
    user: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    audience: _Host = "https://login.salesforce.com"
    version: Annotated[str, Field(pattern=r"^[0-9]{2,3}\.0$")] = "62.0"
    rate: Annotated[float, Field(gt=0, le=1_000)] = 10.0
    leave_calls: Annotated[int, Field(ge=0)] = 0
    objects: Annotated[dict[ProfileName, SalesforceObject], Field(min_length=1, max_length=32)]

    @model_validator(mode="after")
    def _signs_in_one_way(self) -> Self:
        ways = (self.client_secret, self.client_secret_file, self.private_key, self.private_key_file)
        if sum(way is not None for way in ways) != 1:
            raise ValueError("give one of client_secret_file, client_secret, private_key_file, private_key")
        signs = self.private_key is not None or self.private_key_file is not None
        if signs != (self.user is not None):
            raise ValueError("`user` belongs to a private key: it says whom the app acts for")
        return self


CrmSettings = Annotated[
    HubSpotSettings | SalesforceSettings | GenericCrmSettings, Field(discriminator="kind")
]


def takes(crm: CrmSettings) -> tuple[frozenset[str], frozenset[str]]:
    """Return the verbs a CRM takes, and the names of the kinds of records it keeps."""
    verbs = crm.verbs if isinstance(crm, GenericCrmSettings) else frozenset(CALLS)
    return verbs, frozenset(crm.objects)
