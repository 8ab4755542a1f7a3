"""A reference names one attempt of one job; its key makes two requests a single run."""

from __future__ import annotations

import pytest
from proxx_flows.common.reference import JobReference, idempotency_key, run_name, run_tags
from pydantic import ValidationError

from tests.support.results import JOB

UUID = "8a4b3c1e-0000-4000-8000-000000000000"
REFERENCE = JobReference(store="file:///store", job_id=JOB, attempt=2, store_uuid=UUID)


def test_the_key_is_store_job_attempt_dispatch() -> None:
    assert idempotency_key(REFERENCE, 3) == f"{UUID}:{JOB}:2:3"
    elsewhere = REFERENCE.model_copy(update={"store": "/mnt/store"})
    assert idempotency_key(elsewhere, 3) == idempotency_key(REFERENCE, 3)  # one store with two URLs
    with pytest.raises(ValueError, match="uuid"):
        idempotency_key(REFERENCE.model_copy(update={"store_uuid": None}), 3)


def test_a_run_can_be_found_by_name_profile_and_id() -> None:
    assert run_name("A001", REFERENCE) == "A001 · 0123456789ab · attempt 2"
    assert run_tags("A001", "prores_proxy", JOB) == ("prores_proxy", "A001", "job:0123456789ab")


@pytest.mark.parametrize(
    "edit",
    [{"store": ""}, {"job_id": JOB[:-1]}, {"job_id": JOB.upper()}, {"attempt": 0}, {"attempt": 10_000}, {"speed": 1}],
)
def test_a_reference_that_cannot_name_an_attempt_is_refused(edit: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        JobReference.model_validate({"store": "file:///store", "job_id": JOB, **edit})


def test_a_reference_can_be_read_back_from_json() -> None:
    assert JobReference.model_validate_json(REFERENCE.model_dump_json()) == REFERENCE
