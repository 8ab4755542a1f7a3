"""The verdict on a job for every combination of what its ledger records and what Prefect reports of its runs."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Final

import pytest
from proxx_flows.audit.finding import AuditFinding, JobVerdict
from proxx_flows.audit.next_steps import Advice
from proxx_flows.audit.prefect_run import SeenRun
from proxx_flows.audit.verdict import judge_job, judge_unknown_job

from proxx.contracts.canonical import Json
from proxx.contracts.errors import Locked, OutputClaimed, ToolchainMismatch
from proxx.contracts.event import Worker, stamp
from proxx.store.base import MemoryStore, Store
from proxx.store.keys import event_key, spec_key
from proxx.store.lock import acquire, release, retire, unlock
from proxx.store.opening import initialize_store
from proxx.store.registration import record_refusal, register
from proxx.store.status import State, job_status

JOB: Final = "ab" * 32
DIT: Final = Worker(host="cart-2", pid=7, user="dit")
OPERATOR: Final = Worker(host="desk", pid=1, user="op")
ADVICE: Final = Advice(job_id=JOB, store=None)

SUBMIT = "proxx submit abababababab"
UNLOCK = "proxx unlock abababababab --reason TEXT --worker-is-dead"
RETIRE = "proxx retire abababababab --reason TEXT"
HISTORY = "proxx history abababababab"

ALIVE: Final = ("SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING")
STATES: Final = (*ALIVE, "COMPLETED", "FAILED", "CRASHED", "CANCELLED")
"""All state types of Prefect."""


def result(status: str, code: str | None = None) -> dict[str, Json]:
    clip: Json = {"failure": {"code": code} if code else None}
    return {"status": status, "fingerprint": "f" * 64, "clips": [clip], "stopped": None}


def registered(store: Store) -> None:
    register(store, b"{}", JOB, ["/p/a.mov"], stamp(DIT, "reg"))


def held(store: Store, attempt: int = 1) -> None:
    registered(store)
    acquire(store, JOB, attempt, DIT, f"run-{attempt}")


def completed(store: Store) -> None:
    registered(store)
    release(acquire(store, JOB, 1, DIT, "run-1"), result("COMPLETED"))


def failed(store: Store, code: str = "DECODE_FAILED") -> None:
    registered(store)
    release(acquire(store, JOB, 1, DIT, "run-1"), result("FAILED", code))


def interrupted(store: Store) -> None:
    failed(store, "INTERRUPTED")


def unlocked(store: Store) -> None:
    held(store)
    unlock(store, JOB, "power cut", OPERATOR)


def retired(store: Store) -> None:
    registered(store)
    retire(store, JOB, "other grade", OPERATOR)


def retired_after(store: Store) -> None:
    completed(store)
    retire(store, JOB, "other grade", OPERATOR)


def damaged(store: Store) -> None:
    registered(store)
    store.create(event_key(JOB, 1, 1), b"{")


def cut_short(store: Store) -> None:
    initialize_store(store)
    store.create(spec_key(JOB), b"{}")


def refused_at_registration(store: Store) -> None:
    initialize_store(store)
    claimed = OutputClaimed(message="/p/a.mov belongs to job cdcd", owner="cd" * 32, output="/p/a.mov")
    record_refusal(store, JOB, claimed, stamp(DIT, "run-1"), 1)


def refused(store: Store) -> None:
    registered(store)
    mismatch = ToolchainMismatch(message="ffmpeg is another build")
    record_refusal(store, JOB, mismatch, stamp(DIT, "run-1"), 1)


Maker = Callable[[Store], None]
LEDGERS: Final[dict[str, Maker]] = {
    "REGISTERED": registered,
    "HELD": held,
    "COMPLETED": completed,
    "FAILED": failed,
    "INTERRUPTED": interrupted,
    "UNLOCKED": unlocked,
    "RETIRED": retired,
    "DAMAGED": damaged,
    "UNREGISTERED": cut_short,
}


def a_run(state: str, attempt: int = 1, *, name: str = "", run_id: str = "", submitted: bool = True) -> SeenRun:
    return SeenRun(
        id=run_id or f"run-{attempt}",
        attempt=attempt,
        state_type=state,
        state_name=name or state.capitalize(),
        since="2026-01-02T00:00:00+00:00",
        submitted=submitted,
        inline=not submitted,
    )


def finding_of(ledger: Maker, *runs: SeenRun) -> AuditFinding:
    store = MemoryStore()
    ledger(store)
    return judge_job(job_status(store, JOB), runs, ADVICE, spec=store.read(spec_key(JOB)) is not None)


def in_short(finding: AuditFinding) -> str:
    """Returns the verdict, with `!` if it needs a decision and `~` if Prefect contradicts the ledger."""
    return finding.verdict + "!" * finding.decide + "~" * finding.differs


# Columns: the state by the ledger. Rows: the state in Prefect of the run for attempt 1. !: needs a decision.
# ~: Prefect contradicts the ledger. P: UNKNOWN_TO_PREFECT. S: UNKNOWN_TO_STORE.
FIRST: Final = """
            REGISTERED  HELD      COMPLETED   FAILED    INTERRUPTED  UNLOCKED  RETIRED   DAMAGED  UNREGISTERED
(no run)    P!          HELD!     COMPLETED   FAILED!   FAILED!      LOST!     FAILED    LOST!    S!
SCHEDULED   WAITING     HELD!~    COMPLETED~  FAILED!~  FAILED!~     LOST!~    FAILED~   LOST!    S!
PENDING     WAITING     RUNNING   COMPLETED~  FAILED!~  FAILED!~     LOST!~    FAILED~   LOST!    S!
RUNNING     RUNNING     RUNNING   COMPLETED~  FAILED!~  FAILED!~     LOST!~    FAILED~   LOST!    S!
PAUSED      WAITING!    HELD!~    COMPLETED~  FAILED!~  FAILED!~     LOST!~    FAILED~   LOST!    S!
CANCELLING  RUNNING     RUNNING   COMPLETED~  FAILED!~  FAILED!~     LOST!~    FAILED~   LOST!    S!
COMPLETED   LOST!~      HELD!~    COMPLETED   FAILED!~  FAILED!~     LOST!~    FAILED    LOST!    S!
FAILED      LOST!       HELD!~    COMPLETED~  FAILED!   FAILED!      LOST!     FAILED    LOST!    S!
CRASHED     LOST!       HELD!~    COMPLETED~  FAILED!~  FAILED!      LOST!     FAILED    LOST!    S!
CANCELLED   LOST!       HELD!~    COMPLETED~  FAILED!~  FAILED!      LOST!     FAILED    LOST!    S!
"""

# The same for a run for attempt 2, if attempt 1 was taken by a run that Prefect does not have.
SECOND: Final = """
            REGISTERED  HELD      COMPLETED   FAILED    INTERRUPTED  UNLOCKED  RETIRED   DAMAGED  UNREGISTERED
SCHEDULED   P!          HELD!     WAITING     WAITING   WAITING      WAITING   FAILED~   LOST!    S!
PENDING     P!          HELD!     WAITING     WAITING   WAITING      WAITING   FAILED~   LOST!    S!
RUNNING     P!          HELD!     RUNNING     RUNNING   RUNNING      RUNNING   FAILED~   LOST!    S!
PAUSED      P!          HELD!     WAITING!    WAITING!  WAITING!     WAITING!  FAILED~   LOST!    S!
CANCELLING  P!          HELD!     RUNNING     RUNNING   RUNNING      RUNNING   FAILED~   LOST!    S!
COMPLETED   P!          HELD!     COMPLETED~  FAILED!~  FAILED!~     LOST!~    FAILED    LOST!    S!
FAILED      P!          HELD!     COMPLETED   FAILED!   FAILED!      LOST!     FAILED    LOST!    S!
CRASHED     P!          HELD!     COMPLETED   FAILED!   FAILED!      LOST!     FAILED    LOST!    S!
CANCELLED   P!          HELD!     COMPLETED   FAILED!   FAILED!      LOST!     FAILED    LOST!    S!
"""


def cells(table: str, attempt: int) -> list[object]:
    head, *rows = [line.replace("(no run)", "(none)").split() for line in table.strip().splitlines()]
    assert head == list(LEDGERS)
    return [
        pytest.param(ledger, row[0], attempt, cell, id=f"{ledger}-{row[0]}-{attempt}")
        for row in rows
        for ledger, cell in zip(head, row[1:], strict=True)
    ]


@pytest.mark.clause("V3")
@pytest.mark.parametrize(("ledger", "state", "attempt", "expected"), [*cells(FIRST, 1), *cells(SECOND, 2)])
def test_every_combination_of_ledger_and_prefect(ledger: str, state: str, attempt: int, expected: str) -> None:
    runs = () if state == "(none)" else (a_run(state, attempt),)
    expected = expected.replace("P!", "UNKNOWN_TO_PREFECT!").replace("S!", "UNKNOWN_TO_STORE!")
    assert in_short(finding_of(LEDGERS[ledger], *runs)) == expected


def test_the_tables_have_all_states() -> None:
    rows = [line.split()[0] for line in FIRST.strip().splitlines()[2:]]
    assert tuple(rows) == STATES == tuple(line.split()[0] for line in SECOND.strip().splitlines()[1:])
    assert set(State) <= {*LEDGERS}


# The commands that the finding advises, in order.
ADVISED: Final[dict[str, tuple[Maker, tuple[SeenRun, ...], str, tuple[str, ...]]]] = {
    "never submitted": (registered, (), "UNKNOWN_TO_PREFECT!", (SUBMIT, RETIRE)),
    "cancelled before it began": (registered, (a_run("CANCELLED"),), "LOST!", (f"{SUBMIT} --again", RETIRE)),
    "refused before the lock": (refused, (a_run("FAILED"),), "LOST!", (f"{SUBMIT} --again", RETIRE)),
    "refused, then submitted again": (
        refused,
        (a_run("FAILED"), a_run("SCHEDULED", run_id="second")),
        "WAITING",
        (),
    ),
    "refused, started by hand": (refused, (a_run("FAILED", submitted=False),), "LOST!", (SUBMIT, RETIRE)),
    "killed": (held, (a_run("CRASHED"),), "HELD!~", (UNLOCK, f"{SUBMIT} --attempt 2")),
    "killed, and the next was submitted too early": (
        held,
        (a_run("CRASHED"), a_run("FAILED", 2)),
        "HELD!~",
        (UNLOCK, f"{SUBMIT} --attempt 2 --again"),
    ),
    "proxx run, open": (held, (), "HELD!", (UNLOCK, f"{SUBMIT} --attempt 2")),
    "proxx run, open, and a run waits for the same attempt": (
        held,
        (a_run("SCHEDULED", run_id="other"),),
        "HELD!~",
        (UNLOCK, f"{SUBMIT} --attempt 2", "prefect flow-run cancel other"),
    ),
    "runs, and another run waits for the same attempt": (
        held,
        (a_run("RUNNING"), a_run("SCHEDULED", run_id="other")),
        "RUNNING~",
        (UNLOCK, "prefect flow-run cancel other"),
    ),
    "a refused run beside the one that took the attempt": (
        held,
        (a_run("FAILED", run_id="other"), a_run("RUNNING")),
        "RUNNING",
        (UNLOCK,),
    ),
    "failed": (failed, (a_run("FAILED"),), "FAILED!", (HISTORY, f"{SUBMIT} --attempt 2", RETIRE)),
    "failed, attempt 2 cancelled before it began": (
        failed,
        (a_run("FAILED"), a_run("CANCELLED", 2)),
        "FAILED!",
        (HISTORY, f"{SUBMIT} --attempt 2 --again", RETIRE),
    ),
    "failed, attempt 2 waits": (failed, (a_run("FAILED"), a_run("SCHEDULED", 2, name="Late")), "WAITING", ()),
    "unlocked": (unlocked, (a_run("CRASHED"),), "LOST!", (HISTORY, f"{SUBMIT} --attempt 2", RETIRE)),
    "completed": (completed, (a_run("COMPLETED"),), "COMPLETED", ()),
    "completed, and another run was refused": (
        completed,
        (a_run("COMPLETED"), a_run("FAILED", run_id="other")),
        "COMPLETED",
        (),
    ),
    "completed, and another run still waits": (
        completed,
        (a_run("COMPLETED"), a_run("SCHEDULED", run_id="other")),
        "COMPLETED~",
        ("prefect flow-run cancel other",),
    ),
    "completed, and crashed in Prefect": (completed, (a_run("CRASHED"),), "COMPLETED~", ()),
    "completed, and a run for attempt 2 was refused": (
        completed,
        (a_run("COMPLETED"), a_run("CRASHED", 2)),
        "COMPLETED",
        (f"{SUBMIT} --attempt 2 --again",),
    ),
    "retired": (retired, (a_run("CANCELLED"),), "FAILED", ()),
    "retired after it completed": (retired_after, (a_run("COMPLETED"),), "COMPLETED", ()),
    "retired, a run waits": (retired, (a_run("SCHEDULED"),), "FAILED~", ("prefect flow-run cancel run-1",)),
    "registration cut short": (cut_short, (), "UNKNOWN_TO_STORE!", (SUBMIT, RETIRE)),
    "started by hand, will register the job": (cut_short, (a_run("PENDING", submitted=False),), "WAITING", ()),
    "started by hand, registers the job now": (cut_short, (a_run("RUNNING", submitted=False),), "RUNNING", ()),
    "refused for another job's output": (
        refused_at_registration,
        (a_run("FAILED", submitted=False),),
        "UNKNOWN_TO_STORE",
        (),
    ),
    "a run waits for a job that was refused": (
        refused_at_registration,
        (a_run("SCHEDULED"),),
        "UNKNOWN_TO_STORE!~",
        ("prefect flow-run cancel run-1",),
    ),
    "damaged": (damaged, (), "LOST!", (HISTORY,)),
}


@pytest.mark.parametrize("case", ADVISED)
def test_the_advised_commands(case: str) -> None:
    ledger, runs, verdict, commands = ADVISED[case]
    finding = finding_of(ledger, *runs)
    assert (in_short(finding), tuple(step.command for step in finding.steps)) == (verdict, commands)


def test_the_explanation_names_run_worker_and_contradiction() -> None:
    finding = finding_of(held, a_run("COMPLETED"))
    since = finding.since
    assert finding.explanation == (
        f"Attempt 1 is open, taken by dit@cart-2 process 7 at {since}; run run-1 ended Completed in Prefect without "
        "closing the attempt: its process died, or cannot reach Prefect. "
        "The ledger has no result, so nothing counts as made."
    )


def test_the_explanation_names_the_refusal() -> None:
    assert finding_of(refused, a_run("FAILED", name="Failed")).explanation == (
        "Run run-1 for attempt 1 ended Failed and never began it. It was refused: TOOLCHAIN_MISMATCH: ffmpeg is "
        f"another build. {ToolchainMismatch.remedy} Nothing will happen."
    )


def test_the_explanation_of_a_contradiction_names_what_counts() -> None:
    assert finding_of(completed, a_run("CRASHED")).explanation == (
        "Attempt 1 completed. Prefect contradicts the ledger: run run-1 ended Crashed. "
        "The ledger decides what was made."
    )


@pytest.mark.parametrize("state", STATES)
def test_a_job_that_only_runs_name(state: str) -> None:
    run = a_run(state)
    cancel = ("prefect flow-run cancel run-1",) if run.alive else ()
    finding = judge_unknown_job(JOB, (run,), ADVICE, "The store has no record of this job.")
    assert in_short(finding) == "UNKNOWN_TO_STORE!~"
    delete = "prefect --no-prompt flow-run delete run-1"
    assert tuple(step.command for step in finding.steps) == (*cancel, delete)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("SCHEDULED", "WAITING"),
        ("RUNNING", "RUNNING"),
        ("CANCELLED", "UNKNOWN_TO_STORE"),
        ("FAILED", "UNKNOWN_TO_STORE!~"),
        ("COMPLETED", "UNKNOWN_TO_STORE!~"),
    ],
)
def test_a_job_started_by_hand_is_registered_by_its_run(state: str, expected: str) -> None:
    finding = judge_unknown_job(JOB, (a_run(state, submitted=False),), ADVICE, "The store has no record of this job.")
    assert in_short(finding) == expected


def test_the_ledger_decides_which_attempt_a_run_took() -> None:
    """The run of another flow that calls the engine: its parameters name no attempt, its run id is in the ledger."""
    store = MemoryStore()
    unlocked(store)
    acquire(store, JOB, 2, DIT, "other")
    assert in_short(judge_job(job_status(store, JOB), (a_run("RUNNING", run_id="other"),), ADVICE)) == "RUNNING"


def test_a_finding_that_needs_a_decision_has_steps() -> None:
    """For every ledger and every pair of runs: a verdict, an explanation, and a command if somebody must decide."""
    several = [
        a_run(state, attempt, run_id=run_id)
        for state, attempt, run_id in product(STATES, (1, 2, 3), ("run-1", "run-2", "x"))
    ]
    for ledger in LEDGERS.values():
        store = MemoryStore()
        ledger(store)
        status = job_status(store, JOB)
        for first, second in product(several, several):
            finding = judge_job(status, (first, second), ADVICE)
            assert isinstance(finding.verdict, JobVerdict)
            assert finding.explanation.endswith(".")
            assert not finding.decide or finding.steps


def test_an_open_attempt_cannot_be_taken_as_the_table_assumes() -> None:
    store = MemoryStore()
    held(store)
    with pytest.raises(Locked):
        acquire(store, JOB, 1, DIT, "other")


def test_commands_name_the_store_if_the_environment_does_not() -> None:
    advice = Advice(job_id=JOB, store="file:///a b")
    command = "proxx submit abababababab --attempt 3 --again --store 'file:///a b'"
    assert advice.submit(3, again=True).command == command


@pytest.mark.parametrize(
    ("ledger", "when"),
    [
        (failed, "when the cause of the failure is fixed"),
        (interrupted, "to run the job"),
        (unlocked, "to run the job"),
    ],
)
def test_the_next_attempt_of_a_failure_is_for_after_its_cause_is_fixed(ledger: Maker, when: str) -> None:
    steps = finding_of(ledger, a_run("FAILED")).steps
    assert [step.when for step in steps] == ["to see the reason", when, "to give the job up"]
