"""What is wrong with a body is said in the sender's words: those of JSON, one line for each thing."""

from typing import Annotated

import pytest
from pydantic import AfterValidator, BaseModel, Field, ValidationError

from hub.ingest.clients import Client
from hub.ingest.refusals import field_errors, said_of_problem


def _even(number: int) -> int:
    if number % 2:
        raise ValueError("must be even")
    return number


class Inner(BaseModel):
    a: int = 0


class Order(BaseModel):
    numbers: Annotated[
        tuple[Annotated[int, AfterValidator(_even)], ...], Field(min_length=1, max_length=2)
    ] = (2,)
    names: Annotated[dict[str, int], Field(max_length=1)] = Field(default_factory=dict)
    inner: Inner = Inner()


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"numbers": [1]}, {"numbers.0": "must be even"}),
        ({"numbers": []}, {"numbers": "holds 0, and at least 1 must be there"}),
        ({"numbers": [2, 4, 6]}, {"numbers": "holds more than 2"}),
        ({"numbers": "2"}, {"numbers": "must be a list"}),
        ({"names": [1]}, {"names": "must be an object"}),
        ({"names": {"a": 1, "b": 2}}, {"names": "holds more than 1"}),
        ({"inner": 5}, {"inner": "must be an object"}),
        ([], {"body": "must be an object"}),
        ({"numbers": ["x", 3]}, {"numbers.0": "Input should be a valid integer, unable to parse string as an integer",
                                 "numbers.1": "must be even"}),
    ],
)  # fmt: skip
def test_a_refusal_speaks_of_lists_and_objects_and_of_each_thing_once(
    body: object, told: dict[str, str]
) -> None:
    with pytest.raises(ValidationError) as refused:
        Order.model_validate(body)

    assert {error.field: error.reason for error in field_errors(refused.value, Order)} == told


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"email": "not a mail"}, 'not an address such as "ann@example.com"'),
        ({"country": "CYP"}, 'not two capital letters, such as "CY"'),
        ({"language": "english"}, 'not a language such as "en" or "pt-BR"'),
        ({"tags": ["a b"]}, "not a tag: up to 64 letters, digits and _ . : - after a first letter or digit"),
    ],
)
def test_a_person_reads_what_a_field_looks_like_and_no_pattern(fields, told):
    with pytest.raises(ValidationError) as refused:
        Client.model_validate(fields)

    (error,) = field_errors(refused.value, Client)

    assert error.reason == told


def test_an_answer_that_is_no_problem_is_shown_as_it_is_and_short():
    assert said_of_problem(b'{"title":"Gone","detail":"it is over"}') == "it is over"
    assert said_of_problem(b"<html>\n" + b"x" * 500) == "<html>?" + "x" * 73 + "…"
