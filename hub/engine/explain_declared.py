"""A declared event in plain English."""

from hub.engine.explain import Explanation, printable
from hub.events.declared import Declared, DeclaredField
from hub.events.declared_types import SPOKEN


def explain_declared(declared: Declared) -> Explanation:
    """Say what an event says; the same file always gives the same text."""
    lines = ["Told by workflows, or posted to the hub."]
    if declared.deprecated is not None:
        lines.append(declared.deprecated.in_words)
    always = [each for each in declared.fields.values() if each.required]
    maybe = [each for each in declared.fields.values() if not each.required]
    if always:
        lines += ["It always has:", *(f"  - {_field(each)}" for each in always)]
    if maybe:
        lines += ["It may have:", *(f"  - {_field(each)}" for each in maybe)]
    if not declared.fields:
        lines.append("It has no fields: that it happened is all it says.")
    return Explanation(
        declared.name,
        printable(declared.about),
        f"version {declared.version}",
        tuple(printable(line) for line in lines),
    )


def _field(field: DeclaredField) -> str:
    what = SPOKEN[field.type]
    if field.one_of:
        what = f"one of {', '.join(map(str, field.one_of))}"
    return f"{field.name}: {what}" + (f" ({field.about})" if field.about else "")
