"""`hub event-types`: which events a running hub knows, and what each says."""

import json
from typing import Any
from urllib.parse import quote

from hub.commands.client import wait
from hub.commands.remote import RemoteHub
from hub.commands.shown import print_table, say, say_quoted

_LISTED = ("type", "version", "declared", "about")


def list_event_types(url: str, api_key: str, *, family: str, declared: bool, as_json: bool) -> int:
    asked = {"family": family} if family else {}
    asked |= {"declared": "true"} if declared else {}
    found = wait(RemoteHub(url, api_key).ask("GET", "/v1/event-types", query=asked))
    if as_json:
        print(json.dumps(found["types"]))
        return 0
    print_table(
        _LISTED,
        (
            (row["type"], str(row["version"]), "yes" if row["declared"] else "", row["about"])
            for row in found["types"]
        ),
    )
    if found["undeclared"] == "refuse":
        say("custom events that no file declares are refused")
    return 0


def show_event_type(url: str, api_key: str, name: str, *, as_json: bool) -> int:
    found = wait(RemoteHub(url, api_key).ask("GET", f"/v1/event-types/{quote(name, safe='')}"))
    if as_json:
        print(json.dumps(found))
        return 0
    say_quoted(f"{found['type']}, version {found['version']}: {found['about']}")
    if (gone := found.get("deprecated")) is not None:
        say_quoted(f"deprecated since {gone['since']}: use {gone['use']}")
    print_table(("field", "always", "holds"), _fields(found))
    say_quoted(f"example: {json.dumps(found['example'], ensure_ascii=False)}")
    return 0


def _fields(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    if "fields" in found:
        return [
            (each["name"], "yes" if each["required"] else "", _declared(each)) for each in found["fields"]
        ]
    schema: dict[str, Any] = found["schema"]
    always = set(schema.get("required", ()))
    return [
        (name, "yes" if name in always else "", str(said.get("type", "see --json")))
        for name, said in schema["properties"].items()
    ]


def _declared(field: dict[str, Any]) -> str:
    what = ", ".join(map(str, field["one_of"])) if "one_of" in field else str(field["type"])
    return f"{what}: {field['about']}" if "about" in field else what
