"""A password in a file of its own, which whoever reads the settings does not see."""

from pathlib import Path
from typing import Final

from hub.errors import ConfigError

_MOST_SECRET: Final = 4096


def read_password(path: Path, setting: str) -> str:
    """Return what a file holds but for the ends of its line; raises ConfigError when that is no password."""
    try:
        with path.open(encoding="utf-8") as file:
            secret = file.read(_MOST_SECRET + 1).strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{setting} {path} cannot be read ({type(error).__name__}): "
            "name a readable text file that holds nothing but the password"
        ) from error
    if not 0 < len(secret) <= _MOST_SECRET:
        raise ConfigError(f"{setting} {path} holds no password: write it there, on one line")
    return secret
