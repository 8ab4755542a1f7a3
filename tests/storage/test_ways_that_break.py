"""A whole job with one fault at any of its requests: the store always records what happened.

The requests of an undisturbed run are counted; then one of them is disturbed in each further run. A COMPLETED job
equals the undisturbed one, including its log. A failed one reports it, has nothing unfinished under a final name, and
its next attempt gives the same result.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from proxx.contracts.canonical import Json, read_json
from proxx.contracts.error_bases import EnvironmentFailure, Refusal
from proxx.contracts.event import this_worker
from proxx.contracts.job import JobSpec
from proxx.contracts.result import ExecutionResult, result_core
from proxx.s3.transport import Transport, TransportTiming
from proxx.store.attempts import Attempt, Closed, Open, read_attempts
from proxx.store.base import Store
from proxx.store.keys import storage_key
from proxx.store.lock import unlock
from proxx.store.opening import initialize_store
from proxx.store.registration import is_registered
from proxx.store.status import job_status
from tests.objects.rules import Action, Answer, Cut, Drip, LoseAnswer, Reset, Stall, StallAnswer
from tests.storage.conftest import Way
from tests.storage.running import run
from tests.support.results import canonical_log

FAULTS: Final[Mapping[str, Action]] = {
    "reset": Reset(),
    "stall": Stall(),
    "500": Answer(500, "InternalError"),
    "503": Answer(503, "SlowDown"),
    "answer lost": LoseAnswer(),
    "answer stalled": StallAnswer(),
    "answer cut": Cut(10),
    "drip": Drip(0.0001),
}
HARMLESS: Final = {"answer cut", "drip"}  # for short answers; and slow answers may be fast enough
SAMPLE: Final = int(os.environ.get("PROXX_TESTS_POSITIONS", "2"))
"""The number of requests at which each fault is tried."""
OUTPUT: Final = r"/proxies/clip0\.mov$"
HASTY: Final = TransportTiming(patience=2, pauses=(0.01,))
AFTER_THE_END: Final = 3  # requests after the attempt is closed, which are only for readers


@dataclass
class Trials:
    """Runs of one job on one server, each with a new store and without earlier outputs. sizes: of `Places`."""

    way: Way
    resends: int
    sizes: Mapping[str, Any] = field(default_factory=dict)
    job: JobSpec = field(init=False)
    wire: Transport = field(init=False)
    number: int = 0

    def __post_init__(self) -> None:
        self.job = self.way.ground.job()
        self.wire = Transport(pace=HASTY)

    def new(self) -> Store:
        self.number += 1
        assert self.way.ground.bucket is not None
        self.way.ground.bucket.delete_all("proxies/")
        initialize_store(self.store(), resends=self.resends)
        self.wire.journal.take()
        self.way.proxy.forget()
        return self.store()

    def store(self) -> Store:
        return self.way.ground.store(self.wire, name=f"store{self.number}")

    def run(self, attempt: int = 1) -> ExecutionResult | Refusal | EnvironmentFailure:
        try:
            places = self.way.ground.places(self.wire, **self.sizes)
            return run(self.way.ground, self.job, attempt, store=self.store(), places=places)
        except (Refusal, EnvironmentFailure) as refusal:
            return refusal

    def attempts(self) -> tuple[Attempt, ...]:
        return read_attempts(self.store(), self.job.job_id)

    def incidents(self, attempt: int = 1) -> list[Any]:
        """Returns all incidents in the records of the attempt."""
        in_events = [
            note for event in self.attempts()[attempt - 1].events for note in _incidents(event.envelope.notes)
        ]
        last = self.store().read(storage_key(self.job.job_id, attempt))
        return in_events + (_incidents(read_json(last)) if last else [])


def _incidents(notes: Any) -> list[Any]:  # noqa: ANN401  (JSON)
    return list(notes.get("storage", []))


@dataclass(frozen=True)
class Calm:
    """The outcome of an undisturbed run and the number of its requests."""

    log: tuple[dict[str, Json], ...]
    core: Mapping[str, Json]
    outputs: Mapping[str, str]
    requests: int

    @classmethod
    def of(cls, trials: Trials) -> Calm:
        trials.new()
        result = trials.run()
        requests = len(trials.way.proxy.requests())
        assert isinstance(result, ExecutionResult)
        assert result.status == "COMPLETED"
        assert trials.incidents() == []
        log = canonical_log(trials.attempts()[0].events)
        return cls(log, result_core(result), trials.way.ground.outputs(), requests)


def positions(count: int, seed: str) -> list[int]:
    """Returns a few of 1…count, spread over the job, the same in every session."""
    chosen = random.Random(seed)  # noqa: S311
    share = min(SAMPLE, count)
    return sorted({1 + int((part + chosen.random()) * count / share) for part in range(share)})


@pytest.mark.clause("F4", "I2", "I7", "V2")
@pytest.mark.parametrize("fault", FAULTS)
def test_one_request_is_resent(way: Way, fault: str) -> None:
    """With resends the job equals the undisturbed one; only the envelopes record the fault."""
    trials = Trials(way, resends=2)
    calm = Calm.of(trials)
    for place in positions(calm.requests, f"{way.ground.kind} {fault}"):
        trials.new()
        rule = way.proxy.on(FAULTS[fault], nth=place)
        result = trials.run()
        way.proxy.forget()
        assert isinstance(result, ExecutionResult), (fault, place, str(result))
        assert result_core(result) == calm.core, (fault, place)
        (attempt,) = trials.attempts()
        assert canonical_log(attempt.events) == calm.log
        assert isinstance(attempt.state, Closed)
        assert attempt.state.result == result.to_json()
        assert way.ground.outputs() == calm.outputs
        assert way.ground.names(hidden=True) == way.ground.names()
        if fault not in HARMLESS and place <= calm.requests - AFTER_THE_END:
            assert rule.acted, (fault, place)
            assert trials.incidents() != [], (fault, place)


@pytest.mark.parametrize("fault", [name for name in FAULTS if name not in HARMLESS])
def test_one_request_of_an_upload_in_parts_is_resent(way: Way, fault: str) -> None:
    trials = Trials(way, resends=2, sizes={"single": 1000, "part": 5 << 20})
    calm = Calm.of(trials)
    count = len(way.proxy.requests(path=OUTPUT))
    for place in positions(count, f"{way.ground.kind} {fault} parts"):
        trials.new()
        rule = way.proxy.on(FAULTS[fault], path=OUTPUT, nth=place)
        result = trials.run()
        (hit,) = [one for one in way.proxy.requests() if one.fault]
        way.proxy.forget()
        assert isinstance(result, ExecutionResult)
        assert rule.acted
        assert result_core(result) == calm.core, (fault, place)
        assert canonical_log(trials.attempts()[0].events) == calm.log
        assert way.ground.outputs() == calm.outputs
        assert trials.incidents() != []
        # An upload whose id was lost with its answer has no part and is not logged: `proxx doctor` lists it.
        assert way.ground.uploads() == [] or "uploads" in hit.query, (fault, place)


@pytest.mark.clause("F4", "I7", "V2", "N2")
@pytest.mark.parametrize("fault", [name for name in FAULTS if name not in HARMLESS])
def test_one_request_is_not_resent(way: Way, fault: str) -> None:
    """Without resends the job fails and reports it, or only an answer was lost. The next attempt succeeds."""
    trials = Trials(way, resends=0)
    calm = Calm.of(trials)
    for place in positions(calm.requests, f"{way.ground.kind} {fault} once"):
        where = f"{fault} at {place} of {calm.requests}"
        trials.new()
        way.proxy.on(FAULTS[fault], nth=place)
        result = trials.run()
        assert len([one for one in way.proxy.requests() if one.fault]) == 1, where
        way.proxy.forget()
        assert way.ground.outputs().items() <= calm.outputs.items(), where
        check(trials, calm, result, where)
        again = trials.run(next_attempt(trials))
        assert isinstance(again, ExecutionResult), f"{where}: {again}"
        assert result_core(again) == calm.core, where
        assert way.ground.outputs() == calm.outputs, where


def check(trials: Trials, calm: Calm, result: ExecutionResult | Refusal | EnvironmentFailure, where: str) -> None:
    """Checks that the store records what happened in the first attempt."""
    attempts = trials.attempts()
    if isinstance(result, Refusal | EnvironmentFailure):
        assert attempts == (), f"{where}: {result}"
        return
    (attempt,) = attempts
    started = [event.data["clip"] for event in attempt.events if event.type == "clip.started"]
    assert started in ([], [0]), where
    assert is_registered(trials.store(), trials.job.job_id)
    if isinstance(attempt.state, Open):
        assert result.stopped is not None, where
        assert result.stopped.code == "LEDGER_FAILED", where
        assert job_status(trials.store(), trials.job.job_id).state == "HELD"
        return
    assert isinstance(attempt.state, Closed), where
    assert attempt.state.result == result.to_json(), where
    assert (result.status == "COMPLETED") == (result_core(result) == calm.core), where


def next_attempt(trials: Trials) -> int:
    attempts = trials.attempts()
    if attempts and isinstance(attempts[-1].state, Open):
        unlock(trials.store(), trials.job.job_id, "its worker has ended", this_worker())
    return len(attempts) + 1
