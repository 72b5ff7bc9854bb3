"""Files a command writes for its user: what stands in the way is said before anything takes long."""

from pathlib import Path

from hub.errors import ConfigError


def may_be_written(path: Path | None, option: str) -> None:
    """Raise ConfigError where the file could not be written in the end."""
    if path is None:
        return
    if path.is_dir():
        raise ConfigError(f"{option} {path} is a folder: name a file in it")
    if not path.parent.is_dir():
        raise ConfigError(f"{option} {path}: there is no folder {path.parent}: make it first")


def write_report(path: Path, text: str, option: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{option} {path} cannot be written: {error.strerror or error}: name another file"
        ) from error
