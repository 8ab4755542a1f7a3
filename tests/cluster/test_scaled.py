"""Scaled equals unscaled, on separate hosts: the same jobs on one machine, on one host of a pool, and on six.

The order of submission is shuffled by PROXX_ORDER_SEED (default 5). PROXX_LONG=1 runs six hosts once more in
another order.
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
from tests.cluster.card import CODES, FAILING, Card, Told
from tests.cluster.fleet import Fleet, Share, six_hosts
from tests.cluster.hosts import Host, Surroundings

SEED: Final = int(os.environ.get("PROXX_ORDER_SEED", "5"))
LONG: Final = os.environ.get("PROXX_LONG") == "1"
pytestmark = [pytest.mark.hosts, pytest.mark.timeout(1500)]


@pytest.fixture(autouse=True)
def hosts_end(fleet: Fleet) -> Iterator[None]:
    yield
    fleet.crash_all()


def run_all(fleet: Fleet, share: Share, card: Card, hosts: list[Host], names: list[str]) -> dict[str, Told]:
    """Workers on the hosts, the jobs in this order, until all have ended; then the workers are drained."""
    for host in hosts:
        host.start_worker(share.environment)
    for host in hosts:
        assert host.worker is not None
        host.worker.polls()
    share.submit([card.spec(name) for name in names])
    fleet.await_ends(share, len(names))
    told = {name: share.told(card, name) for name in names}
    for host in hosts:
        assert host.worker is not None
        assert host.worker.end(signal.SIGTERM) == 0, host.worker.words
    return told


def shuffled(card: Card, names: tuple[str, ...], seed: int) -> list[str]:
    """In an order of the seed's, which is printed."""
    order = list(names)
    random.Random(seed).shuffle(order)
    print(f"order of seed {seed}: {', '.join(order)}")
    return order


def who(share: Share, card: Card, names: list[str]) -> dict[str, str]:
    """The host that ran each job: one identity in every event of the one attempt."""
    found = {}
    for name in names:
        (attempt,) = read_attempts(share.store, card.jobs[name].job_id)
        (worker,) = {event.envelope.worker for event in attempt.events}
        assert worker.name == worker.host
        found[name] = worker.host
    return found


@pytest.mark.clause("V4")
def test_the_jobs_are_what_they_should_be(card: Card, reference: dict[str, Told]) -> None:
    """Every profile of the catalogue, and clips that fail for three reasons; nothing is equal for want of content."""
    assert set(card.jobs) == {*catalogue(), FAILING}
    assert [(index, code) for index, code, _ in reference[FAILING].failures] == list(CODES.items())
    assert {name: told.status for name, told in reference.items() if told.status != "COMPLETED"} == {
        FAILING: "FAILED"
    }
    for name, told in reference.items():
        assert len(told.outputs) == len(set(told.outputs.values())) == 2, name
    assert len({told.fingerprint for told in reference.values()}) == len(card.jobs)


@pytest.mark.clause("I5")
def test_creation_says_the_same_on_a_host(fleet: Fleet, card: Card) -> None:
    """The spec that a bucket's media give is the one that a disk's give, and so is what is refused."""
    card.upload(fleet.bucket, "fresh")
    host = fleet.host("erste", six_hosts()["ost"])
    bucket = f"s3://{fleet.bucket.name}"
    asked = ["--profile", "prores_proxy_half", "--output", "proxies:/prores_proxy_half"]
    proxx = str(Path(sys.executable).parent / "proxx")
    env = {**fleet.environment, "PROXX_ROOTS": f"media={bucket}/fresh;proxies={bucket}/proxies"}
    name = ["--name", "prores_proxy_half", "--template", "{source_name}"]
    status, said = host.run([proxx, "create", "media:/A001", *asked, *name, "--spec", "/tmp/spec.json"], env)
    assert status == 0, said
    assert host.run(["cat", "/tmp/spec.json"], {})[1] == card.spec("prores_proxy_half").read_text()
    argv = [proxx, "create", "media:/C001", *asked, "--spec", "/tmp/none.json", "--json"]
    status, there = host.run(argv, env)
    here = fleet.api.command(
        "proxx", *argv[1:], env={"PROXX_ROOTS": card.roots(card.folder / "proxies")}, statuses=(3,)
    )
    assert (status, there) == (3, here)
    assert "NO_VIDEO" in here


@pytest.mark.clause("I1")
@pytest.mark.clause("I2")
@pytest.mark.clause("I3")
@pytest.mark.clause("I4")
@pytest.mark.clause("V1")
def test_one_host_equals_unscaled(fleet: Fleet, card: Card, reference: dict[str, Told]) -> None:
    card.upload(fleet.bucket)
    share = fleet.share("alone")
    host = fleet.host("allein", six_hosts()["west"])
    names = shuffled(card, tuple(card.jobs), SEED + 1)
    told = run_all(fleet, share, card, [host], names)
    assert told == {name: reference[name] for name in names}
    assert set(who(share, card, names).values()) == {"allein"}


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
def test_six_hosts_equal_unscaled(seed: int, fleet: Fleet, card: Card, reference: dict[str, Told]) -> None:
    """Six hosts with other names, zones, languages, CPUs, umasks, folders, hash seeds and clocks; another order."""
    card.upload(fleet.bucket)
    share = fleet.share(f"six-{seed}")
    hosts = [fleet.host(name, here) for name, here in six_hosts().items()]
    names = shuffled(card, tuple(card.jobs), seed)
    told = run_all(fleet, share, card, hosts, names)
    for name in names:
        assert told[name] == reference[name], name
    assert set(who(share, card, names).values()) == set(fleet.hosts), "not every host took part"
    assert set(share.outputs()) == {output for one in reference.values() for output in one.outputs}
    assert fleet.bucket.uploads() == []
    counts = share.audit()["counts"]
    assert (counts["jobs"], counts["verdicts"]["COMPLETED"], counts["verdicts"]["FAILED"]) == (17, 16, 1)
    for host in hosts:
        assert (host.launched() > 0) is (host.here.launcher is not None), f"{host.name}: another CPU"
        assert host.run([sys.executable, "-c", "import locale; locale.setlocale(locale.LC_ALL, '')"], {}) == (0, "")
        left = host.run(["find", "/tmp", "-maxdepth", "1", "-name", "proxx-*"], {})
        assert left == (0, ""), "a job left something on the host"
    said = (fleet.folder / "api" / "api" / "services.said").read_text(errors="replace")
    assert "ConnectionError" not in said, "a service looks for Redis where it is not"


@pytest.mark.clause("T6")
@pytest.mark.clause("N2")
def test_a_clock_that_is_hours_off_takes_no_jobs(fleet: Fleet) -> None:
    """Signatures hold for a quarter of an hour: the worker does not begin, and says why."""
    share = fleet.share("late")
    host = fleet.host("spaet", Surroundings(clock="+5h"))
    worker = host.start_worker(share.environment)
    assert worker.process.wait(120) == 6, worker.words
    assert "this machine takes no jobs" in worker.words
    assert "this machine's clock and the storage server's differ too much" in worker.words
    host.set_clock("+0")
    host.start_worker(share.environment).polls()
