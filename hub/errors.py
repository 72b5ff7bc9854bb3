"""What can go wrong, split by what the caller should do about it.

    HubError
    ├── ConfigError            the operator must change something before the hub can run
    │   └── FolderInUse        another hub owns the data folder
    ├── SourceError            something outside told us something
    │   ├── SourceUnavailable  try again later
    │   ├── SourceRefused      do not: the credentials or the request are wrong
    │   └── RecordMalformed    set this one record aside, carry on with the next
    ├── StoreError             our own log and state
    │   ├── StoreUnavailable   disk full, read-only or gone: nothing was acknowledged
    │   │   └── StoreRefused   this content can never be stored: set it aside, carry on
    │   ├── StoreTooNew        written by a newer hub
    │   └── LeaseLost          somebody else owns this now; stop writing
    ├── ManagerError           the broker's manager backend
    │   ├── ManagerUnavailable nothing was sent
    │   ├── ManagerRefused     it said no, definitely
    │   └── OutcomeUnknown     it may have happened: look before doing anything else
    └── ExpressionError        text in the expression language that does not compile

Errors carry their facts as attributes; ``str(error)`` is one sentence a person can act on.
"""

from dataclasses import dataclass
from pathlib import Path

from typing_extensions import override


class HubError(Exception):
    """Anything the hub raises on purpose."""


class ConfigError(HubError):
    pass


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file: line and column count from 1."""

    path: str
    line: int
    column: int

    @override
    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


class FolderInUse(ConfigError):
    def __init__(self, folder: Path, owner: str) -> None:
        super().__init__(
            f"{folder} is in use by another hub ({owner}): stop that one first, or give this one its own --data folder"
        )
        self.folder = folder
        self.owner = owner


class SourceError(HubError):
    pass


class SourceUnavailable(SourceError):
    pass


class SourceRefused(SourceError):
    pass


class RecordMalformed(SourceError):
    pass


class StoreError(HubError):
    pass


class StoreUnavailable(StoreError):
    pass


class StoreRefused(StoreUnavailable):
    pass


class StoreTooNew(StoreError):
    def __init__(self, path: Path, found: int, known: int) -> None:
        super().__init__(
            f"{path} was written by a newer hub (schema {found}, this one knows {known}): "
            "upgrade this hub, or point --data at another folder"
        )
        self.path = path
        self.found = found
        self.known = known


class LeaseLost(StoreError):
    pass


class ManagerError(HubError):
    pass


class ManagerUnavailable(ManagerError):
    pass


class ManagerRefused(ManagerError):
    pass


class OutcomeUnknown(ManagerError):
    pass


class ExpressionError(HubError):
    """An expression that does not compile; offset counts characters from 0 in its text."""

    def __init__(self, message: str, offset: int = 0, length: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.length = length
