"""The story file `NAME.test.yaml`: its models, and reading it with places."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from hub.engine.files_on_disk import text_of
from hub.engine.problems import Problem, Problems
from hub.engine.story_complaints import complain
from hub.engine.yaml import read
from hub.errors import Place

SUFFIXES = (".test.yaml", ".test.yml")
MAX_STORIES = 200
MAX_STEPS = 500


def _moment(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return datetime.fromisoformat(value)
    except ValueError as error:
        raise ValueError(f"{value[:40]!r} is no time: write it as in 2026-03-02T10:00+02:00") from error


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a time names its offset from UTC, as in 2026-03-02T10:00+02:00")
    if not 1970 <= value.year < 2200:
        raise ValueError("a time lies between 1970 and 2199, as those of events do")
    return value


Moment = Annotated[datetime, BeforeValidator(_moment), AfterValidator(_aware)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{3,8}$")]
Worth = Annotated[Decimal, Field(gt=0, le=Decimal(10) ** 9, max_digits=28)]
Amount = Annotated[Decimal, Field(max_digits=28)]


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StoryAccount(BaseModel):
    """Who the story is about; every other field is what the account looks like when it begins."""

    model_config = ConfigDict(frozen=True, extra="allow")

    server: str = "live-1"
    login: int = 1001


class StoryClient(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")

    id: str = "client-1"


class StoryAnswer(Strict):
    """What another system answers to a request."""

    status: Annotated[int, Field(ge=100, le=599)] = 200
    body: Any = None


class Given(Strict):
    """`accounts`: further ones of the same client. `answers`: what becomes of manager actions; applied, unless it is said.

    `http`: what requests are answered with, by step; of several the first attempt gets the first, and the last one stays.
    Without it a request is answered with its `sample`. `rates`: what one unit of a currency is worth in the base
    currency, as fixed ones of hub.yaml.
    """

    account: StoryAccount = StoryAccount()
    accounts: Annotated[list[StoryAccount], Field(max_length=20)] = []
    client: StoryClient | None = None
    answers: dict[str, Literal["applied", "rejected", "parked"]] = {}
    rates: Annotated[dict[Currency, Worth], Field(max_length=200)] = {}
    base_currency: Currency = "USD"
    http: dict[str, StoryAnswer | Annotated[list[StoryAnswer], Field(min_length=1, max_length=50)]] = {}


class StoryEvent(BaseModel):
    """What happens; everything but the fields named here is its data. `timestamp`: when, if not at the step's time."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str
    account: StoryAccount | None = None
    timestamp: Moment | None = None
    replayed: bool = False
    degraded: bool = False
    dedupe_key: str | None = None


class StoryStart(Strict):
    """Somebody asks for a run; `key`: for whom, if not for the story's account or everything."""

    trigger: str | None = None
    key: str | None = None
    inputs: dict[str, str | bool | int | Decimal] = {}


class StoryPosition(Strict):
    """What a sample says of one open position."""

    position: Annotated[int, Field(gt=0)]
    profit: Amount | None = None
    price: Amount | None = None


class StorySample(Strict):
    """`gap` says nothing of the account but that nobody sees it, until the next sample."""

    equity: Amount | None = None
    balance: Amount | None = None
    floating: Amount | None = None
    margin: Amount | None = None
    free_margin: Amount | None = None
    margin_level: Amount | None = None
    degraded: bool = False
    gap: bool = False
    positions: Annotated[list[StoryPosition], Field(max_length=50)] = []
    account: StoryAccount | None = None


class StoryQuote(Strict):
    """What a symbol is sold and bought for, on the server of the story's account if nothing else is said.

    `gap` says that nobody sees it, until the next quote.
    """

    symbol: Annotated[str, Field(min_length=1, max_length=128)] = "EURUSD"
    server: str | None = None
    symbol_class: str | None = None
    bid: Amount | None = None
    ask: Amount | None = None
    degraded: bool = False
    gap: bool = False

    @model_validator(mode="after")
    def _has_both(self) -> "StoryQuote":
        if not self.gap and (self.bid is None or self.ask is None):
            raise ValueError("a quote has a bid and an ask, or says `gap: true`")
        return self


class Expected(BaseModel):
    """One intent: `action` (or `verb`), and of its account, key, state and parameters those that are named."""

    model_config = ConfigDict(frozen=True, extra="allow")

    action: str | None = None
    verb: str | None = None
    login: int | None = None
    server: str | None = None
    key: str | None = None
    state: str | None = None


class ExpectedApproval(BaseModel):
    """A question to people: `step`, `state` (open), and of what they are shown whatever is named."""

    model_config = ConfigDict(frozen=True, extra="allow")

    step: str


class StoryStep(Strict):
    """What happens at a time, and what it is expected to lead to; without `at`, right after the step before.

    `approve` and `decline` name the step people were asked at, and `by` who decides. `reset` has a person look and let the
    workflow go on after its breaker tripped; `expect_tripped` says whether it has.
    """

    at: Moment | None = None
    event: StoryEvent | None = None
    sample: StorySample | None = None
    quote: StoryQuote | None = None
    restart: str | bool | None = None
    approve: str | None = None
    decline: str | None = None
    by: str | None = None
    comment: str = ""
    start: StoryStart | None = None
    reset: Literal["breaker"] | None = None
    expect: list[Expected] | None = None
    expect_none: Literal[True] | None = None
    expect_approval: ExpectedApproval | None = None
    expect_tripped: bool | None = None
    why: str | None = None
    rates: dict[Currency, Worth] | None = None  # of which those that are named hold from here on
    reads: dict[str, Any] = {}  # what a fresh look at the account says from here on

    @model_validator(mode="after")
    def _says_one_thing(self) -> "StoryStep":
        happens = (
            self.event,
            self.sample,
            self.quote,
            self.restart,
            self.start,
            self.approve,
            self.decline,
            self.reset,
            self.rates,
        )
        if sum(part is not None for part in happens) > 1:
            raise ValueError(
                "one thing happens in a step: event, sample, quote, start, restart, reset, rates, approve or decline"
            )
        if (self.by is not None) != (self.approve is not None or self.decline is not None):
            raise ValueError("`by` says who decides, beside approve or decline")
        if self.expect is not None and self.expect_none is not None:
            raise ValueError("a step expects intents or none, not both")
        if self.why is not None and self.expect_none is None:
            raise ValueError("`why` says the reason beside expect_none: true")
        return self


class Story(Strict):
    name: str
    given: Given = Given()
    story: Annotated[list[StoryStep], Field(min_length=1, max_length=MAX_STEPS)]


class StoryFile(Strict):
    workflow: str
    tests: Annotated[list[Story], Field(min_length=1, max_length=MAX_STORIES)]


@dataclass(frozen=True, slots=True)
class Storybook:
    """A story file that was read; `places[i]` is where test i stands."""

    path: str
    file: StoryFile | None
    places: tuple[Place, ...]
    problems: tuple[Problem, ...]


def read_stories(text: str, path: str) -> Storybook:
    problems = Problems()
    document = read(text, path, problems)
    if document is None:
        return Storybook(path, None, (), tuple(problems))
    try:
        file = StoryFile.model_validate(document.data())
    except ValidationError as error:
        complain(document, error, problems, StoryFile)
        return Storybook(path, None, (), tuple(problems))
    places = tuple(document.place(("tests", number)) for number in range(len(file.tests)))
    return Storybook(path, None if problems.fatal else file, places, tuple(problems))


def read_story_file(path: Path) -> Storybook:
    text = text_of(path, str(path))
    return (
        Storybook(str(path), None, (), (text,))
        if isinstance(text, Problem)
        else read_stories(text, str(path))
    )


def story_files(paths: list[Path]) -> Iterator[Path]:
    """Yield the story files in folders and files given; for a workflow's file, the stories beside it.

    What is no file is none: a pipe would be waited for, and a device has no end.
    """
    yield from (path for path in _named(paths) if path.is_file())


def _named(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(found for found in path.rglob("*") if found.name.endswith(SUFFIXES))
        elif path.name.endswith(SUFFIXES):
            yield path
        else:
            yield from (
                beside for suffix in SUFFIXES if (beside := path.with_name(path.stem + suffix)).exists()
            )


def workflow_beside(path: Path) -> Path:
    """Return the file of the workflow a story file tells of."""
    name = path.name
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    for ending in (".yaml", ".yml"):
        found = path.with_name(name + ending)
        if found.exists():
            return found
    return path.with_name(name + ".yaml")


def extras(model: BaseModel) -> dict[str, Any]:
    """Return the fields a model takes without declaring them."""
    return dict(model.model_extra or {})
