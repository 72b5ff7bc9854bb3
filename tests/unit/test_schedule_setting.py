"""The waits between attempts, as hub.yaml says them: what no clock can wait for is refused before the hub starts."""

import pytest

from hub.config import load
from hub.dispatch.schedule import MAX_WAITS
from hub.errors import ConfigError


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ([5, -1], "delivering.schedule.1"),
        ([float("nan")], "delivering.schedule.0"),
        ([1e300], "delivering.schedule.0"),
        ([604_801], "604800"),
        ([1] * (MAX_WAITS + 1), str(MAX_WAITS)),
    ],
)
def test_a_schedule_that_cannot_be_kept_is_refused(schedule: list[float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(None, {"delivering": {"schedule": schedule}})


@pytest.mark.parametrize("schedule", [[], [0], [5, 300.5], [604_800] * MAX_WAITS])
def test_a_schedule_is_kept_as_it_is_written(schedule: list[float]) -> None:
    assert load(None, {"delivering": {"schedule": schedule}}).delivering.schedule == tuple(schedule)
