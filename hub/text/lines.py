"""Text that has to stay on one line: mail subjects, platform comments, log fields."""

import re
from typing import Final

# Line and paragraph separators count as line ends, whatever receives the text; lone surrogates cannot be encoded;
# the marks that turn reading order around would let a comment show something else than it says.
_UNFIT: Final = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ud800-\\udfff\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069]+"
)


def one_line(text: str) -> str:
    """Return the text without line ends and control characters, each run of them one blank."""
    return _UNFIT.sub(" ", text).strip()
