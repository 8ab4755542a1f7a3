"""Reads the JSON records of a store: a record that cannot be read is damage, never a guess."""

from __future__ import annotations

from typing import TypeVar

from pydantic import ValidationError

from proxx.contracts.canonical import Json, NotCanonical, read_json
from proxx.contracts.errors import StoreDamaged
from proxx.contracts.model import Contract

C = TypeVar("C", bound=Contract)


def parse_record(data: bytes, name: str) -> Json:
    """Returns the JSON of a record. Raises StoreDamaged, naming it by `name`, if it is not canonical JSON."""
    try:
        return read_json(data)
    except NotCanonical as error:
        raise StoreDamaged(message=f"{name} cannot be read", detail=str(error)) from error


def parse_contract(data: bytes, name: str, kind: type[C]) -> C:
    """Returns a record as its contract model. Raises StoreDamaged, naming it by `name`, if it does not fit."""
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        raise StoreDamaged(message=f"{name} cannot be read", detail=str(error)) from error
