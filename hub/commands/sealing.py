"""`hub sealing`: makes the key that endpoints' secrets are sealed with, and puts a new one in its place."""

import os
from pathlib import Path

from hub.config import load
from hub.errors import ConfigError
from hub.sealing import new_key, read_keys


def new(file: Path | None) -> int:
    if file is None:
        print(new_key())
        return 0
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigError(
            f"{file} is there already, and what was sealed with its key would open no more: use `hub sealing rotate`"
        ) from None
    except OSError as error:
        raise ConfigError(f"cannot write {file} ({error.strerror})") from error
    _write(handle, [new_key()])
    print(
        f"{file} holds a new key: name it in hub.yaml with sealing.key_file, and keep a copy apart from the backups"
    )
    return 0


def rotate(config: Path | None) -> int:
    file = load(config).sealing.key_file
    if file is None:
        raise ConfigError(
            "sealing.key_file is not set: with sealing.key put a new key before the old one, with a comma between"
        )
    keys = read_keys(file)
    beside = file.with_name(f"{file.name}.new")
    try:
        beside.unlink(missing_ok=True)
        # Whole or not at all: a running hub may look into it now. Who may read it stays as it is.
        about = file.stat()
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        _write(handle, [new_key(), *keys])
        beside.chmod(about.st_mode & 0o777)
        if os.geteuid() == 0:
            os.chown(beside, about.st_uid, about.st_gid)
        beside.replace(file)
    except OSError as error:
        raise ConfigError(f"cannot write {file} ({error.strerror})") from error
    print(
        f"{file} has a new key, and {len(keys)} before it that still open\n"
        "start every process of the hub again: everything is sealed with the new one then, and the others can go"
    )
    return 0


def _write(handle: int, keys: list[str]) -> None:
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write("".join(f"{key}\n" for key in keys))
        file.flush()
        os.fsync(file.fileno())
