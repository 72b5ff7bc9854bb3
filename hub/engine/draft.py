"""A workflow on its way from a file to a program: every text is compiled here, and every complaint gets its place."""

from typing import final

from hub.engine.message_files import NO_MESSAGES, Messages
from hub.engine.messages import Message
from hub.engine.nodes import Document, Location, Scalar
from hub.engine.problems import Problems
from hub.engine.scopes import Scopes, about_unknown
from hub.errors import ExpressionError, Place
from hub.expr import Expression, Kind, Scope, compile_expression
from hub.expr.check import check
from hub.expr.parse import parse
from hub.expr.tree import Node
from hub.expr.written import written_kinds
from hub.text import Template, TextError

_UNKNOWN = "unknown name "


@final
class Draft:
    """`reads` collects every path that is read, to tell what nobody reads; `verbs` what the steps do.

    `trails` are anchors that follow samples, `messages` those of the `known_messages` that steps name. `of_events` is
    what the scope says of the account of every event.
    """

    def __init__(
        self, document: Document, problems: Problems, scopes: Scopes, messages: Messages = NO_MESSAGES
    ) -> None:
        self.document = document
        self.problems = problems
        self.scopes = scopes
        self.reads: set[str] = set()
        self.trails: set[str] = set()
        self.verbs: set[str] = set()
        self.known_messages = messages
        self.messages: dict[str, Message] = {}
        self.compiled: list[tuple[Location, Expression]] = []
        self.of_events = ""

    def error(self, location: Location, message: str) -> None:
        self.problems.error(self.document.place(location), message)

    def key_error(self, location: Location, message: str) -> None:
        self.problems.error(self.document.key_place(location), message)

    def warn(self, location: Location, message: str) -> None:
        self.problems.warn(self.document.place(location), message)

    def expression(
        self, location: Location, scope: Scope, expects: Kind | None = None, *, computed: bool = False
    ) -> Expression | None:
        """Compile the text at a location; of a `computed` value, what follows its `= `."""
        node = self.document.node(location)
        assert isinstance(node, Scalar)
        text, skipped = node.text, 0
        if computed:
            text = text[1:].lstrip()
            skipped = len(node.text) - len(text)
        try:
            expression = compile_expression(text, scope, expects=expects)
        except ExpressionError as error:
            place = self.document.within(location, skipped + error.offset)
            self.problems.error(place, self._said_better(error, text))
            return None
        self.reads |= expression.reads
        self.compiled.append((location, expression))
        return expression

    def where(
        self, location: Location, text: str | None, scope: Scope, *, scope_is_asked: bool = False
    ) -> tuple[Expression | None, bool]:
        """Return what is asked of an event, and whether it is sound: what stands there, and what the scope says of events."""
        own = None
        if text is not None:
            own = self.expression(location, scope, Kind.BOOL)
            if own is None:
                return None, False
        if scope_is_asked or not self.of_events:
            return own, True
        both = self.of_events if text is None else f"({self.of_events}) and ({text})"
        try:
            return compile_expression(both, scope, expects=Kind.BOOL), True
        except ExpressionError as error:
            at = location if text is not None else ("scope",)
            self.error(at, f"together with what `scope` says of events: {error.message}")
            return None, False

    def _said_better(self, error: ExpressionError, text: str) -> str:
        if not error.message.startswith(_UNKNOWN):
            return error.message
        name = text[error.offset : error.offset + error.length].partition(".")[0]
        return about_unknown(name, self.scopes.aggregates, self.scopes.kept_by) or error.message

    def template(self, location: Location, source: str, scope: Scope) -> Template | None:
        """Compile human text, or HTML where the field is called that; every path in it is checked as an expression would be."""
        try:
            template = Template(source, place=self.document.place(location), html=location[-1] == "html")
        except TextError as error:
            self.problems.error(self._line(location, source, error.line), error.message)
            return None
        sound = True
        for path, line in template.paths():
            sound = self._path(location, source, scope, path, line) and sound
        return template if sound else None

    def written(self, template: Template, scope: Scope) -> tuple[Node, ...]:
        """Return what reads the paths of a sound template that are written as text where they stand."""
        found = (check(parse(path), scope, None) for path, _ in template.paths())
        return tuple(node for node in found if written_kinds(node))

    def _path(self, location: Location, source: str, scope: Scope, path: str, line: int) -> bool:
        offset = max(source.find(path, _start_of(source, line)), 0)
        place = self.document.within(location, offset)
        try:
            found = check(parse(path), scope, None)  # only its type is of interest: nothing evaluates it
        except ExpressionError as error:
            self.problems.error(place, self._said_better(error, path))
            return False
        self.reads.add(path)
        if found.type.kind is Kind.OBJECT:
            self.problems.error(place, f"`{path}` is a record: name one of its fields")
            return False
        return True

    def _line(self, location: Location, source: str, line: int) -> Place:
        return self.document.within(location, _start_of(source, line))


def _start_of(source: str, line: int) -> int:
    at = 0
    for _ in range(line - 1):
        at = source.find("\n", at) + 1
    return at
