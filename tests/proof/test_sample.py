"""The fleet's sample: fair, the same for everyone, never empty, read job after job; what cannot be read is told."""

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
from proxx.proof.sample import SampledClip, SampleItem, SampleScope, SampleTally, UnreadableJob, is_in, sample
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
    made = (clip(index, output=f"/proxies/{number}/{index}.mov") for index in range(clips))
    return seal(
        JobContent(
            schema_="proxx.job/1",
            name=f"job {number}",
            profile=profile(),
            toolchain=toolchain(),
            clips=tuple(made),
            left_out=(),
        )
    )


def sha256(spec: JobSpec, index: int) -> str:
    return f"sha256:{spec.seals.clips[index]}"


def enter(store: MemoryStore, spec: JobSpec, clock: Clock = utc_now) -> None:
    outputs = [each.outputs[0].uri for each in spec.clips]
    register(store, spec_bytes(spec), spec.job_id, outputs, stamp(HERE, "r", clock=clock))


def finish(
    store: MemoryStore, spec: JobSpec, worker: Worker = HERE, *, attempt: int = 1, clock: Clock = utc_now
) -> None:
    """As a worker would write it down, without any media."""
    if attempt == 1:
        enter(store, spec, clock)
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


def look(store: MemoryStore, share: Fraction = ALL, **wanted: object) -> tuple[list[SampleItem], SampleTally]:
    tally = SampleTally()
    return list(sample(store, SampleScope(share=share, **wanted), tally)), tally  # type: ignore[arg-type]


def chosen(found: Iterable[SampleItem]) -> list[tuple[str, int]]:
    return [(one.spec.job_id, one.index) for one in found if isinstance(one, SampledClip)]


JOBS: Final = tuple(job(number, 1 + number % 4) for number in range(8))
CLIPS: Final = {(spec.job_id, index): seal for spec in JOBS for index, seal in enumerate(spec.seals.clips)}


@settings(max_examples=25)  # each makes a whole store
@given(st.sets(st.integers(0, 7), min_size=1), st.fractions(Fraction(1, 1000), 1))
def test_a_share_of_all_clips_that_other_jobs_do_not_change(numbers: set[int], share: Fraction) -> None:
    """Nor how many there are: but where the share comes to none, the first clip of all stands for them."""
    ids = {JOBS[number].job_id for number in numbers}
    found, tally = look(fleet(*(JOBS[number] for number in numbers)), share)
    picked, of = chosen(found), {place: seal for place, seal in CLIPS.items() if place[0] in ids}
    wanted = {place for place, seal in of.items() if Fraction(int(seal, 16), 2**256) < share}
    assert set(picked) == (wanted or {min(of, key=of.__getitem__)})
    assert picked == sorted(picked)
    assert (tally.jobs, tally.clips) == (len(numbers), len(of))


def test_a_pick_is_what_the_job_recorded() -> None:
    store = fleet(JOBS[3])
    finish(store, JOBS[3], THERE, attempt=2)
    found, _ = look(store)
    assert found == [
        SampledClip(spec=JOBS[3], index=index, expected=sha256(JOBS[3], index), made_by=THERE, attempt=2)
        for index in range(4)
    ]


def test_the_share_is_exact() -> None:
    assert is_in("0" * 64, Fraction(1, 10**9))
    assert is_in("f" * 64, Fraction(1))
    assert is_in("7" + "f" * 63, Fraction(1, 2))
    assert not is_in("8" + "0" * 63, Fraction(1, 2))


def test_a_share_of_many_is_about_that_share() -> None:
    spec = job(0, 1000)
    assert 150 < sum(is_in(seal, Fraction(1, 5)) for seal in spec.seals.clips) < 250


# --- which jobs ------------------------------------------------------------------------------------------


def test_clips_of_a_machine_are_left_out() -> None:
    store = MemoryStore()
    for number, spec in enumerate(JOBS[:4]):
        finish(store, spec, THERE if number == 2 else HERE)
    found, tally = look(store, not_made_on="here")
    assert chosen(found) == [(JOBS[2].job_id, index) for index in range(3)]
    assert (tally.jobs, tally.clips, tally.made_here) == (1, 3, 3)
    assert look(store, Fraction(1, 10**9), not_made_on="here")[0] == [
        one
        for one in found
        if isinstance(one, SampledClip) and one.spec.seals.clips[one.index] == min(JOBS[2].seals.clips)
    ]
    assert look(store, not_made_on="there")[1].made_here == 1


def test_unfinished_jobs_are_counted_by_their_state() -> None:
    store = fleet(JOBS[0])
    for spec in JOBS[1:5]:
        enter(store, spec)
    acquire(store, JOBS[2].job_id, 1, HERE, "r")
    ledger = acquire(store, JOBS[3].job_id, 1, HERE, "r")
    release(ledger, make_result(JOBS[3].job_id, 1, (failed(),), None, envelope()).to_json())
    retire(store, JOBS[4].job_id, "wrong card", HERE)
    found, tally = look(store)
    assert chosen(found) == [(JOBS[0].job_id, 0)]
    assert tally.passed_over == {State.REGISTERED: 1, State.HELD: 1, State.FAILED: 1, State.RETIRED: 1}


def test_since_a_day_and_of_a_profile() -> None:
    store = MemoryStore()
    finish(store, JOBS[0], clock=lambda: LAST_YEAR)
    finish(store, JOBS[1])
    today = datetime.now(UTC).date() - timedelta(days=1)
    assert chosen(look(store, since=today)[0]) == [(JOBS[1].job_id, 0), (JOBS[1].job_id, 1)]
    assert len(look(store, since=date(2025, 1, 1))[0]) == 3
    found, tally = look(store, profile="another")
    assert (found, tally.other_profile) == ([], 2)
    assert len(look(store, profile="sample")[0]) == 3


@pytest.mark.clause("V3")
def test_what_cannot_be_read_is_told_and_hides_nothing() -> None:
    """A spec that is lost, cut, edited or another's; an event that is lost."""
    store, broken = fleet(*JOBS[:6]), MemoryStore()
    edited = spec_bytes(JOBS[2]).replace(b"job 2", b"job X")
    specs = {0: None, 1: spec_bytes(JOBS[1])[:-9], 2: edited, 3: spec_bytes(JOBS[7])}
    for key in store.list(""):
        number = next((number for number in specs if key == spec_key(JOBS[number].job_id)), None)
        data = store.read(key) if number is None else specs[number]
        if data is not None and not (JOBS[4].job_id in key and key.endswith("events/00002.json")):
            broken.create(key, data)
    found, tally = look(broken)
    told = {one.job_id: one.problem.code for one in found if isinstance(one, UnreadableJob)}
    assert told == {
        JOBS[0].job_id: "STORE_DAMAGED",
        JOBS[1].job_id: "STORE_DAMAGED",
        JOBS[2].job_id: "SPEC_ALTERED",
        JOBS[3].job_id: "SPEC_ALTERED",
        JOBS[4].job_id: "STORE_DAMAGED",
    }
    assert chosen(found) == [(JOBS[5].job_id, index) for index in range(2)]
    assert tally.jobs == 1


def test_a_clip_that_no_event_tells_of() -> None:
    spec, store = JOBS[1], MemoryStore()
    enter(store, spec)
    ledger = acquire(store, spec.job_id, 1, HERE, "r")
    release(ledger, make_result(spec.job_id, 1, (completed(),), None, envelope()).to_json())
    found, _ = look(store)
    assert [(type(one), one.problem.code) for one in found if isinstance(one, UnreadableJob)] == [
        (UnreadableJob, "STORE_DAMAGED")
    ] * 2


def test_recorded_bytes_that_differ_are_told() -> None:
    spec, store = JOBS[0], fleet(JOBS[0])
    ledger = acquire(store, spec.job_id, 2, HERE, "r")
    ledger.append("clip.completed", {"clip": 0, "sha256": "sha256:" + "0" * 64, "frames": 25, "output": "o"})
    release(ledger, make_result(spec.job_id, 2, (completed(),), None, envelope()).to_json())
    (found,), _ = look(store)
    assert isinstance(found, SampledClip)
    assert (found.attempt, found.differing) == (2, (1,))


def test_it_is_stopped_between_jobs_of_which_none_is_chosen() -> None:
    asked = iter([False, False, True])
    with pytest.raises(Interrupted):
        list(sample(fleet(*JOBS), SampleScope(share=ALL, profile="another"), SampleTally(), lambda: next(asked)))


def test_no_more_than_two_specs_are_held_whatever_there_is() -> None:
    store = fleet(*(job(number) for number in range(30)))

    def held() -> Iterator[int]:
        for _ in sample(store, SampleScope(share=Fraction(1, 4)), SampleTally()):
            yield sum(isinstance(one, JobSpec) for one in gc.get_objects())

    before = sum(isinstance(one, JobSpec) for one in gc.get_objects())
    counts = list(held())
    assert len(counts) > 2
    assert max(counts) - before <= 2
