"""`hub templates`: the messages workflows send by name, what they say, and what they come to with values in them."""

import json
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from hub.engine.load import LoadedSet, load_folder, messages_beside
from hub.engine.message_files import Messages
from hub.engine.messages import SAYS, Message, Wording
from hub.engine.problems import did_you_mean
from hub.engine.program import Workflow
from hub.engine.program_steps import Worded, steps_of
from hub.errors import ConfigError
from hub.text import TextError, one_line

_ONE_LINE = frozenset({"subject", "title", "push.title"})


def list_templates(paths: Sequence[Path], folder: Path | None, *, as_json: bool) -> int:
    """Return 1 where one of them is not sound; what is wrong is said beside."""
    _exist(paths, folder)
    loaded = load_folder(paths, folder)
    using = _using(loaded)
    found = [
        {
            "name": message.name,
            "about": message.about,
            "languages": message.languages,
            "version": message.version,
            "workflows": using.get(message.name, []),
        }
        for _, message in sorted(loaded.messages.sound.items())
    ]
    if as_json:
        print(json.dumps(found))
    else:
        _list(found)
    return _complained(loaded.messages)


def show_template(name: str, paths: Sequence[Path], folder: Path | None, *, as_json: bool) -> int:
    _exist(paths, folder)
    message = _named(name, messages_beside(paths, folder))
    wordings = [message.wording(each) for each in message.languages]
    if as_json:
        data = {
            "name": message.name,
            "about": message.about,
            "version": message.version,
            "default": message.default,
            "languages": {
                each.language: {
                    "file": each.place.path,
                    "reads": _reads(each),
                    "parts": {part: template.source for part, template in each.parts.items()},
                }
                for each in wordings
            },
        }
        print(json.dumps(data, ensure_ascii=False))
        return 0
    console = Console(highlight=False)
    console.print(Text(f"{message.name}, version {message.version}", style="bold"))
    if message.about:
        console.print(Text(message.about), soft_wrap=True)
    for each in wordings:
        console.print(Text(f"\n{each.language} ({each.place.path})", style="bold"), soft_wrap=True)
        console.print(Text(f"reads: {', '.join(_reads(each)) or 'nothing'}"), soft_wrap=True)
        _parts({part: template.source for part, template in each.parts.items()})
    return 0


def render_template(
    name: str,
    values: Sequence[str],
    language: str,
    verb: str,
    paths: Sequence[Path],
    folder: Path | None,
    *,
    as_json: bool,
) -> int:
    _exist(paths, folder)
    if verb and verb not in SAYS:
        raise ConfigError(f"{verb} sends no messages by name: {', '.join(SAYS)} do")
    message = _named(name, messages_beside(paths, folder))
    env = _env(values)
    wording = message.wording(language)
    named = {part: part for part in wording.parts}
    if verb:
        named = {
            param: part for param, parts in SAYS[verb].items() if (part := wording.part(parts)) is not None
        }
    try:
        said = {param: wording.parts[part].render(env) for param, part in named.items()}
    except TextError as problem:
        raise ConfigError(f"{problem}: give it with --set NAME=VALUE") from problem
    said = {param: one_line(text) if param in _ONE_LINE else text for param, text in said.items()}
    if as_json:
        data = {"name": message.name, "language": wording.language, "version": message.version, "parts": said}
        print(json.dumps(data, ensure_ascii=False))
        return 0
    Console(highlight=False).print(
        Text(f"{message.name}, version {message.version}, in {wording.language}", style="bold")
    )
    _parts(said)
    return 0


def _exist(paths: Sequence[Path], folder: Path | None) -> None:
    missing = [str(path) for path in (*paths, *([folder] if folder is not None else [])) if not path.exists()]
    if missing:
        raise ConfigError(f"there is no {', '.join(missing)}: name files or folders with --workflows")


def _named(name: str, messages: Messages) -> Message:
    message = messages.sound.get(name)
    if message is not None:
        return message
    broken = messages.broken.get(name)
    if broken is not None:
        raise ConfigError(f"the message {name} is not sound: {broken}")
    near = did_you_mean(name, messages.names)
    raise ConfigError(f"there is no message {name} here{near}: `hub templates list` shows them all")


def _using(loaded: LoadedSet) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for workflow in loaded.workflows:
        for name in sorted(_names(workflow)):
            found.setdefault(name, []).append(workflow.id)
    return found


def _names(workflow: Workflow) -> set[str]:
    steps = steps_of((*workflow.steps, *workflow.on_error))
    values = [value for step in steps for value in step.params.values()]
    return {name for value in values if isinstance(value, Worded) for name in value.chosen.messages}


def _reads(wording: Wording) -> list[str]:
    return sorted({path for paths in wording.reads.values() for path, _ in paths})


def _env(values: Sequence[str]) -> dict[str, Any]:
    """Return what the text reads; dotted names are fields of one record."""
    env: dict[str, Any] = {}
    for each in values:
        path, sign, value = each.partition("=")
        *records, field = path.split(".")
        if not sign or not all((*records, field)):
            raise ConfigError(f"{each!r}: write NAME=VALUE, such as --set name=Ann")
        here = env
        for record in records:
            here = here.setdefault(record, {})
            if not isinstance(here, dict):
                raise ConfigError(f"{each!r}: {record} has a value already")
        here[field] = _value(value)
    return env


def _value(text: str) -> Any:
    if text in {"true", "false"}:
        return text == "true"
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    return number if number.is_finite() else text


def _list(found: Sequence[Mapping[str, Any]]) -> None:
    console = Console(highlight=False)
    if not found:
        console.print(
            "no messages found: one is a file NAME.yaml in the folder `templates` beside the workflows"
        )
    for each in found:
        console.print(Text(f"{each['name']}: {each['about']}".rstrip(": "), style="bold"), soft_wrap=True)
        used = ", ".join(each["workflows"]) or "no workflow"
        console.print(
            Text(f"  in {', '.join(each['languages'])}; version {each['version']}; used by {used}"),
            soft_wrap=True,
        )


def _parts(parts: Mapping[str, str]) -> None:
    console = Console(highlight=False)
    for part, text in parts.items():
        console.print(Text(f"{part}:"))
        for line in text.rstrip("\n").split("\n"):
            shown = "".join(each if each.isprintable() else "?" for each in line)
            console.print(Text(f"| {shown}".rstrip()), soft_wrap=True)


def _complained(messages: Messages) -> int:
    for problem in messages.problems:
        print(problem, file=sys.stderr)
    return 1 if messages.broken else 0
