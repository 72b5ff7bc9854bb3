"""The steps of a workflow, as its file writes them."""

from decimal import Decimal
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from hub.engine.fields import (
    Duration,
    EventName,
    Expr,
    Identifier,
    Line,
    VerbName,
)
from hub.engine.model_approve import ApproveStep
from hub.engine.model_part import Part

MOST_BRANCHES: Final = 1_000  # items of one step, those of the steps within it multiplied
Params = dict[Annotated[str, StringConstraints(min_length=1, max_length=128)], Any]


def _exactly(value: object) -> object:
    return Decimal(value) if type(value) is int else value


# One type and not a union of two: a complaint would name the types pydantic tried, and not the field.
Factor = Annotated[
    Decimal,
    BeforeValidator(_exactly),
    Field(ge=1, le=10),
    WithJsonSchema({"type": "number", "minimum": 1, "maximum": 10}),
]


class RetryFile(Part):
    """How often an action that was refused is asked for again. One that may have happened never is."""

    max: Annotated[int, Field(ge=1, le=100)] = Field(description="At most so many times more.")
    delay: Duration = Field(description="How long after the first refusal, such as 200ms.")
    factor: Factor = Field(
        Decimal(1),
        description="By how much each pause is longer than the one before.",
        json_schema_extra={"default": 1},
    )
    up_to: Duration | None = Field(None, description="The longest pause.")


class UndoFile(Part):
    """What takes an action back when the run fails later on."""

    do: VerbName = Field(description="The action that takes it back.")
    params: Params = Field(
        {},
        alias="with",
        description="Its parameters; in expressions `account` is as it was before the step was applied.",
    )


def _kind_of_undo(value: object) -> str:
    return "(none)" if isinstance(value, str) else "(undo)"


Undo = Annotated[
    Annotated[UndoFile, Tag("(undo)")] | Annotated[Literal["none"], Tag("(none)")],
    Discriminator(_kind_of_undo),
]


class DoStep(Part):
    """One verb with its parameters."""

    id: Identifier | None = Field(
        None, description="Its name: `steps.NAME` reads its outcome. Money needs one."
    )
    do: VerbName = Field(description="What to do.")
    params: Params = Field({}, alias="with", description="The verb's parameters; `= ...` is an expression.")
    retry: RetryFile | None = Field(
        None, description="What happens where the broker refuses it; else nothing."
    )
    on_error: Literal["fail", "continue"] = Field(
        "fail", description="Whether the run ends, or goes on, where the step does not come about."
    )
    timeout: Duration | None = Field(
        None,
        description="How long the run waits for what comes of it; an action is never asked for again then.",
    )
    guard: Expr | None = Field(
        None, description="Has to hold on a fresh look at the account, right before the action is sent."
    )
    verify: Expr | None = Field(
        None, description="Has to hold on a fresh look at the account, after the action was applied."
    )
    undo: Undo | None = Field(
        None, description="What takes it back when the run fails later on, or `none`: it cannot be."
    )


class IfStep(Part):
    """Steps under a condition, and others where it does not hold."""

    id: Identifier | None = Field(None, description="Its name, or that of the one step beside it.")
    condition: Expr = Field(alias="if", description="The condition.")
    do: VerbName | None = Field(None, description="The one thing to do where it holds …")
    params: Params | None = Field(None, alias="with", description="… with these parameters.")
    retry: RetryFile | None = Field(None, description="Of the one thing to do, as in a step of its own.")
    on_error: Literal["fail", "continue"] | None = Field(
        None, description="Of the one thing to do, as in a step of its own."
    )
    timeout: Duration | None = Field(None, description="Of the one thing to do, as in a step of its own.")
    guard: Expr | None = Field(None, description="Of the one thing to do, as in a step of its own.")
    verify: Expr | None = Field(None, description="Of the one thing to do, as in a step of its own.")
    undo: Undo | None = Field(None, description="Of the one thing to do, as in a step of its own.")
    then: "list[Step] | None" = Field(None, description="The steps where it holds.")
    steps: "list[Step] | None" = Field(None, description="The same as `then`.")
    otherwise: "list[Step]" = Field([], alias="else", description="The steps where it does not hold.")

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if sum(body is not None for body in (self.do, self.then, self.steps)) != 1:
            raise PydanticCustomError("hub", "`if` has exactly one of `do`, `then` and `steps` beside it")
        of_do: dict[str, object] = {
            "with": self.params,
            "retry": self.retry,
            "on_error": self.on_error,
            "timeout": self.timeout,
        }
        of_do |= {"guard": self.guard, "verify": self.verify, "undo": self.undo}
        given = next((name for name, value in of_do.items() if value is not None), None)
        if given is not None and self.do is None:
            raise PydanticCustomError(
                "hub", "`{name}` belongs to `do`: move it into the step", {"name": given}
            )
        return self

    @property
    def one_thing(self) -> DoStep | None:
        """Return the `do` beside the `if` as the step it stands for."""
        if self.do is None:
            return None
        return DoStep.model_construct(
            id=self.id,
            do=self.do,
            params=self.params or {},
            retry=self.retry,
            on_error=self.on_error or "fail",
            timeout=self.timeout,
            guard=self.guard,
            verify=self.verify,
            undo=self.undo,
        )


class ChoiceFile(Part):
    """One way of a `choose`: its steps where the condition holds, or, as the last one, otherwise."""

    condition: Expr | None = Field(None, alias="if", description="The condition.")
    steps: "list[Step] | None" = Field(None, description="The steps where it holds.")
    otherwise: "list[Step] | None" = Field(
        None, alias="else", description="The steps where none of them holds."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.condition is None) == (self.otherwise is None) or (self.condition is None) != (
            self.steps is None
        ):
            raise PydanticCustomError(
                "hub",
                "a way of `choose` is `{if: CONDITION, steps: [...]}`, and the last may be `{else: [...]}`",
            )
        return self


class ChooseStep(Part):
    """The first way whose condition holds, and no other."""

    id: Identifier | None = Field(None, description="Its name.")
    choose: Annotated[list[ChoiceFile], Field(min_length=1, max_length=64)] = Field(
        description="The ways, in order."
    )

    @model_validator(mode="after")
    def _else_is_last(self) -> Self:
        if any(way.condition is None for way in self.choose[:-1]):
            raise PydanticCustomError(
                "hub", "`else` is the last way of `choose`: nothing after it is looked at"
            )
        return self


class SetStep(Part):
    """Values kept under a name, as they are now: `steps.NAME.FIELD` reads them."""

    id: Identifier = Field(description="Its name: `steps.NAME.FIELD` reads the values.")
    values: Annotated[dict[Identifier, Any], Field(min_length=1, max_length=64)] = Field(
        alias="set", description="The values; `= ...` is an expression."
    )


class StopStep(Part):
    """The end of the run."""

    id: Identifier | None = Field(None, description="Its name.")
    stop: Line = Field(description="Why, for whoever asks later.")


class WaitFile(Part):
    """What a run waits for: a span, a moment, an event, or a condition."""

    later: ClassVar[frozenset[str]] = frozenset({"becomes"})

    span: Duration | None = Field(None, alias="for", description="So long, such as 2h.")
    until: Expr | None = Field(None, description="The moment, an expression that gives a time.")
    event: EventName | None = Field(None, description="An event of this type or pattern, of the same key.")
    where: Expr | None = Field(
        None,
        description="Which one: `event` is the one that came, `trigger.event` the one the run began with.",
    )
    since: Literal["run_start", "trigger_time", "now"] | None = Field(
        None,
        description="From when on it counts: the run's start, `now`, or the time of what started it (`trigger_time`).",
    )
    condition: Expr | None = Field(None, alias="if", description="A condition that has to hold.")
    timeout: Duration | None = Field(None, description="How long at most; an event or a condition needs one.")
    on_timeout: Literal["continue", "stop", "fail"] = Field(
        "continue", description="What then: the next step, the end, or the end as a failure."
    )

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        given = (self.span, self.until, self.event, self.condition)
        if sum(part is not None for part in given) != 1:
            raise PydanticCustomError("hub", "`wait` has exactly one of `for`, `until`, `event` and `if`")
        if self.event is None and (self.where is not None or self.since is not None):
            raise PydanticCustomError("hub", "`where` and `since` belong to a wait for an `event`")
        open_ended = self.event is not None or self.condition is not None
        if open_ended and self.timeout is None:
            raise PydanticCustomError(
                "hub", "a wait for an event or a condition needs a `timeout`, such as `timeout: 24h`"
            )
        if not open_ended and self.timeout is not None:
            raise PydanticCustomError("hub", "`timeout` belongs to a wait for an event or a condition")
        return self


class WaitStep(Part):
    """A pause that survives restarts: `steps.NAME.timed_out` says how it ended."""

    id: Identifier | None = Field(None, description="Its name: `steps.NAME` reads how it ended.")
    wait: WaitFile


def _kind_of_branch(value: object) -> str:
    return "(branch)" if isinstance(value, list) else "(step)"


class ParallelStep(Part):
    """Branches that are gone through side by side; the run goes on when all of them are at their end."""

    id: Identifier | None = Field(
        None, description="Its name: `steps.NAME.ok` says whether every branch came about."
    )
    parallel: "Annotated[list[Branch], Field(min_length=1, max_length=32)]" = Field(
        description="The branches: a step, or a list of steps, each."
    )
    on_error: Literal["fail", "continue"] = Field(
        "fail", description="Whether the run fails, or goes on, where a branch fails."
    )


class ForEachFile(Part):
    """Steps for each item of a list."""

    items: Expr = Field(alias="in", description="The list.")
    name: Identifier = Field(alias="as", description="The name the steps read the item by.")
    steps: "Annotated[list[Step], Field(min_length=1, max_length=64)]" = Field(
        description="What is done for each item."
    )
    concurrency: Annotated[int, Field(ge=1, le=100)] = Field(
        1, description="For how many items at a time: one after another, unless more is said."
    )
    max: Annotated[int, Field(ge=1, le=MOST_BRANCHES)] = Field(
        MOST_BRANCHES, description="How many items there may be; the step fails where there are more."
    )


class ForEachStep(Part):
    """The same steps for every item of a list; `steps.NAME.items` tells what came of each."""

    id: Identifier | None = Field(None, description="Its name: `steps.NAME` tells what came of it.")
    for_each: ForEachFile
    on_error: Literal["fail", "continue"] = Field(
        "fail", description="Whether the run fails, or goes on with the other items, where an item fails."
    )


_STEP_KEYS: Final = ("choose", "set", "stop", "wait", "parallel", "for_each", "approve", "if", "do")


def _kind_of_step(value: object) -> str | None:
    if not isinstance(value, dict):
        return None
    return next((f"({key})" for key in _STEP_KEYS if key in value), None)


Step = Annotated[
    Annotated[DoStep, Tag("(do)")]
    | Annotated[IfStep, Tag("(if)")]
    | Annotated[ChooseStep, Tag("(choose)")]
    | Annotated[SetStep, Tag("(set)")]
    | Annotated[StopStep, Tag("(stop)")]
    | Annotated[WaitStep, Tag("(wait)")]
    | Annotated[ApproveStep, Tag("(approve)")]
    | Annotated[ParallelStep, Tag("(parallel)")]
    | Annotated[ForEachStep, Tag("(for_each)")],
    Discriminator(_kind_of_step),
]
Branch = Annotated[
    Annotated[Step, Tag("(step)")]
    | Annotated[list[Step], Field(min_length=1, max_length=64), Tag("(branch)")],
    Discriminator(_kind_of_branch),
]
AnyStep = (
    DoStep | IfStep | ChooseStep | SetStep | StopStep | WaitStep | ApproveStep | ParallelStep | ForEachStep
)
