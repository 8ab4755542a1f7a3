"""`proxx reproduce`: encode again elsewhere and compare the bytes."""

from __future__ import annotations

import re
import shutil
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxx.cli.settings import current, json_option, roots_option, spec_data, store_option, the_places, the_store
from proxx.cli.words import many, name_of, out, out_json, safe, short

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from proxx.canonical import Json
    from proxx.cli.watching import Watch
    from proxx.job import JobSpec
    from proxx.reproduce import Again


def _share(_: click.Context, __: click.Parameter, value: str) -> Fraction:
    """`5%`, `0.5%`: more than nothing, up to all."""
    match = re.fullmatch(r"(\d{1,3}(?:\.\d{1,6})?)\s*%", value, re.ASCII)
    share = Fraction(match[1]) / 100 if match else Fraction(0)
    if not 0 < share <= 1:
        raise click.BadParameter(f"{value!r} is not a share such as 5%, more than 0% and up to 100%.")
    return share


@click.command()
@click.argument("spec", type=click.Path(path_type=Path))
@click.option(
    "--sample",
    callback=_share,
    default="100%",
    show_default=True,
    metavar="PERCENT",
    help="Encode only this share of the clips, at least one: always the same ones, by their fingerprints.",
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
def reproduce(spec: Path, sample: Fraction, work: Path | None) -> int:
    """Encode clips of SPEC again and compare them byte for byte with what the job recorded.

    Where the store has no record of the job, they are compared with the published files. The job, its store and
    its proxies are not touched.
    """
    from proxx.errors import WorkUnusable
    from proxx.job import read_spec
    from proxx.reproduce import verdict

    job = read_spec(spec_data(spec))
    try:
        folder = Path(tempfile.mkdtemp(prefix="proxx-reproduce-", dir=work.absolute() if work else None))
    except OSError as why:
        raise WorkUnusable(
            message="No folder can be made for the second encodes.", detail=f"{why.filename}: {why.strerror}"
        ) from why
    keep = False
    try:
        again = _encode(job, sample, folder)
        mismatch = verdict(again)
        keep = mismatch is not None and any(one.path for one in again if one.problem)
        for one in again:
            if one.path is not None and one.problem is None:
                one.path.unlink(missing_ok=True)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    if current().json:
        data: dict[str, Json] = {"job_id": job.job_id, "reproduced": mismatch is None, "of_clips": len(job.clips)}
        if mismatch is not None:
            from proxx.cli.failures import as_data

            data["error"] = as_data(mismatch)
        data["clips"] = [_data(one, job) for one in again]
        out_json(data)
        return mismatch.status if mismatch else 0
    for one in again:
        said = "same   " if one.problem is None else "DIFFERS"
        kept = f" (kept: {safe(one.path)})" if keep and one.path and one.problem else ""
        out(f"{said}  {one.expected}  {name_of(job.clips[one.index].outputs[0].uri)}{kept}")
    if mismatch is not None:
        raise mismatch
    chosen = f"{len(again)} of {many(len(job.clips), 'clip')}"
    out(f"Reproduced: {chosen} of job {short(job.job_id)} encoded again, every byte the same.")
    return 0


def _encode(job: JobSpec, sample: Fraction, folder: Path) -> tuple[Again, ...]:
    from proxx.cli.interrupts import stop_requests
    from proxx.event import this_worker
    from proxx.recheck import records
    from proxx.reproduce import Workshop, choose, expected_bytes
    from proxx.reproduce import reproduce as encode_again
    from proxx.toolchain import admit

    chosen = choose(job.clips, sample)
    places = the_places()
    expected = expected_bytes(job, chosen, records(the_store(), job.job_id), places)
    installed = admit(job.toolchain, job.profile.cpu_flags)
    if not current().json:
        numbers = ", ".join(str(index + 1) for index in chosen[:20]) + (" ..." if len(chosen) > 20 else "")
        of = f"{len(chosen)} of {many(len(job.clips), 'clip')}"
        out(f"Encoding {of} again, those whose fingerprints come first: {numbers}")
    with stop_requests() as asked, _watch(job, chosen) as watch:
        shop = Workshop(
            installed=installed,
            folder=folder,
            worker=this_worker(),
            places=places,
            should_stop=asked,
            watch=watch,
        )
        return encode_again(job, expected, shop)


def _watch(job: JobSpec, chosen: tuple[int, ...]) -> AbstractContextManager[Watch]:
    from contextlib import contextmanager

    from proxx.cli.watching import on_a_terminal

    @contextmanager
    def watch() -> Iterator[Watch]:
        if not on_a_terminal():
            yield lambda _: None
            return
        from proxx.cli.bars import Bars

        with Bars({index: job.clips[index].expect.output_frames for index in chosen}) as bars:
            yield bars

    return watch()


def _data(one: Again, job: JobSpec) -> dict[str, Json]:
    return {
        "index": one.index,
        "output": job.clips[one.index].outputs[0].uri,
        "expected_sha256": one.expected,
        "found_sha256": one.found,
        "kept": str(one.path) if one.path and one.problem else None,
        "problem": {"code": one.problem.code, "message": one.problem.message} if one.problem else None,
    }
