"""`hub blueprints`: which there are, a file that uses one, and what changes when its version is raised."""

import json
import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hub.commands.reports import write_report
from hub.engine.blueprints import Blueprint, Difference, Use, Value, differences
from hub.engine.load import load_file, load_folder
from hub.engine.load_text import load_text
from hub.engine.problems import did_you_mean
from hub.engine.uses import with_blueprints
from hub.errors import ConfigError

_FILE = "new.yaml"


def list_blueprints(paths: Sequence[Path], *, as_json: bool) -> int:
    """Show the blueprints in files and folders, with their params."""
    found = _blueprints(paths)
    if as_json:
        print(json.dumps([_data(blueprint) for blueprint in found]))
        return 0
    console = Console(highlight=False)
    if not found:
        console.print("no blueprints found: one is a workflow file that begins with `blueprint: NAME`")
    for blueprint in found:
        console.print(
            f"[bold]{blueprint.name}@{blueprint.version}[/bold]: {escape(blueprint.title)}", soft_wrap=True
        )
        table = Table(box=None, pad_edge=False, show_header=False)
        for name, param in blueprint.params.items():
            value = (
                "has to be given" if name in blueprint.required else f"{_said(param.default)} unless given"
            )
            kind = f"{param.type} {param.currency}" if param.currency else param.type
            table.add_row(f"  {name}", kind, value, escape(param.about or ""))
        console.print(table)
    return 0


def use_blueprint(
    name: str, paths: Sequence[Path], workflow: str, values: Sequence[str], mode: str, output: Path | None
) -> int:
    """Write a file that uses a blueprint, with every param in it: what is not given has the blueprint's own value."""
    blueprint = _named(name, _blueprints(paths))
    given = dict(_value(text) for text in values)
    params = {
        key: given.pop(key, param.default)
        for key, param in blueprint.params.items()
        if key in given or key not in blueprint.required
    } | given
    lines = [
        "schema: 1",
        f"id: {workflow}",
        f"use: {blueprint.name}@{blueprint.version}",
        f"mode: {mode}",
        "params:" if params else "params: {}",
        *(f"  {key}: {_yaml(value)}" for key, value in params.items()),
    ]
    text = "\n".join(lines) + "\n"
    (report,) = with_blueprints([load_text(text, str(output or _FILE))], [blueprint])
    if report.workflow is None:
        raise ConfigError("; ".join(str(problem) for problem in report.problems))
    if output is None:
        print(text, end="")
        return 0
    if output.exists():
        raise ConfigError(f"{output} is there already: name another file")
    write_report(output, text, "--output")
    print(f"{output} uses {blueprint.name}@{blueprint.version}")
    return 0


def upgrade(file: Path, paths: Sequence[Path], *, write: bool, as_json: bool) -> int:
    """Show what changes for a file when it uses the blueprint as it is now; 1 where something has to be done first."""
    use = load_file(file).use
    if use is None:
        raise ConfigError(f"{file} uses no blueprint: it would say `use: NAME@VERSION`")
    blueprint = _named(use.blueprint, _blueprints(paths))
    found = list(differences(blueprint, use))
    ready = not any(each.fatal for each in found)
    if as_json:
        print(json.dumps(_upgrade_data(use, blueprint, found)))
    else:
        _show_upgrade(file, use, blueprint, found)
    if write and ready and use.version != blueprint.version:
        text = file.read_text(encoding="utf-8")
        raised = re.sub(
            rf"(?m)^(use:\s*[\"']?{re.escape(use.blueprint)}@){use.version}\b",
            rf"\g<1>{blueprint.version}",
            text,
        )
        write_report(file, raised, "--write:")
        if not as_json:
            print(f"{file} uses {blueprint.name}@{blueprint.version} now")
    return 0 if ready else 1


def _show_upgrade(file: Path, use: Use, blueprint: Blueprint, found: Sequence[Difference]) -> None:
    console = Console(highlight=False)
    same = use.version == blueprint.version
    where = "the latest" if same else f"and {blueprint.version} is the latest"
    console.print(f"{file}: uses {use.blueprint}@{use.version}, {where}", soft_wrap=True)
    for each in found:
        mark = "[red]to do[/red]" if each.fatal else "[yellow]look[/yellow]"
        console.print(f"  {mark} {escape(each.sentence)}", soft_wrap=True)
    if not found:
        console.print("  every param has the value the blueprint gives it")


def _upgrade_data(use: Use, blueprint: Blueprint, found: Sequence[Difference]) -> dict[str, Any]:
    return {
        "blueprint": blueprint.name,
        "version": use.version,
        "latest": blueprint.version,
        "differences": [{"param": d.param, "text": d.sentence, "fatal": d.fatal} for d in found],
    }


def _blueprints(paths: Sequence[Path]) -> list[Blueprint]:
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise ConfigError(f"there is no {', '.join(missing)}: name files or folders with --workflows")
    return sorted(load_folder(paths).blueprints, key=lambda each: each.name)


def _named(name: str, found: Sequence[Blueprint]) -> Blueprint:
    for blueprint in found:
        if blueprint.name == name:
            return blueprint
    near = did_you_mean(name, [each.name for each in found])
    raise ConfigError(f"there is no sound blueprint {name} here{near}: `hub blueprints list` shows them all")


def _value(text: str) -> tuple[str, Value]:
    """Return what `NAME=VALUE` says; true, false and plain numbers are what they look like."""
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise ConfigError(f"{text!r}: write NAME=VALUE, such as --set daily=5")
    if value in {"true", "false"}:
        return name, value == "true"
    try:
        number = Decimal(value)
    except InvalidOperation:
        return name, value
    return name, number if number.is_finite() else value


def _yaml(value: Value) -> str:
    return json.dumps(value) if isinstance(value, str) else _said(value)


def _said(value: Value) -> str:
    return msgspec.json.Encoder(decimal_format="number").encode(value).decode().strip('"')


def _data(blueprint: Blueprint) -> dict[str, Any]:
    return {
        "name": blueprint.name,
        "version": blueprint.version,
        "title": blueprint.title,
        "params": {
            name: {
                "type": param.type,
                "currency": param.currency,
                "required": name in blueprint.required,
                "default": None if name in blueprint.required else _said(param.default),
                "about": param.about,
            }
            for name, param in blueprint.params.items()
        },
    }
