"""`proxx verify`: are the published proxies still what the job made?"""

from __future__ import annotations

import tempfile
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
    store_from_options,
    store_option,
)
from proxx.console.wording import last_part, plural, safe, short_id

if TYPE_CHECKING:
    from proxx.contracts.canonical import Json
    from proxx.proof.verify import VerifiedProxy


@click.command()
@click.argument("spec", type=click.Path(path_type=Path))
@click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where proxies in object storage are copied to be decoded, one at a time; else the system's place.",
)
@store_option
@roots_option
@json_option
def verify(spec: Path, work: Path | None) -> int:
    """Check every published proxy of SPEC: it is there, its sha256 is the recorded one, and it decodes whole.

    Nothing is changed. Every proxy is looked at, then all that is wrong is listed.
    """
    from proxx.cli.single_bar import gauge
    from proxx.cli.stop_requests import stop_requests
    from proxx.contracts.job import read_spec
    from proxx.ffmpeg.toolchain import require_toolchain
    from proxx.proof.verify import VerifyProgress, records, verification_failure, verify_proxies
    from proxx.store.status import job_status

    job = read_spec(read_spec_file(spec))
    store = store_from_options()
    places = places_from_options(store)
    job_status(store, job.job_id)  # raises JobUnknown
    known = records(store, job.job_id)
    installed = require_toolchain(job.toolchain, ())
    clips = len(job.clips)
    with stop_requests() as asked, gauge() as show, _folder(work) as own:

        def tell(step: VerifyProgress) -> None:
            name = last_part(job.clips[step.index].outputs[0].uri)
            show(f"[{step.index + 1}/{clips}] {name}: {step.stage}", step.done, step.size)

        rechecked = verify_proxies(
            job, known, installed, Path(own), places=places, should_stop=asked, on_progress=tell
        )
    mismatch = verification_failure(rechecked)
    if current_settings().json:
        data: dict[str, Json] = {"job_id": job.job_id, "verified": mismatch is None}
        if mismatch is not None:
            from proxx.console.failures import failure_data

            data["error"] = failure_data(mismatch)
        data["clips"] = [_data(one) for one in rechecked]
        out_json(data)
        return mismatch.status if mismatch else 0
    if mismatch is not None:
        raise mismatch
    for one in rechecked:
        out(f"ok  {one.record.sha256 if one.record else ''}  {safe(one.output)}")
    out(f"Verified: {plural(clips, 'proxy', 'proxies')} of job {short_id(job.job_id)}, bytes and decoding.")
    return 0


def _folder(work: Path | None) -> tempfile.TemporaryDirectory[str]:
    """For copies and ffmpeg's words; gone afterwards. Raises WorkUnusable, DiskFull."""
    from proxx.files.workdir import unusable

    try:
        return tempfile.TemporaryDirectory(prefix="proxx-verify-", dir=work.absolute() if work else None)
    except OSError as why:
        raise unusable(why, "No folder can be made for the verification.") from why


def _data(one: VerifiedProxy) -> dict[str, Json]:
    return {
        "index": one.index,
        "output": one.output,
        "sha256": one.record.sha256 if one.record else None,
        "attempt": one.record.attempt if one.record else None,
        "frames": one.record.frames if one.record else None,
        "problem": {"code": one.problem.code, "message": one.problem.message} if one.problem else None,
    }
