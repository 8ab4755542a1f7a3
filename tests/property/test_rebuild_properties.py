"""Any past that workers and operators can write, whole or damaged, is rebuilt completely and in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from proxx.contracts.canonical import pretty_bytes
from proxx.contracts.event import Worker, parse_event, stamp
from proxx.contracts.result import make_result
from proxx.store.base import MemoryStore
from proxx.store.keys import parse, result_key
from proxx.store.ledger import Ledger
from proxx.store.lock import acquire, release, retire, unlock
from proxx.store.registration import register
from proxx.store.replay import job_timeline, outputs, rebuild, timeline
from proxx.store.status import job_history, job_status
from tests.support.results import AnyClip, completed, envelope, failed, failure, not_run

STEPS = ("started", "announced", "completed", "failed")
ENDS = ("released", "stopped", "unlocked")


@dataclass(frozen=True)
class Past:
    """The past of one job: for each attempt how far its clips came and how it ended."""

    attempts: tuple[tuple[tuple[str, ...], str], ...]
    last: str  # "", "open" or "retired"
    minutes: tuple[int, ...]


def clips_and_end() -> st.SearchStrategy[tuple[tuple[str, ...], str]]:
    return st.tuples(st.lists(st.sampled_from(STEPS), min_size=1, max_size=4).map(tuple), st.sampled_from(ENDS))


pasts = st.builds(
    Past,
    attempts=st.lists(clips_and_end(), max_size=3).map(tuple),
    last=st.sampled_from(("", "open", "retired")),
    minutes=st.lists(st.integers(-5, 60), min_size=1, max_size=8).map(tuple),
)
fleets = st.lists(pasts, min_size=1, max_size=4)


@dataclass
class Clock:
    """A clock that advances by the given minutes, some of them negative, again and again."""

    minutes: tuple[int, ...]
    time: datetime = datetime(2026, 1, 31, 22, tzinfo=UTC)
    reads: int = field(default=0)

    def __call__(self) -> datetime:
        self.time += timedelta(minutes=self.minutes[self.reads % len(self.minutes)])
        self.reads += 1
        return self.time


def id_of(number: int) -> str:
    return f"{number:x}" * 64


def write_past(store: MemoryStore, number: int, past: Past) -> None:
    job_id, clock = id_of(number), Clock(past.minutes)
    who = Worker(host=f"h{number}", pid=number + 1)
    register(store, b"{}", job_id, [f"/{number}/a"], stamp(who, "r"))
    for attempt, (steps, end) in enumerate(past.attempts, 1):
        ledger = acquire(store, job_id, attempt, who, "run", clock=clock)
        clips = [one_clip(ledger, number, index, step) for index, step in enumerate(steps)]
        if end == "unlocked":
            unlock(store, job_id, "x", who, clock=clock)
            continue
        stopped = failure("DISK_FULL") if end == "stopped" else None
        if stopped:
            clips.append(not_run(len(clips)))
        release(ledger, make_result(job_id, attempt, tuple(clips), stopped, envelope(who.host)).to_json())
    if past.last == "open":
        acquire(store, job_id, len(past.attempts) + 1, who, "run", clock=clock)
    elif past.last == "retired":
        retire(store, job_id, "x", who, clock=clock)


def one_clip(ledger: Ledger, number: int, index: int, step: str) -> AnyClip:
    output, sha256 = f"/{number}/{index}.mov", f"sha256:{number}{index}"
    ledger.append("clip.started", {"clip": index, "source": f"/m/{index}.mov"})
    if step in ("announced", "completed"):
        ledger.append("clip.publishing", {"clip": index, "output": output, "sha256": sha256})
    if step == "completed":
        ledger.append("clip.completed", {"clip": index, "output": output, "sha256": sha256, "frames": 25})
        return completed(index)
    if step == "failed":
        ledger.append("clip.failed", {"clip": index, "failure": failure("FRAMES_MISMATCH").to_json()})
    return failed(index)


def stored(pasts: list[Past]) -> tuple[MemoryStore, dict[str, bytes]]:
    """Returns a store with these pasts, and its events."""
    store = MemoryStore()
    for number, past in enumerate(pasts):
        write_past(store, number, past)
    keys = [key for key in store.list("") if (parsed := parse(key)) and parsed.kind == "event"]
    return store, {key: store.read(key) or b"" for key in keys}


@given(fleets)
@settings(max_examples=60, deadline=None)
def test_status_and_results_follow_from_the_events(pasts: list[Past]) -> None:
    store, events = stored(pasts)
    rebuilt = rebuild(events)
    assert [job.job_id for job in rebuilt] == sorted({key.split("/")[1] for key in events})
    for job in rebuilt:
        status = job_status(store, job.job_id)
        assert (job.state, job.problems) == (status.state, ())
        assert tuple(attempt.status for attempt in job.attempts) == status.attempts
        assert job.entries == job_history(store, job.job_id).entries
        for attempt in job.attempts:
            recorded = store.read(result_key(job.job_id, attempt.status.attempt))
            assert (attempt.result and pretty_bytes(attempt.result.to_json())) == recorded
    assert rebuild(dict(reversed(events.items()))) == rebuilt
    everything = {key: store.read(key) or b"" for key in store.list("")}
    assert rebuild(everything) == rebuilt, "something other than events was read"


@given(fleets, st.integers(0, 200))
@settings(max_examples=60, deadline=None)
def test_the_timeline_has_each_event_once_and_in_order(pasts: list[Past], minute: int) -> None:
    _, events = stored(pasts)
    jobs = rebuild(events)
    line_up = timeline(jobs)
    written = sorted((parse_event(data).envelope.nonce, key) for key, data in events.items())
    assert len(line_up) == len(written)
    for job in jobs:
        own = [(line.entry.attempt, line.entry.number) for line in line_up if line.job_id == job.job_id]
        assert own == sorted(own)
        assert [line.entry for line in job_timeline(job)] == list(job.entries)
    assert [line.at for line in line_up] == sorted(line.at for line in line_up)
    assert all(line.at >= line.entry.time for line in line_up)
    since = (datetime(2026, 1, 31, 22, tzinfo=UTC) + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M")
    later = timeline(jobs, since)
    assert line_up[len(line_up) - len(later) :] == later
    assert all(line.at < since for line in line_up[: len(line_up) - len(later)])


@given(fleets)
@settings(max_examples=60, deadline=None)
def test_each_announcement_belongs_to_its_output(pasts: list[Past]) -> None:
    _, events = stored(pasts)
    announced = set()
    for key, data in events.items():
        event, parsed = parse_event(data), parse(key)
        assert parsed is not None
        if event.type == "clip.publishing":
            announced.add((str(event.data["output"]), parsed.job_id, parsed.attempt, str(event.data["sha256"])))
    places = outputs(rebuild(events))
    published = {(p.output, e.job_id, e.attempt, e.sha256) for p in places for e in p.published}
    assert published == announced
    retired = {id_of(number) for number, past in enumerate(pasts) if past.last == "retired"}
    for place in places:
        assert not retired & set(place.owners)
        assert retired >= set(place.former)
        assert {entry.job_id for entry in place.published} <= {*place.owners, *place.former}


DAMAGE: tuple[Callable[[bytes], bytes | None], ...] = (
    lambda _: None,
    lambda data: data[: len(data) // 2],
    lambda data: data.replace(b'"number":', b'"number":1'),
    lambda data: data.replace(b"proxx.event/1", b"proxx.event/2"),
)


@given(fleets, st.integers(0, 1000), st.sampled_from(DAMAGE))
@settings(max_examples=80, deadline=None)
def test_damage_is_named_and_hides_no_other_job(
    pasts: list[Past], pick: int, damage: Callable[[bytes], bytes | None]
) -> None:
    _, events = stored(pasts)
    if not events:
        return
    key = sorted(events)[pick % len(events)]
    parsed = parse(key)
    assert parsed is not None
    before = {job.job_id: job for job in rebuild(events)}
    damaged = damage(events.pop(key))
    if damaged is not None:
        events[key] = damaged
    after = {job.job_id: job for job in rebuild(events)}
    hit, whole = after.pop(parsed.job_id, None), before.pop(parsed.job_id)
    assert after == before
    if hit is None:
        assert len(whole.entries) == 1  # its only event is gone
    elif damaged is not None or not is_last(key, events):
        assert hit.problems
    outputs([*after.values(), *([hit] if hit else [])])


def is_last(key: str, events: dict[str, bytes]) -> bool:
    """Returns whether the job has no later event: a missing last event or last attempt cannot be noticed."""
    folder = key.split("/attempts/")[0]
    return not any(other.startswith(folder) and other > key for other in events)
