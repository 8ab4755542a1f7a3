"""What all contracts share: frozen, strict, closed models; the schema version is read first; errors are paths."""

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
    """A frozen, closed, strictly typed value; JSON arrays become tuples, floats are refused everywhere."""

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
        """One set of field names a class, not one an instance: half the memory of a job of 1,000 clips."""
        if len(self.__pydantic_fields_set__) == len(type(self).model_fields):
            object.__setattr__(self, "__pydantic_fields_set__", _all_fields(type(self)))

    def to_json(self) -> dict[str, Json]:
        """Plain JSON values in field order."""
        return cast("dict[str, Json]", self.model_dump(mode="json"))


M = TypeVar("M", bound=Contract)


@cache
def _all_fields(model: type[Contract]) -> set[str]:
    return set(model.model_fields)


def json_path(location: tuple[int | str, ...]) -> str:
    """`("clips", 3, "outputs", 0, "uri")` as `clips[3].outputs[0].uri`."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path or "(the whole file)"


def load_contract(model: type[M], data: bytes, schema: str, code: str) -> M | tuple[Problem, ...]:
    """The `model` in `data`, or every problem by its path. An older draft is refused by its name.

    schema: the one this build reads (`proxx.job/1`). code: the stable code problems carry.
    """
    try:
        raw = read_json(data)
    except NotCanonical as why:
        return (Problem("(the whole file)", code, f"{why}."), *_fields_at_fault(model, data, code))
    if not isinstance(raw, Mapping):
        return (Problem("(the whole file)", code, "an object is expected."),)
    found = raw.get("schema")
    if found != schema:
        said = f"this is {found!r}" if isinstance(found, str) else "it names no schema"
        return (Problem("schema", code, f"{said}; this version of proxx reads {schema!r} only."),)
    try:
        return model.model_validate_json(data)
    except ValidationError as why:
        return problems_of(why, code)


def _fields_at_fault(model: type[M], data: bytes, code: str) -> tuple[Problem, ...]:
    """Where text that is JSON but not canonical (a float) breaks the model; nothing where it is not JSON."""
    try:
        model.model_validate_json(data)
    except ValidationError as why:
        return tuple(problem for problem in problems_of(why, code) if problem.path != json_path(()))
    return ()


def problems_of(why: ValidationError, code: str) -> tuple[Problem, ...]:
    """Pydantic's errors as problems, all of them, without the input's values (they may be secret or huge)."""
    return tuple(
        Problem(json_path(error["loc"]), code, error["msg"].removeprefix("Value error, ") + ".")
        for error in why.errors(include_url=False, include_context=False, include_input=False)
    )
