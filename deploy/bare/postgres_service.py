"""PostgreSQL on 127.0.0.1, durable as a real one, under an account that is not root."""

import os
import pwd
import shutil
import signal
from pathlib import Path

from service import Missing, Service, Trouble, finish, launch

BESIDE_PATH = Path("/usr/lib/postgresql")  # Debian and its kin keep each version's programs here, not in PATH
DURABLE = ("fsync=on", "synchronous_commit=on", "full_page_writes=on")
SETTINGS = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200", *DURABLE)


class Postgres(Service):
    """Its user is `hub`, without a password: whoever has an account on this machine may connect, and nobody else."""

    name = "PostgreSQL"
    instead = "another port with --port"
    ending = " -D {folder}/data"
    stop_signal = signal.SIGINT  # does not wait for its clients to leave

    def dsn(self, database: str) -> str:
        return f"postgresql://hub@127.0.0.1:{self.port}/{database}"

    def start(self, *, within: float = 60.0) -> None:
        if self.process is None:
            self.insist_free(self.port)
            account = unprivileged()
            self._lay_out(account)
            settings = [word for setting in SETTINGS for word in ("-c", setting)]
            command = [
                postgres_program("postgres"),
                "-p",
                f"{self.port}",
                *settings,
                "-D",
                f"{self.folder}/data",
            ]
            launch(command, self.log, install="postgresql", account=account)
        self.insist_ready(self._says_ready, within=within)
        # A first real question, and the database that the line for hub.yaml names.
        ask = [postgres_program("psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", self.dsn("postgres")]
        finish(ask, install="postgresql", told=_CREATE_DATABASE)

    def _lay_out(self, account: str | None) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        if account is not None:
            shutil.chown(self.folder, account, pwd.getpwnam(account).pw_gid)
        try:
            finish(["test", "-w", str(self.folder)], install="coreutils", account=account)
        except Trouble as error:
            who = account or "this user"
            raise Trouble(
                f"{who} cannot write to {self.folder}: choose a folder it can reach with --dir"
            ) from error
        data, new = self.folder / "data", self.folder / "new"
        if not data.exists():
            # Whole or not at all: initdb that was interrupted leaves a folder nothing starts from.
            shutil.rmtree(new, ignore_errors=True)
            options = ["--username=hub", "--auth=trust", "--encoding=UTF8", "--locale=C", "-D", str(new)]
            finish([postgres_program("initdb"), *options], install="postgresql", account=account)
            new.rename(data)

    def _says_ready(self) -> bool:
        try:
            lines = (self.folder / "data" / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except OSError:
            return False
        if lines[7:8] != ["ready   "]:
            return False
        # A file that a crash has left behind says ready too, of a process that is not there any more.
        process = self.process
        return process is not None and lines[0] == str(process.pid)


_CREATE_DATABASE = """
SELECT 'CREATE DATABASE hub' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'hub')
\\gexec
"""


def postgres_program(name: str) -> str:
    versions = sorted(BESIDE_PATH.glob(f"*/bin/{name}"), key=lambda path: float(path.parts[-3]))
    found = shutil.which(name) or (str(versions[-1]) if versions else None)
    if found is None:
        raise Missing(f"PostgreSQL's {name} is neither in PATH nor below {BESIDE_PATH}: install postgresql")
    return found


def unprivileged() -> str | None:
    """Return whom PostgreSQL, which refuses to run as root, is to run as; None is whoever we are."""
    if os.geteuid() != 0:
        return None
    accounts = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in accounts else "nobody"
