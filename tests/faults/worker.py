"""A worker process that runs one attempt and is killed or stopped at a chosen step. For fault tests.

`python -m tests.faults.worker SPEC STORE ATTEMPT WORK FAULT [SINGLE]`, FAULT being `none`, `progress` (while ffmpeg
writes) or `before:N` / `after:N` (event N), with `stop:` in front for SIGSTOP instead of SIGKILL. SINGLE: bytes above
which an output is sent in parts. Roots come from PROXX_ROOTS. Faults come in through the store and the watcher given
to `execute`; the product has no code for them. Prints the ExecutionResult.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from proxx.contracts.canonical import pretty_bytes
from proxx.contracts.error_bases import EnvironmentFailure, Refusal
from proxx.contracts.event import this_worker
from proxx.engine.execute import RunEnvironment, execute
from proxx.engine.steps import ClipProgress, Step
from proxx.files.places import SINGLE, Places
from proxx.files.roots import parse_roots
from proxx.s3.incidents import IncidentJournal
from proxx.store.base import Store
from proxx.store.keys import parse
from proxx.store.opening import open_store


@dataclass
class FaultyStore:
    """A store that sends its process a signal just before or just after event `number` is created."""

    real: Store
    when: str
    number: int
    signal: signal.Signals

    @property
    def uri(self) -> str:
        return self.real.uri

    @property
    def journal(self) -> IncidentJournal:
        return self.real.journal

    def create(self, key: str, data: bytes) -> bytes | None:
        parsed = parse(key)
        due = parsed is not None and parsed.kind == "event" and parsed.number == self.number
        if due and self.when == "before":
            self._send()
        existing = self.real.create(key, data)
        if due and self.when == "after":
            self._send()
        return existing

    def read(self, key: str) -> bytes | None:
        return self.real.read(key)

    def list(self, folder: str) -> tuple[str, ...]:
        return self.real.list(folder)

    def walk(self, folder: str, after: str = "") -> Iterator[str]:
        return self.real.walk(folder, after)

    def children(self, folder: str) -> tuple[str, ...]:
        return self.real.children(folder)

    def _send(self) -> None:
        self.number = 0  # once
        os.kill(os.getpid(), self.signal)


def main(spec: str, store: str, attempt: str, work: str, fault: str, single: str = str(SINGLE)) -> int:
    how = signal.SIGSTOP if fault.startswith("stop:") else signal.SIGKILL
    fault = fault.removeprefix("stop:")
    opened = open_store(store)
    if ":" in fault:
        when, number = fault.split(":")
        opened = FaultyStore(opened, when, int(number), how)

    def watch(step: Step) -> None:
        if fault == "progress" and isinstance(step, ClipProgress) and step.frame > 0:
            os.kill(os.getpid(), how)

    environment = RunEnvironment(
        store=opened,
        worker=this_worker(),
        run_id="faults",
        attempt=int(attempt),
        places=Places(roots=parse_roots(os.environ.get("PROXX_ROOTS", "")), single=int(single), part=5 << 20),
        work=Path(work),
        watch=watch,
    )
    try:
        result = execute(Path(spec).read_bytes(), environment)
    except (Refusal, EnvironmentFailure) as refusal:
        print(refusal)
        return refusal.status
    sys.stdout.write(pretty_bytes(result.to_json()).decode())
    return 0 if result.status == "COMPLETED" else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
