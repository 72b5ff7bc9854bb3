"""The servers of a session: started when the first test asks for one, stopped when the last is over."""

from collections.abc import Iterator

import pytest
from hypothesis import settings
from processes.services import Kafka, Postgres, kafka_for_session, postgres_for_session

# How long an example takes says how busy the machine is, and fails no test: each test has its own time limit.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    with postgres_for_session() as server:
        yield server


@pytest.fixture(scope="session")
def kafka_server() -> Iterator[Kafka]:
    with kafka_for_session() as server:
        yield server
