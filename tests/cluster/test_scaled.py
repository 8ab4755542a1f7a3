"""The outcome of a job does not depend on scale: the same jobs on this machine, on one host of a pool, and on six.

PROXX_ORDER_SEED (default 5) shuffles the order of submission. PROXX_LONG=1 runs the test of six hosts a second time
in another order.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from proxx.contracts.profile import catalogue
from proxx.store.attempts import read_attempts
from tests.cluster.card import CODES, FAILING, Card, JobOutcome
from tests.cluster.fleet import Fleet, Share, six_hosts
from tests.cluster.hosts import Host, Surroundings

SEED: Final = int(os.environ.get("PROXX_ORDER_SEED", "5"))
LONG: Final = os.environ.get("PROXX_LONG") == "1"
pytestmark = [pytest.mark.hosts, pytest.mark.timeout(1500)]


@pytest.fixture(autouse=True)
def hosts_end(fleet: Fleet) -> Iterator[None]:
    yield
    fleet.crash_all()


def run_all(fleet: Fleet, share: Share, card: Card, hosts: list[Host], names: list[str]) -> dict[str, JobOutcome]:
    """Starts workers, submits the jobs in this order, waits until all have ended, and drains the workers."""
    for host in hosts:
        host.start_worker(share.environment)
    for host in hosts:
        assert host.worker is not None
        host.worker.polls()
    share.submit([card.spec(name) for name in names])
    fleet.await_ends(share, len(names))
    outcomes = {name: share.outcome(card, name) for name in names}
    for host in hosts:
        assert host.worker is not None
        assert host.worker.end(signal.SIGTERM) == 0, host.worker.words
    return outcomes


def shuffled(card: Card, names: tuple[str, ...], seed: int) -> list[str]:
    """Returns the names in the order of the seed, and prints it."""
    order = list(names)
    random.Random(seed).shuffle(order)
    print(f"order of seed {seed}: {', '.join(order)}")
    return order


def hosts_of(share: Share, card: Card, names: list[str]) -> dict[str, str]:
    """Returns the host of each job. Every event of its only attempt must name the same worker."""
    hosts = {}
    for name in names:
        (attempt,) = read_attempts(share.store, card.jobs[name].job_id)
        (worker,) = {event.envelope.worker for event in attempt.events}
        assert worker.name == worker.host
        hosts[name] = worker.host
    return hosts


@pytest.mark.clause("V4")
def test_the_card_has_every_profile_and_every_kind_of_failure(card: Card, reference: dict[str, JobOutcome]) -> None:
    """Every profile of the catalogue, and clips that fail for three reasons; no two outcomes are the same."""
    assert set(card.jobs) == {*catalogue(), FAILING}
    assert [(index, code) for index, code, _ in reference[FAILING].failures] == list(CODES.items())
    assert {name: outcome.status for name, outcome in reference.items() if outcome.status != "COMPLETED"} == {
        FAILING: "FAILED"
    }
    for name, outcome in reference.items():
        assert len(outcome.outputs) == len(set(outcome.outputs.values())) == 2, name
    assert len({outcome.fingerprint for outcome in reference.values()}) == len(card.jobs)


@pytest.mark.clause("I5")
def test_create_gives_the_same_answer_on_a_host(fleet: Fleet, card: Card) -> None:
    """`create` from media in a bucket gives the same spec, and the same refusal, as from media on a disk."""
    card.upload(fleet.bucket, "fresh")
    host = fleet.host("erste", six_hosts()["ost"])
    bucket = f"s3://{fleet.bucket.name}"
    options = ["--profile", "prores_proxy_half", "--output", "proxies:/prores_proxy_half"]
    proxx = str(Path(sys.executable).parent / "proxx")
    env = {**fleet.environment, "PROXX_ROOTS": f"media={bucket}/fresh;proxies={bucket}/proxies"}
    name = ["--name", "prores_proxy_half", "--template", "{source_name}"]
    status, output = host.run([proxx, "create", "media:/A001", *options, *name, "--spec", "/tmp/spec.json"], env)
    assert status == 0, output
    assert host.run(["cat", "/tmp/spec.json"], {})[1] == card.spec("prores_proxy_half").read_text()
    argv = [proxx, "create", "media:/C001", *options, "--spec", "/tmp/none.json", "--json"]
    status, on_host = host.run(argv, env)
    on_machine = fleet.api.command(
        "proxx", *argv[1:], env={"PROXX_ROOTS": card.roots(card.folder / "proxies")}, statuses=(3,)
    )
    assert (status, on_host) == (3, on_machine)
    assert "NO_VIDEO" in on_machine


@pytest.mark.clause("I1")
@pytest.mark.clause("I2")
@pytest.mark.clause("I3")
@pytest.mark.clause("I4")
@pytest.mark.clause("V1")
def test_one_host_equals_unscaled(fleet: Fleet, card: Card, reference: dict[str, JobOutcome]) -> None:
    card.upload(fleet.bucket)
    share = fleet.share("alone")
    host = fleet.host("allein", six_hosts()["west"])
    names = shuffled(card, tuple(card.jobs), SEED + 1)
    outcomes = run_all(fleet, share, card, [host], names)
    assert outcomes == {name: reference[name] for name in names}
    assert set(hosts_of(share, card, names).values()) == {"allein"}


@pytest.mark.clause("A6", lead=True)
@pytest.mark.clause("I1", lead=True)
@pytest.mark.clause("I2", lead=True)
@pytest.mark.clause("I3", lead=True)
@pytest.mark.clause("I4", lead=True)
@pytest.mark.clause("I5", lead=True)
@pytest.mark.clause("A4")
@pytest.mark.clause("A7")
@pytest.mark.clause("T1")
@pytest.mark.clause("T3")
@pytest.mark.clause("T5")
@pytest.mark.clause("T7")
@pytest.mark.clause("V1")
@pytest.mark.clause("V3")
@pytest.mark.clause("V4", lead=True)
@pytest.mark.parametrize("seed", [SEED, SEED + 1] if LONG else [SEED])
def test_six_hosts_equal_unscaled(seed: int, fleet: Fleet, card: Card, reference: dict[str, JobOutcome]) -> None:
    """Six hosts with other names, zones, languages, CPUs, umasks, folders, hash seeds and clocks; another order."""
    card.upload(fleet.bucket)
    share = fleet.share(f"six-{seed}")
    hosts = [fleet.host(name, surroundings) for name, surroundings in six_hosts().items()]
    names = shuffled(card, tuple(card.jobs), seed)
    outcomes = run_all(fleet, share, card, hosts, names)
    for name in names:
        assert outcomes[name] == reference[name], name
    assert set(hosts_of(share, card, names).values()) == set(fleet.hosts), "not every host took part"
    assert set(share.outputs()) == {output for outcome in reference.values() for output in outcome.outputs}
    assert fleet.bucket.uploads() == []
    counts = share.audit()["counts"]
    assert (counts["jobs"], counts["verdicts"]["COMPLETED"], counts["verdicts"]["FAILED"]) == (17, 16, 1)
    for host in hosts:
        assert (host.launched() > 0) is (host.surroundings.launcher is not None), (
            f"{host.name}: the launcher of an emulated CPU"
        )
        assert host.run([sys.executable, "-c", "import locale; locale.setlocale(locale.LC_ALL, '')"], {}) == (0, "")
        left = host.run(["find", "/tmp", "-maxdepth", "1", "-name", "proxx-*"], {})
        assert left == (0, ""), "a job left something on the host"
    log = (fleet.folder / "api" / "api" / "services.log").read_text(errors="replace")
    assert "ConnectionError" not in log, "a service looks for Redis at another address"


@pytest.mark.clause("T6")
@pytest.mark.clause("N2")
def test_a_clock_that_is_hours_off_takes_no_jobs(fleet: Fleet) -> None:
    """Signatures are valid for a quarter of an hour: the worker does not start, and its log has the reason."""
    share = fleet.share("late")
    host = fleet.host("spaet", Surroundings(clock="+5h"))
    worker = host.start_worker(share.environment)
    assert worker.process.wait(120) == 6, worker.words
    assert "this machine takes no jobs" in worker.words
    assert "this machine's clock and the storage server's differ too much" in worker.words
    host.set_clock("+0")
    host.start_worker(share.environment).polls()
