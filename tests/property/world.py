"""One store, one place for outputs, three jobs with overlapping output names, and the actors that work on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, TypeAlias

from proxx.contracts.event import Worker
from proxx.contracts.job import JobSpec, spec_bytes
from proxx.contracts.result import ExecutionResult
from proxx.engine import execute as engine
from proxx.engine.execute import RunEnvironment
from proxx.store import lock
from proxx.store.attempts import Closed, Open, announced_uploads, read_attempts
from proxx.store.base import MemoryStore, Store
from proxx.store.file import FileStore
from proxx.store.keys import STORE_KEY, parse, spec_key
from proxx.store.opening import initialize_store
from proxx.store.status import State, job_status
from tests.property.actors import Actor, Door, Order, small_job
from tests.property.outputs import Outputs
from tests.property.promises import Promises

Far: TypeAlias = Literal["stop", "create", "claim", "event", "announcement", "look", "end"]
"""How far an actor goes: one stop · to before its next create, claim or event · until it has announced an output ·
until it has checked, right before the publish, that its attempt is open · to its end."""
OPERATOR: Final = Worker(host="desk", pid=1)


class Media:
    """The jobs: A has two clips; B and C each have one of A's outputs, C under another spelling.

    resends: how often a request to object storage may be sent again; None for outputs in a folder.
    """

    def __init__(self, folder: Path, outputs: Outputs, resends: int | None = None) -> None:
        self.outputs, self.work, self.resends = outputs, folder / "work", resends
        self.work.mkdir()
        self.jobs = (
            small_job(folder, "A", outputs.base, ("one.mov", "two.mov")),
            small_job(folder, "B", outputs.base, ("two.mov",)),
            small_job(folder, "C", outputs.base, ("three.mov", "ONE.mov")),
        )
        self.data = {job.job_id: spec_bytes(job) for job in self.jobs}
        self.places = tuple(sorted({clip.outputs[0].uri for job in self.jobs for clip in job.clips}))


class World:
    """What the actors of one run share. open_store: how each actor, a process of its own, opens the store."""

    def __init__(self, media: Media, open_store: Callable[[], Store]) -> None:
        media.outputs.clear()
        self.media, self.open_store = media, open_store
        self.store = open_store()
        self.promises = Promises(media.jobs, media.outputs)
        if media.resends is not None:
            initialize_store(self.store, resends=media.resends)
            self.promises.kept[STORE_KEY] = self.store.read(STORE_KEY) or b""
        self.actors: list[Actor] = []

    @property
    def living(self) -> list[Actor]:
        return [actor for actor in self.actors if actor.at is not None]

    @property
    def known(self) -> list[JobSpec]:
        """The jobs that have a spec in the store."""
        return [job for job in self.media.jobs if spec_key(job.job_id) in self.promises.kept]

    @property
    def open(self) -> list[JobSpec]:
        """The jobs that have an open attempt."""
        ids = {job_id for (job_id, attempt) in self.promises.log if not self.promises.end_of(job_id, attempt)}
        return [job for job in self.media.jobs if job.job_id in ids]

    def worker(self, job: JobSpec, attempt: int, shade: int = 0) -> Actor:
        """Returns a process that is to run this attempt and has not begun."""
        actor = self._actor(f"worker {len(self.actors)} of {job.name}{attempt}", job, attempt, shade)
        environment = RunEnvironment(
            store=self._door(actor),
            worker=Worker(host="cart", pid=len(self.actors)),
            run_id=actor.name,
            attempt=attempt,
            places=self.media.outputs.places(actor),
            work=self.media.work,
        )
        actor.story = lambda: engine.execute(self.media.data[job.job_id], environment)
        return actor

    def operator(self, job: JobSpec, decision: Literal["unlock", "retire"]) -> Actor:
        """Returns an operator's command that has not begun."""
        actor = self._actor(f"{decision} {len(self.actors)} of {job.name}", job, 0, 0)
        act, store = getattr(lock, decision), self._door(actor)
        actor.story = lambda: act(store, job.job_id, "a reason", OPERATOR)
        return actor

    def _actor(self, name: str, job: JobSpec, attempt: int, shade: int) -> Actor:
        actor = Actor(name, job.job_id, attempt, shade)
        self.actors.append(actor)
        return actor

    def _door(self, actor: Actor) -> Door:
        return Door(self.open_store(), actor, self.promises.seen)

    # --- what happens --------------------------------------------------------------------------------------

    def move(self, actor: Actor, order: Order = "go") -> None:
        actor.move(order)
        self.promises.moved(actor, order, self.media.places)

    def go(self, actor: Actor, far: Far, order: Order = "go") -> None:
        """Moves the actor once with `order`, then on until `far`."""
        self.move(actor, order)
        while actor.at is not None and not self._reached(actor, far):
            self.move(actor)

    def _reached(self, actor: Actor, far: Far) -> bool:
        at = actor.at
        assert at is not None
        parsed = parse(at.key)
        match far:
            case "stop":
                return True
            case "create":
                return (at.phase, at.request) == ("asks", "create")
            case "claim" | "event":
                return (at.phase, at.request) == ("asks", "create") and parsed is not None and parsed.kind == far
            case "announcement":
                return at.phase == "answered" and b'"clip.publishing"' in at.data
            case "look":
                log = self.promises.log.get((actor.job_id, actor.attempt), [])
                is_event = parsed is not None and parsed.kind == "event"
                checked = (at.phase, at.request) == ("answered", "read") and is_event
                return checked and bool(log) and log[-1].actor is actor and log[-1].event.type == "clip.publishing"
            case "end":
                return False

    def put(self, place: str) -> None:
        """A person puts a file under an output's name, if it is free."""
        if self.media.outputs.put(place):
            self.promises.person_did("put a file at", place)

    def take_away(self, place: str) -> None:
        """A person moves an output away."""
        if self.media.outputs.take_away(place):
            self.promises.person_did("took away", place)

    # --- how it ends ---------------------------------------------------------------------------------------

    def crash_all(self) -> None:
        for actor in self.living:
            self.move(actor, "crash")

    def abandon(self) -> None:
        """Ends all actors without checking anything more."""
        for actor in self.living:
            actor.move("crash")

    def readers_agree(self) -> None:
        """Checks that what a fresh process reads from the store is what happened."""
        promises = self.promises
        for key, data in promises.kept.items():
            promises.check(self.store.read(key) == data, f"an object of the store was changed: {key}")
        for job in self.media.jobs:
            count = promises.attempts(job.job_id)
            attempts = read_attempts(self.store, job.job_id)
            promises.check(len(attempts) == count, f"{job.name} has {len(attempts)} attempts, {count} were taken")
            for attempt in attempts:
                ended = promises.end_of(job.job_id, attempt.number) is not None
                promises.check(
                    isinstance(attempt.state, Closed if ended else Open), f"{attempt} is not what happened"
                )
            if count or job.job_id in promises.registered:
                state = job_status(self.store, job.job_id).state
                held = count > 0 and promises.end_of(job.job_id, count) is None
                promises.check((state == State.HELD) == held, f"{job.name} is {state}")
                promises.check((state == State.RETIRED) == promises.retired(job.job_id), f"{job.name} is {state}")

    def an_operator_finishes(self, job: JobSpec) -> str:
        """Checks that, with every process gone, unlock and the next attempt bring the job to a documented end."""
        check = self.promises.check
        if (last := self.promises.attempts(job.job_id)) and not self.promises.end_of(job.job_id, last):
            unlocked = self.operator(job, "unlock")
            self.go(unlocked, "end")
            check(unlocked.outcome == last, f"{job.name} could not be unlocked: {unlocked.error}")
        worker = self.worker(job, self.promises.attempts(job.job_id) + 1)
        self.go(worker, "end")
        code = self.promises.code(worker)
        if self.promises.retired(job.job_id):
            expected: tuple[str, ...] = ("JOB_RETIRED",)
        elif isinstance(worker.outcome, ExecutionResult):
            expected = ("COMPLETED", "OUTPUT_EXISTS", "OUTPUT_CONFLICT")
        else:  # its registration was incomplete, and another job claimed the output first
            expected = ("OUTPUT_CLAIMED",)
            check(job.job_id not in self.promises.registered, f"{job.name} cannot go on: {code}")
        check(code in expected, f"{job.name} cannot go on: {code}")
        if code == "COMPLETED":
            self._require_no_parts_left(job)
        return code

    def _require_no_parts_left(self, job: JobSpec) -> None:
        """Checks that every announced upload was completed or aborted: no parts are left on the server."""
        announced = [upload for ids in announced_uploads(self.store, job.job_id).values() for upload in ids]
        left = [upload for upload, _ in self.media.outputs.unfinished() if upload in announced]
        self.promises.check(not left, f"{job.name} is done, and parts are left of {left}")


def in_memory() -> Callable[[], Store]:
    """Returns a function that gives all actors the same store."""
    store = MemoryStore()
    return lambda: store


def in_folder(folder: Path) -> Callable[[], Store]:
    """Returns a function that opens the folder anew for each actor."""
    return lambda: FileStore(folder)
