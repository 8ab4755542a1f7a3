"""`proxx reproduce`: encode again elsewhere and compare the bytes, of one job or of the fleet's."""

from __future__ import annotations

import re
import shutil
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxx.console.output import out, out_json
from proxx.console.settings import (
    current_settings,
    json_option,
    places_from_options,
    read_spec_file,
    roots_option,
    since_option,
    store_from_options,
    store_option,
)
from proxx.console.wording import last_part, plural, safe, short_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from datetime import date

    from proxx.cli.progress_lines import Watch
    from proxx.contracts.canonical import Json
    from proxx.contracts.job import JobSpec
    from proxx.proof.reproduce import ReencodedClip


OF_ALL = Fraction(5, 100)
"""The share that is taken of a whole store where nobody says another."""


def _share(_: click.Context, __: click.Parameter, value: str | None) -> Fraction | None:
    """`5%`, `0.5%`: more than nothing, up to all."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d{1,3}(?:\.\d{1,6})?)\s*%", value, re.ASCII)
    share = Fraction(match[1]) / 100 if match else Fraction(0)
    if not 0 < share <= 1:
        raise click.BadParameter(f"{value!r} is not a share such as 5%, more than 0% and up to 100%.")
    return share


@click.command()
@click.argument("spec", type=click.Path(path_type=Path), required=False)
@click.option("--all", "everything", is_flag=True, help="Clips of every finished job of the store.")
@since_option
@click.option(
    "--sample",
    callback=_share,
    metavar="PERCENT",
    help="Only this share of the clips, at least one: always the same ones, by their fingerprints. "
    "Else all clips of SPEC, 5% with --all.",
)
@click.option("--elsewhere", is_flag=True, help="With --all: only clips made on another machine than this one.")
@click.option(
    "--with-profile",
    "profile",
    metavar="NAME|FILE",
    help="Report what would change with these rules; with --all of jobs whose profile has the same name.",
)
@click.option(
    "--with-toolchain",
    "toolchain",
    type=click.Choice(["static", "full"]),
    help="Report what would change with this encoder build, as it is installed here.",
)
@click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where the second encodes go; else the system's place for temporary files. Kept where bytes differ.",
)
@store_option
@roots_option
@json_option
def reproduce(
    spec: Path | None,
    everything: bool,
    since: date | None,
    sample: Fraction | None,
    elsewhere: bool,
    profile: str | None,
    toolchain: str | None,
    work: Path | None,
) -> int:
    """Encode clips of SPEC again and compare them byte for byte with what the job recorded; or of all jobs.

    Where the store has no record of the job, they are compared with the published files. The job, its store and
    its proxies are not touched.

    With another profile or toolchain it is a report: each clip is decided and encoded anew, and what an edit
    relinks by (frames, rate, timecode, reel, tracks, channels, samples, name) is compared. Nothing is published.

    Exit status: 5 where something differs or would not relink, 6 where the rest cannot be judged on this machine.
    """
    if (spec is None) != everything:
        raise click.UsageError("Name a spec, or say --all; not both.")
    if spec is not None and (since or elsewhere):
        raise click.UsageError("--since and --elsewhere belong to --all.")
    share = sample or (OF_ALL if everything else Fraction(1))
    if profile or toolchain:
        from proxx.cli.reproduce_upgrade import upgrade_report

        return upgrade_report(spec, share, since, elsewhere, work, profile, toolchain)
    if spec is None:
        from proxx.cli.reproduce_all import audit_all

        return audit_all(share, since, elsewhere, work)
    return _one_job(spec, share, work)


def _one_job(spec: Path, sample: Fraction, work: Path | None) -> int:
    from proxx.cli.reencoding import second_encodes
    from proxx.contracts.job import read_spec
    from proxx.proof.reproduce import reproduction_failure

    job = read_spec(read_spec_file(spec))
    folder = second_encodes(work)
    keep = False
    try:
        again = _encode(job, sample, folder)
        mismatch = reproduction_failure(again)
        keep = mismatch is not None and any(one.path for one in again if one.problem)
        for one in again:
            if one.path is not None and one.problem is None:
                one.path.unlink(missing_ok=True)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    if current_settings().json:
        data: dict[str, Json] = {"job_id": job.job_id, "reproduced": mismatch is None, "of_clips": len(job.clips)}
        if mismatch is not None:
            from proxx.console.failures import failure_data

            data["error"] = failure_data(mismatch)
        data["clips"] = [_data(one, job) for one in again]
        out_json(data)
        return mismatch.status if mismatch else 0
    for one in again:
        said = "same      " if one.problem is None else "DIFFERS   " if one.differs else "NOT JUDGED"
        kept = f" (kept: {safe(one.path)})" if keep and one.path and one.problem else ""
        out(f"{said}  {one.expected}  {last_part(job.clips[one.index].outputs[0].uri)}{kept}")
    if mismatch is not None:
        raise mismatch
    chosen = f"{len(again)} of {plural(len(job.clips), 'clip')}"
    out(f"Reproduced: {chosen} of job {short_id(job.job_id)} encoded again, every byte the same.")
    return 0


def _encode(job: JobSpec, sample: Fraction, folder: Path) -> tuple[ReencodedClip, ...]:
    from proxx.cli.stop_requests import stop_requests
    from proxx.contracts.event import this_worker
    from proxx.ffmpeg.toolchain import require_toolchain
    from proxx.proof.reproduce import EncodeSite, choose_clips, expected_bytes, recorded_differently
    from proxx.proof.reproduce import reproduce as encode_again
    from proxx.proof.verify import records

    chosen = choose_clips(job.clips, sample)
    store = store_from_options()
    places = places_from_options(store)
    known = records(store, job.job_id)
    expected = expected_bytes(job, chosen, known, places)
    installed = require_toolchain(job.toolchain, job.profile.cpu_flags)
    if not current_settings().json:
        numbers = ", ".join(str(index + 1) for index in chosen[:20]) + (" ..." if len(chosen) > 20 else "")
        of = f"{len(chosen)} of {plural(len(job.clips), 'clip')}"
        out(f"Encoding {of} again, those whose fingerprints come first: {numbers}")
    with stop_requests() as asked, _watch(job, chosen) as watch:
        shop = EncodeSite(
            installed=installed,
            folder=folder,
            worker=this_worker(),
            places=places,
            should_stop=asked,
            watch=watch,
        )
        differ = recorded_differently(job, expected, known)
        left = {index: sha256 for index, sha256 in expected.items() if index not in {one.index for one in differ}}
        return tuple(sorted((*differ, *encode_again(job, left, shop)), key=lambda one: one.index))


def _watch(job: JobSpec, chosen: tuple[int, ...]) -> AbstractContextManager[Watch]:
    from contextlib import contextmanager

    from proxx.console.terminal import on_a_terminal

    @contextmanager
    def watch() -> Iterator[Watch]:
        if not on_a_terminal():
            yield lambda _: None
            return
        from proxx.cli.job_bars import JobBars

        with JobBars({index: job.clips[index].expect.output_frames for index in chosen}) as bars:
            yield bars

    return watch()


def _data(one: ReencodedClip, job: JobSpec) -> dict[str, Json]:
    return {
        "index": one.index,
        "output": job.clips[one.index].outputs[0].uri,
        "expected_sha256": one.expected,
        "found_sha256": one.found,
        "kept": str(one.path) if one.path and one.problem else None,
        "problem": {"code": one.problem.code, "message": one.problem.message} if one.problem else None,
    }
