"""The protocol at every single stop: an unlock, a fault, a second worker or another job arrives there.

What exactly an operator's unlock promises: a worker announces an output (`clip.publishing`), checks that its attempt
is still open (`Ledger.require_held`), then links. Between the answer to that check and the link there is a window,
because no file system can link on the condition of another object. An unlock before the check took effect stops the
worker: it publishes nothing. An unlock in the window cannot: that one output may still appear, but nothing more of
this worker, because its next event finds its number taken. In object storage the last request is on its way in that
window. What then appears is what the attempt announced while it was open, whole and verified, under a name that was
free: it replaces nothing. If the next attempt publishes first, the link is refused; if it publishes second, it
recognizes the announced bytes as the job's own. If the job was retired in the window and another job claimed the
name, that job finds a file in its way (OUTPUT_EXISTS), or its own publish comes first and stays. The next attempt or
owner aborts an upload in parts, because not every server completes one on a condition; the sleeping worker then
publishes nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proxx.contracts.result import ExecutionResult
from tests.property.actors import Order
from tests.property.world import World


def stops_of(world: World, job: int) -> int:
    """Returns how many stops a worker makes from beginning to end if no other actor moves."""
    worker = world.worker(world.media.jobs[job], 1)
    count = 0
    while worker.at is not None:
        world.move(worker)
        count += 1
    assert world.promises.code(worker) == "COMPLETED"
    return count


@pytest.mark.clause("P3", "T2")
def test_after_an_unlock_at_any_stop_at_most_one_announced_output_appears(
    new: Callable[[], World],
) -> None:
    windows = []
    for stop in range(1, stops_of(new(), 0)):
        world = new()
        job = world.media.jobs[0]
        worker, unlock = world.worker(job, 1), world.operator(job, "unlock")
        for _ in range(stop):
            world.move(worker)
        at = worker.at
        world.go(unlock, "end")
        before = set(world.promises.stands)
        world.go(worker, "end")
        added = set(world.promises.stands) - before
        if world.promises.code(unlock) in ("NOT_LOCKED", "JOB_UNKNOWN"):  # too early, or too late
            assert world.promises.code(worker) == "COMPLETED"
            continue
        if added:
            windows.append(at)
        assert isinstance(worker.outcome, ExecutionResult) or worker.error is not None
        assert world.promises.code(worker) in ("LOCK_LOST", "ATTEMPT_CLOSED"), at
        assert world.promises.late[worker] == len(added) <= 1
        assert world.an_operator_finishes(job) == "COMPLETED"
    # For each clip: the answer to the check, that the attempt is open, is on its way; or the last request is.
    last = new().media.outputs.last
    requests = [("asks", last, name) for name in ("one.mov", "two.mov") if last]
    assert [(at.phase, at.request, at.key.split("/")[-1]) for at in windows if at] == [
        ("answered", "read", "00004.json"),
        *requests[:1],
        ("answered", "read", "00007.json"),
        *requests[1:],
    ]


@pytest.mark.clause("N2", "V3")
@pytest.mark.parametrize("fault", ["crash", "lose", "refuse", "signal"])
def test_after_a_fault_at_any_stop_an_operator_completes_the_job(new: Callable[[], World], fault: Order) -> None:
    for stop in range(stops_of(new(), 1)):
        world = new()
        worker = world.worker(world.media.jobs[1], 1)
        for _ in range(stop):
            world.move(worker)
        world.go(worker, "end", fault)
        world.readers_agree()
        assert world.an_operator_finishes(world.media.jobs[1]) == "COMPLETED"


@pytest.mark.clause("P3", "P5", "T1")
def test_of_two_workers_of_an_attempt_one_executes_it(new: Callable[[], World]) -> None:
    for stop in range(stops_of(new(), 1)):
        world = new()
        first, second = (world.worker(world.media.jobs[1], 1) for _ in range(2))
        for _ in range(stop):
            world.move(first)
        world.go(second, "end")
        world.go(first, "end")
        codes = sorted((world.promises.code(first), world.promises.code(second)))
        assert codes in (["ATTEMPT_CLOSED", "COMPLETED"], ["COMPLETED", "LOCKED"])


@pytest.mark.clause("A2")
@pytest.mark.parametrize("rival", [1, 2])
def test_of_two_jobs_with_the_same_output_one_claims_it(new: Callable[[], World], rival: int) -> None:
    for stop in range(stops_of(new(), 0)):
        world = new()
        first, second = world.worker(world.media.jobs[0], 1), world.worker(world.media.jobs[rival], 1)
        for _ in range(stop):
            world.move(first)
        world.go(second, "end")
        world.go(first, "end")
        assert sorted((world.promises.code(first), world.promises.code(second))) == ["COMPLETED", "OUTPUT_CLAIMED"]


def in_parts(world: World) -> bool:
    return world.media.outputs.last == "complete"


def in_the_window(world: World) -> tuple[str, Callable[[], str]]:
    """Job B's worker has checked its attempt and not linked yet, and an operator has closed the attempt.

    Returns the output's URI and a function that lets the worker finish.
    """
    job = world.media.jobs[1]
    late, unlock = world.worker(job, 1), world.operator(job, "unlock")
    world.go(late, "look")
    world.go(unlock, "end")
    assert not world.promises.stands

    def finish() -> str:
        world.go(late, "end")
        assert isinstance(late.outcome, ExecutionResult)
        failure = late.outcome.clips[0].failure
        assert failure is not None and "published nothing" not in failure.remedy  # it may have published
        return world.promises.code(late)

    return job.clips[0].outputs[0].uri, finish


@pytest.mark.clause("T2", "V5")
@pytest.mark.parametrize(("shade", "code"), [(0, "COMPLETED"), (1, "OUTPUT_CONFLICT")])
def test_the_next_attempt_recognizes_an_output_from_the_window(
    new: Callable[[], World], shade: int, code: str
) -> None:
    for late_first in (True, False):
        world = new()
        place, late = in_the_window(world)
        following = world.worker(world.media.jobs[1], 2, shade)
        world.go(following, "look")
        if late_first:
            assert late() == "LOCK_LOST"
            assert (world.media.outputs.at(place) is None) == in_parts(world)  # it was aborted
        world.go(following, "end")
        before = world.media.outputs.at(place)
        if not late_first:
            late()  # it finds the name taken
        assert world.promises.code(following) == (code if late_first and not in_parts(world) else "COMPLETED")
        assert world.media.outputs.at(place) == before


@pytest.mark.clause("A2")
def test_an_output_from_the_window_is_in_the_way_of_the_next_owner(
    new: Callable[[], World],
) -> None:
    for late_first in (True, False):
        world = new()
        place, late = in_the_window(world)
        world.go(world.operator(world.media.jobs[1], "retire"), "end")
        heir = world.worker(world.media.jobs[0], 1)
        world.go(heir, "look")  # of its first clip
        world.go(heir, "stop")
        world.go(heir, "look")  # of the clip with this output
        if late_first:
            assert late() == "LOCK_LOST"
            assert (world.media.outputs.at(place) is None) == in_parts(world)  # it was aborted
        world.go(heir, "end")
        if not late_first:
            assert late() in ("OUTPUT_EXISTS", "LOCK_LOST")
        assert world.promises.code(heir) == ("OUTPUT_EXISTS" if late_first and not in_parts(world) else "COMPLETED")


@pytest.mark.clause("A2", "T2")
@pytest.mark.parametrize("follower", ["next attempt", "heir"])
def test_a_worker_in_the_window_may_wake_at_any_stop_of_the_next(new: Callable[[], World], follower: str) -> None:
    """One of them gives the output its name and the other does not replace it; `promises` checks after every stop."""
    met = set()
    stop = 0
    while True:
        world = new()
        place, late = in_the_window(world)
        job = world.media.jobs[1]
        if follower == "heir":
            world.go(world.operator(job, "retire"), "end")
        after = world.worker(*((world.media.jobs[0], 1) if follower == "heir" else (job, 2)), shade=1)
        for _ in range(stop):
            world.move(after)
        if after.at is None:
            break
        late()
        woke_first = world.media.outputs.at(place) is not None and not world.promises.published_by(after, place)
        world.go(after, "end")
        met.add((woke_first, world.promises.code(after)))
        stop += 1
    foreign = "OUTPUT_EXISTS" if follower == "heir" else "OUTPUT_CONFLICT"
    assert met == {(True, foreign), (False, "COMPLETED")}
