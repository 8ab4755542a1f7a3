"""What an operator can do about a job, as commands to paste. Pure."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from proxx_flows.common.reference import SHORT


@dataclass(frozen=True)
class NextStep:
    """One step. when: the condition under which it is right, or its purpose. command: a shell line."""

    when: str
    command: str


@dataclass(frozen=True, kw_only=True)
class Advice:
    """Makes the steps for one job. store: the value for `--store`, or None if the environment names the store."""

    job_id: str
    store: str | None

    @property
    def short(self) -> str:
        return self.job_id[:SHORT]

    def submit(self, attempt: int, *, again: bool = False, then: bool = False, fix_first: bool = False) -> NextStep:
        """Returns the step that submits the attempt.

        again: add `--again`, because `submit` alone would return the run that has ended. then: another step comes
        first. fix_first: the attempt would fail again unless the cause of the failure is fixed first.
        """
        words = ["submit", self.short, *(("--attempt", str(attempt)) if attempt > 1 else ())]
        if then:
            when = "after that, to run the job again"
        elif again:
            when = "when what stopped that run is fixed"
        elif fix_first:
            when = "when the cause of the failure is fixed"
        else:
            when = "to run the job"
        return NextStep(when, self._proxx(*words, *(("--again",) if again else ())))

    def unlock(self) -> NextStep:
        command = self._proxx("unlock", self.short, "--reason", "TEXT", "--worker-is-dead")
        return NextStep("when you are sure that the process is dead", command)

    def retire(self) -> NextStep:
        return NextStep("to give the job up", self._proxx("retire", self.short, "--reason", "TEXT"))

    def history(self) -> NextStep:
        return NextStep("to see the reason", self._proxx("history", self.short))

    def cancel(self, run_id: str) -> NextStep:
        return NextStep("to remove the run from Prefect's queue", f"prefect flow-run cancel {run_id}")

    def forget(self, run_id: str) -> NextStep:
        command = f"prefect --no-prompt flow-run delete {run_id}"
        return NextStep("if the job is no longer needed, to delete its run in Prefect", command)

    def _proxx(self, verb: str, *words: str) -> str:
        store = ("--store", self.store) if self.store is not None else ()
        return shlex.join(("proxx", verb, *words, *store))
