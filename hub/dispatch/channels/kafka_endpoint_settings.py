"""Which Kafka topics endpoints may be made for."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from hub.bus.kafka.settings import KafkaSettings

Topic = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]


class KafkaEndpointSettings(BaseModel):
    """The topics are the operator's, and no others: the hub does not make them, and its own must not be among them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kafka: KafkaSettings
    topics: Annotated[tuple[Topic, ...], Field(min_length=1, max_length=100)]
