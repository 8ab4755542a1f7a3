"""A storm on the fleet; the long form is `python -m tests.cluster.storm --seed 7 --minutes 60 --report FOLDER`.

It has rounds of the same jobs, each with a store, places and a plan of its own. In a round, workers run the jobs
while blows hit the fleet. Then everything is restored and accounted for. Then an operator follows `proxx audit` until
every job has its unscaled outcome. The report is `storm.json` and `storm.md`. The first round that fails ends the
storm, and its seed repeats it.
"""

from __future__ import annotations

import shlex
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
import psutil

from tests.cluster.accounting import (
    Account,
    account,
    check_final,
    check_ledger,
    check_outputs,
    check_untouched,
    latest_fingerprint,
)
from tests.cluster.card import Card, JobOutcome, make_card, unscaled
from tests.cluster.fleet import STORMY, Fleet, Share, running_fleet, storm_hosts, wait_until
from tests.cluster.hosts import Host
from tests.cluster.plan import EVERYWHERE, Action, Blow, Phase, plan
from tests.cluster.rounds import NOTHING, Hit, Round, landed, table, write_report
from tests.flows.pool import ENDED, until

SEED: Final = 7
PROFILES: Final = ("prores_proxy_half", "h264_half", "dnxhr_lb_mxf", "h264_review_mp4", "dnxhr_lb", "prores_lt")
RESENDS: Final = 2  # in the storm's store, so that some jobs do not survive an outage of seconds
PATIENCE: Final = 10  # seconds without an answer, likewise; a busy machine needs some of them to create a client
WAIT: Final = 30  # seconds to wait at most for the phase that a blow is meant for
ROUNDS: Final = 5  # of an operator
RESTARTS: Final = 3  # of a worker, as a service manager restarts it, until it polls


class Storm:
    """One round: `strike`, `settle`, `check`, `recover`, in this order."""

    def __init__(
        self, fleet: Fleet, share: Share, card: Card, reference: Mapping[str, JobOutcome], record: Round
    ) -> None:
        self.fleet, self.share, self.card, self.reference, self.record = fleet, share, card, reference, record
        self.hosts = list(fleet.hosts.values())
        self.environment = {**share.environment, "PROXX_TEST_PATIENCE": str(PATIENCE)}

    # --- the blows ------------------------------------------------------------------------------------------

    def strike(self) -> None:
        """Starts workers, submits the jobs, then strikes one blow after another."""
        self.start_workers()
        self.share.submit([self.card.spec(name) for name in self.card.jobs])
        for action in self.record.plan:
            phase = self._await(self.fleet.hosts[action.host], action.phase)
            began = datetime.now(UTC)
            self._strike(action, self.fleet.hosts[action.host])
            host = None if action.blow in EVERYWHERE else action.host
            self.record.blows.append(Hit(action.blow, host, began, datetime.now(UTC)))
            self.record.hit[action.step] = phase
            print(f"{action}: {phase}", flush=True)
            self.start_workers(wait=False)  # as a service manager does, not an operator

    def start_workers(self, *, wait: bool = True) -> None:
        """Starts every host that is down, and a worker on every host that has none."""
        for host in self.hosts:
            if not host.running:
                host.start()
            if host.worker is None or not host.worker.alive:
                host.start_worker(self.environment)
        for host in self.hosts if wait else ():
            self._polling(host)

    def _polling(self, host: Host) -> None:
        """Waits until the host's worker polls. A worker that ended while storage was away is started again."""
        for left in reversed(range(RESTARTS)):
            assert host.worker is not None
            try:
                host.worker.polls()
            except AssertionError:
                if host.worker.alive or not left:
                    raise
                host.start_worker(self.environment)
            else:
                return

    def _await(self, host: Host, phase: Phase) -> str:
        """Waits for the phase. Returns it, or text that begins with NOTHING if no job came to the host."""
        end = time.monotonic() + WAIT
        while time.monotonic() < end:
            if host.encoders() if phase is Phase.ENCODING else host.engines():
                return str(phase)
            states = self.fleet.runs(self.share).values() if self.fleet.api.answers() else ()
            if states and all(state in ENDED for state in states):
                return f"{NOTHING}: all jobs had ended"
            if states and "SCHEDULED" not in states and not any(one.engines() for one in self.hosts):
                return f"{NOTHING}: the remaining jobs wait for an operator"
            time.sleep(0.1)
        return NOTHING

    def _strike(self, action: Action, host: Host) -> None:
        match action.blow:
            case Blow.RUN_KILLED:
                for engine in host.engines():
                    with suppress(psutil.NoSuchProcess):
                        engine.kill()
                until(lambda: not host.encoders(), f"the encoders of {host.name} died with their runs")
            case Blow.WORKER_KILLED:
                if host.worker is not None and host.worker.alive:
                    host.worker.kill()
            case Blow.HOST_CRASHED:
                host.crash()
            case Blow.CABLE_OUT:
                host.unplug()
                time.sleep(action.seconds)
                host.plug()
            case Blow.STORAGE_LOST:
                host.lose(self.fleet.net.storage)
                time.sleep(action.seconds)
                host.find(self.fleet.net.storage)
            case Blow.STORAGE_KILLED:
                self.fleet.rgw.kill()
                time.sleep(action.seconds)
                self.fleet.rgw.start()
            case Blow.API_KILLED:
                self.fleet.api.stop()
                self.fleet.api.start()
            case Blow.CLOCK_WRONG:
                host.set_clock(action.shift)
                time.sleep(action.seconds)
                host.set_clock("+0")

    # --- afterwards -----------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Restores everything, then waits until no run waits and no live process executes one."""
        self.start_workers()
        quiet = 0

        def is_quiet() -> bool:
            nonlocal quiet
            working = any(host.engines() for host in self.hosts)
            states = Counter(self.fleet.runs(self.share).values())
            quiet = 0 if working or states["SCHEDULED"] else quiet + 1
            return quiet > (20 if states["PENDING"] else 3)  # a worker that has just taken a run starts its process

        wait_until(is_quiet, "the storm is over", self.fleet.worker_logs)

    def check(self, max_attempts: int | None = None) -> Account:
        """Accounts for all jobs and checks what must hold in every case. max_attempts: of each job."""
        accounts = account(self.share, self.card)
        counts = accounts.counts()
        assert sum(counts.values()) == len(self.card.jobs)
        self.record.attempts = check_ledger(self.share, self.card, max_attempts)
        self.record.outputs = check_outputs(self.share, self.card, self.reference)
        self.record.untouched = len(check_untouched(self.share, self.card, self.reference, self.record.blows))
        self._check_runs()
        return accounts

    def _check_runs(self) -> None:
        """Checks that Prefect began no run twice."""
        for run_id in self.fleet.runs(self.share):
            states = self.fleet.states(run_id)
            assert states.count("RUNNING") <= 1, (run_id, states)

    # --- the operator ---------------------------------------------------------------------------------------

    def recover(self) -> None:
        """Follows `proxx audit` until every job has its unscaled outcome."""
        for _ in range(ROUNDS):
            wait_until(self._all_ended, "Prefect shows every run as ended", self.fleet.worker_logs)
            if not self._decide():
                break
            self.settle()
        for name, job in self.card.jobs.items():
            attempt = check_final(self.share, self.card, name, self.reference[name])
            assert attempt, (name, job.job_id)

    def _all_ended(self) -> bool:
        """Returns whether no job is RUNNING or WAITING. A dead run is RUNNING until its heartbeats are missed."""
        self._forget_stuck()
        return not {finding["verdict"] for finding in self.share.audit()["jobs"]} & {"RUNNING", "WAITING"}

    def _decide(self) -> bool:
        """Runs the audit once and the commands it advises. Returns whether there were any."""
        names = {job.job_id: name for name, job in self.card.jobs.items()}
        acted = False
        for finding in self.share.audit()["jobs"]:
            name, verdict = names[finding["job_id"]], finding["verdict"]
            if verdict == "COMPLETED" or (verdict == "FAILED" and self._as_unscaled(name)):
                continue
            for step in finding["steps"]:
                words = ["storm" if w == "TEXT" else w for w in shlex.split(step["command"])]
                words = [str(self.card.spec(name)) if w == "SPEC" else w for w in words]
                if words[:2] in (["proxx", "unlock"], ["proxx", "submit"]):
                    assert words[1] != "unlock" or not self._lives(finding["runs"]), f"{name} is not dead"
                    self.share.operator(*words)
                    self.record.operator.append(f"{name}: {shlex.join(words[1:]).replace(str(self.card.folder), '')}")
                    acted = True
        return acted

    def _lives(self, runs: Sequence[str]) -> bool:
        """Returns whether a process of one of the runs lives on any host."""
        for host in self.hosts:
            for engine in host.engines():
                with suppress(psutil.Error):
                    if engine.environ().get("PREFECT__FLOW_RUN_ID") in runs:
                        return True
        return False

    def _forget_stuck(self) -> None:
        """Deletes runs that stay Pending because their worker died with them, as the runbook advises."""
        for run_id, state in self.fleet.runs(self.share).items():
            if state == "PENDING" and not self._lives([run_id]):
                self.share.operator("prefect", "--no-prompt", "flow-run", "delete", run_id)
                self.record.operator.append(f"flow-run delete {run_id}")

    def _as_unscaled(self, name: str) -> bool:
        return latest_fingerprint(self.share, self.card, name) == self.reference[name].fingerprint


def run_round(fleet: Fleet, card: Card, reference: Mapping[str, JobOutcome], record: Round) -> None:
    """Runs a storm from its first blow until every job has its unscaled outcome, and fills its record."""
    since = time.monotonic()
    share = fleet.share(f"storm-{record.seed}-{time.time_ns()}", resends=RESENDS)
    storm = Storm(fleet, share, card, reference, record)
    try:
        storm.strike()
        storm.settle()
        accounts = storm.check(max_attempts=1)  # only an operator begins a second attempt
        record.after, record.verdicts = accounts.counts(), dict(Counter(accounts.verdicts.values()))
        storm.recover()
        storm.check()
    finally:
        record.seconds = round(time.monotonic() - since)
        for host in fleet.hosts.values():
            if host.worker is not None and host.worker.alive:
                host.worker.kill()


@click.command()
@click.option(
    "--seed",
    type=int,
    default=SEED,
    show_default=True,
    help="Seed of the first round; each further round takes the next number.",
)
@click.option(
    "--minutes", type=click.IntRange(min=1), default=60, show_default=True, help="No round begins after this time."
)
@click.option("--hosts", type=click.IntRange(1, len(STORMY)), default=len(STORMY), show_default=True)
@click.option("--blows", type=click.IntRange(min=1), default=16, show_default=True, help="Blows in each round.")
@click.option(
    "--copies", type=click.IntRange(min=1), default=8, show_default=True, help="Jobs of each profile: 8 make 49 jobs."
)
@click.option("--report", type=click.Path(path_type=Path), default=Path("storm-report"), show_default=True)
def main(seed: int, minutes: int, hosts: int, blows: int, copies: int, report: Path) -> None:
    """Run rounds of storms on a fleet of hosts on this machine. The exit status is 1 if a round fails."""
    rounds: list[Round] = []
    trouble = ""
    with tempfile.TemporaryDirectory(prefix="proxx-storm-") as place, running_fleet(Path(place) / "fleet") as fleet:
        card = make_card(Path(place) / "card", PROFILES, copies=copies, long=True)
        reference = unscaled(card, card.jobs)
        card.upload(fleet.bucket)
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end and not trouble:
            storm_hosts(fleet, hosts)
            record = Round(seed + len(rounds), plan(seed + len(rounds), list(fleet.hosts), blows))
            rounds.append(record)
            try:
                run_round(fleet, card, reference, record)
            except Exception as error:
                trouble = f"seed {record.seed}: {type(error).__name__}: {error}"
            fleet.crash_all()
            write_report(report, rounds, trouble)
            print(table(rounds), landed(rounds), trouble, sep="\n", flush=True)
    raise SystemExit(1 if trouble else 0)


if __name__ == "__main__":
    main()
