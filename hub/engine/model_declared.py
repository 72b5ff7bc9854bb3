"""A declared event, as its file writes it."""

from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, JsonValue, StringConstraints, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from hub.engine.fields import Identifier, Line
from hub.engine.model_part import Part
from hub.events.declared import MOST_FIELDS
from hub.events.declared_types import DEFAULT_LENGTH, LONGEST, MEANT, FieldType, Misfit, read

CUSTOM_NAME = r"^custom(\.[a-z0-9][a-z0-9_]*)+$"
_CHOSEN_FROM = frozenset({FieldType.STRING, FieldType.INTEGER})


def _type(value: object) -> object:
    if isinstance(value, FieldType):
        return value
    if isinstance(value, str) and value in set(FieldType):
        return FieldType(value)
    meant = MEANT.get(value.lower()) if isinstance(value, str) else None
    near = f"; did you mean {meant}?" if meant is not None else ""
    raise PydanticCustomError("hub", "a field is of type {types}{near}", {"types": _TYPES, "near": near})


def _day(value: object) -> object:
    try:
        return (
            date.fromisoformat(value) if isinstance(value, str) and len(value) == len("2026-06-23") else value
        )
    except ValueError:
        raise PydanticCustomError("hub", "write a day such as 2026-06-23") from None


_TYPES = ", ".join(FieldType)
Kind = Annotated[
    FieldType, BeforeValidator(_type), WithJsonSchema({"enum": [str(each) for each in FieldType]})
]
Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
CustomName = Annotated[str, StringConstraints(max_length=128, pattern=CUSTOM_NAME)]
Choice = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")] | int


class FieldFile(Part):
    """What one field holds. `name: decimal` alone is short for `name: {type: decimal}`."""

    type: Kind = Field(description=f"What the value is: {_TYPES}.")
    required: bool = Field(True, description="Whether the event always has it.")
    one_of: Annotated[list[Choice], Field(min_length=1, max_length=100)] | None = Field(
        None, description="The values it may have, where only some are allowed."
    )
    longest: Annotated[int, Field(ge=1, le=LONGEST)] | None = Field(
        None, description=f"How many characters a text may have: 256 if left out, at most {LONGEST}."
    )
    about: Line | None = Field(None, description="What it says, in one sentence.")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"type": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.one_of is not None and self.type not in _CHOSEN_FROM:
            raise PydanticCustomError(
                "hub",
                "`one_of` is for fields of type string and integer, and this is {type}",
                {"type": self.type},
            )
        wanted = int if self.type is FieldType.INTEGER else str
        odd = next((each for each in self.one_of or () if type(each) is not wanted), None)
        if odd is not None:
            needed = "a whole number, without quotes" if wanted is int else "text: put it between quotes"
            raise PydanticCustomError(
                "hub", "in `one_of`, {odd} should be {needed}", {"odd": odd, "needed": needed}
            )
        for number, choice in enumerate(self.one_of or ()):
            try:
                read(self.type, self.longest or DEFAULT_LENGTH, choice)
            except Misfit as misfit:
                reason = misfit.reason
            else:
                reason = "is there twice" if choice in (self.one_of or ())[:number] else ""
            if reason:
                raise PydanticCustomError(
                    "hub", "in `one_of`, {choice} {reason}", {"choice": choice, "reason": reason}
                )
        if self.longest is not None and self.type is not FieldType.STRING:
            raise PydanticCustomError(
                "hub", "`longest` is for fields of type string, and this is {type}", {"type": self.type}
            )
        return self


class DeprecatedFile(Part):
    """Since when an event is on its way out, and what is told in its place."""

    since: Day = Field(description="The day since which nobody new should listen to it.")
    use: Annotated[str, StringConstraints(min_length=1, max_length=128)] = Field(
        description="The event to listen to in its place."
    )
    until: Day | None = Field(None, description="The first day on which it may be told no more.")

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.until is not None and self.until <= self.since:
            raise PydanticCustomError("hub", "`until` is a day after that of `since`")
        return self


class DeclaredFile(Part):
    """An event of your own: what it is called, which fields it has, and what an example of it looks like."""

    inner = {"fields": FieldFile, "deprecated": DeprecatedFile}

    form: Literal[1] = Field(alias="schema", description="The version of the file format: 1.")
    event: CustomName = Field(description="Its name, such as custom.client_promoted.")
    version: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        description="Raised when a field goes or becomes something else; new fields that need not be there do not count."
    )
    about: Line = Field(description="What has happened when it is told, in one sentence.")
    fields: Annotated[dict[Identifier, FieldFile], Field(max_length=MOST_FIELDS)] = Field(
        {}, description="What it says, by name; nothing else can be told with it."
    )
    example: dict[Identifier, JsonValue] | None = Field(
        None, description="The fields of one such event, shown wherever the event is described."
    )
    deprecated: DeprecatedFile | None = Field(None, description="That it is on its way out.")


def declaration_schema() -> dict[str, Any]:
    """Return the JSON Schema of a file that declares an event."""
    made = DeclaredFile.model_json_schema(by_alias=True)
    patterns = made["properties"]["fields"]["patternProperties"]
    for pattern, field in patterns.items():
        patterns[pattern] = {"anyOf": [{"enum": [str(each) for each in FieldType]}, field]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}
