"""The contracts as they stand, in files: what is kept here may change only on purpose.

`profile.toml`, `profile.json`, `job.json`, `result.json` and `event.json` were written once; today's code must
read them and write the same bytes. From them, and from the contracts themselves, every other file is derived:
canonical bytes, fingerprints, JSON schemas, the catalogue's fingerprints, the failure codes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from proxx.contracts.canonical import Json, canonical_bytes, pretty_bytes
from proxx.contracts.error_bases import ProxxError
from proxx.contracts.errors_by_code import ERROR_CLASSES
from proxx.contracts.event import (
    EVENT_SCHEMA,
    Event,
    Worker,
    event_bytes,
    make_event,
    parse_event,
    stamp,
)
from proxx.contracts.fingerprint import digest_bytes
from proxx.contracts.job import JOB_SCHEMA, JobSpec, LeftOut, read_spec, seal, spec_bytes
from proxx.contracts.model import Contract, load_contract
from proxx.contracts.profile import PROFILE_SCHEMA, ProfileSpec, catalogue, find_profile, parse_profile
from proxx.contracts.result import RESULT_SCHEMA, ExecutionResult, result_core, result_fingerprint
from tests.support import results, specs
from tests.support.results import canonical_log

FOLDER: Final = Path(__file__).parent / "files"
WHAT_IT_TAKES: Final = (
    "The contracts are not what the golden files hold. If that is meant, a deliberate change takes four things: "
    "new golden files (`python -m tests.golden.remake`, and read the diff), a new schema version number in the "
    "contract (`proxx.job/1` becomes `proxx.job/2`), a line in CHANGELOG.md, and specs of the older draft refused "
    "by name. If it is not meant, take the change back: jobs that exist would no longer be what they were."
)
MODELS: Final[Mapping[str, type[Contract]]] = {
    "profile": ProfileSpec, "job": JobSpec, "result": ExecutionResult, "event": Event,
}  # fmt: skip


def written_once() -> dict[str, bytes]:
    """The files everything is derived from, from today's samples. For remaking only."""
    job = specs.job(2)
    left = LeftOut(source="/media/A002.R3D", code="SOURCE_UNSUPPORTED", message="REDCINE-X reads it.")
    job = seal(job.model_copy(update={"left_out": (left,)}))
    result = results.result(
        results.completed(0), results.failed(1), results.not_run(2), stopped=results.failure("DISK_FULL")
    )
    moment = datetime(2026, 1, 31, 10, tzinfo=UTC)
    around = stamp(Worker(host="one", pid=17, user="editor"), "run-1", {"elapsed_ms": 5}, lambda: moment)
    around = around.model_copy(update={"nonce": "00000000-0000-0000-0000-000000000000"})
    return {
        "profile.toml": specs.PROFILE_TOML.lstrip().encode(),
        "profile.json": pretty_bytes(specs.profile().to_json()),
        "job.json": spec_bytes(job),
        "result.json": pretty_bytes(result.to_json()),
        "event.json": event_bytes(make_event(1, "clip.completed", {"clip": 0, "name": "é"}, around)),
    }


def derived(once: Mapping[str, bytes]) -> dict[str, bytes]:
    """Every golden file, by name, as today's code makes it from the five. Raises what today's code raises."""
    profile = parse_profile(once["profile.toml"].decode(), "profile.toml")
    job = read_spec(once["job.json"])
    result = load_contract(ExecutionResult, once["result.json"], RESULT_SCHEMA, "RESULT_INVALID")
    if isinstance(result, tuple):
        raise ValueError("; ".join(map(str, result)))
    event = parse_event(once["event.json"])
    content: dict[str, Json] = {key: value for key, value in job.to_json().items() if key not in ("job_id", "seals")}
    canonical = {
        "profile": canonical_bytes(profile.to_json()),
        "job": canonical_bytes(content),
        "toolchain": canonical_bytes(job.toolchain.to_json()),
        "clip": canonical_bytes(job.clips[0].to_json()),
        "result": canonical_bytes(result_core(result)),
        "event": canonical_bytes(canonical_log([event])[0]),
    }
    fingerprints: Json = {
        "records": {
            "profile": PROFILE_SCHEMA, "job": JOB_SCHEMA, "result": RESULT_SCHEMA, "event": EVENT_SCHEMA,
        },
        "profile": profile.fingerprint,
        "job_id": seal(job).job_id,
        "job_profile": job.profile.fingerprint,
        "toolchain": job.toolchain.fingerprint,
        "clips": [clip.fingerprint for clip in job.clips],
        "name": seal(job).seals.name,
        "left_out": seal(job).seals.left_out,
        "result": result_fingerprint(result_core(result)),
        "files": {name: digest_bytes(data) for name, data in once.items()},
    }  # fmt: skip
    files = {
        "profile.toml": once["profile.toml"],
        "profile.json": pretty_bytes(profile.to_json()),
        "job.json": spec_bytes(job),
        "result.json": pretty_bytes(result.to_json()),
        "event.json": event_bytes(event),
        "fingerprints.json": pretty_bytes(fingerprints),
        "catalogue.json": pretty_bytes({name: find_profile(name).fingerprint for name in catalogue()}),
        "codes.json": pretty_bytes(_codes()),
    }
    files |= {f"{name}.canonical.json": data for name, data in canonical.items()}
    return files | {f"{name}.schema.json": _schema(model) for name, model in MODELS.items()}


def _codes() -> dict[str, Json]:
    """Each failure code with the command's exit status."""
    kinds: dict[str, type[ProxxError]] = {**ERROR_CLASSES, ProxxError.code: ProxxError}
    return {code: kinds[code].status for code in sorted(kinds)}


def _schema(model: type[Contract]) -> bytes:
    """The model's JSON Schema without its prose: a docstring may be reworded, a contract not."""

    def bare(value: object) -> object:
        if isinstance(value, dict):
            prose = {key for key in ("title", "description") if isinstance(value.get(key), str)}
            return {key: bare(item) for key, item in value.items() if key not in prose}
        return [bare(item) for item in value] if isinstance(value, list) else value

    text = json.dumps(bare(model.model_json_schema(by_alias=True)), indent=2, sort_keys=True, ensure_ascii=False)
    return text.encode() + b"\n"


def remake(folder: Path = FOLDER) -> None:
    """Write all golden files anew."""
    once = written_once()
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, data in {**derived(once), **once}.items():
        (folder / name).write_bytes(data)


def differences(folder: Path = FOLDER) -> tuple[str, ...]:
    """What today's code makes otherwise than the golden files hold, one line each. Writes nothing."""
    kept = {file.name: file.read_bytes() for file in sorted(folder.iterdir())} if folder.is_dir() else {}
    once = ("profile.toml", "profile.json", "job.json", "result.json", "event.json")
    missing = tuple(f"{name}: the golden file is missing" for name in once if name not in kept)
    if missing:
        return missing
    try:
        today = derived({name: kept[name] for name in once})
    except Exception as why:  # whatever it is, it is told as a difference
        return (f"today's code does not read the golden files: {type(why).__name__}: {why}",)
    found = []
    for name in sorted(today.keys() | kept.keys()):
        if name not in kept:
            found.append(f"{name}: the golden file is missing")
        elif name not in today:
            found.append(f"{name}: no contract makes this file")
        elif today[name] != kept[name]:
            found.append(f"{name}: {_first_difference(kept[name], today[name])}")
    return tuple(found)


def _first_difference(kept: bytes, today: bytes) -> str:
    place = next((at for at, pair in enumerate(zip(kept, today, strict=False)) if pair[0] != pair[1]), -1)
    if place < 0:
        place = min(len(kept), len(today))
    around = slice(max(place - 30, 0), place + 30)
    was, is_now = (data[around].decode(errors="replace") for data in (kept, today))
    return f"byte {place}: kept …{was}…, today …{is_now}…"
