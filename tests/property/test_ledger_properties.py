"""Any sequence of workers, operators and failing stores: order, one holder, no gap, one end, one owner."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from proxx.contracts.error_bases import ProxxError
from proxx.contracts.errors import (
    AttemptClosed,
    AttemptOutOfOrder,
    JobRetired,
    LedgerFailed,
    Locked,
    LockLost,
    NotLocked,
    OutputClaimed,
    StoreUnavailable,
)
from proxx.contracts.event import Worker, stamp
from proxx.contracts.output_names import normalized_name
from proxx.store.attempts import Closed, NotBegun, Open, read_attempts
from proxx.store.base import MemoryStore
from proxx.store.ledger import Ledger
from proxx.store.lock import acquire, release, retire, unlock
from proxx.store.registration import is_registered, register
from proxx.store.status import job_status
from tests.objects.around import Around
from tests.objects.kinds import Kind, NewStore, turns
from tests.support.results import canonical_log

JOB = "ab" * 32
WHO = Worker(host="h", pid=1)


class Flaky(Around):
    """Fails the next create, if `fault` is set, before or after the object was created."""

    fault = ""

    def create(self, key: str, data: bytes) -> bytes | None:
        fault, self.fault = self.fault, ""
        if fault == "before":
            raise StoreUnavailable(message="lost")
        existing = super().create(key, data)
        if fault == "after":
            raise StoreUnavailable(message="lost")
        return existing


class Job(RuleBasedStateMachine):
    """The model: which attempt is open, how many there were, whether the job is retired."""

    def __init__(self, new_store: NewStore = MemoryStore) -> None:
        super().__init__()
        self.new_store = new_store

    @initialize()
    def begin(self) -> None:
        self.store = Flaky(self.new_store())
        register(self.store, b"{}", JOB, ["/p/a"], stamp(WHO, "r"))
        self.ledgers: list[Ledger] = []  # every ledger returned so far; at most one may still write
        self.attempts = 0
        self.open = False
        self.retired = False

    @rule(ahead=st.integers(-2, 2))
    def take(self, ahead: int) -> None:
        attempt = self.attempts + ahead
        try:
            self.ledgers.append(acquire(self.store, JOB, attempt, WHO, "r"))
        except Locked:
            assert self.open and ahead == 0
        except AttemptClosed:
            assert 1 <= attempt <= self.attempts
        except JobRetired:
            assert self.retired and ahead >= 0
        except AttemptOutOfOrder:
            assert attempt < 1 or ahead > 1 or (self.open and ahead == 1)
        else:
            assert ahead == 1 and not self.open and not self.retired
            self.attempts, self.open = attempt, True

    @rule(pick=st.integers(0, 3), fault=st.sampled_from(["", "", "before", "after"]), ends=st.booleans())
    def write(self, pick: int, fault: str, ends: bool) -> None:
        if not self.ledgers:
            return
        ledger = self.ledgers[-1 - pick % len(self.ledgers)]
        current = self.open and ledger.attempt == self.attempts
        self.store.fault = fault
        try:
            if ends:
                release(ledger, {"status": "COMPLETED"})
            else:
                ledger.append("clip.started", {})
        except LockLost:
            assert not current
        except LedgerFailed:
            if fault == "after" and ends and current:
                self.open = isinstance(read_attempts(self.store, JOB)[-1].state, Open)
        except RuntimeError:
            assert not current  # it closed the attempt itself before
        else:
            assert current or (ends and isinstance(read_attempts(self.store, JOB)[ledger.attempt - 1].state, Closed))
            self.open = self.open and not (ends and current)
        finally:
            self.store.fault = ""

    @rule()
    def break_lock(self) -> None:
        try:
            assert unlock(self.store, JOB, "x", WHO) == self.attempts
            assert self.open
            self.open = False
        except NotLocked:
            assert not self.open

    @rule(sure=st.integers(0, 4))
    def retire_job(self, sure: int) -> None:
        if sure:
            return  # seldom, or every run would be short
        try:
            assert retire(self.store, JOB, "x", WHO) == self.attempts + 1
            self.attempts += 1
            self.retired = True
        except Locked:
            assert self.open
        except JobRetired:
            assert self.retired

    @invariant()
    def the_store_agrees_with_the_model(self) -> None:
        attempts = read_attempts(self.store, JOB)
        assert len(attempts) == self.attempts
        for attempt in attempts:
            assert attempt.problems == ()
            assert len(canonical_log(attempt.events)) == len(attempt.events)
            assert isinstance(attempt.state, Open if self.open and attempt is attempts[-1] else Closed)
            assert not isinstance(attempt.state, NotBegun)
        state = job_status(self.store, JOB).state
        assert (state == "HELD") == self.open and (state == "RETIRED") == self.retired


Job.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestJob = Job.TestCase

names = st.sampled_from(["a", "A", "b", "é", "e\u0301", "É", "ß", "SS", "c"])
steps = st.lists(
    st.tuples(
        st.sampled_from(["register", "register", "register", "retire"]),
        st.integers(0, 3),
        st.sampled_from(["", "", "before", "after"]),
    ),
    max_size=12,
)


FOUR_JOBS: Final = st.lists(
    st.lists(names, min_size=1, max_size=3, unique_by=normalized_name), min_size=4, max_size=4
)


@given(FOUR_JOBS, steps)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_an_output_has_one_live_owner(outputs: list[list[str]], steps: list[tuple[str, int, str]]) -> None:
    one_live_owner(MemoryStore, outputs, steps)


@pytest.mark.parametrize("kind", ["file", "rgw"], indirect=True)
def test_the_properties_hold_for_slower_stores(kind: Kind) -> None:
    """The same tests with fewer examples: a disk and a server answer slowly."""
    count = turns(kind, memory=0, file=8, server=3)
    short = settings(
        max_examples=count, stateful_step_count=12, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip

    class JobOnKind(Job):
        def __init__(self) -> None:
            super().__init__(kind.new)

    run_state_machine_as_test(JobOnKind, settings=short)

    @given(FOUR_JOBS, steps)
    @short
    def owners(outputs: list[list[str]], steps: list[tuple[str, int, str]]) -> None:
        one_live_owner(kind.new, outputs, steps)

    owners()


def one_live_owner(new_store: NewStore, outputs: list[list[str]], steps: list[tuple[str, int, str]]) -> None:
    store = Flaky(new_store())
    ids = [f"{n}" * 64 for n in range(4)]
    retired: set[int] = set()
    for act, n, fault in steps:
        store.fault = fault
        try:
            if act == "retire":
                retire(store, ids[n], "x", WHO)
            else:
                register(store, b"{}", ids[n], outputs[n], stamp(WHO, "r"))
        except OutputClaimed as error:
            assert error.owner in ids and error.owner != ids[n] and ids.index(error.owner) not in retired
        except ProxxError:
            pass
        store.fault = ""
        retired = {n for n in range(4) if any(a.events[0].type == "retired" for a in read_attempts(store, ids[n]))}
        owners: dict[str, int] = {}
        for n in range(4):
            if is_registered(store, ids[n]) and n not in retired:
                for output in outputs[n]:
                    assert owners.setdefault(normalized_name(output), n) == n
