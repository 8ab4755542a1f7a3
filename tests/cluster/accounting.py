"""What is left after a storm, counted and compared: from the ledger, the bucket and `proxx audit` alone."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from proxx.contracts.event import Event
from proxx.files.preflight import TRIAL
from proxx.store.attempts import Attempt, Closed, read_attempts
from proxx.store.status import State, job_status
from tests.cluster.card import Card, Told
from tests.cluster.fleet import Share
from tests.cluster.plan import Blow
from tests.cluster.rounds import Struck

KINDS: Final = ("completed", "failed", "interrupted", "held", "closed by an operator", "never begun")


@dataclass(frozen=True)
class Account:
    """Each job's kind by the ledger, and audit's verdict on it."""

    kinds: Mapping[str, str]
    verdicts: Mapping[str, str]

    def counts(self) -> dict[str, int]:
        found = Counter(self.kinds.values())
        return {kind: found[kind] for kind in KINDS}


def kind_of(share: Share, job_id: str) -> str:
    status = job_status(share.store, job_id)
    match status.state:
        case State.COMPLETED:
            return "completed"
        case State.FAILED:
            assert status.latest is not None
            return "interrupted" if status.latest.code == "INTERRUPTED" else "failed"
        case State.HELD:
            return "held"
        case State.UNLOCKED:
            return "closed by an operator"
        case State.REGISTERED:
            return "never begun"
        case other:
            raise AssertionError(f"{job_id} is {other}: {status.problems}")


def account(share: Share, card: Card) -> Account:
    """Every submitted job in exactly one kind, and named by audit exactly once. Audit's own sum adds up."""
    said = share.audit()
    named = [found["job_id"] for found in said["jobs"]]
    ids = {job.job_id: name for name, job in card.jobs.items()}
    assert sorted(named) == sorted(ids), "audit names other jobs than were submitted"
    assert said["counts"]["jobs"] == len(ids) == sum(said["counts"]["verdicts"].values())
    verdicts = {ids[found["job_id"]]: str(found["verdict"]) for found in said["jobs"]}
    kinds = {name: kind_of(share, job.job_id) for name, job in card.jobs.items()}
    for name, kind in kinds.items():
        assert verdicts[name] in AUDITED[kind], (name, kind, verdicts[name])
    return Account(kinds, verdicts)


AUDITED: Final[dict[str, set[str]]] = {
    "completed": {"COMPLETED"},
    "failed": {"FAILED", "WAITING", "RUNNING"},
    "interrupted": {"FAILED", "WAITING", "RUNNING"},
    "held": {"HELD", "RUNNING"},  # RUNNING until the heartbeats of the run are missed
    "closed by an operator": {"LOST", "WAITING", "RUNNING"},
    "never begun": {"LOST", "WAITING", "RUNNING", "UNKNOWN_TO_PREFECT"},
}
"""What audit may call a job of each kind."""


def attempts(share: Share, card: Card) -> dict[str, tuple[Attempt, ...]]:
    return {name: read_attempts(share.store, job.job_id) for name, job in card.jobs.items()}


def check_ledger(share: Share, card: Card, tries: int | None = None) -> int:
    """Nothing ran twice: each attempt was taken once, and by all its events by one identity. How many attempts.

    tries: of a job, at most.
    """
    count = 0
    for name, tried in attempts(share, card).items():
        assert tries is None or len(tried) <= tries, f"{name} was begun again by nobody"
        assert [one.number for one in tried] == list(range(1, len(tried) + 1)), name
        for one in tried:
            count += 1
            assert not one.problems, (name, one.problems)
            assert [event.number for event in one.events] == list(range(1, len(one.events) + 1))
            assert [event.type for event in one.events].count("lock.acquired") == 1
            own = [event for event in one.events if event.type != "unlocked"]
            who = {(str(event.envelope.worker), event.envelope.run_id) for event in own}
            assert len(who) == 1, (name, who)
            _in_order(name, own)
        assert all(isinstance(one.state, Closed) for one in tried[:-1]), name
    runs = [one.events[0].envelope.run_id for tried in attempts(share, card).values() for one in tried]
    assert len(set(runs)) == len(runs), "one run took two attempts"
    return count


def _in_order(name: str, events: list[Event]) -> None:
    """Clips one after another; nothing is completed that was not announced with the same sha256."""
    started = [event.data["clip"] for event in events if event.type == "clip.started"]
    assert started == list(range(len(started))), name
    announced = {event.data["clip"]: event.data["sha256"] for event in events if event.type == "clip.publishing"}
    for event in events:
        if event.type == "clip.completed":
            assert announced[event.data["clip"]] == event.data["sha256"], name


def check_outputs(share: Share, card: Card, reference: Mapping[str, Told]) -> int:
    """Every object is whole, announced by an event of its job, and what the unscaled run made. How many there are."""
    found = share.outputs()
    made = {place: data for place, data in found.items() if TRIAL not in place}  # a killed trial stays, by its name
    known = {place: digest for told in reference.values() for place, digest in told.outputs.items()}
    announced = {
        (event.data["output"], event.data["sha256"])
        for tried in attempts(share, card).values()
        for one in tried
        for event in one.events
        if event.type == "clip.publishing"
    }
    for place, data in made.items():
        digest = hashlib.sha256(data).hexdigest()
        assert known.get(place) == digest, f"{place} is not what the unscaled run made"
        assert (f"proxies:/{place}", f"sha256:{digest}") in announced or (f"proxies:/{place}", digest) in announced, (
            f"{place} was published without being announced"
        )
    for name, tried in attempts(share, card).items():
        for event in (event for one in tried for event in one.events if event.type == "clip.completed"):
            place = str(event.data["output"]).removeprefix("proxies:/")
            assert place in made, f"{name}: {place} was completed and is not there"
    assert share.fleet.bucket.uploads(share.proxies) == []
    return len(made)


def check_unhit(share: Share, card: Card, reference: Mapping[str, Told], blows: Sequence[Struck]) -> list[str]:
    """Jobs that no blow met say, and made, exactly what they do unscaled; those that were met too, or they failed by
    the blow and not by their clips. Which say the same.
    """
    same = []
    for name, tried in attempts(share, card).items():
        if not tried:
            continue
        state = tried[0].state
        result: dict[str, Any] = (state.result or {}) if isinstance(state, Closed) else {}
        if result.get("fingerprint") == reference[name].fingerprint:
            told, wanted = vars(share.told(card, name)), vars(reference[name])
            assert {key: value for key, value in told.items() if value != wanted[key]} == {}, name
            same.append(name)
            continue
        assert was_hit(tried[0], blows), f"no blow met {name}, and it is not what it is unscaled: {state}"
        assert result.get("status") != "COMPLETED", f"{name} completed with another fingerprint"
        expected = {index: code for index, code, _ in reference[name].failures}
        for clip in result.get("clips", ()):
            code = (clip["failure"] or {}).get("code")
            assert code in (None, expected.get(clip["index"]), *BY_A_BLOW), (name, clip)
    return same


def was_hit(attempt: Attempt, blows: Sequence[Struck]) -> bool:
    """Whether one of them fell on its host, or on all, while it was made, or shortly before."""
    times = [datetime.fromisoformat(event.envelope.time) for event in attempt.events]
    host = attempt.events[0].envelope.worker.host
    end = times[-1] if isinstance(attempt.state, Closed) else datetime.now(UTC)
    return any(
        one.host in (None, host)
        # A clock that was wrong makes the times of its host worth nothing.
        and (one.blow is Blow.CLOCK_WRONG or (one.began <= end and times[0] <= one.ended + AFTERWARDS))
        for one in blows
    )


AFTERWARDS: Final = timedelta(seconds=30)  # in which what a blow left behind can still be met
BY_A_BLOW: Final = ("INTERRUPTED", "LEDGER_FAILED", "LOCK_LOST", "SOURCE_UNREADABLE", "OUTPUT_UNWRITABLE")


def latest_fingerprint(share: Share, card: Card, name: str) -> str | None:
    """Of the job's latest attempt, where that has ended with a result."""
    latest = job_status(share.store, card.jobs[name].job_id).latest
    return latest.fingerprint if latest else None


def check_final(share: Share, card: Card, name: str, wanted: Told) -> int:
    """The latest attempt came to what the unscaled run did: result, failures, bytes, and log but for its number."""
    attempt = len(read_attempts(share.store, card.jobs[name].job_id))
    told = share.told(card, name, attempt)
    assert (told.status, told.fingerprint, told.failures) == (wanted.status, wanted.fingerprint, wanted.failures), (
        name
    )
    assert told.outputs == wanted.outputs, name
    assert told.argvs == wanted.argvs
    assert told.log[1:-1] == wanted.log[1:-1], name  # the first and the last event say which attempt it is
    return attempt
