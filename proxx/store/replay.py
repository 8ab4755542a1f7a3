"""Rebuilds the past from events alone: results as recorded, states, owners of outputs, and a timeline.

Pure, except for the functions that take a store. Only events are read: the answer is the same if every spec, result,
claim and index key is lost. What no event records cannot be rebuilt: refusals, and jobs that never began.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from proxx.contracts.canonical import Json, canonical_bytes
from proxx.contracts.event import EventType
from proxx.contracts.model import Contract
from proxx.contracts.result import ExecutionResult
from proxx.store.attempts import read_attempts
from proxx.store.base import MemoryStore, Store
from proxx.store.keys import JOBS, claim_digest, is_job_id, parse
from proxx.store.status import AttemptStatus, Entry, State, job_history, job_status


class ClipStory(Contract):
    """How far one clip came in one attempt. step: its last event, at `time`. sha256: of the announced bytes."""

    clip: int
    step: EventType
    time: str
    source: str | None = None
    output: str | None = None
    sha256: str | None = None
    frames: int | None = None
    code: str | None = None


class AttemptStory(Contract):
    """One attempt. clips: those it started. result: None if no worker released the attempt."""

    status: AttemptStatus
    clips: tuple[ClipStory, ...]
    result: ExecutionResult | None


class JobStory(Contract):
    """One job. entries: its events in order. problems: events that are missing or cannot be read."""

    job_id: str
    state: State
    attempts: tuple[AttemptStory, ...]
    entries: tuple[Entry, ...]
    problems: tuple[str, ...]


class Publication(Contract):
    """Bytes that an attempt announced for an output. step: `clip.completed` if it recorded their publication."""

    job_id: str
    attempt: int
    clip: int
    time: str
    sha256: str
    step: EventType


class OutputStory(Contract):
    """One output. owners: the job that owns it, or none if all jobs that named it are retired (`former`).

    Two owners mean damage: the store's claims do not allow it.
    """

    output: str
    owners: tuple[str, ...]
    former: tuple[str, ...]
    published: tuple[Publication, ...]


@dataclass(frozen=True)
class TimelineEntry:
    """One event in the timeline. at: its time, or that of an earlier event of the job if that is later."""

    at: str
    job_id: str
    entry: Entry

    @property
    def order(self) -> tuple[str, str, int, int]:
        """The sort key, by time. A clock that was set back does not change the order of a job's own events."""
        return self.at, self.job_id, self.entry.attempt, self.entry.number


def rebuild(events: Mapping[str, bytes]) -> tuple[JobStory, ...]:
    """Returns every job that has an event in `events` (objects by key), by id. Other keys are ignored."""
    by_job: dict[str, MemoryStore] = {}
    for key, data in events.items():
        parsed = parse(key)
        if parsed is not None and parsed.kind == "event":
            by_job.setdefault(parsed.job_id, MemoryStore()).create(key, data)
    return tuple(_job(by_job[job_id], job_id) for job_id in sorted(by_job))


def stories(store: Store) -> Iterator[JobStory]:
    """Yields every job of the store that has events, by id, with one job in memory at a time."""
    for job_id in store.children(JOBS):
        if is_job_id(job_id):
            yield from rebuild(events_of(store, job_id))


def events_of(store: Store, job_id: str) -> dict[str, bytes]:
    """Returns all event objects of the job, by key: every object that `read_attempts` reads."""
    recording = _RecordingStore(store)
    read_attempts(recording, job_id)
    return recording.events


@dataclass
class _RecordingStore:
    """A read-only store that keeps the events read from it."""

    real: Store

    def __post_init__(self) -> None:
        self.events: dict[str, bytes] = {}
        self.uri = self.real.uri
        self.journal = self.real.journal

    def create(self, key: str, data: bytes) -> bytes | None:
        raise AssertionError("this store is read-only")

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


def job_timeline(job: JobStory, since: str = "") -> Iterator[TimelineEntry]:
    """Yields the job's part of the timeline. since: a day (`2026-01-31`, UTC) or time to begin from."""
    at = ""
    for entry in job.entries:
        at = max(at, entry.time)
        if at >= since:
            yield TimelineEntry(at, job.job_id, entry)


def timeline(jobs: Iterable[JobStory], since: str = "") -> tuple[TimelineEntry, ...]:
    """Returns all events of all jobs, in order of time."""
    return tuple(sorted((line for job in jobs for line in job_timeline(job, since)), key=lambda line: line.order))


def outputs(jobs: Sequence[JobStory]) -> tuple[OutputStory, ...]:
    """Returns every output that an event names, by name: its owner, and the bytes announced for it."""
    published: dict[str, list[Publication]] = {}
    named_by: dict[str, dict[str, bool]] = {}  # claim digest to the jobs that named it, and whether each is retired
    for job in jobs:
        retired = any(entry.type == "retired" for entry in job.entries)
        for attempt in job.attempts:
            clips = attempt.result.clips if attempt.result else ()
            for output in (*(clip.output for clip in attempt.clips), *(clip.output for clip in clips)):
                if output is not None:
                    published.setdefault(output, [])
                    named_by.setdefault(claim_digest(output), {})[job.job_id] = retired
            for publication in _publications(job.job_id, attempt):
                published[publication[0]].append(publication[1])
    return tuple(_output(output, named_by[claim_digest(output)], published[output]) for output in sorted(published))


def _output(output: str, named_by: Mapping[str, bool], published: list[Publication]) -> OutputStory:
    owners = tuple(sorted(job_id for job_id, retired in named_by.items() if not retired))
    former = tuple(sorted(job_id for job_id, retired in named_by.items() if retired))
    published.sort(key=lambda entry: (entry.time, entry.job_id, entry.attempt, entry.clip))
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
    status, history = job_status(store, job_id), job_history(store, job_id)
    attempts: list[AttemptStory] = []
    problems = list(history.problems)
    for attempt in status.attempts:
        entries = [entry for entry in history.entries if entry.attempt == attempt.attempt]
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
        entries=history.entries,
        problems=tuple(problems),
    )


def _result(entries: Sequence[Entry]) -> ExecutionResult | None:
    """Returns the recorded result, or None if there is none.

    Raises ValidationError if it has another schema or contradicts itself.
    """
    released = next((entry for entry in reversed(entries) if entry.type == "lock.released"), None)
    core = released.data.get("result") if released else None
    if released is None or not isinstance(core, dict):
        return None
    whole: dict[str, Json] = {**core, "envelope": released.notes.get("result")}  # type: ignore[dict-item]
    return ExecutionResult.model_validate_json(canonical_bytes(whole))


def _clips(entries: Sequence[Entry]) -> tuple[ClipStory, ...]:
    """Returns how far each clip came, from the events of one attempt."""
    clips: dict[int, dict[str, object]] = {}
    for entry in entries:
        index = entry.data.get("clip")
        if not entry.type.startswith("clip.") or type(index) is not int:
            continue
        story = clips.setdefault(index, {"clip": index})
        story.update(step=entry.type, time=entry.time)
        failure = entry.data.get("failure")
        fields = {**entry.data, "code": failure.get("code") if isinstance(failure, dict) else None}
        for name, kind in (("source", str), ("output", str), ("sha256", str), ("frames", int), ("code", str)):
            if type(fields.get(name)) is kind:
                story[name] = fields[name]
    return tuple(ClipStory.model_validate(clips[index]) for index in sorted(clips))
