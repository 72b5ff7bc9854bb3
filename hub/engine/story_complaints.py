"""What is wrong with a story file, in the words of a person who writes one: the place, the reason, the fix."""

from collections.abc import Iterator
from typing import Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from hub.engine.complaints import sentence
from hub.engine.nodes import Document
from hub.engine.problems import Problems, did_you_mean, quoted

# What a missing key is for.
_NEEDED: Final = {
    "name": "what the story shows, in one sentence",
    "story": "the steps of the story, one thing in each",
    "tests": "the stories",
    "workflow": "the id of the workflow the stories are about",
    "type": "the type of the event, such as trade.closed",
    "step": "the id of the step people were asked at",
}


def complain(document: Document, error: ValidationError, problems: Problems, whole: type[BaseModel]) -> None:
    """Say what is wrong with a story file; `whole` is its model."""
    for detail in error.errors(include_url=False):
        if detail["type"] == "list_type" and isinstance(detail["input"], dict) and _is_tried(detail["loc"]):
            continue  # one answer in the place of a list of them: what is wrong with it is said beside
        location = _written(document, detail["loc"])
        name = str(next((part for part in reversed(location) if isinstance(part, str)), "the file"))
        match detail["type"]:
            case "extra_forbidden":
                known = _known(whole, location[:-1])
                near = did_you_mean(name, known)
                told = near or f"; known are {', '.join(known)}"
                problems.error(document.key_place(location), f"unknown key {quoted(name)}{told}")
            case "missing":
                needed = f": {_NEEDED[name]}" if name in _NEEDED else ""
                problems.error(document.place(location[:-1]), f"{quoted(name)} is missing{needed}")
            case "value_error":
                message = detail["msg"].removeprefix("Value error, ")
                problems.error(document.place(location), _about(detail, name, message))
            case "literal_error" if detail.get("ctx", {}).get("expected") == "True":
                problems.error(document.place(location), f"{quoted(name)} is true, or left out")
            case _:
                label = (
                    f"an item of {quoted(name)}"
                    if location and isinstance(location[-1], int)
                    else quoted(name)
                )
                problems.error(document.place(location), sentence(detail, label))


def _written(document: Document, location: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Return a location without the names of models that were tried: a file does not contain them."""
    found: tuple[str | int, ...] = ()
    for part in location[:-1]:
        if document.node((*found, part)) is not None:
            found = (*found, part)
    return found if _is_tried(location) else (*found, *location[-1:])


def _is_tried(location: tuple[str | int, ...]) -> bool:
    return bool(location) and str(location[-1]).endswith("]")


def _about(detail: ErrorDetails, name: str, message: str) -> str:
    # A rule of a whole step names its keys itself.
    return message if isinstance(detail["input"], dict) else f"{quoted(name)}: {message}"


def _known(whole: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """Return the keys of the mapping at a location: as the models nest, so does the file."""
    model = whole
    for part in location:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        inner = next(_models(field.annotation), None) if field is not None else None
        model = inner if inner is not None else model
    return [field.alias or name for name, field in model.model_fields.items()]


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)
