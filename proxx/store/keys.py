"""The names of the keys in a job store, which no other module knows. Pure.

Keys are lower-case ASCII names joined by `/`. No name begins with a dot, so a file store can keep its temporary files
beside the objects. Numbers are padded for readability (attempts to 4 digits, events 5, clips 3, claim generations 4)
and may be wider: sort by the numbers that `parse` returns, not by the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from proxx.contracts.fingerprint import digest_bytes
from proxx.contracts.output_names import normalized_name

Kind: TypeAlias = Literal[
    "store",
    "spec",
    "registered",
    "event",
    "clip_log",
    "result",
    "storage",
    "refusal",
    "claim",
    "index_begun",
    "index_registered",
    "index_taken",
    "index_ended",
]

STORE_KEY: Final = "store.json"
JOBS: Final = "jobs/"
OPEN: Final = "index/open/"
ENDED: Final = "index/ended/"

_NAME: Final = r"[a-z0-9][a-z0-9._-]*"
_KEY: Final = re.compile(rf"{_NAME}(/{_NAME})*")
_JOB: Final = r"(?P<job>[0-9a-z][0-9a-z-]{0,127})"
_JOB_ID: Final = re.compile(_JOB)
_ATTEMPT: Final = r"(?P<attempt>\d{4}|[1-9]\d{4,})"
_DAY: Final = r"(?P<name>\d{4}-\d\d-\d\d)"
_TIME: Final = r"(?P<time>\d{6})"  # of that day, UTC
_RUN: Final = r"[a-z0-9][a-z0-9-]{0,63}"
_RUN_ID: Final = re.compile(_RUN)
_OPEN: Final = rf"index/open/{_DAY}/{_JOB}"
_PATTERNS: Final[tuple[tuple[Kind, re.Pattern[str]], ...]] = (
    ("store", re.compile(r"store\.json")),
    ("spec", re.compile(rf"jobs/{_JOB}/spec\.json")),
    ("registered", re.compile(rf"jobs/{_JOB}/registered\.json")),
    ("event", re.compile(rf"jobs/{_JOB}/attempts/{_ATTEMPT}/events/(?P<number>\d{{5}}|[1-9]\d{{5,}})\.json")),
    ("clip_log", re.compile(rf"jobs/{_JOB}/attempts/{_ATTEMPT}/clips/(?P<number>\d{{3}}|[1-9]\d{{3,}})\.log")),
    ("result", re.compile(rf"jobs/{_JOB}/attempts/{_ATTEMPT}/result\.json")),
    ("storage", re.compile(rf"jobs/{_JOB}/attempts/{_ATTEMPT}/storage\.json")),
    ("refusal", re.compile(rf"jobs/{_JOB}/refusals/(?P<name>[0-9a-f-]{{36}})\.json")),
    ("claim", re.compile(r"claims/(?P<name>[0-9a-f]{64})/(?P<number>\d{4}|[1-9]\d{4,})")),
    ("index_begun", re.compile(rf"{_OPEN}/begun\.{_TIME}")),
    ("index_registered", re.compile(rf"{_OPEN}/registered\.{_TIME}")),
    ("index_taken", re.compile(rf"{_OPEN}/{_ATTEMPT}\.{_TIME}")),
    (
        "index_ended",
        re.compile(
            rf"index/ended/{_DAY}/{_JOB}/{_ATTEMPT}\.{_TIME}\.(?P<outcome>completed|failed-[a-z0-9_]*|unlocked|retired)(\.(?P<run>{_RUN}))?"
        ),
    ),
)
_FROM_ZERO: Final = frozenset({"clip_log"})  # clips are numbered from 0, everything else from 1


@dataclass(frozen=True)
class Parsed:
    """The parts of a key.

    number: of an event, clip or claim generation. name: a claim's digest, a refusal's uuid or the day of an index
    key. time, outcome, run: of an index key, "" if it has none.
    """

    kind: Kind
    job_id: str = ""
    attempt: int = 0
    number: int = 0
    name: str = ""
    time: str = ""
    outcome: str = ""
    run: str = ""


def parse(key: str) -> Parsed | None:
    """Returns the parts of `key`, or None if it is not a key of this layout (a foreign object, not an error)."""
    for kind, pattern in _PATTERNS:
        if match := pattern.fullmatch(key):
            part = match.groupdict()
            attempt, number = part.get("attempt"), part.get("number")
            if attempt is not None and int(attempt) < 1:
                return None
            if number is not None and int(number) < 1 and kind not in _FROM_ZERO:
                return None
            return Parsed(
                kind,
                part.get("job") or "",
                int(attempt or 0),
                int(number or 0),
                part.get("name") or "",
                *(part.get(group) or "" for group in ("time", "outcome", "run")),
            )
    return None


def is_key(text: str) -> bool:
    """Returns whether a store may hold an object of this name: no dot files, no `..`, no absolute path."""
    return text.isascii() and _KEY.fullmatch(text) is not None


def is_job_id(text: str) -> bool:
    """Returns whether `text` has the form of a job's id. It becomes a folder name, so check it before any use."""
    return text.isascii() and _JOB_ID.fullmatch(text) is not None


def _job(job_id: str) -> str:
    if not is_job_id(job_id):
        raise ValueError(f"{job_id!r} is not a job's id")
    return f"{JOBS}{job_id}/"


def _number(value: int, digits: int, least: int = 1) -> str:
    if value < least:
        raise ValueError(f"{value} is less than {least}")
    return f"{value:0{digits}d}"


def spec_key(job_id: str) -> str:
    return f"{_job(job_id)}spec.json"


def registered_key(job_id: str) -> str:
    return f"{_job(job_id)}registered.json"


def attempts_folder(job_id: str) -> str:
    return f"{_job(job_id)}attempts/"


def _attempt(job_id: str, attempt: int) -> str:
    return f"{attempts_folder(job_id)}{_number(attempt, 4)}/"


def event_key(job_id: str, attempt: int, number: int) -> str:
    return f"{_attempt(job_id, attempt)}events/{_number(number, 5)}.json"


def clip_log_key(job_id: str, attempt: int, clip: int) -> str:
    return f"{_attempt(job_id, attempt)}clips/{_number(clip, 3, 0)}.log"


def result_key(job_id: str, attempt: int) -> str:
    return f"{_attempt(job_id, attempt)}result.json"


def storage_key(job_id: str, attempt: int) -> str:
    """Returns the key of the storage incidents that came too late for the attempt's last event."""
    return f"{_attempt(job_id, attempt)}storage.json"


def refusals_folder(job_id: str) -> str:
    return f"{_job(job_id)}refusals/"


def refusal_key(job_id: str, uuid: str) -> str:
    return f"{refusals_folder(job_id)}{uuid}.json"


# --- the index: empty objects that make listings quick; no decision depends on them --------------------------
# `time` is the time of the record's envelope, `2026-01-31T12:00:00.000000Z`.


def index_begun_key(time: str, job_id: str) -> str:
    """Returns the key created before a registration is committed, so every registered job has one."""
    return f"{_open(time, job_id)}begun.{_clock(time)}"


def index_registered_key(time: str, job_id: str) -> str:
    """Returns the key created after a registration was committed; it can be missing."""
    return f"{_open(time, job_id)}registered.{_clock(time)}"


def index_taken_key(time: str, job_id: str, attempt: int) -> str:
    """Returns the key created before an attempt is taken, so every attempt has one."""
    return f"{_open(time, job_id)}{_number(attempt, 4)}.{_clock(time)}"


def index_ended_key(time: str, job_id: str, attempt: int, outcome: str, run_id: str) -> str:
    """Returns the key created after an attempt was closed; it can be missing.

    outcome: `completed`, `failed-<code>`, `unlocked` or `retired`.
    """
    _job(job_id)
    run = f".{run_id}" if _RUN_ID.fullmatch(run_id) else ""
    return f"{ENDED}{time[:10]}/{job_id}/{_number(attempt, 4)}.{_clock(time)}.{outcome.lower()}{run}"


def _open(time: str, job_id: str) -> str:
    _job(job_id)
    return f"{OPEN}{time[:10]}/{job_id}/"


def _clock(time: str) -> str:
    return time[11:19].replace(":", "")


def claim_digest(uri: str) -> str:
    """Returns the digest of an output's name.

    It is equal for all names that are the same file on some file system used for media: upper or lower case, composed
    or decomposed Unicode.
    """
    return digest_bytes(normalized_name(uri).encode()).removeprefix("sha256:")


def claim_key(uri: str, generation: int) -> str:
    return f"claims/{claim_digest(uri)}/{_number(generation, 4)}"
