"""What an operator can do about a job, as commands to be pasted: the words of `audit`. Pure."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from proxx_flows.common.reference import SHORT


@dataclass(frozen=True)
class NextStep:
    """One thing to do. when: under which condition it is right, or what for. command: a shell line."""

    when: str
    command: str


@dataclass(frozen=True, kw_only=True)
class Advice:
    """Steps about one job. store: what `--store` has to say, or None where the environment says it to every verb."""

    job_id: str
    store: str | None

    @property
    def short(self) -> str:
        return self.job_id[:SHORT]

    def submit(self, attempt: int, *, again: bool = False, then: bool = False, mended: bool = False) -> NextStep:
        """Ask for the attempt; again: where `submit` alone would be given back the run that has ended. mended: it
        would only fail once more before that.
        """
        words = ["submit", self.short, *(("--attempt", str(attempt)) if attempt > 1 else ())]
        if then:
            when = "after that, to make it"
        elif again:
            when = "when what stopped that run is mended"
        elif mended:
            when = "when what failed is mended, to have it made"
        else:
            when = "to have it made"
        return NextStep(when, self._proxx(*words, *(("--again",) if again else ())))

    def unlock(self) -> NextStep:
        command = self._proxx("unlock", self.short, "--reason", "TEXT", "--worker-is-dead")
        return NextStep("when that process is dead for sure", command)

    def retire(self) -> NextStep:
        return NextStep("to give it up for good", self._proxx("retire", self.short, "--reason", "TEXT"))

    def history(self) -> NextStep:
        return NextStep("to see why", self._proxx("history", self.short))

    def cancel(self, run_id: str) -> NextStep:
        return NextStep("to take that run out of Prefect's queue", f"prefect flow-run cancel {run_id}")

    def forget(self, run_id: str) -> NextStep:
        command = f"prefect --no-prompt flow-run delete {run_id}"
        return NextStep("when the job is not needed any more, to forget its run in Prefect", command)

    def _proxx(self, verb: str, *words: str) -> str:
        store = ("--store", self.store) if self.store is not None else ()
        return shlex.join(("proxx", verb, *words, *store))
