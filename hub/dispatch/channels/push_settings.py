"""How the hub sends push messages."""

import json
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator


def _as_text(value: object) -> object:
    """Take the JSON also where whoever read the settings has taken it apart: in the environment, or in hub.yaml."""
    return json.dumps(value) if isinstance(value, dict) else value


class PushSettings(BaseModel):
    """`service_account` is the JSON of its key; better in `service_account_file`. `project` is that of the key if left out."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    service_account: Annotated[SecretStr | None, BeforeValidator(_as_text)] = None
    service_account_file: Path | None = None
    project: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{1,62}$")] | None = None
    url: Annotated[str, Field(max_length=512, pattern=r"^[^?#]+$")] = "https://fcm.googleapis.com"
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 15.0

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if (self.service_account is None) == (self.service_account_file is None):
            raise ValueError("give either service_account_file or service_account")
        return self
