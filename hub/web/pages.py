"""Writes the pages of the documentation that are generated from the code: `python -m hub.web.pages`."""

import sys
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Final

from hub.dispatch.channels.crm.generic_settings import CALLS
from hub.dispatch.channels.manager_mt_remote import OFFERS
from hub.events.reference import render_events
from hub.expr.reference import render_reference
from hub.ingest.posted import is_the_hubs_own, needs_account
from hub.intents.verbs import VERBS, WRITTEN_BY_HUB, Params, Risk, Verb

DOCS: Final = Path(__file__).parent / "docs"

_SECTIONS = {
    "notify.email": "mail",
    "notify.sms": "sms",
    "notify.push": "push",
    "notify.chat": "chat",
    "notify.page": "page",
} | dict.fromkeys(CALLS, "crm")
_PUBLISH = "event.publish"
_RISKS: Final = {
    Risk.MONEY: "Moves money. Sent at most twice, the second time only after two complete looks did not find it.",
    Risk.ACCOUNT: "Changes an account.",
    Risk.TRADING: "Touches positions and orders.",
    Risk.CONFIGURATION: "Changes what many accounts share.",
    Risk.NOTIFY: "Tells somebody. A push message may go twice under an id that stays the same, the others go once: "
    "[Messages to clients](/docs/channels), [Messages to teams](/docs/teams).",
    Risk.INTEGRATION: "Asks another system, under an id that stays the same: [More about steps](/docs/steps). What is written into a CRM "
    "has a page of its own: [CRMs](/docs/crm).",
}
_HEAD: Final = """# Verbs

A verb is what a step of a [workflow](/docs/workflows) asks for with `do`; its parameters stand under `with`. How manager actions are
carried out: [Manager actions](/docs/actions). This page is generated from the list in the code.

The column *offered* says what carries a verb out in this version: `managers`, `mail`, `sms`, `push`, `chat`, `page` and `crm` are sections of
`hub.yaml`. A verb that nothing offers can be written: `hub check --config hub.yaml` warns of it, and so does the hub when it starts where it is
no manager action; when a step asks for it, it is refused. A verb that always needs a person's approval stands behind an [`approve`](/docs/approvals) step.
"""


def generated() -> dict[str, Callable[[], str]]:
    """Return what each generated page is made by, by its name."""
    return {
        "events": lambda: render_events(told_by_the_hub=is_the_hubs_own, needs_account=needs_account),
        "expressions": render_reference,
        "verbs": render_verbs,
    }


def render_verbs() -> str:
    parts = [_HEAD]
    for risk, verbs in groupby(sorted(VERBS.values(), key=_by_risk), key=lambda verb: verb.risk):
        parts += [f"## {risk}\n", f"{_RISKS[risk]}\n", _table(list(verbs))]
    return "\n".join(parts)


def _by_risk(verb: Verb) -> int:
    return list(Risk).index(verb.risk)


def _table(verbs: list[Verb]) -> str:
    lines = ["| verb | parameters | reversed by | offered |", "|---|---|---|---|"]
    lines += [
        f"| `{verb.name}` | {_parameters(verb.params)} | {f'`{verb.reversed_by}`' if verb.reversed_by else ''} | {_offered(verb)} |"
        for verb in verbs
    ]
    return "\n".join(lines) + "\n"


def _parameters(params: type[Params]) -> str:
    """Return the names of a verb's parameters; required ones are bold."""
    names = {
        field.alias or name: field.is_required()
        for name, field in params.model_fields.items()
        if name not in WRITTEN_BY_HUB
    }
    return " ".join(f"**`{name}`**" if required else f"`{name}`" for name, required in names.items())


def _offered(verb: Verb) -> str:
    if verb.approval:
        return "needs approval"
    if verb.name == _PUBLISH or verb.answers:
        return "always"
    if verb.name in _SECTIONS:
        return f"`{_SECTIONS[verb.name]}`"
    return "`managers`: MT Remote" if verb.name in OFFERS else ""


def write_generated(folder: Path = DOCS) -> list[Path]:
    """Write the generated pages and return where they are."""
    written = []
    for name, render in generated().items():
        path = folder / f"{name}.md"
        path.write_text(render(), encoding="utf-8")
        written.append(path)
    return written


if __name__ == "__main__":
    for page in write_generated():
        sys.stdout.write(f"{page}\n")
