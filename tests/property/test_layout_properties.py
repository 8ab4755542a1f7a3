"""Key names: every key is parsed back; normalization is a fixed point and ignores case and composition."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from proxx.contracts.output_names import normalized_name
from proxx.store import keys

job_ids = st.from_regex(r"[0-9a-z][0-9a-z-]{0,127}", fullmatch=True).filter(keys.is_job_id)
numbers = st.integers(1, 10**9)
texts = st.text(st.characters(exclude_categories=["Cs"]))

TIME = "2026-01-31T12:05:00.000001Z"


@given(job_ids, numbers, numbers, st.uuids(), texts)
def test_every_key_is_parsed_back(job: str, attempt: int, number: int, name: object, uri: str) -> None:
    digest = keys.claim_digest(uri)
    expected = {
        keys.STORE_KEY: keys.Parsed("store"),
        keys.spec_key(job): keys.Parsed("spec", job),
        keys.registered_key(job): keys.Parsed("registered", job),
        keys.event_key(job, attempt, number): keys.Parsed("event", job, attempt, number),
        keys.clip_log_key(job, attempt, number - 1): keys.Parsed("clip_log", job, attempt, number - 1),
        keys.result_key(job, attempt): keys.Parsed("result", job, attempt),
        keys.refusal_key(job, str(name)): keys.Parsed("refusal", job, name=str(name)),
        keys.claim_key(uri, number): keys.Parsed("claim", number=number, name=digest),
        keys.index_begun_key(TIME, job): keys.Parsed("index_begun", job, name="2026-01-31", time="120500"),
        keys.index_registered_key(TIME, job): keys.Parsed("index_registered", job, name="2026-01-31", time="120500"),
        keys.index_taken_key(TIME, job, attempt): keys.Parsed(
            "index_taken", job, attempt, name="2026-01-31", time="120500"
        ),
        keys.index_ended_key(TIME, job, attempt, "failed-NO_VIDEO", "run-1"): keys.Parsed(
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
        assert keys.is_key(key)
        assert keys.parse(key) == parsed


@given(st.text("abc/.-0123456789_jobsattemptevn\n", max_size=80))
def test_what_is_parsed_is_a_key(text: str) -> None:
    if keys.parse(text):
        assert keys.is_key(text)


@given(job_ids, st.lists(st.tuples(numbers, numbers), unique=True))
def test_events_sort_by_number_when_parsed(job: str, pairs: list[tuple[int, int]]) -> None:
    parsed = [keys.parse(key) for key in sorted(keys.event_key(job, a, n) for a, n in pairs)]
    assert sorted((p.attempt, p.number) for p in parsed if p) == sorted(pairs)


@given(texts)
def test_normalization_is_a_fixed_point_and_ignores_form_and_case(uri: str) -> None:
    once = normalized_name(uri)
    assert normalized_name(once) == once
    for variant in ("NFC", "NFD"):
        same = unicodedata.normalize(variant, uri)
        assert keys.claim_key(same, 1) == keys.claim_key(uri, 1)
        assert keys.claim_key(same.casefold(), 1) == keys.claim_key(uri, 1)


@given(texts, texts)
def test_only_what_is_normalized_alike_shares_a_claim(one: str, other: str) -> None:
    assert (keys.claim_digest(one) == keys.claim_digest(other)) == (normalized_name(one) == normalized_name(other))
