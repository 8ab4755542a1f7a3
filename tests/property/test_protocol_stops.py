"""The protocol at every single stop: what an unlock, a failure, a second worker or a rival does that comes there.

What an operator's unlock promises, exactly. A worker announces an output (`clip.publishing`), looks whether its
attempt is still open (`Ledger.require_held`), then links. Between the answer to that look and the link there is a
window, because no file system links under the condition of another object. An unlock that comes before the look
took effect stops the worker: it publishes nothing. One that comes in the window cannot: that one output may still
appear, and nothing more of this worker, whose next event finds its number taken. In object storage the last request
has left in that window. What then appears is what the
attempt announced while it was open, whole and verified, under a name that was free: it replaces nothing. Where the
next attempt comes first the link is refused; where it comes second it knows the announced bytes as the job's own.
Where the job was retired in the window and another claimed the name, that job finds a file in its way
(OUTPUT_EXISTS), or its own publish is first and stays. An upload in parts is aborted by whoever comes after, because
not every server completes one on a condition: then what was asleep publishes nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proxx.contracts.result import ExecutionResult
from tests.property.actors import Order
from tests.property.world import World


def stops_of(world: World, job: int) -> int:
    """How many stops a worker alone makes from its beginning to its end."""
    worker = world.worker(world.media.jobs[job], 1)
    count = 0
    while worker.at is not None:
        world.move(worker)
        count += 1
    assert world.promises.code(worker) == "COMPLETED"
    return count


@pytest.mark.clause("P3", "T2")
def test_an_unlock_at_any_stop_leaves_at_most_the_output_that_was_announced_and_looked_for(
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
        there = set(world.promises.stands)
        world.go(worker, "end")
        new_ones = set(world.promises.stands) - there
        if world.promises.code(unlock) in ("NOT_LOCKED", "JOB_UNKNOWN"):  # too early, or too late
            assert world.promises.code(worker) == "COMPLETED"
            continue
        if new_ones:
            windows.append(at)
        assert isinstance(worker.outcome, ExecutionResult) or worker.error is not None
        assert world.promises.code(worker) in ("LOCK_LOST", "ATTEMPT_CLOSED"), at
        assert world.promises.late[worker] == len(new_ones) <= 1
        assert world.an_operator_gets_on(job) == "COMPLETED"
    # one a clip: the answer to the look is on its way, and says that the attempt is open; or the last request is
    last = new().media.outputs.last
    asked = [("asks", last, name) for name in ("one.mov", "two.mov") if last]
    assert [(at.phase, at.request, at.key.split("/")[-1]) for at in windows if at] == [
        ("told", "read", "00004.json"),
        *asked[:1],
        ("told", "read", "00007.json"),
        *asked[1:],
    ]


@pytest.mark.clause("N2", "V3")
@pytest.mark.parametrize("fault", ["crash", "lose", "refuse", "signal"])
def test_whatever_fails_at_any_stop_an_operator_gets_the_job_done(new: Callable[[], World], fault: Order) -> None:
    for stop in range(stops_of(new(), 1)):
        world = new()
        worker = world.worker(world.media.jobs[1], 1)
        for _ in range(stop):
            world.move(worker)
        world.go(worker, "end", fault)
        world.readers_agree()
        assert world.an_operator_gets_on(world.media.jobs[1]) == "COMPLETED"


@pytest.mark.clause("P3", "P5", "T1")
def test_of_two_workers_of_an_attempt_one_executes_wherever_the_other_comes_between(new: Callable[[], World]) -> None:
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
def test_of_two_jobs_that_want_one_output_one_has_it_wherever_the_other_comes_between(
    new: Callable[[], World], rival: int
) -> None:
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
    """Job B's worker has looked and not linked yet, and an operator has closed its attempt. Goes on when called."""
    job = world.media.jobs[1]
    late, unlock = world.worker(job, 1), world.operator(job, "unlock")
    world.go(late, "look")
    world.go(unlock, "end")
    assert not world.promises.stands

    def go_on() -> str:
        world.go(late, "end")
        assert isinstance(late.outcome, ExecutionResult)
        failure = late.outcome.clips[0].failure
        assert failure is not None and "published nothing" not in failure.remedy  # it may have: the operator is told
        return world.promises.code(late)

    return job.clips[0].outputs[0].uri, go_on


@pytest.mark.clause("T2", "V5")
@pytest.mark.parametrize(("shade", "said"), [(0, "COMPLETED"), (1, "OUTPUT_CONFLICT")])
def test_what_appears_in_the_window_is_the_jobs_own_for_its_next_attempt(
    new: Callable[[], World], shade: int, said: str
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
            late()  # finds the name taken
        assert world.promises.code(following) == (said if late_first and not in_parts(world) else "COMPLETED")
        assert world.media.outputs.at(place) == before


@pytest.mark.clause("A2")
def test_what_appears_in_the_window_is_in_the_way_of_a_job_that_claimed_the_name_since(
    new: Callable[[], World],
) -> None:
    for late_first in (True, False):
        world = new()
        place, late = in_the_window(world)
        world.go(world.operator(world.media.jobs[1], "retire"), "end")
        heir = world.worker(world.media.jobs[0], 1)
        world.go(heir, "look")  # of its first clip
        world.go(heir, "stop")
        world.go(heir, "look")  # of the one that writes this output
        if late_first:
            assert late() == "LOCK_LOST"
            assert (world.media.outputs.at(place) is None) == in_parts(world)  # it was aborted
        world.go(heir, "end")
        if not late_first:
            assert late() in ("OUTPUT_EXISTS", "LOCK_LOST")
        assert world.promises.code(heir) == ("OUTPUT_EXISTS" if late_first and not in_parts(world) else "COMPLETED")


@pytest.mark.clause("A2", "T2")
@pytest.mark.parametrize("whose", ["next attempt", "heir"])
def test_whoever_sleeps_in_the_window_may_wake_at_any_stop_of_who_comes_after(
    new: Callable[[], World], whose: str
) -> None:
    """One of them gives the output its name, and nobody replaces it: `promises` looks after every stop."""
    met = set()
    stop = 0
    while True:
        world = new()
        place, late = in_the_window(world)
        job = world.media.jobs[1]
        if whose == "heir":
            world.go(world.operator(job, "retire"), "end")
        after = world.worker(*((world.media.jobs[0], 1) if whose == "heir" else (job, 2)), shade=1)
        for _ in range(stop):
            world.move(after)
        if after.at is None:
            break
        late()
        woke_first = world.media.outputs.at(place) is not None and not world.promises.published_by(after, place)
        world.go(after, "end")
        met.add((woke_first, world.promises.code(after)))
        stop += 1
    foreign = "OUTPUT_EXISTS" if whose == "heir" else "OUTPUT_CONFLICT"
    assert met == {(True, foreign), (False, "COMPLETED")}
