"""A registered job as its store has it, read once before it runs: is it the one meant, and what there is to tell."""

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
from proxx_flows.common.shared_store import store_of


@dataclass(frozen=True)
class ClipFacts:
    """What is told of a clip: the proxy's frames and its first timecode label, "" for none. digest: the source's."""

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
    """What is told of a job while it runs and after. store: where its job files are."""

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
    """data: the spec's file form, as the engine takes it."""

    store: Store
    data: bytes
    about: JobFacts


def load_registered_job(reference: JobReference) -> RegisteredJob:
    """The job the reference means. Makes nothing.

    Raises StoreMismatch, StoreNotShared, StoreUnavailable, JobUnknown, SpecInvalid, SpecAltered.
    """
    store = store_of(reference)
    data = store.read(spec_key(reference.job_id))
    if data is None:
        raise JobUnknown(message="the job is not in this store", detail=f"{reference.job_id} in {store.uri}")
    spec = read_spec(data)
    if spec.job_id != reference.job_id:  # whole, sealed, and another job's
        problem = Problem("job_id", SpecAltered.code, f"is {spec.job_id}, not that of the job's folder.")
        raise SpecAltered(message="The spec in the store is another job's.", problems=(problem,))
    return RegisteredJob(store, data, job_facts(spec, reference.attempt, store.uri))


def job_facts(spec: JobSpec, attempt: int, store: str) -> JobFacts:
    clips = tuple(_facts(clip) for clip in spec.clips)
    return JobFacts(
        job_id=spec.job_id,
        attempt=attempt,
        name=spec.name,
        profile=spec.profile.name,
        store=store,
        clips=clips,
    )


def _facts(clip: Clip) -> ClipFacts:
    source, first = clip.source.files[0], clip.expect.timecode
    label = "" if first is None else timecode_label(first, clip.expect.rate, bool(clip.recipe.timecode.drop))
    return ClipFacts(
        source=source.uri,
        output=clip.outputs[0].uri,
        frames=clip.expect.output_frames,
        timecode=label,
        digest=source.digest,
    )
