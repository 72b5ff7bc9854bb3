"""A YAML file as a tree that remembers where everything stands."""

from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field
from decimal import Decimal

from hub.errors import Place

Plain = str | int | Decimal | bool | None
Location = SequenceOf[str | int]

_ESCAPE_LENGTHS = {"x": 4, "u": 6, "U": 10}


@dataclass(slots=True)
class Scalar:
    """`text` is what was written, `value` what it means; `style` is "" for a plain scalar, else its quote or | or >."""

    place: Place
    value: Plain
    text: str
    style: str
    start: int
    end: int


@dataclass(slots=True)
class Sequence:
    place: Place
    items: list["Node"] = field(default_factory=list)


@dataclass(slots=True)
class Mapping:
    place: Place
    items: dict[str, "Node"] = field(default_factory=dict)
    keys: dict[str, Place] = field(default_factory=dict)


Node = Scalar | Sequence | Mapping


@dataclass(frozen=True, slots=True)
class Document:
    path: str
    source: str
    root: Mapping

    def data(self) -> dict[str, object]:
        return {key: plain(node) for key, node in self.root.items.items()}

    def node(self, location: Location) -> Node | None:
        here: Node | None = self.root
        for part in location:
            here = child(here, part)
            if here is None:
                return None
        return here

    def place(self, location: Location) -> Place:
        """Return where a value stands, or else the nearest thing around it."""
        here: Node = self.root
        for part in location:
            inner = child(here, part)
            if inner is not None:
                here = inner
        return here.place

    def key_place(self, location: Location) -> Place:
        """Return where the key of a value stands: that is what a message about the key points at."""
        parent = self.node(location[:-1])
        if isinstance(parent, Mapping) and location[-1] in parent.keys:
            return parent.keys[str(location[-1])]
        return self.place(location)

    def within(self, location: Location, offset: int) -> Place:
        """Return the place of a character of a scalar's value."""
        node = self.node(location)
        return within(self.source, node, offset) if isinstance(node, Scalar) else self.place(location)


def child(node: Node | None, part: str | int) -> Node | None:
    match node:
        case Mapping(items=items) if isinstance(part, str):
            return items.get(part)
        case Sequence(items=items) if isinstance(part, int) and 0 <= part < len(items):
            return items[part]
        case _:
            return None


def plain(node: Node) -> object:
    """Return the node as plain Python values; depth was bounded when it was read."""
    match node:
        case Scalar(value=value):
            return value
        case Sequence(items=items):
            return [plain(item) for item in items]
        case Mapping(items=items):
            return {key: plain(item) for key, item in items.items()}


def within(source: str, node: Scalar, offset: int) -> Place:
    """Return where the character at `offset` of the value was written, through quotes, escapes and folded lines."""
    at, end, value = node.start, node.end, node.text
    if node.style in {"|", ">"}:
        header = source.find("\n", at)
        at = header + 1 if header >= 0 else at
    elif node.style:
        at += 1
    done = 0
    target = min(offset, len(value))
    while at < end and (done < target or _is_padding(source, at, value, done)):
        written, wanted = source[at], value[done] if done < len(value) else ""
        if node.style == '"' and written == "\\":
            if at + 1 < end and source[at + 1] in "\r\n":
                at += 1
                continue
            at += _ESCAPE_LENGTHS.get(source[at + 1 : at + 2], 2)
        elif node.style == "'" and source.startswith("''", at):
            at += 2
        elif written == wanted:
            at += 1
        elif wanted in {" ", "\n"} and written in " \t\r\n":
            while at < end and source[at] in " \t\r\n":
                at += 1
        elif written in " \t\r\n":
            at += 1
            continue
        else:
            break
        done += 1
    line = node.place.line + source.count("\n", node.start, at)
    return Place(node.place.path, line, at - source.rfind("\n", 0, at))


def _is_padding(source: str, at: int, value: str, done: int) -> bool:
    # Indentation before a line of a block belongs to the file, not to the text.
    return done < len(value) and source[at] in " \t\r\n" and value[done] not in " \t\r\n"
