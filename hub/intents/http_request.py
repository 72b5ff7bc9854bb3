"""A request to another system, as an intent carries it: where to, with which secrets by name, and what has to come back."""

import re
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import quote, urlencode

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    model_validator,
)

from hub.intents.shape import Misfit, conform, shape_problem

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
REPEATABLE: Final = frozenset({"GET", "PUT", "DELETE"})  # doing them twice does them once
_OURS: Final = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"}
    | {"idempotency-key", "accept-encoding", "expect", "proxy-authorization"}
)
SecretName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SecretRef(Part):
    """Stands for a secret of the configuration; what it is, only whoever sends the request finds out."""

    secret: SecretName


def _said(value: object, info: ValidationInfo) -> object:
    """Let in what a workflow may write. Data that looks like the name of a secret must not become one."""
    if isinstance(value, SecretRef) or (info.mode == "json" and isinstance(value, dict)):
        return value
    return _text(value)


def _text(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError("a text or a number is needed here")  # noqa: TRY004 - pydantic takes no other
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _segment(value: str) -> str:
    if value in {"", ".", ".."}:
        raise ValueError(f"{value!r} would lead to another place")
    return value


def _header(name: str) -> str:
    if name.lower() in _OURS:
        raise ValueError(f"the header {name} is set by the hub")
    return name


Line = Annotated[str, StringConstraints(max_length=2_048, pattern=r"^[\x20-\x7e]*$")]
Hidden = Annotated[SecretRef | Line, BeforeValidator(_said)]
Plain = Annotated[str, StringConstraints(max_length=256), BeforeValidator(_text)]
HeaderName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$"), AfterValidator(_header)
]


_BASE: Final = re.compile(r"https?://[^\s?#@\\]{1,2000}", re.ASCII)


def _base(value: object) -> object:
    if isinstance(value, str) and not _BASE.fullmatch(value):
        raise ValueError(
            "an address begins with https:// and holds no ?, # or @: query and secrets have places of their own"
        )
    return value


class Url(Part):
    """`base` is a secret or stands in the file; every part of the path is encoded, so that none can leave it."""

    base: Annotated[Hidden, AfterValidator(_base)]
    path: Annotated[list[Annotated[Plain, AfterValidator(_segment)]], Field(max_length=32)] = []
    query: Annotated[dict[Plain, Plain], Field(max_length=32)] = {}

    def under(self, base: str) -> str:
        """Return the whole address."""
        path = "".join(f"/{quote(part, safe='')}" for part in self.path)
        query = f"?{urlencode(self.query, quote_via=quote)}" if self.query else ""
        return f"{base.rstrip('/')}{path}{query}"


class Basic(Part):
    user: Hidden
    password: Hidden


class Auth(Part):
    bearer: Hidden | None = None
    basic: Basic | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.bearer is None) == (self.basic is None):
            raise ValueError(
                "`auth` is `{bearer: = secrets.NAME}` or `{basic: {user: ..., password: = secrets.NAME}}`"
            )
        return self


class Expected(Part):
    """Which status is a yes (any 2xx where none is named), and what its body has to look like."""

    status: Annotated[list[Annotated[int, Field(ge=100, le=599)]], Field(max_length=32)] = []
    shape: Any = Field(None, alias="schema")

    @model_validator(mode="after")
    def _is_a_shape(self) -> Self:
        problem = shape_problem(self.shape) if self.shape is not None else None
        if problem is not None:
            raise ValueError(problem)
        return self

    def takes(self, status: int) -> bool:
        return status in self.status if self.status else 200 <= status < 300


class Call(Part):
    """The whole request. `idempotent` says that the receiver does it once however often it is asked."""

    method: Method
    url: Url
    headers: Annotated[dict[HeaderName, Hidden], Field(max_length=32)] = {}
    auth: Auth | None = None
    body: Any = None
    expect: Expected = Expected()
    sample: Any = None
    idempotent: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.auth is not None and any(name.lower() == "authorization" for name in self.headers):
            raise ValueError("`auth` and a header Authorization say the same: keep one")
        if self.body is not None and self.method == "GET":
            raise ValueError("a GET has no body")
        if self.sample is not None and self.expect.shape is not None:
            try:
                conform(self.expect.shape, self.sample, told=True, where="sample")
            except Misfit as problem:
                raise ValueError(str(problem)) from None
        return self

    @property
    def repeatable(self) -> bool:
        """Whether one that was not answered may be made again."""
        return self.idempotent or self.method in REPEATABLE
