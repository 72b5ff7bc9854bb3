"""What is said of a custom event that nobody declared, or that is on its way out, where a workflow names it."""

from collections.abc import Mapping
from typing import Final

from hub.engine.draft import Draft
from hub.engine.nodes import Location
from hub.events.catalogue import is_custom
from hub.events.declared import Undeclared
from hub.events.declared_types import FieldType

_NONE: Final[Mapping[str, FieldType]] = {}


def ask_whether_declared(
    draft: Draft, location: Location, name: str, fields: Mapping[str, FieldType] = _NONE
) -> None:
    """Warn where `name` is a custom type nobody declared; an error where the hub takes none. `fields` are told of it."""
    declared = draft.scopes.declared
    if declared.undeclared is Undeclared.UNASKED or not name.startswith("custom.") or not is_custom(name):
        return
    found = declared.get(name)
    if found is not None:
        if found.deprecated is not None:
            draft.warn(location, f"`{name}`: {found.deprecated.in_words}")
        return
    message = _message(name, declared.broken.get(name), declared.near(name), fields)
    if declared.undeclared is Undeclared.REFUSE:
        draft.error(location, message)
    else:
        draft.warn(location, message)


def _message(name: str, broken: str | None, near: str, fields: Mapping[str, FieldType]) -> str:
    if broken is not None:
        return f"`{name}` is declared in {broken}, and what stands there cannot be used: mend that file"
    said = f"`{name}` is declared nowhere, so nobody checks what it says"
    if near:
        return said + near
    known = ", ".join(f"{field}: {type_}" for field, type_ in fields.items())
    lines = f"`event: {name}`, `version: 1`, `about: ...` and `fields: {{{known}}}`"
    return f"{said}: add a file with `schema: 1`, {lines}"
