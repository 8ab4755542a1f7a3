"""The base of all contracts: frozen, strict, closed models. Loading checks the schema first, then every path."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, TypeVar, cast

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from proxx.contracts.canonical import Json, NotCanonical, read_json
from proxx.contracts.error_bases import Problem

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
Hex64 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Contract(BaseModel):
    """A frozen, closed, strictly typed value. JSON arrays become tuples; floats are refused everywhere."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        allow_inf_nan=False,
    )

    def model_post_init(self, _: object) -> None:
        """Shares one set of field names per class instead of one per instance: half the memory of 1,000 clips."""
        if len(self.__pydantic_fields_set__) == len(type(self).model_fields):
            object.__setattr__(self, "__pydantic_fields_set__", _all_fields(type(self)))

    def to_json(self) -> dict[str, Json]:
        """Returns plain JSON values in field order."""
        return cast("dict[str, Json]", self.model_dump(mode="json"))


M = TypeVar("M", bound=Contract)


@cache
def _all_fields(model: type[Contract]) -> set[str]:
    return set(model.model_fields)


def json_path(location: tuple[int | str, ...]) -> str:
    """Returns `("clips", 3, "outputs", 0, "uri")` as `clips[3].outputs[0].uri`."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path or "(the whole file)"


def load_contract(model: type[M], data: bytes, schema: str, code: str) -> M | tuple[Problem, ...]:
    """Returns the `model` in `data`, or every problem with its path. An older draft is refused by its schema name.

    schema: the only one that this version reads (`proxx.job/1`). code: the stable code of the problems.
    """
    try:
        raw = read_json(data)
    except NotCanonical as error:
        return (Problem("(the whole file)", code, f"{error}."), *_fields_at_fault(model, data, code))
    if not isinstance(raw, Mapping):
        return (Problem("(the whole file)", code, "an object is expected."),)
    actual = raw.get("schema")
    if actual != schema:
        subject = f"this is {actual!r}" if isinstance(actual, str) else "it names no schema"
        return (Problem("schema", code, f"{subject}; this version of proxx reads only {schema!r}."),)
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        return problems_of(error, code)


def _fields_at_fault(model: type[M], data: bytes, code: str) -> tuple[Problem, ...]:
    """Returns the fields at fault in text that is JSON but not canonical (a float), or none if it is not JSON."""
    try:
        model.model_validate_json(data)
    except ValidationError as error:
        return tuple(problem for problem in problems_of(error, code) if problem.path != json_path(()))
    return ()


def problems_of(error: ValidationError, code: str) -> tuple[Problem, ...]:
    """Returns all of pydantic's errors as problems, without the input's values (they may be secret or huge)."""
    return tuple(
        Problem(json_path(item["loc"]), code, item["msg"].removeprefix("Value error, ") + ".")
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    )
