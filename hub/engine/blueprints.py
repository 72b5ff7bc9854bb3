"""Blueprints: workflows whose params every broker or programme fills in, each under a name of its own.

A use is made a workflow of its own text, the blueprint's with the values in it, and that text is what is hashed, stored
and run: a blueprint that changes later changes no workflow that is live before somebody raised its version in the use.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from hub.engine.fields import as_text
from hub.engine.model import ParamFile
from hub.engine.model_blueprint import ChangeFile, UseFile
from hub.engine.problems import did_you_mean
from hub.engine.program import Workflow
from hub.errors import Place

Value = str | bool | int | Decimal
_encode = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True, slots=True)
class Blueprint:
    """`content` is the file as a workflow's, without a name; `params` have their `example` where there is no default."""

    name: str
    version: int
    title: str
    params: Mapping[str, ParamFile]
    required: frozenset[str]
    content: Mapping[str, Any]
    workflow: Workflow  # that it is with its own values: off
    place: Place
    changes: tuple[ChangeFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Use:
    file: UseFile
    place: Place  # of the line that names the blueprint
    places: Mapping[str, Place]  # of the values
    scope: Place  # of its own scope

    @property
    def blueprint(self) -> str:
        return self.file.use.partition("@")[0]

    @property
    def version(self) -> int:
        return int(self.file.use.partition("@")[2])


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which a use and its blueprint differ: a param, or "" for what the blueprint does.

    `fatal`: the use cannot be made a workflow with it.
    """

    param: str
    sentence: str
    fatal: bool


def content_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a blueprint's file as a workflow's: it can be checked, explained and tested like one."""
    rest = {key: value for key, value in data.items() if key not in {"blueprint", "version", "changes"}}
    params = rest.get("params")
    if isinstance(params, dict):
        rest["params"] = {name: _with_default(param) for name, param in params.items()}
    return {"schema": rest.pop("schema", None), "id": data.get("blueprint"), "mode": "off", **rest}


def required_of(data: Mapping[str, Any]) -> frozenset[str]:
    """Return the params a use has to give."""
    params = data.get("params")
    return frozenset(
        name
        for name, param in (params.items() if isinstance(params, dict) else ())
        if isinstance(param, dict) and "default" not in param
    )


def _with_default(param: object) -> object:
    if not isinstance(param, dict) or "example" not in param or "default" in param:
        return param
    return {("default" if key == "example" else key): value for key, value in param.items()}


def made_of(blueprint: Blueprint, use: Use) -> str:
    """Return the text of the workflow."""
    file, content = use.file, dict(blueprint.content)
    content |= {"id": file.id, "mode": file.mode}
    content |= {
        name: value for name, value in (("title", file.title), ("owner", file.owner)) if value is not None
    }
    if file.scope is not None:
        scope = content.get("scope")
        content["scope"] = file.scope if scope is None else f"({scope}) and ({file.scope})"
    content["params"] = {
        name: {**param, "default": file.params.get(name, param["default"])}
        for name, param in content.get("params", {}).items()
    }
    return text_of(content)


def text_of(content: Mapping[str, Any]) -> str:
    """Return the text of a file: JSON, which is YAML as well, and reads the same everywhere."""
    return msgspec.json.format(_encode(content), indent=1).decode()


def differences(blueprint: Blueprint, use: Use) -> Iterator[Difference]:
    """Yield where a use and the blueprint do not fit, or where somebody who raises the version should look."""
    given = use.file.params
    for change in sorted(blueprint.changes, key=lambda each: each.version):
        if use.version < change.version <= blueprint.version:
            yield Difference("", f"version {change.version}: {change.what}", False)
    for name in sorted(given.keys() - blueprint.params.keys()):
        near = did_you_mean(name, blueprint.params)
        yield Difference(
            name, f"`{name}` is no param of {blueprint.name} version {blueprint.version}{near}", True
        )
    for name, param in blueprint.params.items():
        about = f" ({param.about})" if param.about else ""
        if name in given:
            problem = _misfit(param, given[name])
            if problem is not None:
                yield Difference(name, f"`{name}`: {problem}", True)
            elif name not in blueprint.required and given[name] != param.default:
                yield Difference(
                    name,
                    f"`{name}` is {as_text(given[name])}; the default is {as_text(param.default)}",
                    False,
                )
        elif name in blueprint.required:
            yield Difference(
                name,
                f"`{name}` has to be given: a {param.type}, such as {as_text(param.default)}{about}",
                True,
            )
        else:
            yield Difference(
                name, f"`{name}` is not given: the default {as_text(param.default)} holds{about}", False
            )


def _misfit(param: ParamFile, value: Value) -> str | None:
    """Return why a value is none of a param's type."""
    fields = param.model_dump(by_alias=True, exclude_none=True)
    try:
        ParamFile.model_validate({**fields, "default": value})
    except ValidationError as error:
        first: ErrorDetails = error.errors(include_url=False)[0]
        return first["msg"].replace("the default of a", "the value of a")
    return None
