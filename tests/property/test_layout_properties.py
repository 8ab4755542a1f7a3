"""Key names: every key is parsed back, and normalization is a fixed point that ignores case and composition."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from proxx.contracts.naming import normalized_name
from proxx.store import keys as layout

job_ids = st.from_regex(r"[0-9a-z][0-9a-z-]{0,127}", fullmatch=True).filter(layout.is_job_id)
numbers = st.integers(1, 10**9)
texts = st.text(st.characters(exclude_categories=["Cs"]))

TIME = "2026-01-31T12:05:00.000001Z"


@given(job_ids, numbers, numbers, st.uuids(), texts)
def test_every_key_is_parsed_back(job: str, attempt: int, number: int, name: object, uri: str) -> None:
    digest = layout.claim_digest(uri)
    expected = {
        layout.STORE_KEY: layout.Parsed("store"),
        layout.spec_key(job): layout.Parsed("spec", job),
        layout.registered_key(job): layout.Parsed("registered", job),
        layout.event_key(job, attempt, number): layout.Parsed("event", job, attempt, number),
        layout.clip_log_key(job, attempt, number - 1): layout.Parsed("clip_log", job, attempt, number - 1),
        layout.result_key(job, attempt): layout.Parsed("result", job, attempt),
        layout.refusal_key(job, str(name)): layout.Parsed("refusal", job, name=str(name)),
        layout.claim_key(uri, number): layout.Parsed("claim", number=number, name=digest),
        layout.index_begun_key(TIME, job): layout.Parsed("index_begun", job, name="2026-01-31", time="120500"),
        layout.index_registered_key(TIME, job): layout.Parsed(
            "index_registered", job, name="2026-01-31", time="120500"
        ),
        layout.index_taken_key(TIME, job, attempt): layout.Parsed(
            "index_taken", job, attempt, name="2026-01-31", time="120500"
        ),
        layout.index_ended_key(TIME, job, attempt, "failed-NO_VIDEO", "run-1"): layout.Parsed(
            "index_ended",
            job,
            attempt,
            name="2026-01-31",
            time="120500",
            outcome="failed-no_video",
            run="run-1",
        ),
    }
    assert len(expected) == 12
    for key, parsed in expected.items():
        assert layout.is_key(key)
        assert layout.parse(key) == parsed


@given(st.text("abc/.-0123456789_jobsattemptevn\n", max_size=80))
def test_what_is_parsed_is_a_key(text: str) -> None:
    if layout.parse(text):
        assert layout.is_key(text)


@given(job_ids, st.lists(st.tuples(numbers, numbers), unique=True))
def test_events_sort_by_number_when_parsed(job: str, pairs: list[tuple[int, int]]) -> None:
    parsed = [layout.parse(key) for key in sorted(layout.event_key(job, a, n) for a, n in pairs)]
    assert sorted((p.attempt, p.number) for p in parsed if p) == sorted(pairs)


@given(texts)
def test_normalization_is_a_fixed_point_and_ignores_form_and_case(uri: str) -> None:
    once = normalized_name(uri)
    assert normalized_name(once) == once
    for variant in ("NFC", "NFD"):
        same = unicodedata.normalize(variant, uri)
        assert layout.claim_key(same, 1) == layout.claim_key(uri, 1)
        assert layout.claim_key(same.casefold(), 1) == layout.claim_key(uri, 1)


@given(texts, texts)
def test_only_what_is_normalized_alike_shares_a_claim(one: str, other: str) -> None:
    assert (layout.claim_digest(one) == layout.claim_digest(other)) == (
        normalized_name(one) == normalized_name(other)
    )
