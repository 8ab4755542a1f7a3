"""A storm on the fleet: `python -m tests.cluster.storm --seed 7 --minutes 60 --report FOLDER` is the long form.

Rounds of the same jobs, each round with a store, places and a schedule of its own. A round: workers, jobs, blows;
then all is mended and counted; then an operator does what `proxx audit` says, until every job is what it is unscaled.
The report is `storm.json` and `storm.md`. A round that fails ends it, with the seed that does it again.
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
    check_unhit,
    latest_fingerprint,
)
from tests.cluster.card import Card, Told, make_card, unscaled
from tests.cluster.fleet import STORMY, Fleet, Share, patiently, running_fleet, storm_hosts
from tests.cluster.hosts import Host
from tests.cluster.plan import EVERYWHERE, Action, Blow, Phase, plan
from tests.cluster.rounds import NOTHING, Round, Struck, landed, table, write_report
from tests.flows.pool import ENDED, until

SEED: Final = 7
PROFILES: Final = ("prores_proxy_half", "h264_half", "dnxhr_lb_mxf", "h264_review_mp4", "dnxhr_lb", "prores_lt")
RESENDS: Final = 2  # in the storm's store, so that an outage of seconds is already one that some jobs do not survive
PATIENCE: Final = 10  # seconds of silence, likewise; a busy machine needs some of them to make a client
WAIT: Final = 30  # seconds at most for a host to be in the phase that a blow is meant for
ROUNDS: Final = 5  # of an operator
RESTARTS: Final = 3  # of a worker by what starts services again, until it polls


class Storm:
    """One round: `rage`, `calm`, `count`, `mend`, in this order."""

    def __init__(self, fleet: Fleet, share: Share, card: Card, reference: Mapping[str, Told], doing: Round) -> None:
        self.fleet, self.share, self.card, self.reference, self.doing = fleet, share, card, reference, doing
        self.hosts = list(fleet.hosts.values())
        self.environment = {**share.environment, "PROXX_TEST_PATIENCE": str(PATIENCE)}

    # --- the storm ------------------------------------------------------------------------------------------

    def rage(self) -> None:
        """Workers, jobs, then one blow after another."""
        self.staff()
        self.share.submit([self.card.spec(name) for name in self.card.jobs])
        for action in self.doing.plan:
            found = self._await(self.fleet.hosts[action.host], action.phase)
            began = datetime.now(UTC)
            self._strike(action, self.fleet.hosts[action.host])
            where = None if action.blow in EVERYWHERE else action.host
            self.doing.blows.append(Struck(action.blow, where, began, datetime.now(UTC)))
            self.doing.hit[action.step] = found
            print(f"{action}: {found}", flush=True)
            self.staff(wait=False)  # what starts services again is no operator

    def staff(self, *, wait: bool = True) -> None:
        """Every host runs, and on every host a worker."""
        for host in self.hosts:
            if not host.running:
                host.start()
            if host.worker is None or not host.worker.alive:
                host.start_worker(self.environment)
        for host in self.hosts if wait else ():
            self._polling(host)

    def _polling(self, host: Host) -> None:
        """Until the host's worker polls. One that ended, for it began while storage was away, is started again."""
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
        """What the host is doing when it is hit: what was wanted, or nothing where no job came to it."""
        end = time.monotonic() + WAIT
        while time.monotonic() < end:
            if host.encoders() if phase is Phase.ENCODING else host.engines():
                return str(phase)
            states = self.fleet.runs(self.share).values() if self.fleet.api.answers() else ()
            if states and all(state in ENDED for state in states):
                return f"{NOTHING}: all jobs had ended"
            if states and "SCHEDULED" not in states and not any(one.engines() for one in self.hosts):
                return f"{NOTHING}: what is left waits for an operator"
            time.sleep(0.1)
        return NOTHING

    def _strike(self, action: Action, host: Host) -> None:
        match action.blow:
            case Blow.RUN_KILLED:
                for engine in host.engines():
                    with suppress(psutil.NoSuchProcess):
                        engine.kill()
                until(lambda: not host.encoders(), f"encoders of {host.name} died with their runs")
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

    # --- after it -------------------------------------------------------------------------------------------

    def calm(self) -> None:
        """All is whole again; until nothing moves: no run waits or is executed by a process that lives."""
        self.staff()
        quiet = 0

        def still() -> bool:
            nonlocal quiet
            working = any(host.engines() for host in self.hosts)
            states = Counter(self.fleet.runs(self.share).values())
            quiet = 0 if working or states["SCHEDULED"] else quiet + 1
            return quiet > (20 if states["PENDING"] else 3)  # a worker that has just taken one starts its process

        patiently(still, "the storm is over", self.fleet.said)

    def count(self, tries: int | None = None) -> Account:
        """The accounting, with all that must hold whatever happened. tries: of a job, at most."""
        said = account(self.share, self.card)
        counts = said.counts()
        assert sum(counts.values()) == len(self.card.jobs)
        self.doing.attempts = check_ledger(self.share, self.card, tries)
        self.doing.outputs = check_outputs(self.share, self.card, self.reference)
        self.doing.untouched = len(check_unhit(self.share, self.card, self.reference, self.doing.blows))
        self._check_runs()
        return said

    def _check_runs(self) -> None:
        """Prefect began no run twice."""
        for run_id in self.fleet.runs(self.share):
            states = self.fleet.states(run_id)
            assert states.count("RUNNING") <= 1, (run_id, states)

    # --- the operator ---------------------------------------------------------------------------------------

    def mend(self) -> None:
        """Do what `proxx audit` says, as often as it says something of a job that is not what it is unscaled."""
        for _ in range(ROUNDS):
            patiently(self._all_told, "Prefect has called the end of every run", self.fleet.said)
            if not self._decide():
                break
            self.calm()
        for name, job in self.card.jobs.items():
            tried = check_final(self.share, self.card, name, self.reference[name])
            assert tried, (name, job.job_id)

    def _all_told(self) -> bool:
        """Nothing is called at work, or about to be: what died unseen is, until its signs of life are missed."""
        self._forget_stuck()
        return not {found["verdict"] for found in self.share.audit()["jobs"]} & {"RUNNING", "WAITING"}

    def _decide(self) -> bool:
        """One look at the audit; whether anything was done."""
        names = {job.job_id: name for name, job in self.card.jobs.items()}
        done = False
        for found in self.share.audit()["jobs"]:
            name = names[found["job_id"]]
            if found["verdict"] == "COMPLETED" or (found["verdict"] == "FAILED" and self._as_unscaled(name)):
                continue
            for step in found["steps"]:
                words = ["storm" if w == "TEXT" else w for w in shlex.split(step["command"])]
                words = [str(self.card.spec(name)) if w == "SPEC" else w for w in words]
                if words[:2] in (["proxx", "unlock"], ["proxx", "submit"]):
                    assert words[1] != "unlock" or not self._lives(found["runs"]), f"{name} is not dead"
                    self.share.operator(*words)
                    self.doing.operator.append(f"{name}: {shlex.join(words[1:]).replace(str(self.card.folder), '')}")
                    done = True
        return done

    def _lives(self, runs: Sequence[str]) -> bool:
        """Whether a process of one of the runs is on any host."""
        for host in self.hosts:
            for engine in host.engines():
                with suppress(psutil.Error):
                    if engine.environ().get("PREFECT__FLOW_RUN_ID") in runs:
                        return True
        return False

    def _forget_stuck(self) -> None:
        """Runs whose worker died with them in its hands stay Pending: the runbook has them deleted and submitted."""
        for run_id, state in self.fleet.runs(self.share).items():
            if state == "PENDING" and not self._lives([run_id]):
                self.share.operator("prefect", "--no-prompt", "flow-run", "delete", run_id)
                self.doing.operator.append(f"flow-run delete {run_id}")

    def _as_unscaled(self, name: str) -> bool:
        return latest_fingerprint(self.share, self.card, name) == self.reference[name].fingerprint


def one_round(
    fleet: Fleet, card: Card, reference: Mapping[str, Told], seed: int, blows: int, doing: Round | None = None
) -> Round:
    """A storm from its schedule to the last proxy."""
    since = time.monotonic()
    doing = doing or Round(seed, plan(seed, list(fleet.hosts), blows))
    share = fleet.share(f"storm-{seed}-{time.time_ns()}", resends=RESENDS)
    storm = Storm(fleet, share, card, reference, doing)
    try:
        storm.rage()
        storm.calm()
        said = storm.count(tries=1)  # nobody but an operator begins a second attempt
        doing.after, doing.verdicts = said.counts(), dict(Counter(said.verdicts.values()))
        storm.mend()
        storm.count()
    finally:
        doing.seconds = round(time.monotonic() - since)
        for host in fleet.hosts.values():
            if host.worker is not None and host.worker.alive:
                host.worker.kill()
    return doing


@click.command()
@click.option(
    "--seed", type=int, default=SEED, show_default=True, help="Of the first round; each next one has the next."
)
@click.option(
    "--minutes", type=click.IntRange(min=1), default=60, show_default=True, help="No round begins after that."
)
@click.option("--hosts", type=click.IntRange(1, len(STORMY)), default=len(STORMY), show_default=True)
@click.option("--blows", type=click.IntRange(min=1), default=16, show_default=True, help="In each round.")
@click.option(
    "--copies", type=click.IntRange(min=1), default=8, show_default=True, help="Jobs of each profile: 49 jobs by 8."
)
@click.option("--report", type=click.Path(path_type=Path), default=Path("storm-report"), show_default=True)
def main(seed: int, minutes: int, hosts: int, blows: int, copies: int, report: Path) -> None:
    """Storms, one after another, on a fleet of this machine's own. Ends with 1 where one broke something."""
    rounds: list[Round] = []
    trouble = ""
    with tempfile.TemporaryDirectory(prefix="proxx-storm-") as place, running_fleet(Path(place) / "fleet") as fleet:
        card = make_card(Path(place) / "card", PROFILES, copies=copies, long=True)
        reference = unscaled(card, card.jobs)
        card.upload(fleet.bucket)
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end and not trouble:
            storm_hosts(fleet, hosts)
            doing = Round(seed + len(rounds), plan(seed + len(rounds), list(fleet.hosts), blows))
            rounds.append(doing)
            try:
                one_round(fleet, card, reference, doing.seed, blows, doing)
            except Exception as why:
                trouble = f"seed {doing.seed}: {type(why).__name__}: {why}"
            fleet.crash_all()
            write_report(report, rounds, trouble)
            print(table(rounds), landed(rounds), trouble, sep="\n", flush=True)
    raise SystemExit(1 if trouble else 0)


if __name__ == "__main__":
    main()
