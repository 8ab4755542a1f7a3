"""`proxx reproduce`: encodes clips of one job, or of all finished jobs, again and compares the bytes."""

from __future__ import annotations

import re
import shutil
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxx.cli.reencoding import problem_json
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


DEFAULT_SHARE_OF_ALL = Fraction(5, 100)
"""The share of the clips that --all encodes unless --sample is given."""


def _share(_: click.Context, __: click.Parameter, value: str | None) -> Fraction | None:
    """Returns the value of --sample, such as `5%` or `0.5%`, as a fraction between 0 (excluded) and 1."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d{1,3}(?:\.\d{1,6})?)\s*%", value, re.ASCII)
    share = Fraction(match[1]) / 100 if match else Fraction(0)
    if not 0 < share <= 1:
        raise click.BadParameter(f"{value!r} is not a percentage above 0% and up to 100%, such as 5%.")
    return share


@click.command()
@click.argument("spec", type=click.Path(path_type=Path), required=False)
@click.option("--all", "everything", is_flag=True, help="Encode clips of every finished job in the store.")
@since_option
@click.option(
    "--sample",
    callback=_share,
    metavar="PERCENT",
    help="Encode only this share of the clips, but at least one. Their fingerprints decide which, so it is always "
    "the same ones. Default: all clips of SPEC, 5% with --all.",
)
@click.option("--elsewhere", is_flag=True, help="With --all: only clips that were made on another machine.")
@click.option(
    "--with-profile",
    "profile",
    metavar="NAME|FILE",
    help="Report what would change with this profile. With --all: only jobs whose profile has the same name.",
)
@click.option(
    "--with-toolchain",
    "toolchain",
    type=click.Choice(["static", "full"]),
    help="Report what would change with this encoder build, as installed on this machine.",
)
@click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The folder for the second encodes; those with different bytes are kept. "
    "Default: the system's temporary folder.",
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
    """Encode clips of SPEC again, or with --all of all finished jobs, and compare the bytes with the job's record.

    If the store has no record of the job, the clips are compared with the published proxies. The job, its store
    and its proxies are not changed.

    --with-profile and --with-toolchain report what they would change: each clip is decided and encoded again with
    them, and everything that editing software relinks by (frames, rate, timecode, reel, audio tracks, channels,
    samples, name) is compared. Nothing is published.

    Exit status: 5 if something differs or would not relink; 6 if something cannot be compared on this machine.
    """
    if (spec is None) != everything:
        raise click.UsageError("Give either SPEC or --all.")
    if spec is not None and (since or elsewhere):
        raise click.UsageError("--since and --elsewhere can only be used with --all.")
    share = sample or (DEFAULT_SHARE_OF_ALL if everything else Fraction(1))
    if profile or toolchain:
        from proxx.cli.reproduce_upgrade import upgrade_report

        return upgrade_report(spec, share, since, elsewhere, work, profile, toolchain)
    if spec is None:
        from proxx.cli.reproduce_all import reproduce_all

        return reproduce_all(share, since, elsewhere, work)
    return _one_job(spec, share, work)


def _one_job(spec: Path, sample: Fraction, work: Path | None) -> int:
    from proxx.cli.reencoding import make_reencode_folder
    from proxx.contracts.job import read_spec
    from proxx.proof.reproduce import reproduction_failure

    job = read_spec(read_spec_file(spec))
    folder = make_reencode_folder(work)
    keep = False
    try:
        reencoded = _encode(job, sample, folder)
        mismatch = reproduction_failure(reencoded)
        keep = mismatch is not None and any(clip.path for clip in reencoded if clip.problem)
        for clip in reencoded:
            if clip.path is not None and clip.problem is None:
                clip.path.unlink(missing_ok=True)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    if current_settings().json:
        data: dict[str, Json] = {"job_id": job.job_id, "reproduced": mismatch is None, "of_clips": len(job.clips)}
        if mismatch is not None:
            from proxx.console.failures import failure_data

            data["error"] = failure_data(mismatch)
        data["clips"] = [_data(clip, job) for clip in reencoded]
        out_json(data)
        return mismatch.status if mismatch else 0
    for clip in reencoded:
        verdict = "same      " if clip.problem is None else "DIFFERS   " if clip.differs else "NOT JUDGED"
        kept = f" (kept: {safe(clip.path)})" if keep and clip.path and clip.problem else ""
        out(f"{verdict}  {clip.expected}  {last_part(job.clips[clip.index].outputs[0].uri)}{kept}")
    if mismatch is not None:
        raise mismatch
    count = f"{len(reencoded)} of {plural(len(job.clips), 'clip')}"
    out(f"Reproduced: {count} of job {short_id(job.job_id)} encoded again, every byte the same.")
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
    recorded = records(store, job.job_id)
    expected = expected_bytes(job, chosen, recorded, places)
    installed = require_toolchain(job.toolchain, job.profile.cpu_flags)
    if not current_settings().json:
        numbers = ", ".join(str(index + 1) for index in chosen[:20]) + (" ..." if len(chosen) > 20 else "")
        count = f"{len(chosen)} of {plural(len(job.clips), 'clip')}"
        out(f"Encoding {count} again, chosen by their fingerprints: {numbers}")
    with stop_requests() as stop, _watch(job, chosen) as watch:
        site = EncodeSite(
            installed=installed,
            folder=folder,
            worker=this_worker(),
            places=places,
            should_stop=stop,
            watch=watch,
        )
        differing = recorded_differently(job, expected, recorded)
        settled = {clip.index for clip in differing}
        remaining = {index: sha256 for index, sha256 in expected.items() if index not in settled}
        return tuple(sorted((*differing, *encode_again(job, remaining, site)), key=lambda clip: clip.index))


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


def _data(clip: ReencodedClip, job: JobSpec) -> dict[str, Json]:
    return {
        "index": clip.index,
        "output": job.clips[clip.index].outputs[0].uri,
        "expected_sha256": clip.expected,
        "found_sha256": clip.found,
        "kept": str(clip.path) if clip.path and clip.problem else None,
        "problem": problem_json(clip.problem),
    }
