"""Files somebody wrote for the hub, as they lie on disk: what each says, or in words why it cannot be read."""

import stat
from pathlib import Path
from typing import NoReturn

from hub.engine.problems import Problem
from hub.engine.yaml import MAX_BYTES
from hub.errors import ConfigError, Place


def text_of(path: Path, shown: str, most: int = MAX_BYTES, fix: str = "split it") -> str | Problem:
    """Return what a file says, or why it cannot be read; `shown` is how the problem calls it, `fix` what to do if it is too large."""
    top = Place(shown, 1, 1)
    try:
        with path.open("rb") as file:
            raw = file.read(most + 1)
    except OSError as error:
        return Problem(top, f"cannot be read: {error.strerror or error}")
    if len(raw) > most:
        return Problem(top, f"the file has more than {most // 1024} KiB: {fix}")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Problem(top, f"the file is not valid UTF-8 at byte {error.start}: save it as UTF-8")


def folder_unreadable(problem: OSError) -> NoReturn:
    raise ConfigError(
        f"the folder {problem.filename} cannot be read ({problem.strerror}): let the user the hub runs as read it"
    ) from problem


def identity(path: Path) -> object | None:
    """Return what two names of one file have in common; None for what is no file, such as a pipe."""
    try:
        found = path.stat()
    except OSError:
        return path  # whoever reads it says what is wrong
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


def here_and_above(path: Path) -> tuple[Path, Path]:
    """Return the folder a file stands in, or that is named, and the one above it."""
    here = path if path.is_dir() else path.parent
    # Of `.` and of `..` pathlib knows no folder above.
    return here, here / ".." if here.name in {"", ".."} else here.parent
