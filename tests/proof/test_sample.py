"""The sample of a store: fair, the same for everyone, never empty, read job by job; damaged jobs are reported."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxx.contracts.canonical import Json
from proxx.contracts.errors import Interrupted
from proxx.contracts.event import Clock, Worker, stamp, utc_now
from proxx.contracts.job import JobContent, JobSpec, seal, spec_bytes
from proxx.contracts.result import make_result
from proxx.proof.sample import SampledClip, SampleItem, SampleScope, SampleTally, UnreadableJob, is_sampled, sample
from proxx.store.base import MemoryStore
from proxx.store.keys import spec_key
from proxx.store.lock import acquire, release, retire
from proxx.store.registration import register
from proxx.store.status import State
from tests.support.finished import HERE, THERE
from tests.support.results import completed, envelope, failed
from tests.support.specs import clip, profile, toolchain

ALL: Final = Fraction(1)
LAST_YEAR: Final = datetime(2025, 1, 31, 12, 0, tzinfo=UTC)


def job(number: int, clips: int = 1) -> JobSpec:
    job_clips = (clip(index, output=f"/proxies/{number}/{index}.mov") for index in range(clips))
    return seal(
        JobContent(
            schema_="proxx.job/1",
            name=f"job {number}",
            profile=profile(),
            toolchain=toolchain(),
            clips=tuple(job_clips),
            left_out=(),
        )
    )


def sha256(spec: JobSpec, index: int) -> str:
    return f"sha256:{spec.seals.clips[index]}"


def register_job(store: MemoryStore, spec: JobSpec, clock: Clock = utc_now) -> None:
    outputs = [each.outputs[0].uri for each in spec.clips]
    register(store, spec_bytes(spec), spec.job_id, outputs, stamp(HERE, "r", clock=clock))


def finish(
    store: MemoryStore, spec: JobSpec, worker: Worker = HERE, *, attempt: int = 1, clock: Clock = utc_now
) -> None:
    """Records an attempt as a worker does, without any media."""
    if attempt == 1:
        register_job(store, spec, clock)
    ledger = acquire(store, spec.job_id, attempt, worker, "r", clock=clock)
    for index in range(len(spec.clips)):
        data: dict[str, Json] = {"clip": index, "sha256": sha256(spec, index), "frames": 25, "output": "o"}
        ledger.append("clip.completed", data)
    release(ledger, make_result(spec.job_id, attempt, (completed(),), None, envelope()).to_json())


def fleet(*jobs: JobSpec) -> MemoryStore:
    store = MemoryStore()
    for spec in jobs:
        finish(store, spec)
    return store


def take_sample(store: MemoryStore, share: Fraction = ALL, **scope: object) -> tuple[list[SampleItem], SampleTally]:
    tally = SampleTally()
    return list(sample(store, SampleScope(share=share, **scope), tally)), tally  # type: ignore[arg-type]


def chosen(items: Iterable[SampleItem]) -> list[tuple[str, int]]:
    return [(item.spec.job_id, item.index) for item in items if isinstance(item, SampledClip)]


JOBS: Final = tuple(job(number, 1 + number % 4) for number in range(8))
CLIPS: Final = {(spec.job_id, index): seal for spec in JOBS for index, seal in enumerate(spec.seals.clips)}


@settings(max_examples=25)  # each makes a whole store
@given(st.sets(st.integers(0, 7), min_size=1), st.fractions(Fraction(1, 1000), 1))
def test_other_jobs_do_not_change_which_clips_are_sampled(numbers: set[int], share: Fraction) -> None:
    """If the share comes to no clip, the sample is the clip with the lowest fingerprint of all."""
    ids = {JOBS[number].job_id for number in numbers}
    items, tally = take_sample(fleet(*(JOBS[number] for number in numbers)), share)
    sampled, clips = chosen(items), {place: seal for place, seal in CLIPS.items() if place[0] in ids}
    expected = {place for place, seal in clips.items() if Fraction(int(seal, 16), 2**256) < share}
    assert set(sampled) == (expected or {min(clips, key=clips.__getitem__)})
    assert sampled == sorted(sampled)
    assert (tally.jobs, tally.clips) == (len(numbers), len(clips))


def test_a_sampled_clip_has_the_latest_record_of_the_job() -> None:
    store = fleet(JOBS[3])
    finish(store, JOBS[3], THERE, attempt=2)
    items, _ = take_sample(store)
    assert items == [
        SampledClip(spec=JOBS[3], index=index, expected=sha256(JOBS[3], index), made_by=THERE, attempt=2)
        for index in range(4)
    ]


def test_the_share_is_exact() -> None:
    assert is_sampled("0" * 64, Fraction(1, 10**9))
    assert is_sampled("f" * 64, Fraction(1))
    assert is_sampled("7" + "f" * 63, Fraction(1, 2))
    assert not is_sampled("8" + "0" * 63, Fraction(1, 2))


def test_a_share_of_many_is_about_that_share() -> None:
    spec = job(0, 1000)
    assert 150 < sum(is_sampled(seal, Fraction(1, 5)) for seal in spec.seals.clips) < 250


# --- which jobs ------------------------------------------------------------------------------------------


def test_jobs_of_a_host_can_be_left_out() -> None:
    store = MemoryStore()
    for number, spec in enumerate(JOBS[:4]):
        finish(store, spec, THERE if number == 2 else HERE)
    items, tally = take_sample(store, not_made_on="here")
    assert chosen(items) == [(JOBS[2].job_id, index) for index in range(3)]
    assert (tally.jobs, tally.clips, tally.made_here) == (1, 3, 3)
    assert take_sample(store, Fraction(1, 10**9), not_made_on="here")[0] == [
        item
        for item in items
        if isinstance(item, SampledClip) and item.spec.seals.clips[item.index] == min(JOBS[2].seals.clips)
    ]
    assert take_sample(store, not_made_on="there")[1].made_here == 1


def test_unfinished_jobs_are_counted_by_their_state() -> None:
    store = fleet(JOBS[0])
    for spec in JOBS[1:5]:
        register_job(store, spec)
    acquire(store, JOBS[2].job_id, 1, HERE, "r")
    ledger = acquire(store, JOBS[3].job_id, 1, HERE, "r")
    release(ledger, make_result(JOBS[3].job_id, 1, (failed(),), None, envelope()).to_json())
    retire(store, JOBS[4].job_id, "wrong card", HERE)
    items, tally = take_sample(store)
    assert chosen(items) == [(JOBS[0].job_id, 0)]
    assert tally.passed_over == {State.REGISTERED: 1, State.HELD: 1, State.FAILED: 1, State.RETIRED: 1}


def test_the_scope_can_be_a_first_day_and_a_profile() -> None:
    store = MemoryStore()
    finish(store, JOBS[0], clock=lambda: LAST_YEAR)
    finish(store, JOBS[1])
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    assert chosen(take_sample(store, since=yesterday)[0]) == [(JOBS[1].job_id, 0), (JOBS[1].job_id, 1)]
    assert len(take_sample(store, since=date(2025, 1, 1))[0]) == 3
    items, tally = take_sample(store, profile="another")
    assert (items, tally.other_profile) == ([], 2)
    assert len(take_sample(store, profile="sample")[0]) == 3


@pytest.mark.clause("V3")
def test_a_damaged_job_is_reported_and_hides_no_other() -> None:
    """A spec that is missing, cut off, edited or another job's; a missing event."""
    store, broken = fleet(*JOBS[:6]), MemoryStore()
    edited = spec_bytes(JOBS[2]).replace(b"job 2", b"job X")
    specs = {0: None, 1: spec_bytes(JOBS[1])[:-9], 2: edited, 3: spec_bytes(JOBS[7])}
    for key in store.list(""):
        number = next((number for number in specs if key == spec_key(JOBS[number].job_id)), None)
        data = store.read(key) if number is None else specs[number]
        if data is not None and not (JOBS[4].job_id in key and key.endswith("events/00002.json")):
            broken.create(key, data)
    items, tally = take_sample(broken)
    assert {item.job_id: item.problem.code for item in items if isinstance(item, UnreadableJob)} == {
        JOBS[0].job_id: "STORE_DAMAGED",
        JOBS[1].job_id: "STORE_DAMAGED",
        JOBS[2].job_id: "SPEC_ALTERED",
        JOBS[3].job_id: "SPEC_ALTERED",
        JOBS[4].job_id: "STORE_DAMAGED",
    }
    assert chosen(items) == [(JOBS[5].job_id, index) for index in range(2)]
    assert tally.jobs == 1


def test_a_clip_without_an_event_is_reported() -> None:
    spec, store = JOBS[1], MemoryStore()
    register_job(store, spec)
    ledger = acquire(store, spec.job_id, 1, HERE, "r")
    release(ledger, make_result(spec.job_id, 1, (completed(),), None, envelope()).to_json())
    items, _ = take_sample(store)
    assert [(type(item), item.problem.code) for item in items if isinstance(item, UnreadableJob)] == [
        (UnreadableJob, "STORE_DAMAGED")
    ] * 2


def test_attempts_that_recorded_other_bytes_are_named() -> None:
    spec, store = JOBS[0], fleet(JOBS[0])
    ledger = acquire(store, spec.job_id, 2, HERE, "r")
    ledger.append("clip.completed", {"clip": 0, "sha256": "sha256:" + "0" * 64, "frames": 25, "output": "o"})
    release(ledger, make_result(spec.job_id, 2, (completed(),), None, envelope()).to_json())
    (item,), _ = take_sample(store)
    assert isinstance(item, SampledClip)
    assert (item.attempt, item.differing) == (2, (1,))


def test_a_stop_request_interrupts_between_jobs_that_are_not_sampled() -> None:
    requests = iter([False, False, True])
    with pytest.raises(Interrupted):
        list(sample(fleet(*JOBS), SampleScope(share=ALL, profile="another"), SampleTally(), lambda: next(requests)))


def test_at_most_two_specs_are_in_memory() -> None:
    store = fleet(*(job(number) for number in range(30)))

    def specs_in_memory() -> int:
        return sum(isinstance(thing, JobSpec) for thing in gc.get_objects())

    def counts_while_sampling() -> Iterator[int]:
        for _ in sample(store, SampleScope(share=Fraction(1, 4)), SampleTally()):
            yield specs_in_memory()

    before = specs_in_memory()
    counts = list(counts_while_sampling())
    assert len(counts) > 2
    assert max(counts) - before <= 2
