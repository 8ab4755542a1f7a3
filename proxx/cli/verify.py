"""`proxx verify`: checks that the published proxies are still what the job made."""

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
    help="The folder for local copies of proxies in object storage, one at a time. "
    "Default: the system's temporary folder.",
)
@store_option
@roots_option
@json_option
def verify(spec: Path, work: Path | None) -> int:
    """Check every published proxy of SPEC: it exists, its sha256 is the recorded one, and it decodes to its end.

    Nothing is changed. All proxies are checked before the problems are listed.
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
    recorded = records(store, job.job_id)
    installed = require_toolchain(job.toolchain, ())
    clips = len(job.clips)
    with stop_requests() as stop, gauge() as show, _work_folder(work) as folder:

        def on_progress(step: VerifyProgress) -> None:
            name = last_part(job.clips[step.index].outputs[0].uri)
            show(f"[{step.index + 1}/{clips}] {name}: {step.stage}", step.done, step.size)

        verified = verify_proxies(
            job, recorded, installed, Path(folder), places=places, should_stop=stop, on_progress=on_progress
        )
    mismatch = verification_failure(verified)
    if current_settings().json:
        data: dict[str, Json] = {"job_id": job.job_id, "verified": mismatch is None}
        if mismatch is not None:
            from proxx.console.failures import failure_data

            data["error"] = failure_data(mismatch)
        data["clips"] = [_data(proxy) for proxy in verified]
        out_json(data)
        return mismatch.status if mismatch else 0
    if mismatch is not None:
        raise mismatch
    for proxy in verified:
        out(f"ok  {proxy.record.sha256 if proxy.record else ''}  {safe(proxy.output)}")
    count = plural(clips, "proxy", "proxies")
    out(f"Verified: {count} of job {short_id(job.job_id)}: the bytes are as recorded, and all of them decode.")
    return 0


def _work_folder(work: Path | None) -> tempfile.TemporaryDirectory[str]:
    """Creates a temporary folder for copies and ffmpeg logs. Raises WorkUnusable, DiskFull."""
    from proxx.files.workdir import unusable

    try:
        return tempfile.TemporaryDirectory(prefix="proxx-verify-", dir=work.absolute() if work else None)
    except OSError as error:
        raise unusable(error, "No folder can be created for the verification.") from error


def _data(proxy: VerifiedProxy) -> dict[str, Json]:
    record, problem = proxy.record, proxy.problem
    return {
        "index": proxy.index,
        "output": proxy.output,
        "sha256": record.sha256 if record else None,
        "attempt": record.attempt if record else None,
        "frames": record.frames if record else None,
        "problem": {"code": problem.code, "message": problem.message} if problem else None,
    }
