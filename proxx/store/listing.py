"""All jobs at a glance: told from listings, a thousand keys a request, and read only where a listing does not tell.

The listing of the jobs says which attempts and events there are; the index says how an attempt ended. The index is
written after the fact and decides nothing: what it lacks is read from the events, and a job it has never heard of is
in the listing all the same. With a day to begin from, the index alone is listed; every registration and every
attempt is in it before it begins, so nothing that happened since is missed. What happened to a job is looked for from
the day before on: a machine whose clock is behind may have written it there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

from proxx.contracts.errors import JobUnknown
from proxx.store.base import Store
from proxx.store.keys import ENDED, JOBS, OPEN, Parsed, parse
from proxx.store.status import AttemptStatus, JobStatus, State, job_status

_FAILED: Final = "failed-"
_LATE: Final = "235000"  # ten minutes: longer than any request may take


@dataclass
class _Seen:
    """What listings say of one job. events: attempt to the numbers of its events. taken: attempts by the index."""

    spec: bool = False
    registered: str | None = None
    refused: bool = False
    events: dict[int, list[int]] = field(default_factory=dict)
    taken: int = 0


def list_jobs(store: Store, since: date | None = None) -> Iterator[JobStatus]:
    """Every job the store has anything of, by id; with `since`, those that something happened to on that day (UTC)
    or later. Raises StoreUnavailable.
    """
    if since is None:
        ended = _ended(store)
        registered = _registered(store)
        for job_id, seen in _jobs(store):
            seen.registered = registered.get(job_id, "") if seen.registered is not None else None
            brief = _from_listing(job_id, seen, ended.get(job_id, {}))
            yield from _told(store, job_id, brief)
        return
    day, eve = since.isoformat(), (since - timedelta(days=1)).isoformat()
    ended = _ended(store, eve)
    opened, wanted = _opened(store, day, eve)
    wanted |= {job_id for job_id, ends in ended.items() if any(end.name >= day for end in ends.values())}
    for job_id in sorted(wanted):
        seen = opened.get(job_id, _Seen())
        yield from _told(store, job_id, _from_index(job_id, seen, ended.get(job_id, {})))


def _told(store: Store, job_id: str, brief: JobStatus | None) -> Iterator[JobStatus]:
    if brief is not None:
        yield brief
        return
    with suppress(JobUnknown):  # a folder with nothing of ours in it
        yield job_status(store, job_id)


def _from_listing(job_id: str, seen: _Seen, ended: dict[int, Parsed]) -> JobStatus | None:
    """None where the listing does not tell all: an attempt that is open or not in the index, a gap, an operator's
    reason, a refusal.
    """
    attempts = sorted(seen.events)
    if seen.refused or not seen.spec or seen.registered is None or attempts != list(range(1, len(attempts) + 1)):
        return None
    if any(sorted(numbers) != list(range(1, len(numbers) + 1)) for numbers in seen.events.values()):
        return None
    if any(attempt not in ended for attempt in attempts) or _decided(ended):
        return None
    told = tuple(_attempt(ended[attempt], len(seen.events[attempt])) for attempt in attempts)
    return _brief(job_id, seen.registered, told)


def _from_index(job_id: str, seen: _Seen, ended: dict[int, Parsed]) -> JobStatus | None:
    """None where an attempt may be open, or where it is not certain that the job is registered."""
    latest = max(ended, default=0)
    if seen.taken > latest or (latest == 0 and seen.registered is None) or _decided(ended):
        return None
    return _brief(job_id, seen.registered or "", tuple(_attempt(ended[one], 0) for one in sorted(ended)))


def _decided(ended: dict[int, Parsed]) -> bool:
    """Whether an operator ended the latest attempt: the reason given is in the event alone."""
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
    time = key.time
    return f"{key.name}T{time[:2]}:{time[2:4]}:{time[4:]}Z"


# --- the listings ----------------------------------------------------------------------------------------


def _jobs(store: Store) -> Iterator[tuple[str, _Seen]]:
    """One job after the other, as their keys come."""
    current, seen = "", _Seen()
    for key in store.walk(JOBS):
        found = parse(key)
        job_id = found.job_id if found else key[len(JOBS) :].partition("/")[0]
        if job_id != current:
            if current:
                yield current, seen
            current, seen = job_id, _Seen()
        match found:
            case Parsed(kind="spec"):
                seen.spec = True
            case Parsed(kind="registered"):
                seen.registered = ""
            case Parsed(kind="refusal"):
                seen.refused = True
            case Parsed(kind="event", attempt=attempt, number=number):
                seen.events.setdefault(attempt, []).append(number)
            case _:
                pass
    if current:
        yield current, seen


def _registered(store: Store) -> dict[str, str]:
    """When jobs were registered, by the index."""
    keys = (found for key in store.walk(OPEN) if (found := parse(key)))
    return {found.job_id: _moment(found) for found in keys if found.kind == "index_registered"}


def _opened(store: Store, day: str, eve: str) -> tuple[dict[str, _Seen], set[str]]:
    """Jobs that were registered, or had an attempt taken, since the eve; which of them since the day.

    These keys are made before what they announce: those of the last minutes of the day before count too.
    """
    opened: dict[str, _Seen] = {}
    since: set[str] = set()
    for key in store.walk(OPEN, after=f"{OPEN}{eve}"):
        if found := parse(key):
            seen = opened.setdefault(found.job_id, _Seen())
            if found.name >= day or found.time >= _LATE:
                since.add(found.job_id)
            match found.kind:
                case "index_registered":
                    seen.registered = _moment(found)
                case "index_taken":
                    seen.taken = max(seen.taken, found.attempt)
                case _:
                    pass
    return opened, since


def _ended(store: Store, day: str = "") -> dict[str, dict[int, Parsed]]:
    """Attempts that have ended, from the day on, by job and number. The latest key of one that ended twice counts."""
    ended: dict[str, dict[int, Parsed]] = {}
    after = f"{ENDED}{day}" if day else ""
    for key in store.walk(ENDED, after=after):
        if (found := parse(key)) and found.kind == "index_ended":
            ended.setdefault(found.job_id, {})[found.attempt] = found
    return ended
