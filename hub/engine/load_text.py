"""From the text of one file to a workflow, a blueprint, or the use of one: everything wrong with it is reported at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from hub.engine.blueprints import Blueprint, Use, content_of, required_of, text_of
from hub.engine.complaints import complain
from hub.engine.declaring import declaration
from hub.engine.draft_workflow import Drafting
from hub.engine.message_files import Messages
from hub.engine.messages import MessagesUnreadable, declared_of, messages_of, taken_apart
from hub.engine.model import WorkflowFile
from hub.engine.model_blueprint import BlueprintHead, UseFile
from hub.engine.nodes import Document
from hub.engine.nodes import Mapping as Node
from hub.engine.problems import Problem, Problems
from hub.engine.program import Workflow
from hub.engine.yaml import read
from hub.errors import ExpressionError, Place
from hub.events.catalogue import is_custom
from hub.events.declared import NONE_DECLARED, Declarations, Declared
from hub.expr.parse import parse


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What came of one file; `text` is what was read, for showing the line a problem stands on.

    `named` is the id a file gives itself, where it can be read though the rest is wrong.
    """

    path: str
    workflow: Workflow | None
    problems: tuple[Problem, ...]
    text: str = ""
    named: str | None = None
    blueprint: Blueprint | None = None
    use: Use | None = None
    declared: Declared | None = None
    declares: bool = (
        False  # an event, well or not; `named` is its type then, and `places` are those of its fields
    )
    places: Mapping[str, Place] = field(default_factory=dict)


def load_text(
    text: str, path: str, messages: Messages | None = None, declared: Declarations = NONE_DECLARED
) -> LoadReport:
    """Load the text of one file with the messages and declared events beside it.

    `messages` None: that of a stored version, with its own of both below.
    """
    problems = Problems()
    stored = messages is None
    if messages is None:
        text, lower = taken_apart(text)
        try:
            messages, declared = Messages(messages_of(lower, path)), declared_of(lower, path)
        except MessagesUnreadable as unreadable:
            problems.error(Place(path, 1, 1), str(unreadable))
            return LoadReport(path, None, tuple(problems), text)
    document = read(text, path, problems)
    if document is None:
        return LoadReport(path, None, tuple(problems), text)
    data = document.data()
    given = data.get("id")
    named = given if isinstance(given, str) else None
    if "event" in data:
        return load_declaration(document, problems)
    if "use" in data:
        use = _use(document, problems)
        return LoadReport(path, None, tuple(problems), text, named, use=None if problems.fatal else use)
    if "blueprint" in data:
        blueprint = _blueprint(document, problems, messages, declared)
        return LoadReport(path, None, tuple(problems), text, blueprint=None if problems.fatal else blueprint)
    workflow = _workflow(document, data, problems, messages, declared, stored=stored)
    return LoadReport(path, None if problems.fatal else workflow, tuple(problems), text, named)


def _workflow(
    document: Document,
    data: dict[str, Any],
    problems: Problems,
    messages: Messages,
    declared: Declarations,
    *,
    stored: bool = False,
) -> Workflow | None:
    file = _validated(document, data, problems)
    # What the text does not name is none of its version: that a declaration elsewhere changes makes no new one.
    known = declared.named(document.source)
    if file is None:
        return None
    return Drafting(document, file, problems, messages, known, stored=stored).workflow()


def load_declaration(document: Document, problems: Problems) -> LoadReport:
    """Load a file with `event` at its top."""
    event = declaration(document, problems)
    fields = document.node(("fields",))
    given = document.data()["event"]
    return LoadReport(
        document.path,
        None,
        tuple(problems),
        document.source,
        given if isinstance(given, str) and is_custom(given) else None,
        declared=None if problems.fatal else event,
        declares=True,
        places={"event": document.place(("event",)), **(fields.keys if isinstance(fields, Node) else {})},
    )


def _blueprint(
    document: Document, problems: Problems, messages: Messages, declared: Declarations
) -> Blueprint | None:
    """Check a blueprint as the workflow it makes with its own values."""
    data = document.data()
    head = {key: data[key] for key in BlueprintHead.model_fields if key in data}
    for key in ("id", "mode"):
        if key in data:
            problems.error(
                document.key_place((key,)), f"`{key}` is for those who use a blueprint to say: remove it"
            )
    try:
        named = BlueprintHead.model_validate(head)
    except ValidationError as error:
        complain(document, error, problems, BlueprintHead)
        return None
    content = content_of(data)
    workflow = _workflow(document, content, problems, messages, declared)
    file = _validated(document, content, Problems()) if workflow is not None else None
    if workflow is None or file is None:
        return None
    return Blueprint(
        name=named.blueprint,
        version=named.version,
        title=file.title,
        params=file.params,
        required=required_of(data),
        content=content,
        workflow=replace(workflow, text=text_of(content) + taken_apart(workflow.text)[1]),
        place=document.root.place,
        changes=tuple(named.changes),
    )


def _use(document: Document, problems: Problems) -> Use | None:
    try:
        file = UseFile.model_validate(document.data())
    except ValidationError as error:
        complain(document, error, problems, UseFile)
        return None
    if file.scope is not None:
        # By itself: beside the blueprint's own, `a) or (b` would be sound, and let in whom that keeps out.
        try:
            parse(file.scope)
        except ExpressionError as error:
            problems.error(document.within(("scope",), error.offset), error.message)
            return None
    places = {name: document.place(("params", name)) for name in file.params}
    return Use(file, document.place(("use",)), places, document.place(("scope",)))


def _validated(document: Document, data: dict[str, Any], problems: Problems) -> WorkflowFile | None:
    try:
        return WorkflowFile.model_validate(data)
    except ValidationError as error:
        complain(document, error, problems)
        unknown = [
            detail["loc"] for detail in error.errors(include_url=False) if detail["type"] == "extra_forbidden"
        ]
        if not unknown:
            return None
    # Without the unknown keys the rest may be sound enough to be looked at as well.
    for location in unknown:
        _remove(data, location)
    try:
        return WorkflowFile.model_validate(data)
    except ValidationError:
        return None


def _remove(data: Any, location: tuple[str | int, ...]) -> None:
    for part in location[:-1]:
        if isinstance(data, list) and isinstance(part, int):
            data = data[part]
        elif isinstance(data, dict) and part in data:
            data = data[part]  # what is not there is the tag of a model
    if isinstance(data, dict):
        data.pop(location[-1], None)
