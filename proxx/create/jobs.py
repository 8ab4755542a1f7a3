"""Creates jobs: finds the clips, examines and decides each, reports all problems at once, seals the specs.

A source is examined once: probed, hashed to its end, its packets counted. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from proxx.contracts.error_bases import ClipFailure, Problem
from proxx.contracts.errors import OutputClaimed, PreflightRefused, StorageRefused
from proxx.contracts.job import JobContent, JobSpec, LeftOut, seal
from proxx.contracts.output_names import normalized_name
from proxx.contracts.uri import without_secrets
from proxx.create.discover import Candidate, Discovery, PassedOver, discover
from proxx.create.examine import examine_source, refuse_on_unexpected_error
from proxx.create.local_copy import local_file
from proxx.create.refusals import CORRECT_THE_COMMAND, refusal_message, refusal_problem
from proxx.create.request import (
    CreateRequest,
    base_name,
    matches_name,
    output_uri,
    require_valid_request,
    source_uri,
    source_uri_or_path,
)
from proxx.decide.clip import ClipDecision, decide_clip
from proxx.decide.notes import NoteKind
from proxx.decide.space import NOTHING, SpaceEstimate, estimate_space
from proxx.files.preflight import storage_problem
from proxx.s3.faults import StorageFault


@dataclass(frozen=True, kw_only=True)
class ExamineProgress:
    """Progress: `done` of `size` bytes read of candidate `index`, counted from 0, of `count`."""

    index: int
    count: int
    path: str
    done: int
    size: int


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A note about one source: what was assumed, applied, conformed or left out."""

    path: str
    kind: NoteKind
    text: str


@dataclass(frozen=True, kw_only=True)
class Created:
    """The jobs of one creation. passed_over: files that are not candidates. left_out: refused files, if left out.

    conformed: paths of the clips with a variable frame rate. space: of all proxies.
    """

    jobs: tuple[JobSpec, ...]
    passed_over: tuple[PassedOver, ...]
    left_out: tuple[Problem, ...]
    conformed: tuple[str, ...]
    notices: tuple[Notice, ...]
    space: SpaceEstimate


@dataclass(frozen=True, kw_only=True)
class _Accepted:
    """A candidate that became a clip. uri: its name in the spec."""

    candidate: Candidate
    uri: str
    decided: ClipDecision

    @property
    def output(self) -> str:
        return self.decided.clip.outputs[0].uri


@dataclass(frozen=True, kw_only=True)
class _Refused:
    """A candidate that cannot become a clip."""

    candidate: Candidate
    failure: ClipFailure

    @property
    def problem(self) -> Problem:
        return refusal_problem(self.candidate.given, self.failure)


def create_jobs(
    request: CreateRequest,
    *,
    ffprobe: Path,
    decoders: frozenset[str],
    on_progress: Callable[[ExamineProgress], None] = lambda _: None,
) -> Created:
    """Returns the jobs for a request.

    decoders: codecs that the toolchain's ffmpeg decodes. Raises PreflightRefused with every problem, one per file,
    StorageRefused if the sources cannot be listed, DiskFull if a copy of a source does not fit.
    """
    folder = require_valid_request(request)
    try:
        discovery = discover(request.sources, request.places.spot(folder), request.places)
    except StorageFault as fault:
        raise StorageRefused(
            message="The sources cannot be listed.", problems=(storage_problem(fault.place, fault),)
        ) from fault
    _require_candidates(request, discovery)
    accepted, refused = _examine_all(request, folder, discovery.candidates, ffprobe, decoders, on_progress)
    refusals = tuple(source.problem for source in refused)
    problems = [*discovery.problems, *_output_clashes(request, accepted)]
    if not request.leave_out_refused:
        problems += refusals
    if problems or not accepted:
        raise PreflightRefused(
            message="No job was made." if accepted else "No job was made: none of the files can be used.",
            problems=tuple(problems) or refusals,
            remedy=_remedy(request, accepted, refused),
        )
    return Created(
        jobs=_seal_jobs(request, accepted, refused),
        passed_over=discovery.passed_over,
        left_out=refusals,
        conformed=tuple(source.candidate.given for source in accepted if source.decided.conformed),
        notices=tuple(
            Notice(path=source.candidate.given, kind=note.kind, text=note.text)
            for source in accepted
            for note in source.decided.notes
        ),
        space=sum((estimate_space(request.profile, source.decided.clip) for source in accepted), NOTHING),
    )


def _remedy(request: CreateRequest, accepted: Sequence[_Accepted], refused: Sequence[_Refused]) -> str:
    """Returns what to do. Files are to be left out only if that helps: some remain, and it was not tried."""
    if not accepted:
        return "Fix the problems listed. Nothing was written."
    return PreflightRefused.remedy if refused and not request.leave_out_refused else CORRECT_THE_COMMAND


# --- before any file is examined -------------------------------------------------------------------------


def _require_candidates(request: CreateRequest, discovery: Discovery) -> None:
    problems = []
    for name in request.accept_damage:
        if not any(matches_name(candidate, name) for candidate in discovery.candidates):
            message = f"No source is called {without_secrets(name)!r}."
            remedy = "Give the clip's file name or path."
            problems.append(Problem("--accept-damage", PreflightRefused.code, message, remedy))
    if not discovery.candidates:
        listed = f"; {len(discovery.passed_over)} files were passed over" if discovery.passed_over else ""
        problems.append(Problem("SOURCE", PreflightRefused.code, f"No media file was found{listed}."))
    if problems:
        raise PreflightRefused(
            message="No job was made.",
            problems=(*discovery.problems, *problems),
            remedy=CORRECT_THE_COMMAND,
        )


# --- each file -------------------------------------------------------------------------------------------


def _examine_all(
    request: CreateRequest,
    folder: str,
    candidates: Sequence[Candidate],
    ffprobe: Path,
    decoders: frozenset[str],
    on_progress: Callable[[ExamineProgress], None],
) -> tuple[list[_Accepted], list[_Refused]]:
    accepted: list[_Accepted] = []
    refused: list[_Refused] = []
    callback_errors: list[Exception] = []
    for index, candidate in enumerate(candidates):

        def report(done: int, size: int, index: int = index, given: str = candidate.given) -> None:
            step = ExamineProgress(index=index, count=len(candidates), path=given, done=done, size=size)
            try:
                on_progress(step)
            except Exception as error:
                callback_errors.append(error)
                raise

        source = _examine(request, folder, candidate, index, ffprobe, decoders, report)
        if callback_errors:
            raise callback_errors[0]  # the caller's error, not the file's
        if isinstance(source, _Refused):
            refused.append(source)
        else:
            accepted.append(source)
    return accepted, refused


def _examine(
    request: CreateRequest,
    folder: str,
    candidate: Candidate,
    index: int,
    ffprobe: Path,
    decoders: frozenset[str],
    report: Callable[[int, int], None],
) -> _Accepted | _Refused:
    damage = any(matches_name(candidate, name) for name in request.accept_damage)
    sound = request.profile.audio.mode != "none"
    try:
        output = output_uri(request, folder, candidate, index)
        uri = source_uri(request, candidate)
        with local_file(candidate, request.places, request.work, report) as path:
            facts = examine_source(
                path, ffprobe, decoders, uri=uri, accept_damage=damage, sound=sound, on_read=report
            )
        with refuse_on_unexpected_error():
            decided = decide_clip(request.profile, facts, output, decoders, damage)
    except ClipFailure as failure:
        return _Refused(candidate=candidate, failure=failure)
    if isinstance(decided, ClipFailure):
        return _Refused(candidate=candidate, failure=decided)
    return _Accepted(candidate=candidate, uri=uri, decided=decided)


# --- all of them together --------------------------------------------------------------------------------


def _output_clashes(request: CreateRequest, accepted: Sequence[_Accepted]) -> list[Problem]:
    """Returns a problem for each output that equals another, in any of the jobs, or would replace a source."""
    problems = []
    sources = {normalized_name(source.uri): source.candidate.given for source in accepted}
    owners: dict[str, _Accepted] = {}
    for source in accepted:
        key, given = normalized_name(source.output), source.candidate.given
        if key in sources:
            message = f"Its proxy would replace the source {sources[key]}."
            problems.append(Problem(given, OutputClaimed.code, message, "Choose another --output."))
        elif key in owners:
            owner = owners[key].candidate
            message = f"Its proxy and that of {owner.given} would both be {source.output}."
            remedy = _distinguishing_template(request.template, source.candidate, owner)
            problems.append(Problem(given, OutputClaimed.code, message, remedy))
        else:
            owners[key] = source
    return problems


def _distinguishing_template(template: str, candidate: Candidate, other: Candidate) -> str:
    """Returns the advice to use a template whose tokens differ between two sources."""
    if candidate.folder != other.folder and "{source_dir}" not in template:
        better = "{source_dir}/{source_name}"
    elif candidate.path.suffix != other.path.suffix and "{source_ext}" not in template:
        better = "{source_dir}/{source_name}_{source_ext}"
    else:
        better = "{source_dir}/{source_name}_{index}"
    return f"Use --template '{better}', or create two jobs with two --output folders."


def _seal_jobs(
    request: CreateRequest, accepted: Sequence[_Accepted], refused: Sequence[_Refused]
) -> tuple[JobSpec, ...]:
    """Returns one job, or one for every `clips_per_job` clips in order. The first records the files left out."""
    left_out = tuple(
        LeftOut(
            source=source_uri_or_path(request, source.candidate),
            code=source.failure.code,
            message=refusal_message(source.failure),
        )
        for source in refused
    )
    step = request.clips_per_job or len(accepted)
    parts = [accepted[start : start + step] for start in range(0, len(accepted), step)]
    base, digits = base_name(request), max(3, len(str(len(parts))))
    return tuple(
        seal(
            JobContent(
                schema_="proxx.job/1",
                name=base if len(parts) == 1 else f"{base}-{number + 1:0{digits}d}",
                profile=request.profile,
                toolchain=request.toolchain,
                clips=tuple(source.decided.clip for source in part),
                left_out=left_out if number == 0 else (),
            )
        )
        for number, part in enumerate(parts)
    )
