"""Chooses which clips of all finished jobs to encode again: a fair sample by fingerprint, the same for everyone.

A clip is in the sample if its fingerprint, read as a number between 0 and 1, is less than the share. So nobody can
choose the clips, other jobs do not change the choice, and no job has to be kept in memory while the next is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import TypeAlias

from proxx.contracts.error_bases import Problem, ProxxError
from proxx.contracts.errors import Interrupted, SpecAltered, StoreDamaged
from proxx.contracts.event import Worker, parse_event
from proxx.contracts.job import JobSpec, read_spec
from proxx.proof.verify import RecordedProxy, records
from proxx.s3.transport import Stop, never
from proxx.store.base import Store
from proxx.store.keys import event_key, spec_key
from proxx.store.listing import list_jobs
from proxx.store.status import State


@dataclass(frozen=True, kw_only=True)
class SampledClip:
    """One clip to encode again. expected: sha256 of its proxy. made_by, attempt: who made it, None if not recorded.

    differing: earlier attempts that recorded other bytes, which must never happen.
    """

    spec: JobSpec
    index: int
    expected: str
    made_by: Worker | None
    attempt: int | None
    differing: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class UnreadableJob:
    """A finished job whose spec or events are damaged, so that no clip of it can be chosen or judged."""

    job_id: str
    problem: Problem


SampleItem: TypeAlias = SampledClip | UnreadableJob


@dataclass(frozen=True, kw_only=True)
class SampleScope:
    """Which jobs to sample from, and how many of their clips.

    share: of the clips, between 0 and 1. since: only jobs that something happened to on this day (UTC) or later.
    not_made_on: a host whose jobs are left out. profile: only jobs whose profile has this name.
    """

    share: Fraction
    since: date | None = None
    not_made_on: str | None = None
    profile: str | None = None


@dataclass(kw_only=True)
class SampleTally:
    """Counts of a sample. jobs, clips: those it was taken from. made_here: jobs of the host that is left out.

    other_profile: jobs of other profiles. passed_over: unfinished jobs by state.
    """

    jobs: int = 0
    clips: int = 0
    made_here: int = 0
    other_profile: int = 0
    passed_over: Counter[State] = field(default_factory=Counter)


def sample(store: Store, scope: SampleScope, tally: SampleTally, should_stop: Stop = never) -> Iterator[SampleItem]:
    """Yields the clips of the sample, job after job by id, and counts into `tally`.

    If the share selects no clip, it yields the one with the lowest fingerprint. Raises StoreUnavailable if the store
    cannot be read, Interrupted if stopped.
    """
    lowest: _FinishedJob | None = None
    chosen = 0
    for job in _finished_jobs(store, scope, tally, should_stop):
        if isinstance(job, UnreadableJob):
            yield job
            continue
        indices = [index for index, seal in enumerate(job.spec.seals.clips) if is_sampled(seal, scope.share)]
        chosen += len(indices)
        if indices:
            lowest = None
            yield from _sampled_clips(store, job, indices)
        elif not chosen and (lowest is None or job.lowest_seal < lowest.lowest_seal):
            lowest = job
    if lowest is not None:
        yield from _sampled_clips(store, lowest, [lowest.spec.seals.clips.index(lowest.lowest_seal)])


def is_sampled(fingerprint: str, share: Fraction) -> bool:
    """Returns whether a clip with this fingerprint is in a sample of this share."""
    return int(fingerprint, 16) * share.denominator < share.numerator << 256


@dataclass(frozen=True, kw_only=True)
class _FinishedJob:
    """A finished job, and the attempt and worker that finished it: that attempt recorded all its clips."""

    spec: JobSpec
    attempt: int
    worker: Worker

    @property
    def lowest_seal(self) -> str:
        """The lowest fingerprint of its clips."""
        return min(self.spec.seals.clips)


def _finished_jobs(
    store: Store, scope: SampleScope, tally: SampleTally, should_stop: Stop
) -> Iterator[_FinishedJob | UnreadableJob]:
    """Yields the jobs in scope one by one. The state comes from listings; only finished jobs are read."""
    for listed in list_jobs(store, scope.since):
        if should_stop():
            raise Interrupted(message="The sampling was stopped between two jobs.", stage="job")
        latest = listed.latest
        if listed.state == State.DAMAGED:
            yield _unreadable(listed.job_id, StoreDamaged.code, "; ".join(listed.problems))
        elif listed.state != State.COMPLETED or latest is None:
            tally.passed_over[listed.state] += 1
        else:
            try:
                worker = _worker(store, listed.job_id, latest.attempt)
                if worker.host == scope.not_made_on:
                    tally.made_here += 1
                    continue
                spec = _registered_spec(store, listed.job_id)
            except (SpecAltered, StoreDamaged) as error:
                yield _unreadable(listed.job_id, error.code, error.message)
                continue
            if scope.profile not in (None, spec.profile.name):
                tally.other_profile += 1
                continue
            tally.jobs += 1
            tally.clips += len(spec.clips)
            yield _FinishedJob(spec=spec, attempt=latest.attempt, worker=worker)


def _worker(store: Store, job_id: str, attempt: int) -> Worker:
    """Returns the worker that took the attempt. Raises StoreDamaged if its first event is missing."""
    data = store.read(event_key(job_id, attempt, 1))
    if data is None:
        raise StoreDamaged(message=f"attempt {attempt} event 1 is missing")
    return parse_event(data).envelope.worker


def _registered_spec(store: Store, job_id: str) -> JobSpec:
    """Returns the spec as it was registered.

    Raises StoreDamaged if it is missing or cannot be read, SpecAltered if it was edited or is another job's.
    """
    data = store.read(spec_key(job_id))
    if data is None:
        raise StoreDamaged(message="spec.json is missing")
    try:
        spec = read_spec(data)
    except SpecAltered:
        raise
    except ProxxError as error:
        raise StoreDamaged(message="spec.json cannot be read") from error
    if spec.job_id != job_id:
        raise SpecAltered(message=f"spec.json is the spec of job {spec.job_id}")
    return spec


def _sampled_clips(store: Store, job: _FinishedJob, indices: list[int]) -> Iterator[SampleItem]:
    job_id = job.spec.job_id
    try:
        known = records(store, job_id)
    except StoreDamaged as error:
        yield _unreadable(job_id, error.code, error.message)
        return
    for index in indices:
        match known.get(index):
            case RecordedProxy(sha256=sha256, attempt=attempt, differing=differing) if attempt == job.attempt:
                yield SampledClip(
                    spec=job.spec,
                    index=index,
                    expected=sha256,
                    made_by=job.worker,
                    attempt=attempt,
                    differing=differing,
                )
            case _:
                message = f"no event of attempt {job.attempt} records clips[{index}]"
                yield _unreadable(job_id, StoreDamaged.code, message)


def _unreadable(job_id: str, code: str, message: str) -> UnreadableJob:
    return UnreadableJob(job_id=job_id, problem=Problem(f"job {job_id}", code, f"{message.rstrip('.')}."))
