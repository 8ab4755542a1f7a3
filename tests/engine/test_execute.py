"""Whole jobs with real encodes of half-second clips: each ends with a recorded result, or with a refusal.

Tests in which storage matters run on folders, moto and Ceph.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from proxx.contracts.errors import (
    AttemptClosed,
    AttemptOutOfOrder,
    OutputClaimed,
    SpecAltered,
    StoreMismatch,
    StoreUnavailable,
    ToolchainMismatch,
)
from proxx.contracts.event import Event, this_worker
from proxx.contracts.job import JobContent, JobSpec, seal, spec_bytes
from proxx.contracts.result import result_core
from proxx.engine import execute as module
from proxx.engine.execute import RunEnvironment, execute
from proxx.engine.steps import ClipEnded, ClipProgress, ClipStarted, Step
from proxx.ffmpeg.toolchain import find_toolchain
from proxx.files.places import Places
from proxx.store.attempts import Closed, read_attempts
from proxx.store.base import MemoryStore, Store
from proxx.store.keys import parse
from proxx.store.lock import unlock
from proxx.store.status import job_status
from tests.objects.around import Around
from tests.objects.ground import Ground
from tests.support.jobs import make_job
from tests.support.results import canonical_log


@pytest.fixture
def job(ground: Ground) -> JobSpec:
    return ground.job(clips=2)


@pytest.fixture
def store(ground: Ground) -> Store:
    return ground.store()


@pytest.fixture
def local(tmp_path: Path) -> JobSpec:
    """A job on plain paths, for tests in which storage does not matter."""
    return make_job(tmp_path / "out", "prores_proxy_half", clips=3)


def environment(store: Store, ground: Ground | None = None, **changes: object) -> RunEnvironment:
    default = RunEnvironment(
        store=store, worker=this_worker(), run_id="run", places=ground.places() if ground else Places()
    )
    return replace(default, **changes)  # type: ignore[arg-type]


def events(store: Store, job: JobSpec, attempt: int = 1) -> tuple[Event, ...]:
    return read_attempts(store, job.job_id)[attempt - 1].events


def types(store: Store, job: JobSpec) -> list[str]:
    return [event.type for event in events(store, job)]


MADE = ["clip.started", "clip.publishing", "clip.completed"]


@pytest.mark.clause("A5")
@pytest.mark.clause("P4")
@pytest.mark.clause("A7")
def test_a_job_is_made_clip_after_clip(ground: Ground, store: Store, job: JobSpec) -> None:
    steps = list[Step]()
    result = execute(spec_bytes(job), environment(store, ground, watch=steps.append))
    assert result.status == "COMPLETED"
    assert [clip.index for clip in result.clips] == [0, 1]
    assert types(store, job) == ["lock.acquired", *MADE, *MADE, "lock.released"]
    assert all(event.envelope.worker == this_worker() for event in events(store, job))
    shown = [(type(step).__name__, step.index) for step in steps if isinstance(step, ClipStarted | ClipEnded)]
    assert shown == [(name, index) for index in range(2) for name in ("ClipStarted", "ClipEnded")]
    assert len(ground.names()) == 2
    assert all(check.equal for clip in result.clips for check in clip.checks)


@pytest.mark.clause("F4", lead=True)
@pytest.mark.clause("V2")
def test_the_same_attempt_is_never_run_again(ground: Ground, store: Store, job: JobSpec) -> None:
    """An ended attempt is refused with its result, and attempts begin in order only."""
    first = execute(spec_bytes(job), environment(store, ground))
    with pytest.raises(AttemptClosed) as caught:
        execute(spec_bytes(job), environment(store, ground))
    assert caught.value.result is not None
    assert caught.value.result["fingerprint"] == first.fingerprint
    with pytest.raises(AttemptOutOfOrder):
        execute(spec_bytes(job), environment(store, ground, attempt=3))
    assert [refusal.code for refusal in job_status(store, job.job_id).refusals] == [
        "ATTEMPT_CLOSED",
        "ATTEMPT_OUT_OF_ORDER",
    ]


@pytest.mark.clause("V1")
def test_a_second_attempt_keeps_existing_proxies_and_has_the_same_fingerprint(
    ground: Ground, store: Store, job: JobSpec
) -> None:
    first = execute(spec_bytes(job), environment(store, ground))
    kept = ground.facts()
    ground.delete(job.clips[1].outputs[0].uri)
    second = execute(spec_bytes(job), environment(store, ground, attempt=2))
    assert result_core(first) == result_core(second)
    assert first.fingerprint == second.fingerprint
    now = ground.facts()  # the file system may reuse an inode
    assert [now[name] == same for name, same in kept.items()] == [True, False]


def test_a_clip_that_fails_does_not_stop_the_others(ground: Ground, store: Store, job: JobSpec) -> None:
    ground.put(job.clips[0].outputs[0].uri, b"another file")
    result = execute(spec_bytes(job), environment(store, ground))
    assert [clip.status for clip in result.clips] == ["FAILED", "COMPLETED"]
    failure = result.clips[0].failure
    assert failure is not None
    assert failure.code == "OUTPUT_EXISTS"
    assert ground.get(job.clips[0].outputs[0].uri) == b"another file"
    assert types(store, job)[1:3] == ["clip.started", "clip.failed"]
    assert job_status(store, job.job_id).state == "FAILED"


class Failing(Around):
    """A store that fails to create events from number `number` on."""

    def __init__(self, real: Store, number: int) -> None:
        super().__init__(real)
        self.number = number

    def create(self, key: str, data: bytes) -> bytes | None:
        parsed = parse(key)
        if parsed is not None and parsed.kind == "event" and parsed.number >= self.number:
            raise StoreUnavailable(message="the store could not create an object", detail="no")
        return super().create(key, data)


@pytest.mark.parametrize("number", range(2, 9))
def test_an_action_that_cannot_be_logged_does_not_happen(ground: Ground, job: JobSpec, number: int) -> None:
    store = Failing(ground.store(), number)
    result = execute(spec_bytes(job), environment(store, ground))
    assert result.status == "FAILED"
    assert result.stopped is not None
    assert result.stopped.code == "LEDGER_FAILED"
    announced = [event for event in events(store, job) if event.type == "clip.publishing"]
    assert len(ground.names()) == len(announced)
    assert job_status(store, job.job_id).state == "HELD"


@pytest.mark.parametrize("after", [ClipStarted, ClipProgress, ClipEnded])
def test_a_job_stops_on_request(ground: Ground, store: Store, job: JobSpec, after: type[Step]) -> None:
    """The job stops during the second clip, or between the first and the second."""
    stop = False

    def watch(step: Step) -> None:
        nonlocal stop
        stop = stop or (isinstance(step, after) and step.index == (0 if after is ClipEnded else 1))

    result = execute(spec_bytes(job), environment(store, ground, watch=watch, should_stop=lambda: stop))
    assert result.stopped is not None
    assert result.stopped.code == "INTERRUPTED"
    second = "NOT_RUN" if after is ClipEnded else "FAILED"
    assert [clip.status for clip in result.clips] == ["COMPLETED", second]
    assert len(ground.names()) == 1
    assert types(store, job)[-1] == "lock.released"
    again = execute(spec_bytes(job), environment(store, ground, attempt=2))
    assert again.status == "COMPLETED"


@pytest.mark.parametrize(("bug", "code"), [(RuntimeError, "ENGINE_FAULT"), (KeyboardInterrupt, "INTERRUPTED")])
def test_a_bug_is_recorded_and_raised(
    ground: Ground, store: Store, job: JobSpec, bug: type[BaseException], code: str
) -> None:
    def watch(step: Step) -> None:
        if isinstance(step, ClipProgress) and step.index == 1:
            raise bug("a secret of the machine")

    with pytest.raises(bug):
        execute(spec_bytes(job), environment(store, ground, watch=watch))
    state = read_attempts(store, job.job_id)[0].state
    assert isinstance(state, Closed)
    assert state.result is not None
    assert state.result["stopped"]["code"] == code  # type: ignore[index,call-overload]
    assert "secret" not in json.dumps(canonical_log(events(store, job)))
    assert len(ground.names()) == 1


def test_an_unlock_stops_the_worker(ground: Ground, store: Store, job: JobSpec) -> None:
    def watch(step: Step) -> None:
        if isinstance(step, ClipStarted) and step.index == 1:
            unlock(store, job.job_id, "it seemed dead", this_worker())

    result = execute(spec_bytes(job), environment(store, ground, watch=watch))
    assert result.stopped is not None
    assert result.stopped.code == "LOCK_LOST"
    assert [clip.status for clip in result.clips] == ["COMPLETED", "FAILED"]
    assert types(store, job)[-1] == "unlocked"
    assert len(ground.names()) == 1


def test_another_store_is_refused(ground: Ground, store: Store, job: JobSpec) -> None:
    with pytest.raises(StoreMismatch):
        execute(spec_bytes(job), environment(store, ground, store_uuid="00000000-0000-0000-0000-000000000000"))
    assert ground.names() == []


@pytest.mark.clause("F1")
def test_an_edited_spec_is_refused_and_nothing_is_written(ground: Ground, store: Store, job: JobSpec) -> None:
    with pytest.raises(SpecAltered) as caught:
        execute(spec_bytes(job).replace(b'"name": "test"', b'"name": "best"'), environment(store, ground))
    assert [problem.path for problem in caught.value.problems] == ["name"]
    assert store.list("") == ()


def resealed(job: JobSpec, **changes: object) -> JobSpec:
    parts = {name: getattr(job, name) for name in JobContent.model_fields}
    return seal(JobContent(**{**parts, **changes}))


@pytest.mark.clause("A2")
def test_an_output_belongs_to_one_job(ground: Ground, store: Store, job: JobSpec) -> None:
    execute(spec_bytes(job), environment(store, ground))
    other = resealed(job, name="other")
    with pytest.raises(OutputClaimed) as caught:
        execute(spec_bytes(other), environment(store, ground))
    assert caught.value.owner == job.job_id


def test_another_encoder_is_refused_before_anything_is_written(ground: Ground, store: Store, job: JobSpec) -> None:
    other = resealed(job, toolchain=job.toolchain.model_copy(update={"ffmpeg_sha256": "sha256:" + "0" * 64}))
    with pytest.raises(ToolchainMismatch) as caught:
        execute(spec_bytes(other), environment(store, ground))
    assert "ffmpeg_sha256" in str(caught.value)
    assert ground.names() == []
    assert read_attempts(store, other.job_id) == ()


def test_an_encoder_replaced_during_the_job_stops_it(
    local: JobSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job runs with a copy of the build, which is replaced between the first and the second clip."""
    real = find_toolchain("static")
    copy = tmp_path / "ffmpeg"
    shutil.copy2(real.ffmpeg, copy)
    monkeypatch.setattr(module, "require_toolchain", lambda *_: replace(real, ffmpeg=copy))

    def upgrade(step: Step) -> None:
        if isinstance(step, ClipEnded) and step.index == 0:
            copy.unlink()
            shutil.copy2(real.ffprobe, copy)

    result = execute(spec_bytes(local), environment(MemoryStore(), watch=upgrade))
    assert result.stopped is not None
    assert result.stopped.code == "TOOLCHAIN_MISMATCH"
    assert [clip.status for clip in result.clips] == ["COMPLETED", "FAILED", "NOT_RUN"]
