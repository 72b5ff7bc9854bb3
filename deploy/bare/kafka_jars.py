"""Kafka's jars, brought by Maven into a cache and checked one by one."""

import hashlib
import os
import shutil
from pathlib import Path

from service import Trouble, finish, make_folder

HERE = Path(__file__).resolve().parent
KAFKA_VERSION = "4.1.0"


def jars_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hub" / f"kafka-{KAFKA_VERSION}"


def expected_jars() -> list[tuple[str, str]]:
    """Return the name and the SHA-256 of every jar."""
    lines = (HERE / "kafka.sha256").read_text(encoding="ascii").splitlines()
    return [(name, digest) for digest, name in (line.split() for line in lines)]


def fetch(folder: Path) -> None:
    """Put Kafka's jars there, unless all of them are; nothing that is not on the list of digests gets there."""
    if all((folder / name).is_file() and digest == sha256(folder / name) for name, digest in expected_jars()):
        return
    make_folder(folder.parent, 0o755)
    new = folder.with_name(f"{folder.name}.{os.getpid()}")
    try:
        goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={new}"]
        finish(["mvn", "-B", "-q", "-f", str(HERE / "pom.xml"), *goal], install="maven")
        for name, digest in expected_jars():
            if not (new / name).is_file() or sha256(new / name) != digest:
                raise Trouble(
                    f"{name} as Maven brought it is not the one in {HERE / 'kafka.sha256'}: do not use it"
                )
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
