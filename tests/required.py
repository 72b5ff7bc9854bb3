"""Programs that tests run beside Python: where one is missing the test is skipped, or fails if everything is required."""

import os
import shutil
from typing import NoReturn

import pytest


def program(*names: str, package: str) -> str:
    """Return the first of these programs that is there."""
    found = next((path for name in names if (path := shutil.which(name))), None)
    return found or unavailable(f"{names[0]} is not installed: apt-get install {package}")


def unavailable(why: str) -> NoReturn:
    if os.environ.get("HUB_TESTS_REQUIRE_ALL") == "1":
        pytest.fail(why, pytrace=False)
    pytest.skip(why)
