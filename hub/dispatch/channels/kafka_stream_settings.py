"""Where normalized events leave the hub for a Kafka topic of the operator's."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from hub.bus.kafka.settings import KafkaSettings


class KafkaStreamSettings(BaseModel):
    """The topic is the operator's: the hub does not make it. `types` are patterns such as trade.*; all if left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kafka: KafkaSettings
    topic: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
    types: Annotated[tuple[str, ...], Field(min_length=1, max_length=100)] = ("*",)
