"""The text of a mail that was written in HTML alone: what a reader without HTML sees."""

import re
from html.parser import HTMLParser
from typing import Final, final

from typing_extensions import override

_SILENT: Final = frozenset({"script", "style", "head", "title", "template"})
_BLOCKS: Final = frozenset(
    {"p", "div", "section", "article", "header", "footer", "table", "tr", "ul", "ol", "blockquote", "pre"}
    | {"h1", "h2", "h3", "h4", "h5", "h6", "hr"}
)
_PARAGRAPHS: Final = frozenset({"p", "table", "ul", "ol", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6"})
_BLANKS: Final = re.compile(r"[ \t\r\n\f]+")
_DEEPEST: Final = 1_000


def text_of(html: str) -> str:
    """Return what it says: blocks on lines of their own, addresses of links in brackets behind them."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.text()


@final
class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._lines: list[str] = []
        self._line = ""
        self._silent = 0
        self._links: list[tuple[str, int]] = []  # where each leads, and how long the text was when it began

    def text(self) -> str:
        self._break()
        text = "\n".join(line.strip() for line in self._lines)
        return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SILENT:
            self._silent += 1
        elif tag == "br":
            self._break()
        elif tag == "li":
            self._break()
            self._line = "- "
        elif tag in {"td", "th"} and self._line:
            self._line += " "
        elif tag == "a" and len(self._links) < _DEEPEST:
            self._links.append((dict(attrs).get("href") or "", len(self._line)))
        elif tag in _BLOCKS:
            self._break(blank=tag in _PARAGRAPHS)

    @override
    def handle_endtag(self, tag: str) -> None:
        if tag in _SILENT:
            self._silent = max(self._silent - 1, 0)
        elif tag == "a" and self._links:
            href, start = self._links.pop()
            said = self._line[start:].strip() if start <= len(self._line) else ""
            if href.startswith(("https://", "http://", "mailto:")) and said != href:
                self._line += f" ({href})"
        elif tag in _BLOCKS:
            self._break(blank=tag in _PARAGRAPHS)

    @override
    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        said = _BLANKS.sub(" ", data)
        self._line += said.lstrip() if not self._line or self._line.endswith(" ") else said

    def _break(self, *, blank: bool = False) -> None:
        if self._line.strip():
            self._lines.append(self._line)
        self._line = ""
        if blank and self._lines and self._lines[-1]:
            self._lines.append("")
