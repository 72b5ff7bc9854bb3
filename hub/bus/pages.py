"""Pages of rows, resumed by an opaque cursor."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from hub.errors import HubError

T = TypeVar("T")


class BadCursor(HubError):
    """A cursor this store never gave."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, and the cursor behind the last of them; None when there are no more. Cursors are opaque text.

    A page may hold fewer rows than asked for and still have a `next`: a read looks at so many rows and no more.
    """

    items: Sequence[T]
    next: str | None
