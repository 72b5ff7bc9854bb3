"""A blueprint and its use, as their files write them."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from hub.engine.fields import Default, Expr, Identifier, Line, Slug
from hub.engine.model import workflow_schema
from hub.engine.model_declared import declaration_schema
from hub.engine.model_part import Part


class ChangeFile(Part):
    """What a version of a blueprint does that the one before it did not."""

    version: Annotated[int, Field(ge=2, le=1_000_000)] = Field(description="The version that does it.")
    what: Line = Field(
        description="What is different, in one sentence: whoever raises the version in a use reads it."
    )


class BlueprintHead(Part):
    """What a blueprint has in the place of a workflow's `id` and `mode`; its params may have an `example` for a `default`."""

    blueprint: Slug = Field(description="Its name, for those who use it.")
    version: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        description="Raised when its params or what it does change: whoever uses it looks at the difference first."
    )
    changes: Annotated[list[ChangeFile], Field(max_length=100)] = Field(
        [], description="What its versions do differently, beside their params."
    )


class UseFile(Part):
    """A workflow made of a blueprint and values for its params."""

    version: Literal[1] = Field(alias="schema", description="The version of the file format: 1.")
    id: Slug = Field(description="Its name for ever: runs and payments are counted under it.")
    use: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}@[1-9][0-9]{0,6}$")] = Field(
        description="The blueprint and the version of it this file was written for, such as daily-loss@2."
    )
    title: Line | None = Field(None, description="What it does, in one sentence; else the blueprint's.")
    owner: Line | None = Field(None, description="Who answers for it.")
    mode: Literal["off", "shadow", "live"] = Field("shadow", description="off, shadow or live.")
    scope: Expr | None = Field(None, description="Which accounts it is for, beside what the blueprint says.")
    params: dict[Identifier, Default] = Field({}, description="Values for the blueprint's params.")


def file_schema() -> dict[str, Any]:
    """Return the JSON Schema of everything a workflow folder holds: workflows, blueprints, and uses of them."""
    workflow = workflow_schema()
    definitions = workflow.pop("$defs")
    used = UseFile.model_json_schema(by_alias=True, ref_template="#/$defs/{model}")
    definitions |= used.pop("$defs", {})
    head = BlueprintHead.model_json_schema(ref_template="#/$defs/{model}")
    definitions |= head.pop("$defs", {})
    example = {**definitions["ParamFile"], "required": ["type"]}
    example["properties"] = {
        **example["properties"],
        "example": {**example["properties"]["default"], "description": "A value to check and test it with."},
    }
    definitions["BlueprintParamFile"] = example
    own = {name: value for name, value in workflow["properties"].items() if name not in {"id", "mode"}}
    (names,) = own["params"]["patternProperties"]
    own["params"] = {
        **own["params"],
        "patternProperties": {names: {"$ref": "#/$defs/BlueprintParamFile"}},
    }
    blueprint = {
        "type": "object",
        "properties": {**head["properties"], **own},
        "required": [*head["required"], *(name for name in workflow["required"] if name != "id")],
        "additionalProperties": False,
    }
    declared = declaration_schema()
    definitions |= declared.pop("$defs")
    del declared["$schema"]
    top = {name: workflow.pop(name) for name in ("$schema", "$id", "title")}
    return {
        **top,
        "if": {"required": ["use"]},
        "then": used,
        "else": {
            "if": {"required": ["blueprint"]},
            "then": blueprint,
            "else": {"if": {"required": ["event"]}, "then": declared, "else": workflow},
        },
        "$defs": definitions,
    }
