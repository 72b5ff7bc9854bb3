"""Strict YAML: the 1.2 core scalars and nothing else, every node with its line and column, bounded in every direction.

Refused: duplicate keys, anchors, aliases, tags, directives, a second document, and a plain value that YAML would cut
short: at ` #` inside an open quote, or at a comma inside an open parenthesis.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

import yaml
from yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from hub.engine.nodes import Document, Mapping, Node, Plain, Scalar, Sequence
from hub.engine.problems import Problems, quoted
from hub.errors import Place

MAX_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 32
MAX_NODES: Final = 10_000
MAX_DIGITS: Final = 28

_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)")
_DECIMAL: Final = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+")
_COMMENT_AFTER: Final = re.compile(r"[ \t]+#")
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_HINTS: Final = {
    "mapping values are not allowed": "quote a value that holds `: `, and begin the keys of one block in one column",
    "did not find expected key": "a value that begins with a quote or a bracket has to be quoted as a whole, "
    "and lines of one block begin in one column",
    "did not find expected ',' or": "a comma or a closing bracket is missing, or a value holds one and is not quoted",
    "cannot start any token": "quote a value that begins with this character, and indent with blanks, not tabs",
    "did not find expected node content": "a bracket is not closed, or two commas follow one another",
    "tab character": "indent with blanks, not tabs",
    "could not find expected ':'": "a key is followed by `: `",
    "found unexpected end of stream": "a quote is not closed",
    "while scanning a quoted scalar": "a quote is not closed",
}


class _Stop(Exception):
    """The rest of the file cannot be read; the reason was noted."""


def read(text: str, path: str, problems: Problems) -> Document | None:
    """Return the file as a tree, or None where it cannot be read as one; what is wrong goes to `problems`."""
    top = Place(path, 1, 1)
    if (size := len(text.encode("utf-8", "surrogatepass"))) > MAX_BYTES:
        problems.error(top, f"the file has {size} bytes, {MAX_BYTES // 1024} KiB are allowed: split it")
        return None
    reader = _Reader(text, path, problems)
    try:
        root = reader.document()
    except _Stop:
        return None
    except yaml.YAMLError as error:
        problems.error(*_syntax(error, path))
        return None
    except UnicodeError:
        problems.error(top, "the file is not valid UTF-8: save it as UTF-8")
        return None
    if reader.cut:
        return None
    if not isinstance(root, Mapping):
        place = root.place if root is not None else top
        problems.error(place, "the file is not a mapping: begin with `schema: 1` and `id: ...`")
        return None
    return Document(path, text, root)


def _syntax(error: yaml.YAMLError, path: str) -> tuple[Place, str]:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    place = Place(path, mark.line + 1, mark.column + 1) if mark else Place(path, 1, 1)
    found = getattr(error, "problem", None) or getattr(error, "reason", None) or "not valid YAML"
    context = getattr(error, "context", None) or ""
    hint = next((fix for trouble, fix in _HINTS.items() if trouble in found or trouble in context), "")
    if "special characters" in found or "control characters" in found:
        hint = "remove the control character"
    return place, f"not valid YAML: {found}" + (f": {hint}" if hint else "")


class _Reader:
    def __init__(self, text: str, path: str, problems: Problems) -> None:
        self._text = text
        self._path = path
        self._problems = problems
        self._count = 0
        self.cut = False  # a value is not what was written: nothing else can be judged
        self._events: Iterator[Event] = yaml.parse(text, Loader=_LOADER)

    def document(self) -> Node | None:
        root: Node | None = None
        documents = 0
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._refuse(event, "a second document in one file: write one workflow to a file")
                if event.version or event.tags:
                    self._refuse(event, "directives are not allowed: remove the line that begins with %")
            elif isinstance(event, NodeEvent):
                root = self._node(event, 0)
            elif isinstance(event, StreamStartEvent | StreamEndEvent):
                continue
        return root

    def _place(self, event: Event) -> Place:
        mark = event.start_mark
        return Place(self._path, mark.line + 1, mark.column + 1) if mark else Place(self._path, 1, 1)

    def _refuse(self, event: Event, message: str) -> None:
        self._problems.error(self._place(event), message)
        raise _Stop

    def _node(self, event: Event, depth: int) -> Node:
        self._count += 1
        if self._count > MAX_NODES:
            self._refuse(event, f"the file has more than {MAX_NODES} values: split it")
        if depth > MAX_DEPTH:
            self._refuse(event, f"nested more than {MAX_DEPTH} levels deep")
        self._refuse_references(event)
        if isinstance(event, ScalarEvent):
            return self._scalar(event)
        if isinstance(event, MappingStartEvent):
            return self._mapping(event, depth)
        if isinstance(event, CollectionStartEvent):
            return self._sequence(event, depth)
        return Scalar(self._place(event), None, "", "", *_span(event))

    def _refuse_references(self, event: Event) -> None:
        if isinstance(event, AliasEvent):
            self._problems.error(
                self._place(event), f"alias {quoted(f'*{event.anchor}')}: write the value out"
            )
            return
        assert isinstance(event, NodeEvent)
        if event.anchor is not None:
            self._problems.error(
                self._place(event),
                f"anchor {quoted(f'&{event.anchor}')}: write the value out where it is used",
            )
        tag = getattr(event, "tag", None)
        if tag is not None:
            self._problems.error(self._place(event), f"tag {quoted(tag)}: write the value without a tag")

    def _mapping(self, start: MappingStartEvent, depth: int) -> Mapping:
        mapping = Mapping(self._place(start))
        for event in self._events:
            if isinstance(event, MappingEndEvent):
                break
            key = self._node(event, depth + 1)
            value = self._node(next(self._events), depth + 1)
            if not isinstance(key, Scalar):
                self._problems.error(key.place, "a key is one word, not a list or a mapping")
            elif key.text in mapping.items:
                first = mapping.keys[key.text]
                self._problems.error(
                    key.place, f"key {quoted(key.text)} stands here twice, first on line {first.line}"
                )
            else:
                mapping.items[key.text] = value
                mapping.keys[key.text] = key.place
        return mapping

    def _sequence(self, start: Event, depth: int) -> Sequence:
        sequence = Sequence(self._place(start))
        for event in self._events:
            if isinstance(event, SequenceEndEvent):
                break
            sequence.items.append(self._node(event, depth + 1))
        return sequence

    def _scalar(self, event: ScalarEvent) -> Scalar:
        style = event.style or ""
        text = event.value
        if not style:
            self._refuse_cut(event, text)
        value = text if style else meaning(text)
        return Scalar(self._place(event), value, text, style, *_span(event))

    def _refuse_cut(self, event: ScalarEvent, text: str) -> None:
        end = _span(event)[1]
        if _COMMENT_AFTER.match(self._text, end) and _has_open_quote(text):
            sign = "` #`"
        elif self._text.startswith(",", end) and text.count("(") > text.count(")"):
            sign = "the comma"
        else:
            return
        self.cut = True
        self._problems.error(
            self._place(event),
            f"YAML cuts this value at {sign} and reads {quoted(text)}: put the whole value between single quotes, '...'",
        )


def _span(event: Event) -> tuple[int, int]:
    start, end = event.start_mark, event.end_mark
    return (start.index, end.index) if start and end else (0, 0)


def meaning(text: str) -> Plain:
    """Return what a plain scalar means: true, false, null, a decimal number, or else the text as it stands."""
    match text:
        case "true":
            return True
        case "false":
            return False
        case "null" | "":
            return None
        case _ if len(text) > MAX_DIGITS:
            return text
        case _ if _INTEGER.fullmatch(text):
            return int(text)
        case _ if _DECIMAL.fullmatch(text):
            return Decimal(text)
        case _:
            return text


def _has_open_quote(text: str) -> bool:
    open_quote = ""
    before = " "
    for character in text:
        if open_quote:
            if character == open_quote:
                open_quote = ""
        elif character in "\"'" and not before.isalnum():  # the one in "don't" opens nothing
            open_quote = character
        before = character
    return bool(open_quote)
