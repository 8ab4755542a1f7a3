"""Lists all jobs from listings, a thousand keys a request, and reads events only where a listing is not enough.

The listing of the jobs shows which attempts and events exist; the index shows how an attempt ended. The index is
written afterwards and no decision depends on it: what it lacks is read from the events, and a job that is not in it
is still in the listing. With a day to begin from, only the index is listed. Every registration and every attempt is
in the index before it begins, so nothing that happened since is missed. The index is listed from the day before on,
because a machine whose clock is behind may have written its keys there, and further back if one create may take
longer than a day.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Final

from proxx.contracts.errors import JobUnknown
from proxx.s3.transport import RESENDS
from proxx.store.base import Store
from proxx.store.keys import ENDED, JOBS, OPEN, Parsed, parse
from proxx.store.opening import store_identity
from proxx.store.s3 import longest_create
from proxx.store.status import AttemptStatus, JobStatus, State, job_status

_FAILED: Final = "failed-"


@dataclass
class _ListedJob:
    """What listings show of one job.

    events: attempt to its event numbers. taken: the latest attempt in the index. latest, latest_taken: the times of
    the latest index keys of any kind and of a taken attempt, "" if none.
    """

    spec: bool = False
    registered: str | None = None
    refused: bool = False
    events: dict[int, list[int]] = field(default_factory=dict)
    taken: int = 0
    latest: str = ""
    latest_taken: str = ""


def list_jobs(store: Store, since: date | None = None) -> Iterator[JobStatus]:
    """Yields every job the store has any object of, by id.

    since: only jobs that were registered, or had an attempt taken or ended, on that day (UTC) or later.
    Raises StoreUnavailable, StoreDamaged.
    """
    if since is None:
        ended = _ended(store)
        registered = _registered(store)
        for job_id, listed in _listed_jobs(store):
            listed.registered = registered.get(job_id, "") if listed.registered is not None else None
            brief = _from_listing(job_id, listed, ended.get(job_id, {}))
            yield from _brief_or_read(store, job_id, brief)
        return
    day = since.isoformat()
    begin = _earliest_key(store, since)
    first_day = min(begin[:10], _day_before(since))
    ended = _ended(store, first_day)
    opened = _opened(store, first_day)
    changed = {job_id for job_id, listed in opened.items() if listed.latest >= day}
    changed |= {job_id for job_id, ends in ended.items() if any(end.name >= day for end in ends.values())}
    perhaps_changed = {job_id for job_id, listed in opened.items() if listed.latest_taken >= begin} - changed
    for job_id in sorted(changed | perhaps_changed):
        brief = _from_index(job_id, opened.get(job_id, _ListedJob()), ended.get(job_id, {}))
        if job_id in changed:
            yield from _brief_or_read(store, job_id, brief)
        elif brief is None:  # else all its attempts ended before the day
            yield from (status for status in _brief_or_read(store, job_id, None) if _happened(status, day))


def _day_before(day: date) -> str:
    return (day - timedelta(days=1) if day > date.min else day).isoformat()


def _earliest_key(store: Store, since: date) -> str:
    """Returns the time (`2026-01-31T12:05:00`) of the oldest index key whose attempt may have been taken on `since`.

    The key is created before the attempt's first event, so the event is later by the duration of one create, which
    is at most `longest_create` with the resends of this store.
    """
    identity = store_identity(store)
    start = datetime.combine(since, time())
    margin = min(longest_create(identity.resends if identity else RESENDS), (start - datetime.min).total_seconds())
    return (start - timedelta(seconds=margin)).isoformat(timespec="seconds")


def _happened(status: JobStatus, day: str) -> bool:
    """Returns whether an attempt began or ended on `day` or later; also true if the events cannot tell."""
    times = [moment for attempt in status.attempts for moment in (attempt.since, attempt.ended or "")]
    return status.state is State.DAMAGED or any(moment >= day for moment in times)


def _brief_or_read(store: Store, job_id: str, brief: JobStatus | None) -> Iterator[JobStatus]:
    """Yields `brief`, or the status read from the events if `brief` is None."""
    if brief is not None:
        yield brief
        return
    with suppress(JobUnknown):  # a folder with only foreign objects in it
        yield job_status(store, job_id)


def _from_listing(job_id: str, listed: _ListedJob, ended: dict[int, Parsed]) -> JobStatus | None:
    """Returns the job's status, or None if the listing is not enough.

    It is not enough for an attempt that is open or not in the index, a gap, an operator's reason, or a refusal.
    """
    attempts = sorted(listed.events)
    if listed.refused or not listed.spec or listed.registered is None:
        return None
    if attempts != list(range(1, len(attempts) + 1)):
        return None
    if any(sorted(numbers) != list(range(1, len(numbers) + 1)) for numbers in listed.events.values()):
        return None
    if any(attempt not in ended for attempt in attempts) or _ended_by_operator(ended):
        return None
    statuses = tuple(_attempt(ended[attempt], len(listed.events[attempt])) for attempt in attempts)
    return _brief(job_id, listed.registered, statuses)


def _from_index(job_id: str, listed: _ListedJob, ended: dict[int, Parsed]) -> JobStatus | None:
    """Returns the job's status, or None if an attempt may be open or the job may not be registered."""
    latest = max(ended, default=0)
    if listed.taken > latest or (latest == 0 and listed.registered is None) or _ended_by_operator(ended):
        return None
    return _brief(job_id, listed.registered or "", tuple(_attempt(ended[number], 0) for number in sorted(ended)))


def _ended_by_operator(ended: dict[int, Parsed]) -> bool:
    """Returns whether an operator ended the latest attempt: the reason is only in the event."""
    return bool(ended) and ended[max(ended)].outcome in ("unlocked", "retired")


def _brief(job_id: str, registered: str, attempts: tuple[AttemptStatus, ...]) -> JobStatus:
    return JobStatus(
        job_id=job_id,
        state=attempts[-1].state if attempts else State.REGISTERED,
        brief=True,
        registered=True,
        registered_at=registered or None,
        attempts=attempts,
    )


def _attempt(end: Parsed, events: int) -> AttemptStatus:
    failed = end.outcome.startswith(_FAILED)
    code = end.outcome.removeprefix(_FAILED).upper() if failed else ""
    state = State.FAILED if failed else State(end.outcome.upper())
    return AttemptStatus(
        attempt=end.attempt,
        state=state,
        run_id=end.run if state in (State.COMPLETED, State.FAILED) else "",
        ended=_moment(end),
        code=code or None,
        events=events,
    )


def _moment(key: Parsed) -> str:
    """Returns the time of an index key, `2026-01-31T12:05:00Z`."""
    clock = key.time
    return f"{key.name}T{clock[:2]}:{clock[2:4]}:{clock[4:]}Z"


# --- the listings ----------------------------------------------------------------------------------------


def _listed_jobs(store: Store) -> Iterator[tuple[str, _ListedJob]]:
    """Yields one job after the other, in the order of their keys."""
    current, listed = "", _ListedJob()
    for key in store.walk(JOBS):
        parsed = parse(key)
        job_id = parsed.job_id if parsed else key[len(JOBS) :].partition("/")[0]
        if job_id != current:
            if current:
                yield current, listed
            current, listed = job_id, _ListedJob()
        match parsed:
            case Parsed(kind="spec"):
                listed.spec = True
            case Parsed(kind="registered"):
                listed.registered = ""
            case Parsed(kind="refusal"):
                listed.refused = True
            case Parsed(kind="event", attempt=attempt, number=number):
                listed.events.setdefault(attempt, []).append(number)
            case _:
                pass
    if current:
        yield current, listed


def _registered(store: Store) -> dict[str, str]:
    """Returns the time of registration of each job in the index."""
    keys = (parsed for key in store.walk(OPEN) if (parsed := parse(key)))
    return {parsed.job_id: _moment(parsed) for parsed in keys if parsed.kind == "index_registered"}


def _opened(store: Store, first_day: str) -> dict[str, _ListedJob]:
    """Returns the jobs that were registered or had an attempt taken since `first_day`, as the index shows them."""
    opened: dict[str, _ListedJob] = {}
    for key in store.walk(OPEN, after=f"{OPEN}{first_day}"):
        if parsed := parse(key):
            listed = opened.setdefault(parsed.job_id, _ListedJob())
            listed.latest = max(listed.latest, _moment(parsed))
            match parsed.kind:
                case "index_registered":
                    listed.registered = _moment(parsed)
                case "index_taken":
                    listed.taken = max(listed.taken, parsed.attempt)
                    listed.latest_taken = max(listed.latest_taken, _moment(parsed))
                case _:
                    pass
    return opened


def _ended(store: Store, day: str = "") -> dict[str, dict[int, Parsed]]:
    """Returns the attempts that have ended, from `day` on, by job and number.

    If an attempt has two keys, the later one counts.
    """
    ended: dict[str, dict[int, Parsed]] = {}
    after = f"{ENDED}{day}" if day else ""
    for key in store.walk(ENDED, after=after):
        if (parsed := parse(key)) and parsed.kind == "index_ended":
            ended.setdefault(parsed.job_id, {})[parsed.attempt] = parsed
    return ended
