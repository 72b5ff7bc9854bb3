"""Human text: Jinja2 in a sandbox."""

from hub.text.lines import one_line
from hub.text.template import Template, TextError

__all__ = ["Template", "TextError", "one_line"]
