"""The options of `create`: checks them before any file is examined, and derives the names of sources and proxies."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from proxx.contracts.error_bases import Problem
from proxx.contracts.errors import OutputUnwritable, PreflightRefused, SourceUnreadable
from proxx.contracts.job import Toolchain
from proxx.contracts.output_names import BadTemplate, check_template, expand_template, uri_problem
from proxx.contracts.profile import ProfileSpec
from proxx.create.discover import Candidate, locate_argument
from proxx.create.refusals import CORRECT_THE_COMMAND
from proxx.files.places import Places, leads_out
from proxx.files.roots import InBucket, OnDisk, OutOfReach


@dataclass(frozen=True, kw_only=True)
class CreateRequest:
    """The options of `create`. sources, output: paths, `s3://bucket/…` or names below a root; output is a folder.

    name: of the job, or None for the first source's name. date: `YYYY-MM-DD`, for the template. accept_damage: clips
    by file name or path. work: the folder for copies of sources in object storage, which are made one at a time; None
    for the system's temporary folder.
    """

    sources: tuple[Path | str, ...]
    profile: ProfileSpec
    toolchain: Toolchain
    output: str
    name: str | None
    template: str
    clips_per_job: int | None
    leave_out_refused: bool
    accept_damage: tuple[str, ...]
    date: str
    places: Places = field(default_factory=Places)
    work: Path | None = None


def require_valid_request(request: CreateRequest) -> str:
    """Returns the output folder's name in the spec. Raises PreflightRefused with every option that is wrong."""
    problems = []
    try:
        check_template(request.template)
    except BadTemplate as error:
        problems.append(Problem("--template", PreflightRefused.code, f"{error}."))
    if request.toolchain.name not in request.profile.toolchains:
        supported = " or ".join(request.profile.toolchains)
        message = f"Profile {request.profile.name} is not made with the {request.toolchain.name} toolchain."
        problems.append(Problem("--toolchain", PreflightRefused.code, message, f"Use --toolchain {supported}."))
    if request.clips_per_job is not None and request.clips_per_job < 1:
        problems.append(Problem("--clips-per-job", PreflightRefused.code, "A job has at least one clip."))
    if not 1 <= len(base_name(request)) <= 190:  # a job's name holds 200 characters, with its number
        problems.append(Problem("--name", PreflightRefused.code, "A job's name has 1 to 190 characters."))
    folder = ""
    try:
        folder = request.places.roots.name(locate_argument(request.output, request.places)).rstrip("/") or "/"
        fault = uri_problem(f"{folder.rstrip('/')}/x") or _link_fault(request, folder)
    except OutOfReach as error:
        fault = str(error)
    if fault is not None:
        problems.append(Problem("--output", OutputUnwritable.code, f"{fault}.", "Give another folder."))
    if problems:
        raise PreflightRefused(
            message="The options cannot be used.", problems=tuple(problems), remedy=CORRECT_THE_COMMAND
        )
    return folder


def _link_fault(request: CreateRequest, place: str) -> str | None:
    spot = request.places.spot(place)
    return f"a link leads {place!r} out of its root" if isinstance(spot, OnDisk) and leads_out(spot) else None


def base_name(request: CreateRequest) -> str:
    """Returns the job's name, without the number that is added if the clips make several jobs."""
    if request.name is not None:
        return request.name
    if not request.sources:
        return "root"
    try:
        first = locate_argument(str(request.sources[0]), request.places)
    except OutOfReach:
        return "root"  # `discover` reports this source
    match first:
        case OnDisk(path=path):
            return (path.name if path.is_dir() else path.stem) or "root"
        case InBucket(bucket=bucket, key=key):
            return Path(key).stem or bucket


def matches_name(candidate: Candidate, name: str) -> bool:
    """Returns whether an option means this candidate: by its path as given, its absolute path or its file name."""
    return name in (candidate.given, str(candidate.path), candidate.path.name)


def source_uri(request: CreateRequest, candidate: Candidate) -> str:
    """Returns the source's name in the spec. Raises SourceUnreadable if it is outside this machine's roots."""
    try:
        uri = request.places.roots.name(candidate.spot)
    except OutOfReach as error:
        raise SourceUnreadable(message=f"It is out of reach: {error}.", stage="examine") from error
    spot = request.places.spot(uri)
    if isinstance(spot, OnDisk) and leads_out(spot):
        raise SourceUnreadable(message="A link leads it out of its root.", stage="examine")
    return uri


def source_uri_or_path(request: CreateRequest, candidate: Candidate) -> str:
    """Returns the source's name in the spec, or its path if it is outside this machine's roots."""
    try:
        return request.places.roots.name(candidate.spot)
    except OutOfReach:
        return str(candidate.path)


def output_uri(request: CreateRequest, folder: str, candidate: Candidate, index: int) -> str:
    """Returns the proxy's name in the spec. Raises OutputUnwritable if the template gives none that can be used.

    index: from 0, over all candidates, so that leaving a file out renames no other proxy.
    """
    values = {
        "source_name": candidate.path.stem,
        "source_ext": candidate.path.suffix.removeprefix("."),
        "source_dir": candidate.folder,
        "index": f"{index + 1:04d}",
        "profile": request.profile.name,
        "job_name": base_name(request),
        "date": request.date,
    }
    try:
        output = f"{folder.rstrip('/')}/{expand_template(request.template, values, '.' + request.profile.container)}"
    except BadTemplate as error:
        raise OutputUnwritable(
            message=f"The template gives no usable name for its proxy: {error}.",
            stage="decide",
            remedy="Use another --template.",
        ) from error
    if fault := _link_fault(request, output):
        raise OutputUnwritable(
            message=f"Its proxy cannot be written: {fault}.", stage="decide", remedy="Use another --output."
        )
    return output
