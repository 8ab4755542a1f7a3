"""Loads a registered job from its store before it runs, and the facts about it that the run reports."""

from __future__ import annotations

from dataclasses import dataclass

from proxx.console.wording import last_part
from proxx.contracts.error_bases import Problem
from proxx.contracts.errors import JobUnknown, SpecAltered
from proxx.contracts.job import Clip, JobSpec, read_spec
from proxx.contracts.measures import timecode_label
from proxx.store.base import Store
from proxx.store.keys import spec_key
from proxx_flows.common.reference import JobReference
from proxx_flows.common.shared_store import open_store_of


@dataclass(frozen=True)
class ClipFacts:
    """The reported facts of a clip. frames, timecode: of the proxy, "" without timecode. digest: of the source."""

    source: str
    output: str
    frames: int
    timecode: str
    digest: str

    @property
    def name(self) -> str:
        """The source's file name, safe to print."""
        return last_part(self.source)


@dataclass(frozen=True, kw_only=True)
class JobFacts:
    """The reported facts of one attempt of a job. store: the URL of its job files."""

    job_id: str
    attempt: int
    name: str
    profile: str
    store: str
    clips: tuple[ClipFacts, ...]

    @property
    def frames(self) -> int:
        return sum(clip.frames for clip in self.clips)


@dataclass(frozen=True)
class RegisteredJob:
    """A job as its store has it. spec: the bytes of the spec file, as the engine takes them."""

    store: Store
    spec: bytes
    facts: JobFacts


def load_registered_job(reference: JobReference) -> RegisteredJob:
    """Returns the job that the reference names. Writes nothing.

    Raises StoreMismatch, StoreNotShared, StoreUnavailable, JobUnknown, SpecInvalid, SpecAltered.
    """
    store = open_store_of(reference)
    data = store.read(spec_key(reference.job_id))
    if data is None:
        raise JobUnknown(message="the job is not in this store", detail=f"{reference.job_id} in {store.uri}")
    spec = read_spec(data)
    if spec.job_id != reference.job_id:  # an intact spec, but of another job
        problem = Problem("job_id", SpecAltered.code, f"is {spec.job_id}, but the spec is in another job's folder.")
        raise SpecAltered(message="The spec in the store belongs to another job.", problems=(problem,))
    return RegisteredJob(store, data, job_facts(spec, reference.attempt, store.uri))


def job_facts(spec: JobSpec, attempt: int, store: str) -> JobFacts:
    return JobFacts(
        job_id=spec.job_id,
        attempt=attempt,
        name=spec.name,
        profile=spec.profile.name,
        store=store,
        clips=tuple(_clip_facts(clip) for clip in spec.clips),
    )


def _clip_facts(clip: Clip) -> ClipFacts:
    source, first = clip.source.files[0], clip.expect.timecode
    label = "" if first is None else timecode_label(first, clip.expect.rate, bool(clip.recipe.timecode.drop))
    return ClipFacts(
        source=source.uri,
        output=clip.outputs[0].uri,
        frames=clip.expect.output_frames,
        timecode=label,
        digest=source.digest,
    )
