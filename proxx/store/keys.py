"""The job store's key names: the only module that knows them. Pure.

Keys are lower-case ASCII names joined by `/`; no name begins with a dot, so that a file store may keep its
temporary files beside the objects. Numbers are padded for the eye (attempts 4 digits, events 5, clips 3,
claim generations 4) and may be wider: sort by what `parse` says, not by the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from proxx.contracts.fingerprint import digest_bytes
from proxx.contracts.naming import normalized_name

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
_FROM_ZERO: Final = frozenset({"clip_log"})  # clips are counted from 0, everything else from 1


@dataclass(frozen=True)
class Parsed:
    """What a key names. name: a claim's digest, a refusal's uuid or an index day; number: event, clip, generation.

    time, outcome, run: of an index key, "" where it does not say.
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
    """The parts of `key`, or None for a name this layout does not give (it is nobody's: never an error)."""
    for kind, pattern in _PATTERNS:
        if found := pattern.fullmatch(key):
            part = found.groupdict()
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
                *(part.get(rest) or "" for rest in ("time", "outcome", "run")),
            )
    return None


def is_key(text: str) -> bool:
    """Whether a store may hold an object of this name: no dot files, no `..`, no absolute path."""
    return text.isascii() and _KEY.fullmatch(text) is not None


def is_job_id(text: str) -> bool:
    """Whether `text` has the form of a job's id: it becomes a folder name, so nothing else is let near a store."""
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
    """What storage did on the way after the last event that could tell it."""
    return f"{_attempt(job_id, attempt)}storage.json"


def refusals_folder(job_id: str) -> str:
    return f"{_job(job_id)}refusals/"


def refusal_key(job_id: str, uuid: str) -> str:
    return f"{refusals_folder(job_id)}{uuid}.json"


# --- the index: empty keys for listings, which decide nothing ------------------------------------------------
# `time` is that of the record's envelope, `2026-01-31T12:00:00.000000Z`.


def index_begun_key(time: str, job_id: str) -> str:
    """Before a registration is committed: no registered job is without one."""
    return f"{_open(time, job_id)}begun.{_clock(time)}"


def index_registered_key(time: str, job_id: str) -> str:
    """After it was."""
    return f"{_open(time, job_id)}registered.{_clock(time)}"


def index_taken_key(time: str, job_id: str, attempt: int) -> str:
    """Before an attempt is taken: no attempt is without one."""
    return f"{_open(time, job_id)}{_number(attempt, 4)}.{_clock(time)}"


def index_ended_key(time: str, job_id: str, attempt: int, outcome: str, run_id: str) -> str:
    """After an attempt was closed. outcome: `completed`, `failed-<code>`, `unlocked`, `retired`."""
    _job(job_id)
    run = f".{run_id}" if _RUN_ID.fullmatch(run_id) else ""
    return f"{ENDED}{time[:10]}/{job_id}/{_number(attempt, 4)}.{_clock(time)}.{outcome.lower()}{run}"


def _open(time: str, job_id: str) -> str:
    _job(job_id)
    return f"{OPEN}{time[:10]}/{job_id}/"


def _clock(time: str) -> str:
    return time[11:19].replace(":", "")


def claim_digest(uri: str) -> str:
    """The same for all names that are one file on some file system media travels over."""
    return digest_bytes(normalized_name(uri).encode()).removeprefix("sha256:")


def claim_key(uri: str, generation: int) -> str:
    return f"claims/{claim_digest(uri)}/{_number(generation, 4)}"
