"""`proxx verify`: are the published proxies still what the job made?"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxx.console.settings import current, json_option, roots_option, spec_data, store_option, the_places, the_store
from proxx.console.wording import many, name_of, out, out_json, safe, short

if TYPE_CHECKING:
    from proxx.contracts.canonical import Json
    from proxx.proof.verify import Rechecked


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
    from proxx.ffmpeg.toolchain import admit
    from proxx.proof.verify import Reading, recheck, records, verdict
    from proxx.store.status import job_status

    job = read_spec(spec_data(spec))
    store = the_store()
    places = the_places(store)
    job_status(store, job.job_id)  # raises JobUnknown
    known = records(store, job.job_id)
    installed = admit(job.toolchain, ())
    clips = len(job.clips)
    with stop_requests() as asked, gauge() as show, _folder(work) as own:

        def tell(step: Reading) -> None:
            name = name_of(job.clips[step.index].outputs[0].uri)
            show(f"[{step.index + 1}/{clips}] {name}: {step.stage}", step.done, step.size)

        rechecked = recheck(job, known, installed, Path(own), places=places, should_stop=asked, on_progress=tell)
    mismatch = verdict(rechecked)
    if current().json:
        data: dict[str, Json] = {"job_id": job.job_id, "verified": mismatch is None}
        if mismatch is not None:
            from proxx.console.failures import as_data

            data["error"] = as_data(mismatch)
        data["clips"] = [_data(one) for one in rechecked]
        out_json(data)
        return mismatch.status if mismatch else 0
    if mismatch is not None:
        raise mismatch
    for one in rechecked:
        out(f"ok  {one.record.sha256 if one.record else ''}  {safe(one.output)}")
    out(f"Verified: {many(clips, 'proxy', 'proxies')} of job {short(job.job_id)}, bytes and decoding.")
    return 0


def _folder(work: Path | None) -> tempfile.TemporaryDirectory[str]:
    """For copies and ffmpeg's words; gone afterwards. Raises WorkUnusable, DiskFull."""
    from proxx.files.workdir import unusable

    try:
        return tempfile.TemporaryDirectory(prefix="proxx-verify-", dir=work.absolute() if work else None)
    except OSError as why:
        raise unusable(why, "No folder can be made for the verification.") from why


def _data(one: Rechecked) -> dict[str, Json]:
    return {
        "index": one.index,
        "output": one.output,
        "sha256": one.record.sha256 if one.record else None,
        "attempt": one.record.attempt if one.record else None,
        "frames": one.record.frames if one.record else None,
        "problem": {"code": one.problem.code, "message": one.problem.message} if one.problem else None,
    }
