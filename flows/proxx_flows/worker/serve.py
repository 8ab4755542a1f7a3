"""The worker an operator starts: proves its machine first, then takes one run at a time, and drains when stopped.

SIGTERM and SIGINT both mean: take no more runs, let those in hand end, then end with 0. A second one hurries
nothing. Prefect's own `prefect worker start` was seen to kill its runs at either.
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

from proxx.console.output import err
from proxx.console.wording import safe
from proxx.contracts.error_bases import Refusal
from proxx.doctor.machine import healthy
from proxx.ffmpeg.toolchain import Name
from proxx_flows.common.shared_store import shared_store
from proxx_flows.worker.check import (
    ENVIRONMENT,
    WorkerNeeds,
    examine_worker,
    needs_options,
    path_of_runs,
    refusal_of_worker,
)

if TYPE_CHECKING:
    from prefect.workers.process import ProcessWorker

STOPS: Final = (signal.SIGTERM, signal.SIGINT)
SERVER_FAULT: Final = 500
TICK: Final = 0.2  # seconds between two looks whether it was asked to stop, or whether its runs have ended


class Stop:
    """Whether somebody has asked the worker to end. It listens until the process is gone: twice is as once."""

    asked: signal.Signals | None = None

    def listen(self) -> None:
        for number in STOPS:
            signal.signal(number, self._note)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.asked = self.asked or signal.Signals(number)


async def serve(worker: ProcessWorker, stop: Stop, *, query: float, heartbeat: float, log: logging.Logger) -> None:
    """Take runs until told to stop, then return when those in hand have ended. query, heartbeat: seconds between.

    It is `ProcessWorker.start` with another end: that one gives up after some minutes without a server, and
    whatever ends it ends its runs. Here nothing that happens to the server or to the polling touches a run, with
    one exception that Prefect leaves: a server away for a minute just as a run begins ends the others in hand.
    Raises what the polling raised, after the runs in hand have ended.
    """
    broken: BaseException | None = None
    async with worker:  # leaving it waits for all it has begun
        try:
            async with anyio.create_task_group() as beating:
                beating.start_soon(_every, heartbeat, worker.sync_with_backend, log)
                async with anyio.create_task_group() as polling:
                    polling.start_soon(_every, query, worker.get_and_submit_flow_runs, log)
                    while (asked := stop.asked) is None:
                        await anyio.sleep(TICK)
                    log.info("%s: no more runs are taken; those in hand are waited for.", asked.name)
                    polling.cancel_scope.cancel()
                while worker.limiter.borrowed_tokens:
                    await anyio.sleep(TICK)  # it is still shown as online, which it is
                beating.cancel_scope.cancel()
        except* Exception as why:
            broken = _alone(why)
            log.error("The worker cannot go on (%s); runs in hand are waited for.", type(broken).__name__)
    if broken is not None:
        raise broken


def _alone(why: BaseException) -> BaseException:
    """What task groups have wrapped, where it is one."""
    while isinstance(why, BaseExceptionGroup) and len(why.exceptions) == 1:
        why = why.exceptions[0]
    return why


async def _every(seconds: float, call: Callable[[], Awaitable[object]], log: logging.Logger) -> None:
    """`call` again and again. A server that is away is waited for, however long; a refusal is raised."""
    while True:
        try:
            await call()
        except httpx.TransportError as why:
            log.warning("The Prefect API does not answer (%s); asking again.", why)
        except httpx.HTTPStatusError as why:
            if why.response.status_code < SERVER_FAULT:
                raise
            log.warning("The Prefect API has a fault (%s); asking again.", why)
        await anyio.sleep(seconds)


def _check_name(_: click.Context, __: click.Parameter, name: str) -> str:
    if "/" in name or "%" in name:
        raise click.BadParameter("Prefect takes no / and no % in a worker's name.")
    return name


@click.command()
@click.option("--pool", default="proxx", show_default=True, help="The work pool to take runs of.")
@click.option(
    "--name",
    default=socket.gethostname,
    show_default="this host",
    callback=_check_name,
    help="Unique among the pool's workers.",
)
@click.option("--queue", "queues", multiple=True, metavar="NAME", help="Take runs of this queue only. Else of all.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Runs at once. To fill a machine rather start several workers: then none has to do with another.",
)
@needs_options
def main(
    store: str | None,
    toolchains: tuple[Name, ...],
    reads: tuple[str, ...],
    writes: tuple[str, ...],
    pool: str,
    name: str,
    queues: tuple[str, ...],
    limit: int,
) -> None:
    """Take jobs of a Prefect work pool, one at a time, until SIGTERM or SIGINT; runs in hand are then finished.

    Does not start on a machine that would fail them: ends with 6 and says what is wrong.
    """
    stop = Stop()
    stop.listen()
    os.environ["PATH"] = path_of_runs()
    findings = examine_worker(WorkerNeeds(store=store, toolchains=toolchains, reads=reads, writes=writes))
    if not healthy(findings):
        err(f"proxx worker: this machine takes no jobs.\n{refusal_of_worker(findings)}")
        sys.exit(ENVIRONMENT)
    os.environ["PROXX_STORE"] = shared_store(store).uri  # for runs started by hand that name none

    from proxx_flows.common.connection import require_prefect

    try:
        require_prefect()
    except Refusal as why:
        err(f"proxx worker: {safe(why)}")
        sys.exit(why.status)
    from proxx_flows.worker.result_check import refusal_of_results

    if (why_not := refusal_of_results()) is not None:
        err(f"proxx worker: this machine takes no jobs.\n{safe(why_not)}")
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
        create_pool_if_not_found=False,  # it would be one without the template that crashes need
        heartbeat_interval_seconds=int(settings.heartbeat_seconds),
    )
    serving = partial(
        serve, worker, stop, query=settings.query_seconds, heartbeat=settings.heartbeat_seconds, log=log
    )
    try:
        anyio.run(serving)
    except httpx.HTTPStatusError as why:
        code = why.response.status_code
        err(f"proxx worker: the Prefect API refuses this worker now (HTTP {code}). Check PREFECT_API_AUTH_STRING.")
        sys.exit(ENVIRONMENT)
