"""What a step writes into a CRM, in plain English."""

from collections.abc import Mapping
from typing import Final

SENTENCES: Final[Mapping[str, str]] = {
    "crm.upsert": "Writes the record {id} into the CRM",
    "crm.note": "Adds a note to the record {id} in the CRM",
    "crm.activity": "Enters the {kind} {title} at the record {id} in the CRM",
    "task.open": "Opens the task {title} at the record {id} in the CRM",
}


def form(name: str, said: Mapping[str, str]) -> str:
    """Return the sentence with its gaps, for what the step says."""
    whole = SENTENCES[name]
    if "object" in said:
        whole = whole.replace("the record {id}", "the {object} {id}")
    elif said.get("id") == "the client's id":
        whole = whole.replace("the record {id}", "{id}")
    return whole.replace("the CRM", "the CRM {profile}") if "profile" in said else whole


def spoken(said: Mapping[str, str]) -> dict[str, str]:
    """Return the values as they are spoken of: names without their quotes, and the client as himself."""
    found = dict(said)
    for name in ("object", "profile", "kind"):
        if name in found:
            found[name] = found[name].strip('"')
    if "object" not in found and found.get("id") == "the client's id":
        found["id"] = "the client"
    return found
