"""What every CRM's section has: kinds of records, and under which names and as which values their fields are kept."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, StringConstraints

from hub.intents.crm import MOST_FIELDS, FieldName

# What steps call a CRM, and a kind of its records.
ProfileName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
CrmField = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,127}$")]


class CrmSection(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class FieldSettings(CrmSection):
    """`name` is what the CRM calls it, `type` what it keeps there: numbers, days and moments are written as such."""

    name: CrmField
    type: Literal["text", "number", "bool", "date", "time"] = "text"


def _in_full(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


class ObjectSettings(CrmSection):
    """`fields` say what the CRM calls a field of a step's `record`; one that is not named keeps its name."""

    fields: Annotated[
        dict[FieldName, Annotated[FieldSettings, BeforeValidator(_in_full)]], Field(max_length=MOST_FIELDS)
    ] = {}

    def field(self, name: str) -> FieldSettings:
        return self.fields.get(name) or FieldSettings.model_construct(name=name)


class SecretFile(CrmSection):
    """A secret in a file of its own, which only the hub can read."""

    file: Path


SecretOrFile = SecretStr | SecretFile


class ProfileSettings(CrmSection):
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 15.0
