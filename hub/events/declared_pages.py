"""Declared events where the catalogue is shown: on the page of events, in the AsyncAPI document, one by one as JSON Schema."""

import json
import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from hub.clock import to_us
from hub.events.asyncapi import MESSAGES, SCHEMAS, asyncapi, message, message_name, payload, payload_name
from hub.events.declared import Declared, DeclaredField
from hub.events.declared_types import SPOKEN
from hub.events.examples import MOMENT, Example, told_of
from hub.events.facts import make_fact

_HEAD: Final = """
## Your own

These are declared in files beside the workflows of this hub: [events of your own](/docs/declared-events).
"""


def render_declared(declared: Iterable[Declared]) -> str:
    """Return the part of the page of events that tells of those this hub declares, "" where it declares none."""
    parts = [_section(each) for each in sorted(declared, key=lambda each: each.name)]
    return "\n".join([_HEAD, *parts]) if parts else ""


def asyncapi_with(declared: Iterable[Declared]) -> dict[str, Any]:
    """Return the AsyncAPI document with declared events beside the catalogue's."""
    document = asyncapi()
    components = document["components"]
    for each in sorted(declared, key=lambda each: each.name):
        kind, name = each.kind, message_name(each.kind)
        components["messages"][name] = message(kind, sent_example_of(each))
        components["schemas"][_data_name(each)] = each.schema()
        components["schemas"][payload_name(kind)] = payload(kind, SCHEMAS + _data_name(each))
        for channel in document["channels"].values():
            channel["messages"][name] = {"$ref": MESSAGES + name}
    return document


def sent_example_of(declared: Declared) -> Example:
    """Return the body of a webhook that tells of such an event."""
    data = declared.read(declared.example)
    assert not isinstance(data, list), f"{declared.name}: {data[0]}"
    event = make_fact(
        declared.kind,
        declared.name,
        data,
        timestamp=MOMENT,
        received_us=to_us(MOMENT),
        source="live-1",
        dedupe_key=f"example:{declared.name}",
    ).envelope
    found: Example = msgspec.json.decode(msgspec.json.encode(told_of(event)))
    return found


def _data_name(declared: Declared) -> str:
    return "Data_" + message_name(declared.kind)


def _section(declared: Declared) -> str:
    notes = [_plain(declared.about)]
    if declared.version > 1:
        notes.append(f"Version {declared.version} of its `data`.")
    if declared.deprecated is not None:
        notes.append(f"**{_plain(declared.deprecated.in_words)}**")
    rows = [
        f"| {f'**`{each.name}`**' if each.required else f'`{each.name}`'} | {_holds(each)} |"
        for each in declared.fields.values()
    ]
    table = "\n".join(["| field | holds |", "|---|---|", *rows]) if rows else "It has no fields."
    example = _code(json.dumps(declared.example, ensure_ascii=False))
    return f"### {declared.name}\n\n{' '.join(notes)}\n\n{table}\n\nExample: {example}\n"


def _holds(field: DeclaredField) -> str:
    values = (_code(str(value)).replace("|", "\\|") for value in field.one_of)  # it stands in a table
    what = ", ".join(values) or SPOKEN[field.type]
    return f"{what}: {_plain(field.about)}" if field.about else what


def _code(text: str) -> str:
    """Return a text as it is, as code: between more backticks than it has in a row."""
    ticks = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{ticks} {text} {ticks}" if len(ticks) > 1 else f"{ticks}{text}{ticks}"


def _plain(text: str) -> str:
    """Return words of a file as they stand in a table of Markdown: signs that mean something there are words as well."""
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>|#!" else sign for sign in text)
