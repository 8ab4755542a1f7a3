"""The past from events alone: each attempt's result as it was recorded, states, who owns which output, one timeline.

Pure, save what takes a store. Nothing of a store but its events is looked at: with every spec, result, claim and
index lost, the same is told. What no event says cannot be told: refusals, and jobs that nobody has begun.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from proxx.contracts.canonical import Json, canonical_bytes, pretty_bytes
from proxx.contracts.event import EventType
from proxx.contracts.model import Contract
from proxx.contracts.result import ExecutionResult
from proxx.store.attempts import read_attempts
from proxx.store.base import MemoryStore, Store
from proxx.store.keys import JOBS, claim_digest, is_job_id, parse
from proxx.store.status import AttemptStatus, Entry, State, job_history, job_status


class ClipStory(Contract):
    """How far one clip came in one attempt. step: its last event, at `time`. sha256: of what was announced."""

    clip: int
    step: EventType
    time: str
    source: str | None = None
    output: str | None = None
    sha256: str | None = None
    frames: int | None = None
    code: str | None = None


class AttemptStory(Contract):
    """One attempt. clips: what was made until it ended. result: None where no worker gave the attempt back."""

    status: AttemptStatus
    clips: tuple[ClipStory, ...]
    result: ExecutionResult | None


class JobStory(Contract):
    """One job. entries: its events in order. problems: what is missing or cannot be read."""

    job_id: str
    state: State
    attempts: tuple[AttemptStory, ...]
    entries: tuple[Entry, ...]
    problems: tuple[str, ...]


class Publication(Contract):
    """Bytes that an attempt announced for an output. step: `clip.completed` where it was told that they are there."""

    job_id: str
    attempt: int
    clip: int
    time: str
    sha256: str
    step: EventType


class OutputStory(Contract):
    """One place. owners: the job whose it is; nobody where all that named it are retired (`former`).

    Two owners are what the store's claims do not let happen: damage.
    """

    output: str
    owners: tuple[str, ...]
    former: tuple[str, ...]
    published: tuple[Publication, ...]


@dataclass(frozen=True)
class TimelineEntry:
    """One event in the fleet's timeline. at: its time, or that of an earlier event of the job where that is later."""

    at: str
    job_id: str
    entry: Entry

    @property
    def order(self) -> tuple[str, str, int, int]:
        """By time. A clock that was set back does not change the order in which a job's events were written."""
        return self.at, self.job_id, self.entry.attempt, self.entry.number


def rebuild(events: Mapping[str, bytes]) -> tuple[JobStory, ...]:
    """Every job that `events`, objects by their keys, tell of, by id. Other keys are not looked at."""
    by_job: dict[str, MemoryStore] = {}
    for key, data in events.items():
        named = parse(key)
        if named is not None and named.kind == "event":
            by_job.setdefault(named.job_id, MemoryStore()).create(key, data)
    return tuple(_job(by_job[job_id], job_id) for job_id in sorted(by_job))


def stories(store: Store) -> Iterator[JobStory]:
    """Every job of the store that has events, by id, from these alone; one in memory at a time."""
    for job_id in store.children(JOBS):
        if is_job_id(job_id):
            yield from rebuild(events_of(store, job_id))


def events_of(store: Store, job_id: str) -> dict[str, bytes]:
    """All event objects of the job, by key: what its ledger's reader asks for and gets."""
    seen = _Seen(store)
    read_attempts(seen, job_id)
    return seen.events


@dataclass
class _Seen:
    """A store that keeps the events read from it."""

    real: Store

    def __post_init__(self) -> None:
        self.events: dict[str, bytes] = {}
        self.uri = self.real.uri
        self.journal = self.real.journal

    def create(self, key: str, data: bytes) -> bytes | None:
        raise AssertionError("a reader creates nothing")

    def read(self, key: str) -> bytes | None:
        data = self.real.read(key)
        if data is not None:
            self.events[key] = data
        return data

    def list(self, folder: str) -> tuple[str, ...]:
        return self.real.list(folder)

    def walk(self, folder: str, after: str = "") -> Iterator[str]:
        return self.real.walk(folder, after)

    def children(self, folder: str) -> tuple[str, ...]:
        return self.real.children(folder)


def result_bytes(result: ExecutionResult) -> bytes:
    """The bytes of result.json."""
    return pretty_bytes(result.to_json())


def job_timeline(job: JobStory, since: str = "") -> Iterator[TimelineEntry]:
    """A job's part of the timeline. since: a day (`2026-01-31`, UTC) or time; what was before is left out."""
    at = ""
    for entry in job.entries:
        at = max(at, entry.time)
        if at >= since:
            yield TimelineEntry(at, job.job_id, entry)


def timeline(jobs: Iterable[JobStory], since: str = "") -> tuple[TimelineEntry, ...]:
    """All events of all jobs in order of time."""
    return tuple(sorted((line for job in jobs for line in job_timeline(job, since)), key=lambda line: line.order))


def outputs(jobs: Sequence[JobStory]) -> tuple[OutputStory, ...]:
    """Every output that an event names, by name: who owns it, and which bytes were announced for it."""
    places: dict[str, list[Publication]] = {}
    named_by: dict[str, dict[str, bool]] = {}  # claim to the jobs that named it, and whether each is retired
    for job in jobs:
        retired = any(entry.type == "retired" for entry in job.entries)
        for attempt in job.attempts:
            clips = attempt.result.clips if attempt.result else ()
            for output in (*(clip.output for clip in attempt.clips), *(clip.output for clip in clips)):
                if output is not None:
                    places.setdefault(output, [])
                    named_by.setdefault(claim_digest(output), {})[job.job_id] = retired
            for publication in _publications(job.job_id, attempt):
                places[publication[0]].append(publication[1])
    return tuple(_output(output, named_by[claim_digest(output)], places[output]) for output in sorted(places))


def _output(output: str, named_by: Mapping[str, bool], published: list[Publication]) -> OutputStory:
    owners = tuple(sorted(job_id for job_id, retired in named_by.items() if not retired))
    former = tuple(sorted(job_id for job_id, retired in named_by.items() if retired))
    published.sort(key=lambda one: (one.time, one.job_id, one.attempt, one.clip))
    return OutputStory(output=output, owners=owners, former=former, published=tuple(published))


def _publications(job_id: str, attempt: AttemptStory) -> Iterator[tuple[str, Publication]]:
    for clip in attempt.clips:
        if clip.output is not None and clip.sha256 is not None:
            yield (
                clip.output,
                Publication(
                    job_id=job_id,
                    attempt=attempt.status.attempt,
                    clip=clip.clip,
                    time=clip.time,
                    sha256=clip.sha256,
                    step=clip.step,
                ),
            )


def _job(store: MemoryStore, job_id: str) -> JobStory:
    status, told = job_status(store, job_id), job_history(store, job_id)
    attempts: list[AttemptStory] = []
    problems = list(told.problems)
    for attempt in status.attempts:
        entries = [entry for entry in told.entries if entry.attempt == attempt.attempt]
        result = None
        try:
            result = _result(entries)
        except ValidationError:
            problems.append(f"attempt {attempt.attempt}: its result cannot be read")
        attempts.append(AttemptStory(status=attempt, clips=_clips(entries), result=result))
    return JobStory(
        job_id=job_id,
        state=status.state,
        attempts=tuple(attempts),
        entries=told.entries,
        problems=tuple(problems),
    )


def _result(entries: Sequence[Entry]) -> ExecutionResult | None:
    """Raises ValidationError for a result of another schema, or one that contradicts itself."""
    released = next((entry for entry in reversed(entries) if entry.type == "lock.released"), None)
    core = released.data.get("result") if released else None
    if released is None or not isinstance(core, dict):
        return None
    whole: dict[str, Json] = {**core, "envelope": released.notes.get("result")}  # type: ignore[dict-item]
    return ExecutionResult.model_validate_json(canonical_bytes(whole))


def _clips(entries: Sequence[Entry]) -> tuple[ClipStory, ...]:
    clips: dict[int, dict[str, object]] = {}
    for entry in entries:
        index = entry.data.get("clip")
        if not entry.type.startswith("clip.") or type(index) is not int:
            continue
        story = clips.setdefault(index, {"clip": index})
        story.update(step=entry.type, time=entry.time)
        failure = entry.data.get("failure")
        said = {**entry.data, "code": failure.get("code") if isinstance(failure, dict) else None}
        for name, kind in (("source", str), ("output", str), ("sha256", str), ("frames", int), ("code", str)):
            if type(said.get(name)) is kind:
                story[name] = said[name]
    return tuple(ClipStory.model_validate(clips[index]) for index in sorted(clips))
