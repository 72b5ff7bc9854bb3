"""The servers of a session, and where its hubs come from: started when the first test asks for one, stopped when the last is over."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from processes.preloaded import nursery
from processes.services import (
    Kafka,
    Postgres,
    end_shared,
    folder_for_services,
    kafka_for_session,
    postgres_for_session,
)

# How long an example takes says how busy the machine is, and fails no test: each test has its own time limit.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
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


@pytest.fixture(scope="session", autouse=True)
def hubs_begin_behind_their_imports() -> Iterator[None]:
    """Each a second and a half of CPU sooner; with HUB_TESTS_FRESH=1 each begins at the beginning, as for a user."""
    with nullcontext() if os.environ.get("HUB_TESTS_FRESH") else nursery.opened():
        yield
    nursery.close()


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
