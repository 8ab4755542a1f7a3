"""`proxx create`: examines camera files, decides everything a job needs, and writes spec files."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxx.console.output import out, out_json
from proxx.console.settings import current_settings, json_option, places_from_options, roots_option
from proxx.console.wording import last_part, plural, safe, size
from proxx.contracts.output_names import DEFAULT_TEMPLATE

if TYPE_CHECKING:
    from proxx.contracts.canonical import Json
    from proxx.create.jobs import Created
    from proxx.create.request import CreateRequest
    from proxx.ffmpeg.installed import InstalledToolchain

SHOWN = 20
"""Lines of one kind that are printed; further ones are only counted. --json lists all."""


@click.command()
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option(
    "--profile",
    required=True,
    metavar="NAME|FILE",
    help="The kind of proxy to make: a name that `proxx profiles` lists, or a profile file.",
)
@click.option(
    "--output",
    required=True,
    metavar="DIR|URL",
    help="Where `run` will publish the proxies: a folder, s3://bucket/prefix, or a name below a root.",
)
@click.option(
    "--spec",
    required=True,
    metavar="FILE|DIR",
    help="The spec file to write, or a folder (an existing one, or a name that ends with /) for one file per job.",
)
@click.option(
    "--clips-per-job",
    type=click.IntRange(min=1),
    metavar="N",
    help="Make several jobs of at most N clips, which can run at the same time. --spec is then a folder.",
)
@click.option("--name", metavar="TEXT", help="The name of the job. Default: the name of the first source.")
@click.option(
    "--template",
    metavar="T",
    default=DEFAULT_TEMPLATE,
    show_default=True,
    help="How proxies are named below the output folder.",
)
@click.option(
    "--toolchain",
    type=click.Choice(["static", "full"]),
    default="static",
    show_default=True,
    help="The encoder build. It is recorded in the job and cannot be changed later.",
)
@click.option(
    "--leave-out-refused",
    is_flag=True,
    help="Make the job without the files that are refused; the spec lists them with the reason.",
)
@click.option(
    "--accept-damage",
    multiple=True,
    metavar="CLIP",
    help="Accept this clip although parts of it cannot be decoded; the spec records it. May be given several times.",
)
@click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The folder for local copies of sources in object storage, one at a time. "
    "Default: the system's temporary folder.",
)
@roots_option
@json_option
def create(
    sources: tuple[str, ...],
    profile: str,
    output: str,
    spec: str,
    clips_per_job: int | None,
    name: str | None,
    template: str,
    toolchain: str,
    leave_out_refused: bool,
    accept_damage: tuple[str, ...],
    work: Path | None,
) -> int:
    """Examine camera files and folders, and write the spec of the job that makes their proxies.

    A SOURCE is a path, s3://bucket/key, s3://bucket/folder, or a name below a root, such as media:/A001.

    Every source is read once, to its end. If anything is wrong, all problems are reported together and nothing is
    written. A template may contain {source_name} {source_ext} {source_dir} {index} {profile} {job_name} {date}.
    """
    from proxx.cli.spec_files import SpecDestination
    from proxx.contracts.profile import find_profile
    from proxx.create.request import CreateRequest
    from proxx.ffmpeg.installed import TOOLCHAIN_NAMES
    from proxx.ffmpeg.toolchain import find_toolchain

    # First, so that a bad --spec is refused before the sources are read, which can take hours.
    destination = SpecDestination.of(spec, several=clips_per_job is not None)
    rules = find_profile(profile)
    installed = find_toolchain(next(build for build in TOOLCHAIN_NAMES if build == toolchain))
    request = CreateRequest(
        sources=sources,
        profile=rules,
        toolchain=installed.identity,
        output=output,
        name=name,
        template=template,
        clips_per_job=clips_per_job,
        leave_out_refused=leave_out_refused,
        accept_damage=accept_damage,
        date=datetime.date.today().isoformat(),
        places=places_from_options(),
        work=work,
    )
    created = _create(request, installed)
    written = destination.write(created.jobs)
    free = _free_bytes(request)
    if current_settings().json:
        out_json(_data(created, written, free))
    else:
        _print(created, written, free)
    return 0


def _create(request: CreateRequest, installed: InstalledToolchain) -> Created:
    from proxx.cli.single_bar import gauge
    from proxx.create.jobs import ExamineProgress, create_jobs
    from proxx.ffmpeg.probe import decoders

    with gauge() as show:

        def on_progress(step: ExamineProgress) -> None:
            show(f"reading [{step.index + 1}/{step.count}] {last_part(step.path)}", step.done, step.size)

        return create_jobs(
            request, ffprobe=installed.ffprobe, decoders=decoders(installed.ffmpeg), on_progress=on_progress
        )


def _free_bytes(request: CreateRequest) -> int | None:
    """Returns the free bytes at the output; None for object storage, or if the folder cannot be examined.

    What is wrong with such a folder is reported when the job runs.
    """
    from proxx.create.discover import locate_argument
    from proxx.files.roots import OnDisk
    from proxx.files.workdir import free_bytes

    output = locate_argument(request.output, request.places)
    try:
        return free_bytes(output.path) if isinstance(output, OnDisk) else None
    except OSError:
        return None


def _print(created: Created, written: tuple[Path, ...], free: int | None) -> None:
    _print_list("Ignored, not media", [f"{safe(each.path)}: {safe(each.reason)}" for each in created.passed_over])
    _print_list("LEFT OUT, refused", [f"{safe(p.path)}: {p.code}: {safe(p.message)}" for p in created.left_out])
    clips = sum(len(job.clips) for job in created.jobs)
    _print_list("Notes", _notes(created, clips))
    for job, path in zip(created.jobs, written, strict=True):
        out(f"{safe(path)}: job {job.job_id}, {plural(len(job.clips), 'clip')}")
    needed = f"{size(created.space.low)} to {size(created.space.high)}"
    available = f"; {size(free)} are free there" if free is not None else ""
    out(f"{plural(clips, 'proxy', 'proxies')}, about {needed}{available}.")
    if free is not None and free < created.space.high:
        out("WARNING: the proxies may not fit.")
    out(f"{'Next' if len(written) == 1 else 'Next, for each spec'}: proxx run {safe(written[0])}")


def _notes(created: Created, clips: int) -> list[str]:
    """Returns one line per note with the clips it applies to, since most clips of a card get the same notes."""
    clips_by_note: dict[str, list[str]] = {}
    for notice in created.notices:
        clips_by_note.setdefault(notice.text, []).append(last_part(notice.path))
    return [
        f"{safe(text)}: " + (f"all {clips} clips" if len(names) == clips > 1 else _names(names))
        for text, names in clips_by_note.items()
    ]


def _names(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _print_list(title: str, lines: list[str]) -> None:
    if not lines:
        return
    out(f"{title} ({len(lines)}):")
    for line in lines[:SHOWN]:
        out(f"  {line}")
    if len(lines) > SHOWN:
        out(f"  ... and {len(lines) - SHOWN} more; --json lists all")


def _data(created: Created, written: tuple[Path, ...], free: int | None) -> dict[str, Json]:
    specs: list[Json] = [
        {"spec": str(path), "job_id": job.job_id, "clips": len(job.clips)}
        for job, path in zip(created.jobs, written, strict=True)
    ]
    data: dict[str, Json] = {"specs": specs}
    if len(created.jobs) == 1:
        data |= {"spec": str(written[0]), "job_id": created.jobs[0].job_id, "clips": len(created.jobs[0].clips)}
    data["passed_over"] = [{"path": each.path, "reason": each.reason} for each in created.passed_over]
    data["left_out"] = [
        {"path": p.path, "code": p.code, "message": p.message, "remedy": p.remedy} for p in created.left_out
    ]
    data["conformed"] = list(created.conformed)
    data["notes"] = [{"path": notice.path, "text": notice.text} for notice in created.notices]
    data["space"] = {"low": created.space.low, "high": created.space.high, "free": free}
    return data
