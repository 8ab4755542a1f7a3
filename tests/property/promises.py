"""The promises of the protocol, checked after every stop of every actor against what happened.

The promises: an attempt has one executor and one end, and opens after the one before it has ended · an output has
one living owner · an output appears whole, verified, announced before by the worker that made it · nothing in the
store or among the outputs is ever replaced · no result without its events · once an operator closed an attempt its
worker publishes nothing, except at most one output: one it had announced before it checked that the attempt was open.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Final

from proxx.contracts.canonical import Json, read_json
from proxx.contracts.error_bases import ProxxError, Refusal
from proxx.contracts.errors import LedgerFailed, LockLost, StoreDamaged
from proxx.contracts.event import TERMINAL, Event, parse_event
from proxx.contracts.job import JobSpec
from proxx.contracts.result import ExecutionResult
from proxx.store.keys import Parsed, claim_digest, parse
from tests.property.actors import Actor, Answer, Crashed, Stop
from tests.property.outputs import Outputs, Standing

SHOWN: Final = 60  # lines of the history that a broken promise shows
UNLOGGED: Final = frozenset({LockLost.code, LedgerFailed.code})


class Broken(AssertionError):
    """A promise does not hold."""


@dataclass(frozen=True)
class Logged:
    """One event: when it was created, counted in requests, and by which actor."""

    moment: int
    actor: Actor
    event: Event


class Promises:
    """Everything that happened to one store and one place of outputs."""

    def __init__(self, jobs: tuple[JobSpec, ...], outputs: Outputs) -> None:
        self.place = outputs
        self.jobs = {job.job_id: job for job in jobs}
        self.outputs = {job.job_id: tuple(clip.outputs[0].uri for clip in job.clips) for job in jobs}
        self.kept: dict[str, bytes] = {}
        self.log: defaultdict[tuple[str, int], list[Logged]] = defaultdict(list)
        self.claims: defaultdict[str, list[str]] = defaultdict(list)
        self.registered: set[str] = set()
        self.looks: defaultdict[Actor, list[tuple[int, str]]] = defaultdict(list)
        self.stands: dict[str, Standing] = {}
        self.stood: defaultdict[str, set[str]] = defaultdict(set)
        self.gave: defaultdict[str, list[Actor]] = defaultdict(list)
        self.late: Counter[Actor] = Counter()
        self.history: list[str] = []
        self.broken = False
        self._moment = 0
        self._facts: list[tuple[Actor, Stop, Answer]] = []

    # --- what happens ---------------------------------------------------------------------------------------

    def seen(self, actor: Actor, stop: Stop, answer: Answer) -> None:
        """A request took effect. Called by the actor, so nothing is checked yet."""
        self._facts.append((actor, stop, answer))

    def moved(self, actor: Actor, order: str, places: tuple[str, ...]) -> None:
        """The actor moved on by one stop."""
        facts, self._facts = self._facts, []
        self.history.append(f"{actor.name}: {order} → {_position(actor)}")
        for who, stop, answer in facts:
            self._moment += 1
            if stop.request == "create":
                self._created(who, stop, answer)
            elif stop.request == "read" and answer is None:
                self.looks[who].append((self._moment, stop.key))
        for place in places:
            self._look_at(actor, place)
        if actor.at is None:
            self._ended(actor)

    def person_did(self, action: str, place: str) -> None:
        """A person put a file under an output's name, or moved one away; that is not a publish."""
        self.history.append(f"a person: {action} {_name(place)}")
        self.stands.pop(place, None)
        if now := self.place.at(place):
            self.stands[place] = now
            self.stood[place].add(now[1])

    # --- the store -----------------------------------------------------------------------------------------

    def _created(self, actor: Actor, stop: Stop, answer: Answer) -> None:
        before = self.kept.get(stop.key)
        if answer is not None:
            self.check(answer == before, f"the store returned other bytes for {stop.key} than it was given")
            return
        self.check(before is None, f"an object of the store was replaced: {stop.key}")
        self.kept[stop.key] = stop.data
        match parse(stop.key):
            case Parsed("event", job_id, attempt, number):
                event = parse_event(stop.data)
                self.check(event.number == number, "an event has another number than its key")
                self._logged(actor, job_id, attempt, event)
            case Parsed("claim", name=digest, number=generation):
                self._claimed(digest, generation, read_json(stop.data))
            case Parsed("registered", job_id):
                self._registered(job_id)
            case Parsed("result", job_id, attempt):
                self._copied(job_id, attempt, read_json(stop.data))

    def _logged(self, actor: Actor, job_id: str, attempt: int, event: Event) -> None:
        log = self.log[job_id, attempt]
        where = f"{event.type} of attempt {attempt}"
        self.check(event.number == len(log) + 1, f"{where} leaves a gap")
        self.check(not self.end_of(job_id, attempt), f"{where} comes after the end")
        if event.number == 1 and attempt > 1:
            last = self.end_of(job_id, attempt - 1)
            self.check(last is not None, f"two executors: {where} comes while attempt {attempt - 1} is open")
            self.check(not self.retired(job_id), f"{where} comes after the job was retired")
        if event.type not in ("unlocked", "retired"):
            self.check(job_id in self.registered, f"{where} comes before the registration")
            holder = log[0].actor if log else actor
            self.check(holder is actor, f"two executors: {where} is by {actor.name}, {holder.name} has the attempt")
            self.check((actor.job_id, actor.attempt) == (job_id, attempt), f"{actor.name} logs {where}")
        log.append(Logged(self._moment, actor, event))
        if event.type == "clip.completed":
            output, sha256 = str(event.data["output"]), str(event.data["sha256"])
            self.check(self.announced(actor, output, sha256) is not None, f"{where} without its announcement")
            self.check(sha256 in self.stood[output], f"{where} without its output")
        if event.type == "lock.released":
            self._result_has_events(log, event.data["result"])

    def _result_has_events(self, log: list[Logged], result: object) -> None:
        completed = {
            entry.event.data["clip"]: entry.event.data for entry in log if entry.event.type == "clip.completed"
        }
        for clip in _dicts(_dict(result)["clips"]):
            if clip["status"] == "COMPLETED":
                logged = completed.get(_int(clip["index"]), {})
                same = (logged.get("output"), logged.get("sha256")) == (clip["output"], clip["output_sha256"])
                self.check(same, f"a result without its events: clip {clip['index']} was not logged as completed")

    def _copied(self, job_id: str, attempt: int, result: Json) -> None:
        end = self.end_of(job_id, attempt)
        recorded = end.event.data.get("result") if end else None
        core = {key: value for key, value in _dict(result).items() if key != "envelope"}
        self.check(recorded == core, f"a result without its events: result.json of attempt {attempt}")

    def _claimed(self, digest: str, generation: int, record: Json) -> None:
        owners = self.claims[digest]
        self.check(generation == len(owners) + 1, "a claim leaves a gap")
        self.check(not owners or self.retired(owners[-1]), "two owners: a claim was taken over from a living job")
        owners.append(str(_dict(record)["job_id"]))

    def _registered(self, job_id: str) -> None:
        self.registered.add(job_id)
        for output in self.outputs[job_id]:
            self.check(self.owner(output) == job_id, f"two owners: {_name(output)} was registered unclaimed")

    # --- the outputs ---------------------------------------------------------------------------------------

    def _look_at(self, actor: Actor, output: str) -> None:
        before, now = self.stands.get(output), self.place.at(output)
        if now == before:
            return
        self.check(before is None, f"an output was replaced or taken away: {_name(output)}")
        assert now is not None
        self.stands[output] = now
        self.stood[output].add(now[1])
        self._published(actor, output, now[1])

    def published_by(self, actor: Actor, output: str) -> bool:
        return actor in self.gave[output]

    def _published(self, actor: Actor, output: str, sha256: str) -> None:
        self.gave[output].append(actor)
        publish = f"{_name(output)} was published"
        announced = self.announced(actor, output, sha256)
        if announced is None:
            raise self.fail(f"{publish} without an announcement")
        self.check(sha256 in actor.verified, f"{publish} unverified")
        self.check(self.owner(output) == actor.job_id or self.retired(actor.job_id), f"two owners: {publish}")
        end = self.end_of(actor.job_id, actor.attempt)
        if end is None:
            return
        looked = [
            moment
            for moment, key in self.looks[actor]
            if announced.moment < moment < end.moment
            and parse(key) == Parsed("event", actor.job_id, actor.attempt, announced.event.number + 1)
        ]
        self.check(bool(looked), f"{publish} after its attempt was closed")
        self.late[actor] += 1
        self.check(self.late[actor] == 1, f"{publish} after its attempt was closed, the second of this worker")

    # --- the ends ------------------------------------------------------------------------------------------

    def _ended(self, actor: Actor) -> None:
        if not actor.disturbed:
            left = [upload for upload, by in self.place.unfinished() if by is actor]
            self.check(not left, f"{actor.name} ended undisturbed, and parts are left of {left}")
        match actor.error:
            case None | Crashed():
                pass
            case KeyboardInterrupt():
                self.check("signal" in actor.disturbed, f"{actor.name} ended by a signal nobody sent")
            case StoreDamaged():
                raise self.fail(f"{actor.name} found the store damaged: {actor.error}") from actor.error
            case Refusal():
                pass
            case _:
                raise self.fail(f"{actor.name} ended by {actor.error!r}") from actor.error
        if isinstance(actor.outcome, ExecutionResult):
            stopped = actor.outcome.stopped
            end = self.end_of(actor.job_id, actor.attempt)
            if stopped is None or stopped.code not in UNLOGGED:
                plain = {key: value for key, value in actor.outcome.to_json().items() if key != "envelope"}
                self.check(end is not None and end.event.data.get("result") == plain, "a result was not recorded")

    def code(self, actor: Actor) -> str:
        """Returns how the actor ended: a failure code, COMPLETED, DONE, or the name of an exception."""
        if isinstance(actor.error, ProxxError):
            return actor.error.code
        if isinstance(actor.outcome, ExecutionResult):
            failures = [clip.failure.code for clip in actor.outcome.clips if clip.failure]
            return (failures or [actor.outcome.stopped.code if actor.outcome.stopped else actor.outcome.status])[0]
        return type(actor.error).__name__ if actor.error else "DONE"

    # --- what follows from the events ----------------------------------------------------------------------

    def end_of(self, job_id: str, attempt: int) -> Logged | None:
        log = self.log.get((job_id, attempt))
        return log[-1] if log and log[-1].event.type in TERMINAL else None

    def attempts(self, job_id: str) -> int:
        return max((attempt for job, attempt in self.log if job == job_id), default=0)

    def retired(self, job_id: str) -> bool:
        end = self.end_of(job_id, self.attempts(job_id))
        return end is not None and end.event.type == "retired"

    def owner(self, output: str) -> str | None:
        owners = self.claims.get(claim_digest(output))
        return owners[-1] if owners else None

    def announced(self, actor: Actor, output: str, sha256: str) -> Logged | None:
        """Returns the actor's own announcement of these bytes in its attempt, or None."""
        for logged in self.log.get((actor.job_id, actor.attempt), ()):
            named = logged.event.data.get("output"), logged.event.data.get("sha256")
            if logged.actor is actor and logged.event.type == "clip.publishing" and named == (output, sha256):
                return logged
        return None

    def check(self, holds: bool, message: str) -> None:
        if not holds:
            raise self.fail(message)

    def fail(self, message: str) -> Broken:
        self.broken = True
        return Broken("\n".join((message, *self.history[-SHOWN:])))


def _name(output: str) -> str:
    return output.rpartition("/")[2]


def _position(actor: Actor) -> str:
    if actor.at is None:
        return f"ended, {actor.error!r}" if actor.error else "ended"
    return f"{actor.at.phase} {actor.at.request} {actor.at.key}"


def _dict(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    return value


def _dicts(value: object) -> list[dict[str, object]]:
    assert isinstance(value, list)
    return [_dict(item) for item in value]


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value
