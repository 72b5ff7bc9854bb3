"""Open the data folder: one hub at a time, migrations first, never a store from a newer version."""

import fcntl
import os
import socket
from importlib import resources
from pathlib import Path

import apsw

from hub.errors import ConfigError, FolderInUse, StoreTooNew, StoreUnavailable
from hub.ids import PARTITIONS

FILE = "hub.db"
MOVED = "MOVED"  # a file beside it that says where this hub went
_CACHE_KIB = 65_536
_WAIT_MS = 5_000
_STATEMENTS = 400  # kept compiled on the writer's connection: every table has its wide ones, in several sizes


class Folder:
    """A data folder this process owns until it is closed; the lock goes with the process, however it ends."""

    def __init__(self, path: Path, *, even_moved: bool = False) -> None:
        self.path = path
        self._lock = self._take()
        try:
            if not even_moved:
                self._refuse_moved()
        except ConfigError:
            self.close()
            raise

    @property
    def database(self) -> Path:
        return self.path / FILE

    @property
    def moved_to(self) -> str | None:
        """Return where this hub was moved to, if it was."""
        try:
            with (self.path / MOVED).open(encoding="utf-8", errors="replace") as file:
                return file.read(300).strip() or "another place"
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(
                f"cannot read {self.path / MOVED} ({error.strerror}): make it readable, it says where this hub went"
            ) from error

    def mark_moved(self, where: str) -> None:
        """Have every hub refuse this folder from now on, also after the power failed."""
        try:
            with (self.path / MOVED).open("w", encoding="utf-8") as file:
                file.write(f"{where}\n")
                file.flush()
                os.fsync(file.fileno())
            entries = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(entries)
            finally:
                os.close(entries)
        except OSError as error:
            raise ConfigError(
                f"cannot write {self.path / MOVED} ({error.strerror}): make the folder writable, and run the same command again"
            ) from error

    def _refuse_moved(self) -> None:
        if self.moved_to is not None:
            raise ConfigError(
                f"the hub in {self.path} was moved to {self.moved_to}: run it there. If that is given up, and nothing it "
                f"did there counts, remove {self.path / MOVED}, and it goes on here from where it was left"
            )

    def close(self) -> None:
        os.close(self._lock)

    def _take(self) -> int:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.path / "hub.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(
                f"cannot write to the data folder {self.path} ({error.strerror}): make it writable, or choose another with --data"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.read(lock, 200).decode(errors="replace").strip() or "unknown process"
            os.close(lock)
            raise FolderInUse(self.path, owner) from error
        os.ftruncate(lock, 0)
        os.write(lock, f"pid {os.getpid()} on {socket.gethostname()}".encode())
        return lock


def open_writer(path: Path) -> apsw.Connection:
    """Open the one connection that writes, bringing the schema up to date."""
    try:
        connection = apsw.Connection(str(path), statementcachesize=_STATEMENTS)
        connection.set_busy_timeout(_WAIT_MS)
        _refuse_newer(connection, path)
        _settings(connection)
        _migrate(connection)
        path.chmod(0o600)
    except apsw.Error as error:
        raise _unusable(path, error) from error
    except OSError as error:
        raise ConfigError(f"cannot write {path} ({error.strerror}): make the data folder writable") from error
    return connection


def open_reader(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(_WAIT_MS)
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}").fetchall()
    return connection


def _settings(connection: apsw.Connection) -> None:
    # auto_vacuum must come before the first table; FULL makes each commit wait for its WAL frames to be on disk.
    for pragma in (
        "auto_vacuum = incremental",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "temp_store = MEMORY",
        f"cache_size = -{_CACHE_KIB}",
        "journal_size_limit = 67108864",
        # Fewer, larger checkpoints: a page that changed in many commits is written back once.
        "wal_autocheckpoint = 4000",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()


def migrations() -> list[tuple[int, str]]:
    """Return (number, text) of every migration, in order."""
    folder = resources.files("hub.store.sqlite") / "migrations"
    files = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(int(name[:4]), (folder / name).read_text()) for name in files]


def schema_version(connection: apsw.Connection) -> int:
    row = connection.execute("PRAGMA user_version").fetchone()
    return int(row[0]) if row else 0


def _refuse_newer(connection: apsw.Connection, path: Path) -> None:
    newest = migrations()[-1][0]
    found = schema_version(connection)
    if found > newest:
        raise StoreTooNew(path, found, newest)


def _migrate(connection: apsw.Connection) -> None:
    for number, text in migrations():
        if number <= schema_version(connection):
            continue
        with connection:  # a migration is applied whole or not at all
            connection.execute(text).fetchall()
            connection.execute(f"PRAGMA user_version = {number}").fetchall()
    connection.execute("INSERT OR IGNORE INTO meta VALUES ('partitions', ?)", (str(PARTITIONS),)).fetchall()


def _unusable(path: Path, error: apsw.Error) -> StoreUnavailable | ConfigError:
    if isinstance(error, apsw.ReadOnlyError | apsw.CantOpenError | apsw.PermissionsError):
        return ConfigError(
            f"cannot write {path}: make the data folder writable, or choose another with --data"
        )
    if isinstance(error, apsw.NotADBError | apsw.CorruptError):
        return ConfigError(
            f"{path} is not a hub database ({error}): restore it from a backup, or choose another --data folder"
        )
    return StoreUnavailable(f"cannot open {path}: {error}")
