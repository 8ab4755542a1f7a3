"""Which clips of all finished jobs are looked at again: a fair share by fingerprints, the same for everyone.

A clip is in the sample where its fingerprint, read as a number between 0 and 1, is less than the share. Nobody can
pick it, no other job changes it, and nothing of one job has to be kept while another is read.
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
    """One clip to encode again. expected: sha256 of its proxy. made_by: in which attempt, if the store has it.

    differing: attempts that recorded other bytes, which no job should ever do.
    """

    spec: JobSpec
    index: int
    expected: str
    made_by: Worker | None
    attempt: int | None
    differing: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class UnreadableJob:
    """A job of which the store does not tell enough to judge it."""

    job_id: str
    problem: Problem


SampleItem: TypeAlias = SampledClip | UnreadableJob


@dataclass(frozen=True, kw_only=True)
class SampleScope:
    """not_made_on: a host whose own clips are left out. profile: only jobs of a profile of this name."""

    share: Fraction
    since: date | None = None
    not_made_on: str | None = None
    profile: str | None = None


@dataclass(kw_only=True)
class SampleTally:
    """What was passed while sampling. jobs, clips: those a sample was taken of. passed_over: unfinished, by state."""

    jobs: int = 0
    clips: int = 0
    made_here: int = 0
    other_profile: int = 0
    passed_over: Counter[State] = field(default_factory=Counter)


def sample(store: Store, wanted: SampleScope, tally: SampleTally, should_stop: Stop = never) -> Iterator[SampleItem]:
    """The clips, job after job by id: at least one, the first by fingerprint, where the share comes to none.

    Raises StoreUnavailable, Interrupted.
    """
    least: _Job | None = None
    chosen = 0
    for job in _finished(store, wanted, tally, should_stop):
        if isinstance(job, UnreadableJob):
            yield job
            continue
        picked = [index for index, each in enumerate(job.spec.seals.clips) if is_in(each, wanted.share)]
        chosen += len(picked)
        if picked:
            least = None
            yield from _picks(store, job, picked)
        elif not chosen and (least is None or job.first < least.first):
            least = job
    if least is not None:
        yield from _picks(store, least, [least.spec.seals.clips.index(least.first)])


def is_in(fingerprint: str, share: Fraction) -> bool:
    """Whether a clip of this fingerprint is in a sample of the share."""
    return int(fingerprint, 16) * share.denominator < share.numerator << 256


@dataclass(frozen=True, kw_only=True)
class _Job:
    """A finished job and who took the attempt that finished it; all its clips are made in that one."""

    spec: JobSpec
    attempt: int
    worker: Worker

    @property
    def first(self) -> str:
        """The lowest fingerprint of its clips."""
        return min(self.spec.seals.clips)


def _finished(
    store: Store, wanted: SampleScope, tally: SampleTally, should_stop: Stop
) -> Iterator[_Job | UnreadableJob]:
    """One after the other; told from listings, and read only where they are finished."""
    for seen in list_jobs(store, wanted.since):
        if should_stop():
            raise Interrupted(message="It was stopped between jobs.", stage="job")
        latest = seen.latest
        if seen.state == State.DAMAGED:
            yield _unreadable(seen.job_id, StoreDamaged.code, "; ".join(seen.problems))
        elif seen.state != State.COMPLETED or latest is None:
            tally.passed_over[seen.state] += 1
        else:
            try:
                worker = _worker(store, seen.job_id, latest.attempt)
                if worker.host == wanted.not_made_on:
                    tally.made_here += 1
                    continue
                spec = _spec(store, seen.job_id)
            except (SpecAltered, StoreDamaged) as why:
                yield _unreadable(seen.job_id, why.code, why.message)
                continue
            if wanted.profile not in (None, spec.profile.name):
                tally.other_profile += 1
                continue
            tally.jobs += 1
            tally.clips += len(spec.clips)
            yield _Job(spec=spec, attempt=latest.attempt, worker=worker)


def _worker(store: Store, job_id: str, attempt: int) -> Worker:
    data = store.read(event_key(job_id, attempt, 1))
    if data is None:
        raise StoreDamaged(message=f"attempt {attempt} event 1 is missing")
    return parse_event(data).envelope.worker


def _spec(store: Store, job_id: str) -> JobSpec:
    """The spec as it was registered. Raises StoreDamaged where it is not there or cannot be read, SpecAltered."""
    data = store.read(spec_key(job_id))
    if data is None:
        raise StoreDamaged(message="spec.json is missing")
    try:
        spec = read_spec(data)
    except SpecAltered:
        raise
    except ProxxError as why:
        raise StoreDamaged(message="spec.json cannot be read") from why
    if spec.job_id != job_id:
        raise SpecAltered(message=f"spec.json is that of job {spec.job_id}")
    return spec


def _picks(store: Store, job: _Job, indices: list[int]) -> Iterator[SampleItem]:
    job_id = job.spec.job_id
    try:
        known = records(store, job_id)
    except StoreDamaged as why:
        yield _unreadable(job_id, why.code, why.message)
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
                said = f"no event of attempt {job.attempt} tells of clips[{index}]"
                yield _unreadable(job_id, StoreDamaged.code, said)


def _unreadable(job_id: str, code: str, message: str) -> UnreadableJob:
    return UnreadableJob(job_id=job_id, problem=Problem(f"job {job_id}", code, f"{message.rstrip('.')}."))
