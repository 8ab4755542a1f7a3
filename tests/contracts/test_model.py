"""The base of all contracts, on a small one: closed, strict, frozen, errors with their path, schema first."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import Field, ValidationError

from proxx.contracts.error_bases import Problem
from proxx.contracts.model import Contract, json_path, load_contract

SCHEMA = "proxx.sample/2"


class Part(Contract):
    size: int = Field(ge=0)
    in_: bool = Field(alias="in")


class Sample(Contract):
    schema_: Literal["proxx.sample/2"] = Field(alias="schema")
    name: str
    parts: tuple[Part, ...]


GOOD = '{"schema": "proxx.sample/2", "name": "A", "parts": [{"size": 1, "in": true}]}'


def load(text: str | bytes) -> Sample | tuple[Problem, ...]:
    return load_contract(Sample, text if isinstance(text, bytes) else text.encode(), SCHEMA, "SAMPLE_INVALID")


def problems(text: str | bytes) -> list[str]:
    loaded = load(text)
    assert isinstance(loaded, tuple), loaded
    assert {problem.code for problem in loaded} == {"SAMPLE_INVALID"}
    return [f"{problem.path}: {problem.message}" for problem in loaded]


def test_a_valid_contract_is_read_and_written_by_alias() -> None:
    sample = load(GOOD)
    assert isinstance(sample, Sample)
    assert sample.parts == (Part(size=1, in_=True),)
    assert sample.to_json() == {"schema": SCHEMA, "name": "A", "parts": [{"size": 1, "in": True}]}


def test_a_contract_is_frozen() -> None:
    part = Part(size=1, in_=True)
    with pytest.raises(ValidationError):
        part.size = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"size": 1', '"size": "1"', "parts[0].size: Input should be a valid integer"),
        ('"size": 1', '"size": true', "parts[0].size: Input should be a valid integer"),
        ('"size": 1', '"size": null', "parts[0].size: Input should be a valid integer"),
        ('"size": 1', '"size": -1', "parts[0].size: Input should be greater than or equal to 0"),
        ('"size": 1', '"size": 1, "sise": 2', "parts[0].sise: Extra inputs are not permitted"),
        ('"in": true', '"in": 1', "parts[0].in: Input should be a valid boolean"),
        (', "in": true', "", "parts[0].in: Field required"),
        ('"name": "A", ', "", "name: Field required"),
        ('"name": "A"', '"name": null', "name: Input should be a valid string"),
    ],
)
def test_a_contract_is_strict_and_closed_and_reports_the_path(old: str, new: str, expected: str) -> None:
    assert [problem for problem in problems(GOOD.replace(old, new)) if problem.startswith(expected)]


def test_a_float_is_reported_with_its_path() -> None:
    messages = problems(GOOD.replace('"size": 1', '"size": 1.0'))
    assert messages[0] == "(the whole file): 1.0 is not an integer."
    assert messages[1].startswith("parts[0].size: ")


def test_all_problems_are_reported_at_once() -> None:
    assert len(problems(GOOD.replace('"A"', "1").replace("true", "0").replace('"size": 1', '"size": -1'))) == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "(the whole file): not JSON"),
        ("[]", "(the whole file): an object is expected."),
        ("7", "(the whole file): an object is expected."),
        (GOOD.replace('"A"', '"A", "name": "B"'), "(the whole file): the key 'name' occurs twice"),
        (
            GOOD.replace("sample/2", "sample/1"),
            f"schema: this is 'proxx.sample/1'; this version of proxx reads only '{SCHEMA}'",
        ),
        ('{"schema": "proxx.sample/1", "other": 1}', "schema: this is 'proxx.sample/1'"),
        ('{"name": "A"}', "schema: it names no schema"),
        ('{"schema": 2}', "schema: it names no schema"),
    ],
)  # fmt: skip
def test_the_schema_is_checked_first(text: str, expected: str) -> None:
    (problem,) = problems(text)
    assert problem.startswith(expected)


def test_problems_do_not_repeat_the_input() -> None:
    messages = problems(GOOD.replace('"size": 1', '"size": "s3://key:hidden@host"'))
    assert not [line for line in messages if "hidden" in line]


def test_paths_are_written_as_in_code() -> None:
    assert json_path(("clips", 3, "outputs", 0, "uri")) == "clips[3].outputs[0].uri"
    assert json_path((0, "a")) == "[0].a"
    assert json_path(()) == "(the whole file)"
