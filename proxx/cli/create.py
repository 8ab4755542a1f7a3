"""`proxx create`: from camera files to spec files; everything a job needs is decided here."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxx.console.settings import current_settings, json_option, places_from_options, roots_option
from proxx.console.wording import last_part, out, out_json, plural, safe, size
from proxx.contracts.naming import DEFAULT_TEMPLATE

if TYPE_CHECKING:
    from proxx.contracts.canonical import Json
    from proxx.create.jobs import Created
    from proxx.create.request import CreateRequest
    from proxx.ffmpeg.toolchain import InstalledToolchain

SHOWN = 20
"""Lines of one kind that are printed before the rest is only counted; --json has all."""


@click.command()
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option("--profile", required=True, metavar="NAME|FILE", help="A kind of proxy: `proxx profiles` lists them.")
@click.option(
    "--output",
    required=True,
    metavar="DIR|URL",
    help="Where the proxies will be: a folder, s3://bucket/prefix, or a name below a root.",
)
@click.option(
    "--spec",
    "place",
    required=True,
    metavar="FILE|DIR",
    help="The spec file to write, or a folder (existing, or said with a / at the end) for one file a job.",
)
@click.option(
    "--clips-per-job",
    type=click.IntRange(min=1),
    metavar="N",
    help="Several jobs of N clips, which can run at the same time; --spec is then a folder.",
)
@click.option("--name", metavar="TEXT", help="What the job is called; else the first source's name.")
@click.option(
    "--template",
    metavar="T",
    default=DEFAULT_TEMPLATE,
    show_default=True,
    help="Names of the proxies, below the output folder.",
)
@click.option(
    "--toolchain",
    type=click.Choice(["static", "full"]),
    default="static",
    show_default=True,
    help="Which encoder build makes them; it stays the job's.",
)
@click.option("--leave-out-refused", is_flag=True, help="Go on without refused files; the spec says which and why.")
@click.option(
    "--accept-damage",
    multiple=True,
    metavar="CLIP",
    help="Take this clip although not all of it decodes; the spec says so. May be given several times.",
)
@click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where sources in object storage are copied to be looked at, one at a time; else the system's place.",
)
@roots_option
@json_option
def create(
    sources: tuple[str, ...],
    profile: str,
    output: str,
    place: str,
    clips_per_job: int | None,
    name: str | None,
    template: str,
    toolchain: str,
    leave_out_refused: bool,
    accept_damage: tuple[str, ...],
    work: Path | None,
) -> int:
    """Look at camera files and folders, and write the spec of a job that makes their proxies.

    A SOURCE is a path, s3://bucket/key or s3://bucket/folder, or with roots a name below one: media:/A001.

    Every source is read to its end once. All that is wrong is said at once, and then nothing is written. The
    tokens of a template are {source_name} {source_ext} {source_dir} {index} {profile} {job_name} {date}.
    """
    from proxx.cli.spec_files import SpecDestination
    from proxx.contracts.profile import find_profile
    from proxx.create.request import CreateRequest
    from proxx.ffmpeg.toolchain import NAMES, find_toolchain

    target = SpecDestination.of(
        place, several=clips_per_job is not None
    )  # refused before hours of reading, not after
    rules = find_profile(profile)
    installed = find_toolchain(next(known for known in NAMES if known == toolchain))
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
    created = _look(request, installed)
    written = target.write(created.jobs)
    free = _free(request)
    if current_settings().json:
        out_json(_data(created, written, free))
    else:
        _say(created, written, free)
    return 0


def _look(request: CreateRequest, installed: InstalledToolchain) -> Created:
    from proxx.cli.single_bar import gauge
    from proxx.create.jobs import ExamineProgress, create_jobs
    from proxx.ffmpeg.probe import decoders

    with gauge() as show:

        def tell(step: ExamineProgress) -> None:
            show(f"reading [{step.index + 1}/{step.count}] {last_part(step.path)}", step.done, step.size)

        return create_jobs(request, ffprobe=installed.ffprobe, decoders=decoders(installed.ffmpeg), on_progress=tell)


def _free(request: CreateRequest) -> int | None:
    """Bytes; None where object storage does not tell, and where the run will say what is wrong with the folder."""
    from proxx.create.discover import locate_argument
    from proxx.files.roots import OnDisk
    from proxx.files.workdir import free_bytes

    spot = locate_argument(request.output, request.places)
    try:
        return free_bytes(spot.path) if isinstance(spot, OnDisk) else None
    except OSError:
        return None


def _say(created: Created, written: tuple[Path, ...], free: int | None) -> None:
    _some("Left out, no media files", [f"{safe(one.path)}: {safe(one.reason)}" for one in created.passed_over])
    _some("LEFT OUT, refused", [f"{safe(one.path)}: {one.code}: {safe(one.message)}" for one in created.left_out])
    clips = sum(len(job.clips) for job in created.jobs)
    _some("Noted", _notes(created, clips))
    for job, path in zip(created.jobs, written, strict=True):
        out(f"{safe(path)}: job {job.job_id}, {plural(len(job.clips), 'clip')}")
    need = f"{size(created.space.low)} to {size(created.space.high)}"
    room = f"; {size(free)} are free there" if free is not None else ""
    out(f"{plural(clips, 'proxy', 'proxies')}, about {need}{room}.")
    if free is not None and free < created.space.high:
        out("WARNING: they may not fit.")
    out(f"Next: proxx run {safe(written[0])}")


def _notes(created: Created, clips: int) -> list[str]:
    """One line for each thing said, with the clips it was said of: a card's clips are mostly alike."""
    of: dict[str, list[str]] = {}
    for one in created.notices:
        of.setdefault(one.text, []).append(last_part(one.path))
    return [
        f"{safe(text)}: " + (f"all {clips} clips" if len(names) == clips > 1 else _names(names))
        for text, names in of.items()
    ]


def _names(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _some(title: str, lines: list[str]) -> None:
    if not lines:
        return
    out(f"{title} ({len(lines)}):")
    for line in lines[:SHOWN]:
        out(f"  {line}")
    if len(lines) > SHOWN:
        out(f"  ... and {len(lines) - SHOWN} more: --json lists all")


def _data(created: Created, written: tuple[Path, ...], free: int | None) -> dict[str, Json]:
    specs: list[Json] = [
        {"spec": str(path), "job_id": job.job_id, "clips": len(job.clips)}
        for job, path in zip(created.jobs, written, strict=True)
    ]
    data: dict[str, Json] = {"specs": specs}
    if len(created.jobs) == 1:
        data |= {"spec": str(written[0]), "job_id": created.jobs[0].job_id, "clips": len(created.jobs[0].clips)}
    data["passed_over"] = [{"path": one.path, "reason": one.reason} for one in created.passed_over]
    data["left_out"] = [
        {"path": one.path, "code": one.code, "message": one.message, "remedy": one.remedy} for one in created.left_out
    ]
    data["conformed"] = list(created.conformed)
    data["notes"] = [{"path": one.path, "text": one.text} for one in created.notices]
    data["space"] = {"low": created.space.low, "high": created.space.high, "free": free}
    return data
