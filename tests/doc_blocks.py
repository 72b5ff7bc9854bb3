"""The code blocks of a Markdown page, and the commands in them, as the tests of the documentation read them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt

REPOSITORY = Path(__file__).parent.parent
DOCS = REPOSITORY / "hub" / "web" / "docs"
README = REPOSITORY / "README.md"

_PROMPT = "$ "
_HERE_DOCUMENT = re.compile(r"<<'(\w+)'")


@dataclass(frozen=True)
class Command:
    """What a reader types, here-documents included, and the lines the page shows after it."""

    text: str
    shown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Block:
    """`elsewhere`: the page tells the reader to type it in another terminal, where the last command goes on."""

    page: str
    line: int
    language: str
    text: str
    elsewhere: bool = False
    commands: tuple[Command, ...] = field(default=())

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(path: Path, language: str | None = None) -> list[Block]:
    return [block for block in _all(path) if language is None or block.language == language]


@cache
def _all(path: Path) -> tuple[Block, ...]:
    """Return the blocks of a page, which is read once: tests ask for those of each language."""
    return tuple(_blocks(path))


def _blocks(path: Path) -> Iterator[Block]:
    before = ""
    for token in MarkdownIt("commonmark").enable("table").parse(path.read_text(encoding="utf-8")):
        if token.type == "fence":
            assert token.map is not None
            commands = tuple(_commands(token.content)) if token.info == "console" else ()
            elsewhere = before.lower().lstrip("<!- ").startswith("in another terminal")
            yield Block(path.name, token.map[0] + 1, token.info, token.content, elsewhere, commands)
            before = ""
        elif token.content:
            before = token.content


def _commands(text: str) -> Iterator[Command]:
    typed = ""
    shown: list[str] = []
    until = ""
    for line in text.splitlines():
        if until:
            typed += f"\n{line}"
            until = "" if line == until else until
        elif line.startswith(_PROMPT):
            if typed:
                yield Command(typed, tuple(shown))
            typed, shown = line.removeprefix(_PROMPT), []
            opened = _HERE_DOCUMENT.search(line)
            until = opened[1] if opened else ""
        else:
            assert typed, f"a block begins with what a command answers: {line}"
            shown.append(line)
    if typed:
        yield Command(typed, tuple(shown))
