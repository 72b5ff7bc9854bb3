"""Where settings are said, a file and the environment, before anybody knows whether they are right."""

import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from hub.engine.nodes import Document
from hub.engine.problems import Problems
from hub.engine.yaml import read
from hub.errors import ConfigError


def from_file(path: Path) -> Document | None:
    """Return what a file says, None where it says nothing; raises ConfigError when it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot read {path} ({error.strerror}): name an existing file with --config"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not valid UTF-8: save it as UTF-8") from error
    if not text.strip():
        return None
    problems = Problems()
    document = read(text, str(path), problems)
    if document is None or problems.fatal:
        raise ConfigError("\n".join(str(problem) for problem in problems))
    return document


def from_environment(known: Collection[str]) -> dict[str, Any]:
    """Return what HUB_SECTION__NAME variables say of the known sections; lists and tables are JSON."""
    tree: dict[str, Any] = {}
    for name, value in os.environ.items():
        if not name.startswith("HUB_") or name.startswith("HUB_TESTS_"):
            continue
        *sections, last = name.removeprefix("HUB_").lower().split("__")
        if (sections[0] if sections else last) not in known:
            continue
        branch = tree
        for section in sections:
            branch = branch.setdefault(section, {})
        branch[last] = _listed(value) if value[:1] in "[{" else value
    return tree


def _listed(text: str) -> Any:
    """Read a list or a table written as JSON; what is none is left for the settings to refuse."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def merge(tree: dict[str, Any], over: dict[str, Any]) -> None:
    """Let what is said in `over` stand in the tree."""
    for name, value in over.items():
        if isinstance(value, dict) and isinstance(tree.setdefault(name, {}), dict):
            merge(tree[name], value)
        elif value is not None:
            tree[name] = value


def worded(document: Document | None, problem: Any) -> str:
    """Return what is wrong with a setting, and where it stands if it is of a file."""
    location = [*problem["loc"]]
    if location[0] in {"sources", "crm"}:
        del location[
            2:3
        ]  # which of several models was tried: the file does not say that in a place of its own
    where = f"{document.place(location)}: " if document else ""
    return (
        f"{where}{'.'.join(str(part) for part in location)}: {problem['msg'].removeprefix('Value error, ')}"
    )
