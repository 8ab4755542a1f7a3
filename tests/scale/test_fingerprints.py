"""The same job is the same outputs, logs, fingerprints and failures: wherever, whenever and beside whatever it runs.

Real processes run real jobs: of three kinds of encoder, one of them with clips that fail. Between runs the outputs
are moved away, so that each run makes them anew, at the same places, with another store and working folder. In
folders, and where sources, outputs and store are in a bucket of Ceph: the specs are the same, so all is compared with
the one reference.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from proxx.contracts.canonical import Json
from proxx.contracts.event import Worker
from proxx.contracts.job import JobSpec, spec_bytes
from proxx.store.attempts import read_attempts
from proxx.store.base import Store
from proxx.store.opening import open_store
from tests.objects.fixtures import new_ground
from tests.objects.ground import Ground
from tests.objects.kinds import connected
from tests.support.jobs import create, half_second
from tests.support.makemedia import make, picture
from tests.support.results import canonical_log

ROOT: Final = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Told:
    """All that must not vary of one run of one job. who: what must: the identity in each event."""

    status: int
    outputs: Mapping[str, str]
    log: tuple[dict[str, Json], ...]
    fingerprint: str
    failures: tuple[tuple[int, str, str], ...]
    argvs: tuple[tuple[str, ...], ...]
    who: frozenset[Worker] = field(compare=False)


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Where and how a worker process runs. launcher: put before it."""

    launcher: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    cwd: Path = ROOT
    umask: int = 0o022
    work: Path | None = None


@dataclass(frozen=True)
class Place:
    """Jobs, whose outputs are each in a folder of its name below `proxies`."""

    ground: Ground
    jobs: Mapping[str, JobSpec]

    def store(self, run: Path) -> Store:
        """Each run has its own."""
        if self.ground.bucket is None:
            return open_store(str(run / "store"))
        return self.ground.store(name=f"stores/{hashlib.sha256(bytes(run)).hexdigest()}")

    def start(self, name: str, run: Path, here: Surroundings, attempt: int = 1) -> subprocess.Popen[bytes]:
        """A worker for one job, with the store of this run and a working folder of its own."""
        work, spec = here.work or run / "work", run / f"{name}.json"
        run.mkdir(exist_ok=True)
        work.mkdir(parents=True, exist_ok=True)
        spec.write_bytes(spec_bytes(self.jobs[name]))
        argv = [sys.executable, "-m", "tests.faults.worker", str(spec), self.store(run).uri, str(attempt)]
        kept = {key: os.environ[key] for key in ("PATH", "TMPDIR", "CI") if key in os.environ}
        return subprocess.Popen(
            [*here.launcher, *argv, str(work), "none"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=here.cwd,
            umask=here.umask,
            env={**kept, "PYTHONPATH": str(ROOT), **self.ground.environment, **here.environment},
        )

    def told(self, name: str, run: Path, process: subprocess.Popen[bytes]) -> Told:
        out, err = process.communicate(timeout=300)
        assert process.returncode in (0, 1), out.decode() + err.decode()
        result: Any = json.loads(out)
        (attempt,) = read_attempts(self.store(run), self.jobs[name].job_id)
        return Told(
            process.returncode,
            self.made(name),
            canonical_log(attempt.events),
            result["fingerprint"],
            tuple(
                (clip["index"], clip["failure"]["code"], clip["failure"]["message"])
                for clip in result["clips"]
                if clip["failure"]
            ),
            tuple(tuple(clip["argv"]) for clip in result["clips"]),
            frozenset(event.envelope.worker for event in attempt.events),
        )

    def made(self, name: str) -> dict[str, str]:
        """Name to sha256 of all that is where the job's outputs go, hidden files too."""
        below = f"{name}/"
        found = {one: self.ground.get(f"proxies:/{one}") for one in self.ground.names(hidden=True)}
        return {
            one.removeprefix(below): hashlib.sha256(data or b"").hexdigest()
            for one, data in found.items()
            if one.startswith(below)
        }

    def one_after_another(self, run: Path, here: Surroundings, names: tuple[str, ...] = ()) -> dict[str, Told]:
        with self.cleared():
            return {name: self.told(name, run, self.start(name, run, here)) for name in names or tuple(self.jobs)}

    def at_once(self, run: Path, here: Surroundings) -> dict[str, Told]:
        with self.cleared():
            running = {name: self.start(name, run, here) for name in reversed(tuple(self.jobs))}
            return {name: self.told(name, run, process) for name, process in running.items()}

    @contextmanager
    def cleared(self) -> Iterator[None]:
        """Nothing is there before and after."""
        self._clear()
        yield
        assert self.ground.uploads() == [], "something was sent in part"
        self._clear()

    def _clear(self) -> None:
        if self.ground.bucket is not None:
            self.ground.bucket.delete_all("proxies/")
            return
        for folder in (self.ground.root / "proxies").iterdir():
            shutil.rmtree(folder)


def failing_card(card: Path) -> tuple[Path, ...]:
    """A good clip, a damaged one, one that will be gone, one that will be another, and a good one."""
    card.mkdir()
    sources = tuple(
        Path(shutil.copy(half_second(f"clip{index}.mov", f"01:00:0{index}:00"), card)) for index in range(5)
    )
    whole = make("x.mov", *picture("640x360", seconds="1"), "-c:v", "libx264", "-threads", "1", "-g", "12")
    data = bytearray(whole.read_bytes())
    for part in (3, 5, 7):
        at = len(data) * part // 10
        data[at : at + 2048] = bytes(2048)
    sources[1].write_bytes(data)
    return sources


@pytest.fixture(scope="module")
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Place:
    root = tmp_path_factory.mktemp("scale")
    ground = new_ground(request, "file", root)
    sources = failing_card(root / "card")
    for source in sources:
        ground.put(f"media:/{source.name}", source.read_bytes())
    names = tuple(f"media:/{source.name}" for source in sources)
    good = (names[0], names[4])
    jobs = {
        "failing": create(names, "proxies:/failing", "prores_proxy_half", places=ground.places()),
        "review": create(good, "proxies:/review", "h264_review_mp4", places=ground.places()),
        "linked": create(good, "proxies:/linked", "dnxhr_lb_mxf", places=ground.places()),
    }
    ground.delete(names[2])
    ground.put(names[3], sources[3].read_bytes()[:-1] + b"x")
    return Place(ground, jobs)


@pytest.fixture(scope="module")
def in_a_bucket(place: Place, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The very same jobs, with all they need in Ceph."""
    ground = new_ground(request, "rgw", tmp_path_factory.mktemp("bucket"))
    assert ground.bucket is not None
    connected(ground.bucket, ground.wire)  # no test of this module has the server in its own environment
    for name in place.ground.names("media"):
        ground.put(f"media:/{name}", place.ground.get(f"media:/{name}") or b"")
    return Place(ground, place.jobs)


@pytest.fixture(params=["file", "rgw"])
def each_place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue("place" if request.param == "file" else "in_a_bucket")
    return found


@pytest.fixture(scope="module")
def reference(place: Place) -> dict[str, Told]:
    """One worker, one job after another, nothing unusual."""
    return place.one_after_another(place.ground.root / "reference", Surroundings())


@pytest.mark.clause("A5", lead=True)
@pytest.mark.clause("T1", lead=True)
def test_the_reference_is_what_it_should_be(reference: dict[str, Told]) -> None:
    """Clips that are good, damaged, lost and changed: one worker, one after another, logged in order."""
    failing = reference["failing"]
    assert [(index, code) for index, code, _ in failing.failures] == [
        (1, "DECODE_FAILED"),
        (2, "SOURCE_MISSING"),
        (3, "SOURCE_CHANGED"),
    ]
    assert list(failing.outputs) == ["clip0.mov", "clip4.mov"]
    assert [reference[name].status for name in ("failing", "review", "linked")] == [1, 0, 0]
    assert all(len(told.outputs) == 2 for told in reference.values())
    assert all(len(told.who) == 1 for told in reference.values()), "more than one worker acted in an attempt"
    steps = [(event["type"], event["data"].get("clip")) for event in failing.log[1:-1]]  # type: ignore[union-attr]
    made = [("clip.started", 0), ("clip.publishing", 0), ("clip.completed", 0)]
    lost = [(type_, clip) for clip in (1, 2, 3) for type_ in ("clip.started", "clip.failed")]
    assert steps == [*made, *lost, *((type_, 4) for type_, _ in made)]


def test_the_runs_are_compared_by_something(reference: dict[str, Told]) -> None:
    """Two clips, or two jobs, are not equal for want of content."""
    digests = [digest for told in reference.values() for digest in told.outputs.values()]
    assert len(set(digests)) == len(digests) == 6
    assert len({told.fingerprint for told in reference.values()}) == 3


OTHER_HOST: Final = ("unshare", "--uts", "sh", "-c", 'hostname other && exec "$@"', "sh")

# What surrounds the worker, given a folder of its own. Several things at a time, which have nothing to do with each
# other: each set costs three jobs, and where one makes a difference, leaving things out finds which.
VARIED: Final[dict[str, Callable[[Path], Surroundings]]] = {
    "again": lambda _: Surroundings(),
    "another folder, zone ahead, language, home and hash seed": lambda there: Surroundings(
        cwd=there,
        environment={
            "TZ": "Pacific/Kiritimati",
            "LANG": "tr_TR.UTF-8",
            "LANGUAGE": "tr",
            "PYTHONHASHSEED": "1",
            "HOME": str(there),
            "USER": "other",
            "LOGNAME": "other",
        },
    ),
    "the root as folder, zone behind, no language, no home, a third hash seed": lambda _: Surroundings(
        cwd=Path("/"),
        environment={"TZ": "XXX+11:30", "LC_ALL": "C", "HOME": "/nonexistent", "PYTHONHASHSEED": "4294967295"},
    ),
    "another host name, little CPU, a terminal": lambda _: Surroundings(
        launcher=(*OTHER_HOST, "nice", "-n", "19"),
        environment={"TERM": "xterm", "COLUMNS": "20", "FORCE_COLOR": "1"},
    ),
    "one CPU, little memory, few open files, a private umask": lambda _: Surroundings(
        launcher=("taskset", "--cpu-list", "0", "prlimit", f"--as={3 << 30}", "--nofile=64"), umask=0o077
    ),
    "optimized, memory that is not clean, words for ffmpeg": lambda there: Surroundings(
        environment={
            "PYTHONOPTIMIZE": "2",
            "MALLOC_PERTURB_": "165",
            "FFREPORT": f"file={there}/report:level=48",
            "AV_LOG_FORCE_COLOR": "1",
            "FFMPEG_DATADIR": "/",
        }
    ),
}


@pytest.mark.clause("I1")
@pytest.mark.clause("I2")
@pytest.mark.clause("I3")
@pytest.mark.clause("I4")
@pytest.mark.clause("I5", lead=True)
@pytest.mark.clause("F5")
@pytest.mark.clause("V1")
@pytest.mark.parametrize("name", VARIED)
def test_surroundings_change_nothing(name: str, place: Place, reference: dict[str, Told], tmp_path: Path) -> None:
    """Time zone, language, host name, CPUs, memory, umask, folder and more, a few at a time: nothing differs."""
    there = tmp_path / "there"
    there.mkdir()
    here = VARIED[name](there)
    require(here.launcher)
    told = place.one_after_another(tmp_path / "run", here)
    assert told == reference
    assert list(there.iterdir()) == [], "something was written where the process happened to be"
    if here.launcher[: len(OTHER_HOST)] == OTHER_HOST:
        assert {worker.host for one in told.values() for worker in one.who} == {"other"}


@pytest.mark.clause("I1", "I2", "I3", "I4", "I5", "F5", "V1")
def test_surroundings_change_nothing_in_a_bucket(
    in_a_bucket: Place, reference: dict[str, Told], tmp_path: Path
) -> None:
    """All at once that a client of object storage could stumble over: it signs by the clock, writes headers in small
    letters, looks for its credentials at home, and has threads and connections of its own.
    """
    there = tmp_path / "there"
    there.mkdir()
    words = {"TZ": "Pacific/Kiritimati", "LANG": "tr_TR.UTF-8", "HOME": "/nonexistent", "PYTHONHASHSEED": "1"}
    few = ("taskset", "--cpu-list", "0", "prlimit", "--nofile=64", f"--as={3 << 30}")
    require(few)
    here = Surroundings(launcher=few, environment=words, cwd=there, umask=0o077)
    told = in_a_bucket.one_after_another(tmp_path / "run", here, ("failing",))
    assert told == {"failing": reference["failing"]}
    assert list(there.iterdir()) == [], "something was written where the process happened to be"


def require(launcher: tuple[str, ...]) -> None:
    """The launcher works here; CI has it."""
    done = subprocess.run([*launcher, "true"], capture_output=True, check=False) if launcher else None
    if done is not None and done.returncode != 0:
        assert "CI" not in os.environ, done.stderr.decode()
        pytest.skip(f"NOT ALLOWED HERE: {' '.join(launcher)}; what it changes was not tested")


@pytest.mark.clause("I5")
def test_a_working_folder_on_another_file_system_changes_nothing(
    place: Place, reference: dict[str, Told], tmp_path: Path
) -> None:
    """The proxy is then copied to its place, not renamed."""
    shm = Path("/dev/shm")  # noqa: S108  (the one other file system every Linux has)
    if not shm.is_dir() or shm.stat().st_dev == place.ground.root.stat().st_dev:
        pytest.skip("ONE FILE SYSTEM ONLY: work and outputs on two were not tested")
    work = shm / f"proxx-tests-{os.getpid()}"
    try:
        assert place.one_after_another(tmp_path / "run", Surroundings(work=work)) == reference
        assert list(work.iterdir()) == []
    finally:
        shutil.rmtree(work, ignore_errors=True)


@pytest.mark.clause("I5")
def test_another_order_across_jobs_changes_nothing(place: Place, reference: dict[str, Told], tmp_path: Path) -> None:
    names = tuple(reversed(tuple(place.jobs)))
    assert place.one_after_another(tmp_path / "run", Surroundings(), names) == reference


@pytest.mark.clause("I1", lead=True)
@pytest.mark.clause("I2", lead=True)
@pytest.mark.clause("I3", lead=True)
@pytest.mark.clause("I4", lead=True)
@pytest.mark.clause("A3", lead=True)
@pytest.mark.clause("A4")
@pytest.mark.clause("F5")
def test_workers_at_once_change_nothing(each_place: Place, reference: dict[str, Told], tmp_path: Path) -> None:
    """Three workers at once on one store, clips of the same names, one job with failures: all as by one alone."""
    work = tmp_path / "work"
    told = each_place.at_once(tmp_path / "run", Surroundings(work=work))
    assert told == reference
    assert len({worker for one in told.values() for worker in one.who}) == 3
    assert list(work.iterdir()) == []


@pytest.mark.clause("F5", lead=True)
def test_a_busy_machine_changes_nothing(place: Place, reference: dict[str, Told], tmp_path: Path) -> None:
    """On a machine with twice as many busy processes as CPUs: the same commands, bytes and logs."""
    busy = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * len(os.sched_getaffinity(0)))
    ]
    try:
        assert place.one_after_another(tmp_path / "run", Surroundings()) == reference
    finally:
        for process in busy:
            process.kill()
            process.wait()


@pytest.mark.clause("V1")
@pytest.mark.clause("F3")
def test_the_next_attempt_says_the_same(each_place: Place, reference: dict[str, Told], tmp_path: Path) -> None:
    """What was made and is still there is kept; what was deleted is made again; what failed fails again."""
    name, run, place = "failing", tmp_path / "run", each_place
    with place.cleared():
        place.told(name, run, place.start(name, run, Surroundings()))
        place.ground.delete(f"proxies:/{name}/clip4.mov")
        out, err = place.start(name, run, Surroundings(), attempt=2).communicate(timeout=300)
        assert json.loads(out)["fingerprint"] == reference[name].fingerprint, err.decode()
        assert place.made(name) == reference[name].outputs
        first, second = read_attempts(place.store(run), place.jobs[name].job_id)
        # The first and the last event say which attempt it is.
        assert canonical_log(first.events)[1:-1] == canonical_log(second.events)[1:-1]
