"""The story of creation: find the clips, look at each, decide, refuse everything wrong at once, write the jobs.

A source is looked at once: probed, hashed to its end, its packets counted. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from proxx.contracts.error_bases import ClipFailure, Problem
from proxx.contracts.errors import OutputClaimed, PreflightRefused, StorageRefused
from proxx.contracts.job import JobContent, JobSpec, LeftOut, seal
from proxx.contracts.naming import normalized_name
from proxx.contracts.uri import without_secrets
from proxx.create.discover import Candidate, Discovery, PassedOver, discover
from proxx.create.examine import examine_source
from proxx.create.local_copy import local_file
from proxx.create.request import CreateRequest, base_name, called, is_called, named, output_of, require_sensible
from proxx.decide.clip import ClipDecision, decide_clip
from proxx.decide.notes import NoteKind
from proxx.decide.space import NOTHING, SpaceEstimate, estimate_space
from proxx.files.preflight import storage_problem
from proxx.s3.faults import StorageFault


@dataclass(frozen=True, kw_only=True)
class ExamineProgress:
    """Progress: `done` of `size` bytes read of a clip, from 0, of `count`."""

    index: int
    count: int
    path: str
    done: int
    size: int


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something a person should know about one source: what was assumed, applied, conformed or left out."""

    path: str
    kind: NoteKind
    text: str


@dataclass(frozen=True, kw_only=True)
class Created:
    """passed_over: not candidates. left_out: refused files the jobs do without. conformed: clips by path."""

    jobs: tuple[JobSpec, ...]
    passed_over: tuple[PassedOver, ...]
    left_out: tuple[Problem, ...]
    conformed: tuple[str, ...]
    said: tuple[Notice, ...]
    space: SpaceEstimate


@dataclass(frozen=True, kw_only=True)
class _Made:
    """A candidate that became a clip. uri: its place in the spec."""

    candidate: Candidate
    uri: str
    decided: ClipDecision

    @property
    def output(self) -> str:
        return self.decided.clip.outputs[0].uri


def create_jobs(
    request: CreateRequest,
    *,
    ffprobe: Path,
    decoders: frozenset[str],
    on_progress: Callable[[ExamineProgress], None] = lambda _: None,
) -> Created:
    """The jobs asked for. Raises PreflightRefused with every problem, one a file, before anything is written."""
    folder = require_sensible(request)
    try:
        found = discover(request.sources, request.places.spot(folder), request.places)
    except StorageFault as fault:
        raise StorageRefused(
            message="The sources cannot be listed.", problems=(storage_problem(fault.place, fault),)
        ) from fault
    _require_candidates(request, found)
    made, refused = _look_at_all(request, folder, found.candidates, ffprobe, decoders, on_progress)
    problems = [*found.problems, *_clashes(request, made)]
    left_out = [LeftOut(source=called(request, c), code=p.code, message=p.message) for c, p in refused]
    if not request.leave_out_refused:
        problems += [storage_problem for _, storage_problem in refused]
    if problems or not made:
        raise PreflightRefused(
            message="No job was made." if made else "There is nothing to make a job of.",
            problems=tuple(problems) or tuple(storage_problem for _, storage_problem in refused),
        )
    jobs = _jobs(request, made, left_out)
    return Created(
        jobs=jobs,
        passed_over=found.passed_over,
        left_out=tuple(storage_problem for _, storage_problem in refused),
        conformed=tuple(one.candidate.given for one in made if one.decided.conformed),
        said=tuple(
            Notice(path=one.candidate.given, kind=note.kind, text=note.text)
            for one in made
            for note in one.decided.notes
        ),
        space=sum((estimate_space(request.profile, one.decided.clip) for one in made), NOTHING),
    )


# --- before any file is looked at ------------------------------------------------------------------------


def _require_candidates(request: CreateRequest, found: Discovery) -> None:
    problems = list(found.problems)
    for name in request.accept_damage:
        if not any(is_called(candidate, name) for candidate in found.candidates):
            problems.append(
                Problem(
                    "--accept-damage",
                    PreflightRefused.code,
                    f"{without_secrets(name)!r} is none of the clips.",
                    "Check the name.",
                )
            )
    if not found.candidates:
        listed = f"; {len(found.passed_over)} files were passed over" if found.passed_over else ""
        problems.append(Problem("SOURCE", PreflightRefused.code, f"no media file was found{listed}."))
    if len(problems) > len(found.problems):
        raise PreflightRefused(message="No job was made.", problems=tuple(problems))


# --- each file -------------------------------------------------------------------------------------------


def _look_at_all(
    request: CreateRequest,
    folder: str,
    candidates: Sequence[Candidate],
    ffprobe: Path,
    decoders: frozenset[str],
    on_progress: Callable[[ExamineProgress], None],
) -> tuple[list[_Made], list[tuple[Candidate, Problem]]]:
    made: list[_Made] = []
    refused: list[tuple[Candidate, Problem]] = []
    for index, candidate in enumerate(candidates):

        def report(done: int, size: int, index: int = index, given: str = candidate.given) -> None:
            on_progress(ExamineProgress(index=index, count=len(candidates), path=given, done=done, size=size))

        accepted = any(is_called(candidate, name) for name in request.accept_damage)
        try:
            output = output_of(request, folder, candidate, index)
            uri = named(request, candidate)
            sound = request.profile.audio.mode != "none"
            with local_file(candidate, request.places, request.work, report) as path:
                facts = examine_source(
                    path, ffprobe, decoders, uri=uri, accept_damage=accepted, sound=sound, on_read=report
                )
            decided = decide_clip(request.profile, facts, output, decoders, accepted)
        except ClipFailure as why:
            decided = why
        if isinstance(decided, ClipFailure):
            refused.append((candidate, _problem(candidate, decided)))
        else:
            made.append(_Made(candidate=candidate, uri=uri, decided=decided))
    return made, refused


def _problem(candidate: Candidate, failure: ClipFailure) -> Problem:
    message = failure.message[:1].upper() + failure.message[1:].rstrip(".") + "."
    return Problem(candidate.given, failure.code, message, failure.remedy)


# --- all of them together --------------------------------------------------------------------------------


def _clashes(request: CreateRequest, made: Sequence[_Made]) -> list[Problem]:
    """Outputs that would be one file, across all jobs of this creation, or would replace a source."""
    problems = []
    sources = {normalized_name(one.uri): one.candidate.given for one in made}
    taken: dict[str, _Made] = {}
    for one in made:
        key = normalized_name(one.output)
        if key in sources:
            message = f"its proxy would replace the source {sources[key]}."
            problems.append(Problem(one.candidate.given, OutputClaimed.code, message, "Choose another --output."))
        elif key in taken:
            other = taken[key].candidate
            message = f"its proxy and that of {other.given} would both be {one.output}."
            remedy = _way_apart(request.template, one.candidate, other)
            problems.append(Problem(one.candidate.given, OutputClaimed.code, message, remedy))
        else:
            taken[key] = one
    return problems


def _way_apart(template: str, one: Candidate, other: Candidate) -> str:
    """The token that tells two sources apart."""
    if one.folder != other.folder and "{source_dir}" not in template:
        apart = "{source_dir}/{source_name}"
    elif one.path.suffix != other.path.suffix and "{source_ext}" not in template:
        apart = "{source_dir}/{source_name}_{source_ext}"
    else:
        apart = "{source_dir}/{source_name}_{index}"
    return f"Use --template '{apart}', or make them in two calls with two --output folders."


def _jobs(request: CreateRequest, made: Sequence[_Made], left_out: Sequence[LeftOut]) -> tuple[JobSpec, ...]:
    """One job, or one for every so many clips in order. Files left out are recorded in the first."""
    step = request.clips_per_job or len(made)
    parts = [made[start : start + step] for start in range(0, len(made), step)]
    base, digits = base_name(request), max(3, len(str(len(parts))))
    return tuple(
        seal(
            JobContent(
                schema_="proxx.job/1",
                name=base if len(parts) == 1 else f"{base}-{number + 1:0{digits}d}",
                profile=request.profile,
                toolchain=request.toolchain,
                clips=tuple(one.decided.clip for one in part),
                left_out=tuple(left_out) if number == 0 else (),
            )
        )
        for number, part in enumerate(parts)
    )
