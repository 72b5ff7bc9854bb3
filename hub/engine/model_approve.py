"""The step that waits for a person, as a workflow file writes it."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from hub.engine.fields import Duration, Identifier
from hub.engine.model_part import Part

Permission = Annotated[
    str, StringConstraints(max_length=64, pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$")
]


class ApproveFile(Part):
    """Who decides, on what, and how long they have."""

    permission: Permission = Field(description="What a key needs in order to decide, such as money.approve.")
    quorum: Annotated[int, Field(ge=1, le=10)] = Field(
        1, description="How many different people have to approve; one who declines is enough to decline."
    )
    not_by: Annotated[list[str], Field(max_length=10)] = Field(
        [],
        description="Who may not decide: names of keys, or `= event.requested_by`; no one twice in any case.",
    )
    show: Annotated[list[Identifier], Field(max_length=10)] | None = Field(
        None,
        description="What they are shown beside the actions: event, account, client, trigger, params, steps, or an aggregate. "
        "Left out, the event and the account as far as the step knows them, and what was asked for by whoever started it.",
    )
    within: Duration = Field(description="How long they have, such as 24h.")
    on_timeout: Literal["reject", "fail"] = Field(
        "reject", description="What silence means: the same as declined, or a failure of the run."
    )
    text: Annotated[str, StringConstraints(min_length=1, max_length=4_000)] | None = Field(
        None, description="What they are asked, as text with `{{ }}`."
    )


class ApproveStep(Part):
    """A wait for people to approve what follows: `steps.NAME.approved`, `.decision`, `.by` and `.comment` say how it ended."""

    id: Identifier = Field(description="Its name: `steps.NAME` reads the decision.")
    approve: ApproveFile
