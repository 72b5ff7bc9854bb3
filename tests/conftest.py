"""The servers of a session: started when the first test asks for one, stopped when the last is over."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from processes.services import (
    Kafka,
    Postgres,
    end_shared,
    folder_for_services,
    kafka_for_session,
    postgres_for_session,
)

# How long an example takes says how busy the machine is, and fails no test: each test has its own time limit.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


class SharedServers:
    """Tells the processes of one run where the servers are that they share: each kind is started by who needs it first."""

    def __init__(self) -> None:
        self._until_the_end = ExitStack()
        self._folder: Path | None = None

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        if self._folder is None:
            self._folder = self._until_the_end.enter_context(folder_for_services())
            self._until_the_end.callback(end_shared, self._folder)
        node.workerinput["servers"] = str(self._folder)

    def pytest_unconfigure(self) -> None:
        self._until_the_end.close()


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(SharedServers())


@pytest.fixture(scope="session")
def shared_servers(request: pytest.FixtureRequest) -> Path | None:
    """Return the folder of what this process shares with others that run tests; alone it has servers of its own."""
    told = getattr(request.config, "workerinput", None)
    return Path(told["servers"]) if told is not None else None


@pytest.fixture(scope="session")
def postgres_server(shared_servers: Path | None) -> Iterator[Postgres]:
    with postgres_for_session(shared_servers) as server:
        yield server


@pytest.fixture(scope="session")
def kafka_server(shared_servers: Path | None) -> Iterator[Kafka]:
    with kafka_for_session(shared_servers) as server:
        yield server
