"""The worker that an operator starts: checks its machine, then takes one run at a time, and drains when stopped.

On SIGTERM or SIGINT it takes no more runs, lets its current runs end, then exits with 0. A second signal changes
nothing. Prefect's own `prefect worker start` kills its runs on either signal (measured).
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Final

import anyio
import click
import httpx

from proxx.console.exit_status import ENVIRONMENT
from proxx.console.output import err
from proxx.console.wording import safe
from proxx.contracts.error_bases import Refusal
from proxx.doctor.machine import healthy
from proxx.ffmpeg.installed import ToolchainName
from proxx_flows.common.shared_store import open_shared_store
from proxx_flows.worker.check import (
    WorkerNeeds,
    examine_worker,
    needs_options,
    path_of_runs,
    problem_lines,
)

if TYPE_CHECKING:
    from prefect.workers.process import ProcessWorker

STOPS: Final = (signal.SIGTERM, signal.SIGINT)
SERVER_FAULT: Final = 500
TICK: Final = 0.2  # seconds between two checks for a stop signal, or for the end of the current runs


class StopSignal:
    """The first SIGTERM or SIGINT that the process received. It listens until the process ends."""

    received: signal.Signals | None = None

    def listen(self) -> None:
        for number in STOPS:
            signal.signal(number, self._note)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.received = self.received or signal.Signals(number)


async def serve(
    worker: ProcessWorker, stop: StopSignal, *, query: float, heartbeat: float, log: logging.Logger
) -> None:
    """Takes runs until a stop signal, then returns when the current runs have ended.

    query, heartbeat: seconds between two polls and between two heartbeats. Replaces `ProcessWorker.start`, which
    gives up after some minutes without a server and ends its runs with itself. Here nothing that happens to the
    server or to the polling affects a run, with one exception in Prefect: if the server is gone for a minute just as
    a run begins, the other current runs end. Raises what the polling raised, after the current runs have ended.
    """
    failure: BaseException | None = None
    async with worker:  # leaving the block waits for all runs it has started
        try:
            async with anyio.create_task_group() as heartbeats:
                heartbeats.start_soon(_repeat, heartbeat, worker.sync_with_backend, log)
                async with anyio.create_task_group() as polling:
                    polling.start_soon(_repeat, query, worker.get_and_submit_flow_runs, log)
                    while (received := stop.received) is None:
                        await anyio.sleep(TICK)
                    log.info("%s: taking no more runs, waiting for the current ones to end.", received.name)
                    polling.cancel_scope.cancel()
                while worker.limiter.borrowed_tokens:
                    await anyio.sleep(TICK)  # heartbeats continue, so Prefect still shows the worker as online
                heartbeats.cancel_scope.cancel()
        except* Exception as error:
            failure = _single_error(error)
            log.error("The worker cannot continue (%s); waiting for its runs to end.", type(failure).__name__)
    if failure is not None:
        raise failure


def _single_error(error: BaseException) -> BaseException:
    """Returns the exception inside nested groups of one; a group of several as it is."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


async def _repeat(seconds: float, call: Callable[[], Awaitable[object]], log: logging.Logger) -> None:
    """Calls `call` again and again. Waits for an unreachable server without limit; raises if the server refuses."""
    while True:
        try:
            await call()
        except httpx.TransportError as error:
            log.warning("The Prefect API does not answer (%s); trying again.", error)
        except httpx.HTTPStatusError as error:
            if error.response.status_code < SERVER_FAULT:
                raise
            log.warning("The Prefect API reports an error of its own (%s); trying again.", error)
        await anyio.sleep(seconds)


def _check_name(_: click.Context, __: click.Parameter, name: str) -> str:
    if "/" in name or "%" in name:
        raise click.BadParameter("Prefect allows no / and no % in a worker's name.")
    return name


@click.command()
@click.option("--pool", default="proxx", show_default=True, help="The work pool to take runs from.")
@click.option(
    "--name",
    default=socket.gethostname,
    show_default="this host",
    callback=_check_name,
    help="The worker's name, unique in its pool.",
)
@click.option(
    "--queue",
    "queues",
    multiple=True,
    metavar="NAME",
    help="Take runs from this queue only; can be repeated. Without it, from all queues of the pool.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many runs to execute at once. To use a whole machine, start several workers instead: they are "
    "independent of each other.",
)
@needs_options
def main(
    store: str | None,
    toolchains: tuple[ToolchainName, ...],
    reads: tuple[str, ...],
    writes: tuple[str, ...],
    pool: str,
    name: str,
    queues: tuple[str, ...],
    limit: int,
) -> None:
    """Take jobs from a Prefect work pool, one at a time. On SIGTERM or SIGINT it finishes its runs and exits.

    On a machine that cannot run jobs it does not start: it prints what is wrong and exits with 6.
    """
    stop = StopSignal()
    stop.listen()
    os.environ["PATH"] = path_of_runs()
    findings = examine_worker(WorkerNeeds(store=store, toolchains=toolchains, reads=reads, writes=writes))
    if not healthy(findings):
        err(f"proxx worker: this machine takes no jobs.\n{problem_lines(findings)}")
        sys.exit(ENVIRONMENT)
    os.environ["PROXX_STORE"] = open_shared_store(store).uri  # for runs started by hand without a store

    from proxx_flows.common.connection import require_prefect

    try:
        require_prefect()
    except Refusal as error:
        err(f"proxx worker: {safe(error)}")
        sys.exit(error.status)
    from proxx_flows.worker.result_check import result_storage_problem

    if (problem := result_storage_problem()) is not None:
        err(f"proxx worker: this machine takes no jobs.\n{safe(problem)}")
        sys.exit(ENVIRONMENT)
    from prefect.logging import get_logger
    from prefect.settings import get_current_settings
    from prefect.workers.process import ProcessWorker

    settings = get_current_settings().worker
    log = get_logger("worker")
    worker = ProcessWorker(
        work_pool_name=pool,
        work_queues=list(queues),
        name=name,
        limit=limit,
        create_pool_if_not_found=False,  # it would lack the job template that reports crashes
        heartbeat_interval_seconds=int(settings.heartbeat_seconds),
    )
    serving = partial(
        serve, worker, stop, query=settings.query_seconds, heartbeat=settings.heartbeat_seconds, log=log
    )
    try:
        anyio.run(serving)
    except httpx.HTTPStatusError as error:
        code = error.response.status_code
        err(f"proxx worker: the Prefect API refuses this worker now (HTTP {code}). Check PREFECT_API_AUTH_STRING.")
        sys.exit(ENVIRONMENT)
