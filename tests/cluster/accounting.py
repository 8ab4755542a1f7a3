"""Accounts for all jobs after a storm, by the ledger, the bucket and `proxx audit` alone."""

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
from tests.cluster.card import Card, JobOutcome
from tests.cluster.fleet import Share
from tests.cluster.plan import Blow
from tests.cluster.rounds import Hit

KINDS: Final = ("completed", "failed", "interrupted", "held", "closed by an operator", "never begun")


@dataclass(frozen=True)
class Account:
    """For each job, its kind by the ledger and the verdict of the audit."""

    kinds: Mapping[str, str]
    verdicts: Mapping[str, str]

    def counts(self) -> dict[str, int]:
        counter = Counter(self.kinds.values())
        return {kind: counter[kind] for kind in KINDS}


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
    """Checks that the audit names every submitted job once and its counts add up. Returns kinds and verdicts."""
    audit = share.audit()
    named = [finding["job_id"] for finding in audit["jobs"]]
    ids = {job.job_id: name for name, job in card.jobs.items()}
    assert sorted(named) == sorted(ids), "audit names other jobs than were submitted"
    assert audit["counts"]["jobs"] == len(ids) == sum(audit["counts"]["verdicts"].values())
    verdicts = {ids[finding["job_id"]]: str(finding["verdict"]) for finding in audit["jobs"]}
    kinds = {name: kind_of(share, job.job_id) for name, job in card.jobs.items()}
    for name, kind in kinds.items():
        assert verdicts[name] in AUDITED[kind], (name, kind, verdicts[name])
    return Account(kinds, verdicts)


AUDITED: Final[dict[str, set[str]]] = {
    "completed": {"COMPLETED"},
    "failed": {"FAILED", "WAITING", "RUNNING"},
    "interrupted": {"FAILED", "WAITING", "RUNNING"},
    "held": {"HELD", "RUNNING"},  # RUNNING until the run's heartbeats are missed
    "closed by an operator": {"LOST", "WAITING", "RUNNING"},
    "never begun": {"LOST", "WAITING", "RUNNING", "UNKNOWN_TO_PREFECT"},
}
"""The verdicts that the audit may give a job of each kind."""


def attempts(share: Share, card: Card) -> dict[str, tuple[Attempt, ...]]:
    return {name: read_attempts(share.store, job.job_id) for name, job in card.jobs.items()}


def check_ledger(share: Share, card: Card, max_attempts: int | None = None) -> int:
    """Checks that each attempt was taken once, and that one worker and one run wrote its events.

    max_attempts: of each job. Returns the number of attempts of all jobs.
    """
    count = 0
    for name, begun in attempts(share, card).items():
        assert max_attempts is None or len(begun) <= max_attempts, f"{name} was begun again without an operator"
        assert [attempt.number for attempt in begun] == list(range(1, len(begun) + 1)), name
        for attempt in begun:
            count += 1
            assert not attempt.problems, (name, attempt.problems)
            assert [event.number for event in attempt.events] == list(range(1, len(attempt.events) + 1))
            assert [event.type for event in attempt.events].count("lock.acquired") == 1
            own = [event for event in attempt.events if event.type != "unlocked"]
            writers = {(str(event.envelope.worker), event.envelope.run_id) for event in own}
            assert len(writers) == 1, (name, writers)
            _check_order(name, own)
        assert all(isinstance(attempt.state, Closed) for attempt in begun[:-1]), name
    runs = [attempt.events[0].envelope.run_id for begun in attempts(share, card).values() for attempt in begun]
    assert len(set(runs)) == len(runs), "one run took two attempts"
    return count


def _check_order(name: str, events: list[Event]) -> None:
    """Checks that clips ran one after another, and that a completed clip was announced with the same sha256."""
    started = [event.data["clip"] for event in events if event.type == "clip.started"]
    assert started == list(range(len(started))), name
    announced = {event.data["clip"]: event.data["sha256"] for event in events if event.type == "clip.publishing"}
    for event in events:
        if event.type == "clip.completed":
            assert announced[event.data["clip"]] == event.data["sha256"], name


def check_outputs(share: Share, card: Card, reference: Mapping[str, JobOutcome]) -> int:
    """Checks that every output was announced by its job and has the unscaled bytes. Returns the number of outputs."""
    outputs = share.outputs()
    made = {place: data for place, data in outputs.items() if TRIAL not in place}  # the trial of a killed run stays
    known = {place: digest for outcome in reference.values() for place, digest in outcome.outputs.items()}
    announced = {
        (event.data["output"], event.data["sha256"])
        for begun in attempts(share, card).values()
        for attempt in begun
        for event in attempt.events
        if event.type == "clip.publishing"
    }
    for place, data in made.items():
        digest = hashlib.sha256(data).hexdigest()
        assert known.get(place) == digest, f"{place} is not what the unscaled run made"
        assert (f"proxies:/{place}", f"sha256:{digest}") in announced or (f"proxies:/{place}", digest) in announced, (
            f"{place} was published without being announced"
        )
    for name, begun in attempts(share, card).items():
        for event in (event for attempt in begun for event in attempt.events if event.type == "clip.completed"):
            place = str(event.data["output"]).removeprefix("proxies:/")
            assert place in made, f"{name}: {place} was completed and does not exist"
    assert share.fleet.bucket.uploads(share.proxies) == []
    return len(made)


def check_untouched(share: Share, card: Card, reference: Mapping[str, JobOutcome], blows: Sequence[Hit]) -> list[str]:
    """Checks that a first attempt that no blow hit has its unscaled outcome, and that others failed by a blow.

    Returns the names of the jobs with their unscaled outcome.
    """
    same = []
    for name, begun in attempts(share, card).items():
        if not begun:
            continue
        state = begun[0].state
        result: dict[str, Any] = (state.result or {}) if isinstance(state, Closed) else {}
        if result.get("fingerprint") == reference[name].fingerprint:
            actual, expected = vars(share.outcome(card, name)), vars(reference[name])
            assert {key: value for key, value in actual.items() if value != expected[key]} == {}, name
            same.append(name)
            continue
        assert was_hit(begun[0], blows), f"no blow hit {name}, and its outcome is not the unscaled one: {state}"
        assert result.get("status") != "COMPLETED", f"{name} completed with another fingerprint"
        codes = {index: code for index, code, _ in reference[name].failures}
        for clip in result.get("clips", ()):
            code = (clip["failure"] or {}).get("code")
            assert code in (None, codes.get(clip["index"]), *BY_A_BLOW), (name, clip)
    return same


def was_hit(attempt: Attempt, blows: Sequence[Hit]) -> bool:
    """Returns whether a blow hit the attempt's host, or all hosts, while it ran or shortly before."""
    times = [datetime.fromisoformat(event.envelope.time) for event in attempt.events]
    host = attempt.events[0].envelope.worker.host
    end = times[-1] if isinstance(attempt.state, Closed) else datetime.now(UTC)
    return any(
        hit.host in (None, host)
        # The times of a host whose clock was wrong prove nothing.
        and (hit.blow is Blow.CLOCK_WRONG or (hit.began <= end and times[0] <= hit.ended + AFTERWARDS))
        for hit in blows
    )


AFTERWARDS: Final = timedelta(seconds=30)  # a blow can still have an effect for this long after its end
BY_A_BLOW: Final = ("INTERRUPTED", "LEDGER_FAILED", "LOCK_LOST", "SOURCE_UNREADABLE", "OUTPUT_UNWRITABLE")


def latest_fingerprint(share: Share, card: Card, name: str) -> str | None:
    """Returns the fingerprint of the job's latest attempt, None if it has no result."""
    latest = job_status(share.store, card.jobs[name].job_id).latest
    return latest.fingerprint if latest else None


def check_final(share: Share, card: Card, name: str, expected: JobOutcome) -> int:
    """Checks that the latest attempt has the unscaled result, failures, bytes and log. Returns its number."""
    attempt = len(read_attempts(share.store, card.jobs[name].job_id))
    outcome = share.outcome(card, name, attempt)
    assert (outcome.status, outcome.fingerprint) == (expected.status, expected.fingerprint), name
    assert outcome.failures == expected.failures, name
    assert outcome.outputs == expected.outputs, name
    assert outcome.argvs == expected.argvs
    assert outcome.log[1:-1] == expected.log[1:-1], name  # the first and the last event have the attempt's number
    return attempt
