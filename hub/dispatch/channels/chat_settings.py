"""Where messages to teams go: each team's address stands among the secrets, and here only its name."""

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from hub.events.base import Name
from hub.intents.http_request import SecretName


class TeamSettings(BaseModel):
    """`teams` has the name of a secret for every team: an address as Apprise writes them, with a token in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    teams: Annotated[dict[Name, SecretName], Field(min_length=1, max_length=256)]
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 20.0
    processes: Annotated[int, Field(ge=1, le=8)] = 2

    @property
    def within(self) -> timedelta:
        return timedelta(seconds=self.timeout_s)
