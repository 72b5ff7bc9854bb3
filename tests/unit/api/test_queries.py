"""Times in a query: what no clock can show is refused like what is no time at all."""

import pytest
from aiohttp.test_utils import make_mocked_request

from hub.api.problems import Problem
from hub.api.queries import Query
from hub.clock import iso


def asked(at: str) -> int | None:
    return Query(make_mocked_request("GET", f"/?at={at}"), "at").moment("at")


def test_a_time_says_its_offset() -> None:
    found = asked("2026-03-02T12:00:00+02:00")

    assert found is not None
    assert iso(found) == "2026-03-02T10:00:00.000Z"


@pytest.mark.parametrize(
    "at",
    ["noon", "2026-03-02T10:00:00", "0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-10:00"],
)
def test_what_is_no_time_is_refused(at: str) -> None:
    with pytest.raises(Problem):
        asked(at)
