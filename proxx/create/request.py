"""What a creation is asked for: what is wrong with it before any file is looked at, and the names it gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from proxx.contracts.error_bases import Problem
from proxx.contracts.errors import OutputUnwritable, PreflightRefused, SourceUnreadable
from proxx.contracts.job import Toolchain
from proxx.contracts.naming import BadTemplate, check_template, expand_template, uri_problem
from proxx.contracts.profile import ProfileSpec
from proxx.create.discover import Candidate, locate_argument
from proxx.files.places import Places, leads_out
from proxx.files.roots import InBucket, OnDisk, OutOfReach


@dataclass(frozen=True, kw_only=True)
class CreateRequest:
    """What is asked for. sources, output: paths, `s3://bucket/…` or names below a root; output is a folder.

    date: `YYYY-MM-DD`, for the template. accept_damage: clips by name or path. name: None takes the first source's.
    work: for copies of sources in object storage, one at a time; the system's temporary folder where None.
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


def require_sensible(request: CreateRequest) -> str:
    """The output folder's place; raises PreflightRefused with all that is wrong with the request itself."""
    problems = []
    try:
        check_template(request.template)
    except BadTemplate as why:
        problems.append(Problem("--template", PreflightRefused.code, f"{why}."))
    if request.toolchain.name not in request.profile.toolchains:
        offered = " or ".join(request.profile.toolchains)
        message = f"profile {request.profile.name} is not made with the {request.toolchain.name} toolchain."
        problems.append(Problem("--toolchain", PreflightRefused.code, message, f"Create with --toolchain {offered}."))
    if request.clips_per_job is not None and request.clips_per_job < 1:
        problems.append(Problem("--clips-per-job", PreflightRefused.code, "one clip a job is the least."))
    if not 1 <= len(base_name(request)) <= 190:  # a job's name holds 200 characters, with its number
        problems.append(Problem("--name", PreflightRefused.code, "a name of 1 to 190 characters is needed."))
    folder = ""
    try:
        folder = request.places.roots.name(locate_argument(request.output, request.places)).rstrip("/") or "/"
        fault = uri_problem(f"{folder.rstrip('/')}/x") or _way_out(request, folder)
    except OutOfReach as why:
        fault = str(why)
    if fault is not None:
        problems.append(Problem("--output", OutputUnwritable.code, f"{fault}.", "Name a folder."))
    if problems:
        raise PreflightRefused(message="The request cannot be met.", problems=tuple(problems))
    return folder


def _way_out(request: CreateRequest, place: str) -> str | None:
    spot = request.places.spot(place)
    return f"a link leads {place!r} out of its root" if isinstance(spot, OnDisk) and leads_out(spot) else None


def base_name(request: CreateRequest) -> str:
    if request.name is not None:
        return request.name
    if not request.sources:
        return "root"
    try:
        first = locate_argument(str(request.sources[0]), request.places)
    except OutOfReach:
        return "root"  # it is refused where the sources are looked at
    match first:
        case OnDisk(path=path):
            return (path.name if path.is_dir() else path.stem) or "root"
        case InBucket(bucket=bucket, key=key):
            return Path(key).stem or bucket


def is_called(candidate: Candidate, name: str) -> bool:
    return name in (candidate.given, str(candidate.path), candidate.path.name)


def named(request: CreateRequest, candidate: Candidate) -> str:
    """What the spec calls a source. Raises SourceUnreadable where it is out of this machine's roots."""
    try:
        uri = request.places.roots.name(candidate.spot)
    except OutOfReach as why:
        raise SourceUnreadable(message=f"It is out of reach: {why}.", stage="examine") from why
    spot = request.places.spot(uri)
    if isinstance(spot, OnDisk) and leads_out(spot):
        raise SourceUnreadable(message="A link leads it out of its root.", stage="examine")
    return uri


def called(request: CreateRequest, candidate: Candidate) -> str:
    try:
        return request.places.roots.name(candidate.spot)
    except OutOfReach:
        return str(candidate.path)


def output_of(request: CreateRequest, folder: str, candidate: Candidate, index: int) -> str:
    """The full place of a clip's proxy. index counts all candidates from 1: leaving one out renames no other."""
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
    except BadTemplate as why:
        raise OutputUnwritable(
            message=f"It gives no name for a proxy: {why}.", stage="decide", remedy="Use another --template."
        ) from why
    if fault := _way_out(request, output):
        raise OutputUnwritable(
            message=f"Its proxy cannot be written: {fault}.", stage="decide", remedy="Use another --output."
        )
    return output
