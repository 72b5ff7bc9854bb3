"""From a file that declares an event to the declaration: everything wrong with it is reported at once, with its place."""

import re
from decimal import Decimal
from typing import Any, Final

from pydantic import ValidationError

from hub.engine.complaints import complain
from hub.engine.model_declared import DeclaredFile, FieldFile
from hub.engine.nodes import Document
from hub.engine.problems import Problems, quoted
from hub.engine.scopes import unknown_event
from hub.events.catalogue import Deprecation, event_type
from hub.events.declared import ENVELOPES_OWN, Declared, DeclaredField
from hub.events.declared_types import DEFAULT_LENGTH

# Told by the hub itself, to an endpoint that is tried out.
RESERVED: Final = frozenset({"custom.endpoint_test"})
# The first key of a file: the others at its top stand in the same column, unless all of it is in brackets.
_FIRST: Final = re.compile(r"^(?!---|%)([ \t]*)([^\s#])", re.MULTILINE)
_EVENT: Final = r"[\"']?event[\"']?\s*:(?:[ \t]*[\"']?(?P<name>custom(?:\.[A-Za-z0-9_]+)+))?"
_CUSTOM: Final = "custom."


def event_at_top(text: str) -> str | None:
    """Return which event a file may declare, "" where that is not to be seen, and None where it declares none.

    It is not read as YAML for that: most files are workflows, and some are not YAML.
    """
    first = _FIRST.search(text)
    begins = f"^{first[1]}" if first is not None and first[2] not in "{?" else ""
    found = re.search(begins + _EVENT, text, re.MULTILINE)
    return None if found is None else found["name"] or ""


def declaration(document: Document, problems: Problems) -> Declared | None:
    """Return what a file declares; what is wrong goes to `problems`."""
    named = document.data().get("event")
    if isinstance(named, str) and not named.startswith(_CUSTOM):
        why = "is told by the platforms or the hub itself" if event_type(named) else "is no name for it"
        problems.error(
            document.place(("event",)),
            f"{quoted(named)} {why}: a file with `event` at its top declares an event of your own, such as "
            "`event: custom.client_promoted`; a workflow starts at events under `when`",
        )
        return None
    if isinstance(named, str) and named in RESERVED:
        problems.error(
            document.place(("event",)), f"{quoted(named)} is told by the hub itself: choose another name"
        )
        return None
    try:
        file = DeclaredFile.model_validate(document.data())
    except ValidationError as error:
        complain(document, error, problems, DeclaredFile)
        return None
    for name in ENVELOPES_OWN & file.fields.keys():
        problems.error(
            document.key_place(("fields", name)),
            f"every event has `{name}` beside its fields: choose another name",
        )
    made = Declared(
        file.event,
        file.version,
        {name: _field(name, each) for name, each in file.fields.items()},
        file.about,
        _plain(file.example or {}),
        _deprecated(file),
        document.path,
    )
    _example(document, file, made, problems)
    if made.deprecated is not None:
        instead = made.deprecated.instead
        itself = f"{quoted(made.name)} cannot stand in for itself" if instead == made.name else None
        if (unfit := itself or unknown_event(instead)) is not None:
            problems.error(document.place(("deprecated", "use")), unfit)
    return made


def _field(name: str, file: FieldFile) -> DeclaredField:
    return DeclaredField(
        name,
        file.type,
        file.required,
        tuple(file.one_of or ()),
        file.longest or DEFAULT_LENGTH,
        file.about or "",
    )


def _deprecated(file: DeclaredFile) -> Deprecation | None:
    found = file.deprecated
    return Deprecation(found.since, found.use, found.until) if found is not None else None


def _example(document: Document, file: DeclaredFile, made: Declared, problems: Problems) -> None:
    if file.example is None:
        return
    wrong = made.read(made.given)
    for misread in wrong if isinstance(wrong, list) else ():
        at = ("example", misread.field)
        place = document.key_place(at) if document.node(at) is not None else document.key_place(("example",))
        fix = f": {misread.fix}" if misread.fix else ""
        problems.error(place, f"the example does not fit: `{misread.field}` {_said(misread.reason)}{fix}")


def _said(reason: str) -> str:
    return (
        "is missing" if reason == "missing" else f"is an {reason}" if reason.startswith("unknown") else reason
    )


def _plain(example: dict[str, Any]) -> dict[str, Any]:
    """Return an example as JSON has it: a decimal is text."""
    return {
        name: format(value, "f") if isinstance(value, Decimal) else value for name, value in example.items()
    }
