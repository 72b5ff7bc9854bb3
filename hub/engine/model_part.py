"""What every part of a workflow file has in common."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
)


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=False)

    later: ClassVar[frozenset[str]] = frozenset()
    inner: ClassVar[Mapping[str, type["Part"]]] = {}  # what stands under a key of a file that is no workflow
