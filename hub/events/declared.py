"""Custom events somebody declared: which fields one has, what each holds, and whether what is told of it fits.

A declaration is asked where an event comes in or is published, and never of what stands in the log: that is read as it
was written, whatever is declared later.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from enum import StrEnum
from functools import cached_property
from typing import Any, Final, NamedTuple

from typing_extensions import override

from hub.events.catalogue import CUSTOM, Deprecation, EventType
from hub.events.declared_types import DEFAULT_LENGTH, FieldType, Misfit, json_schema, read, sample
from hub.events.operations import Custom

MOST_FIELDS: Final = 64
MOST_TYPES: Final = 1_000
MOST_MISFITS: Final = 10
# Beside the data the envelope has these, and `event.id` can name one of the two only.
ENVELOPES_OWN: Final = frozenset({"id", "type", "timestamp"})

Value = str | int
_NAMES: Final = re.compile(r"custom(?:\.[A-Za-z0-9_]+)+")


class Misread(NamedTuple):
    """What is wrong with one field of an event's data, and how to mend it."""

    field: str
    reason: str
    fix: str = ""

    @override
    def __str__(self) -> str:
        return f"{self.field}: {self.reason}" + (f": {self.fix}" if self.fix else "")


@dataclass(frozen=True, slots=True)
class DeclaredField:
    """`one_of` empty: any value of the type; `longest` bounds texts."""

    name: str
    type: FieldType
    required: bool = True
    one_of: tuple[Value, ...] = ()
    longest: int = DEFAULT_LENGTH
    about: str = ""

    def read(self, value: object) -> object:
        """Return a value as it is stored. Raises Misfit."""
        found = read(self.type, self.longest, value)
        if self.one_of and found not in self.one_of:
            raise Misfit(f"is none of {', '.join(map(str, self.one_of))}{_near(found, self.one_of)}")
        return found

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the field's values."""
        found = {"enum": list(self.one_of)} if self.one_of else json_schema(self.type, self.longest)
        return {**found, "description": self.about} if self.about else found

    @property
    def sample(self) -> object:
        if self.one_of:
            return self.one_of[0]
        found = sample(self.type)
        return found[: self.longest] if isinstance(found, str) and self.type is FieldType.STRING else found


@dataclass(frozen=True, eq=False)
class Declared:
    """One custom type. `given` is the example its file has; `where` is that file."""

    name: str
    version: int
    fields: Mapping[str, DeclaredField]
    about: str = ""
    given: Mapping[str, Any] = field(default_factory=dict)
    deprecated: Deprecation | None = None
    where: str = ""

    @cached_property
    def kind(self) -> EventType:
        """Return it as a type of the catalogue: its data is stored like that of any custom event, under its version."""
        return EventType(
            CUSTOM.code,
            self.name,
            Custom,
            schema=self.version,
            about=self.about,
            deprecated=self.deprecated,
        )

    def read(self, data: Mapping[str, Any]) -> Custom | list[Misread]:
        """Return the data as it is stored, or everything that is wrong with it."""
        fields = self.fields
        wrong: list[Misread] = []
        told: dict[str, Any] = {}
        for name, value in data.items():
            declared = fields.get(name)
            if declared is None:
                wrong.append(Misread(name, f"unknown field of {self.name}", self.near(name)))
            elif value is not None:
                try:
                    told[name] = declared.read(value)
                except Misfit as misfit:
                    wrong.append(Misread(name, misfit.reason))
            if len(wrong) == MOST_MISFITS:
                return wrong
        wrong += [
            Misread(name, "missing", f"{self.name} always has it")
            for name, declared in fields.items()
            if declared.required and data.get(name) is None
        ]
        return wrong[:MOST_MISFITS] or Custom.model_validate(told)

    def near(self, name: str) -> str:
        """Return the spelling somebody may have meant, or else what there is."""
        near = get_close_matches(name[:64], list(self.fields), n=1, cutoff=0.6)
        if near:
            return f"did you mean {near[0]}?"
        return f"known are {', '.join(list(self.fields)[:8])}" if self.fields else "it has no fields"

    @cached_property
    def example(self) -> dict[str, Any]:
        """Return data such an event may have: that of its file, or else a plausible value for each field."""
        return dict(self.given) or {name: each.sample for name, each in self.fields.items()}

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of its data."""
        return {
            "title": self.name,
            "description": self.about,
            "type": "object",
            "properties": {name: each.schema() for name, each in self.fields.items()},
            "required": [name for name, each in self.fields.items() if each.required],
            "additionalProperties": False,
            "examples": [self.example],
        } | ({"deprecated": True} if self.deprecated is not None else {})

    def broken_by(self, after: "Declared") -> tuple[str, str] | None:
        """Return the first field, and why, that whoever knows this version would misread or tell wrongly in another of its number."""
        for name, before in self.fields.items():
            now = after.fields.get(name)
            if now is None:
                return name, f"`{name}` was there in version {self.version} and is gone"
            if now.type is not before.type:
                return name, f"`{name}` was of type {before.type} in version {self.version} and is {now.type}"
            if before.required and not now.required:
                return name, f"`{name}` was always there in version {self.version} and now need not be"
            if now.required and not before.required:
                return (
                    name,
                    f"`{name}` need not be there in version {self.version}, and whoever leaves it out would be refused",
                )
            if set(now.one_of) != set(before.one_of):
                return name, f"`{name}` had other values to choose from in version {self.version}"
        added = [
            each.name for each in after.fields.values() if each.required and each.name not in self.fields
        ]
        return (added[0], f"`{added[0]}` is new and always there, and nobody tells it yet") if added else None


class Undeclared(StrEnum):
    """What is done about a custom type that nobody declared."""

    UNASKED = "unasked"  # where nobody knows what is declared: in a workflow as it was stored
    ACCEPT = "accept"
    REFUSE = "refuse"


@dataclass(frozen=True, eq=False)
class Declarations:
    """What is declared, by name; `broken` are types whose declaration cannot be used, with where it stands."""

    types: Mapping[str, Declared] = field(default_factory=dict)
    undeclared: Undeclared = Undeclared.UNASKED
    broken: Mapping[str, str] = field(default_factory=dict)
    others: tuple[str, ...] = ()

    def get(self, name: str) -> Declared | None:
        return self.types.get(name)

    def named(self, text: str) -> "Declarations":
        """Return what a text names; what it does not name stays known to whoever looks for a near spelling."""
        found = {name: self.types[name] for name in sorted(names_in(text) & self.types.keys())}
        return replace(self, types=found, others=tuple(self.types))

    def of(self, names: Iterable[str]) -> tuple[Declared, ...]:
        """Return those of the names that are declared, in their order."""
        return tuple(found for name in names if (found := self.types.get(name)) is not None)

    def near(self, name: str) -> str:
        """Return ``; did you mean X?`` or nothing."""
        near = get_close_matches(name[:128], self.others or list(self.types), n=1, cutoff=0.8)
        return f"; did you mean {near[0]}?" if near else ""


NONE_DECLARED: Final = Declarations()
Known = Callable[[], Declarations]  # what is declared now


def names_in(text: str) -> frozenset[str]:
    """Return the custom types a text names, and maybe more."""
    return frozenset(_NAMES.findall(text))


def nothing_declared() -> Declarations:
    return NONE_DECLARED


def _near(value: object, known: Iterable[Value]) -> str:
    near = get_close_matches(str(value)[:64], [str(each) for each in known], n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""
