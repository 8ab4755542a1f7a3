"""Sources in a bucket: a verified copy in the job's working directory, which is removed afterwards."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from proxx.engine.steps import ClipProgress, ClipStage, Step
from tests.cli.command import environment, start
from tests.objects.rules import Before, Cut, Rule, StallAnswer
from tests.storage.conftest import Way
from tests.storage.running import codes, events, run
from tests.support.jobs import write_spec

SOURCE = r"/media/clip0\.mov$"


@dataclass
class Watching:
    """Records the files in the working folder at each stage."""

    work: Path
    seen: list[set[str]] = field(default_factory=list)
    at_stage: Callable[[str], None] = lambda _: None

    def __call__(self, step: Step) -> None:
        if isinstance(step, ClipStage):
            self.seen.append({path.name for path in self.work.rglob("*") if path.is_file()})
            self.at_stage(step.stage)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.mark.clause("T3", "T5")
def test_a_copy_exists_while_the_clip_is_made(way: Way, work: Path) -> None:
    job, watch = way.ground.job(clips=2), Watching(work)
    assert run(way.ground, job, work=work, watch=watch).status == "COMPLETED"
    stages = ["fetch", "encode", "verify", "publish"]
    copies = [{name for name in names if ".source" in name} for names in watch.seen]
    assert copies == [set(), {"00000.source.mov"}, set(), set(), set(), {"00001.source.mov"}, set(), set()]
    assert len(copies) == 2 * len(stages)
    assert list(work.iterdir()) == []
    assert len(way.proxy.requests("GET", SOURCE)) == 2, "one check before the job, one copy"


def test_no_space_for_the_copy_stops_the_job_before_reading(
    way: Way, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = way.ground.job(clips=2)
    size = job.clips[0].source.files[0].size
    monkeypatch.setattr("proxx.files.download.free_bytes", lambda _: size + (64 << 20) - 1)
    result = run(way.ground, job, work=work)
    assert result.stopped is not None
    assert result.stopped.code == "DISK_FULL"
    assert codes(result) == ["DISK_FULL", "NOT_RUN"]
    assert list(work.iterdir()) == []
    assert len(way.proxy.requests("GET", SOURCE)) == 1, "the check before the job"


@pytest.mark.parametrize("what", ["same size", "other size", "gone"])
@pytest.mark.clause("A1", "F1")
def test_a_changed_object_is_refused(way: Way, work: Path, what: str) -> None:
    job = way.ground.job(clips=2)
    whole = way.ground.get("media:/clip0.mov") or b""
    if what == "gone":
        way.ground.delete("media:/clip0.mov")
    else:
        way.ground.put("media:/clip0.mov", whole[:-1] + (b"x" if what == "same size" else b"xx"))
    result = run(way.ground, job, work=work)
    assert codes(result) == ["SOURCE_MISSING" if what == "gone" else "SOURCE_CHANGED", "COMPLETED"]
    assert list(work.iterdir()) == []
    assert way.ground.names() == ["clip1.mov"]


def test_an_object_that_is_replaced_between_the_check_and_the_copy(way: Way, work: Path) -> None:
    job = way.ground.job()
    whole = way.ground.get("media:/clip0.mov") or b""
    replaced = way.proxy.on(
        Before(lambda: way.ground.put("media:/clip0.mov", whole[:-1] + b"x")), method="GET", path=SOURCE, nth=2
    )
    assert codes(run(way.ground, job, work=work)) == ["SOURCE_CHANGED"]
    assert replaced.acted
    assert way.ground.names() == []


@pytest.mark.parametrize("with_", ["other bytes", "nothing"])
def test_an_object_that_is_replaced_while_it_is_read(way: Way, work: Path, with_: str) -> None:
    """The first read is cut, so the object is read again from its start; the first bytes are discarded."""
    job = way.ground.job()
    whole = way.ground.get("media:/clip0.mov") or b""
    way.proxy.on(Cut(len(whole) // 2), method="GET", path=SOURCE, nth=2)

    def replace() -> None:
        if with_ == "nothing":
            way.ground.delete("media:/clip0.mov")
        else:
            way.ground.put("media:/clip0.mov", whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2))

    way.proxy.on(Before(replace), method="GET", path=SOURCE, nth=3)
    assert codes(run(way.ground, job, work=work)) == [
        "SOURCE_CHANGED" if with_ == "other bytes" else "SOURCE_MISSING"
    ]
    assert list(work.iterdir()) == []


def test_a_read_that_is_cut_is_repeated_and_recorded(way: Way, work: Path) -> None:
    job = way.ground.job()
    size = job.clips[0].source.files[0].size
    way.proxy.on(Cut(size // 2), method="GET", path=SOURCE, nth=2, times=2)
    assert codes(run(way.ground, job, work=work)) == ["COMPLETED"]
    notes = [note for event in events(way.ground, job) for note in incidents(event.envelope.notes)]
    assert [(note["kind"], note["action"], note["cause"], note["number"]) for note in notes] == [
        ("resent", "GetObject", "CUT", 1),
        ("resent", "GetObject", "CUT", 2),
    ]


def incidents(notes: dict[str, Any]) -> list[dict[str, Any]]:
    return list(notes.get("storage", []))


def test_a_change_of_the_object_after_the_copy_has_no_effect(way: Way, work: Path) -> None:
    """The copy was verified: the proxy is made from the bytes the job was created for."""
    job = way.ground.job()

    def replace(stage: str) -> None:
        if stage == "encode":
            way.ground.put("media:/clip0.mov", b"another")

    assert codes(run(way.ground, job, work=work, watch=Watching(work, at_stage=replace))) == ["COMPLETED"]


@pytest.mark.parametrize("where", ["fetch", "encode"])
def test_a_stop_during_the_copy_or_the_encode(way: Way, work: Path, where: str) -> None:
    job, stop = way.ground.job(clips=2), threading.Event()
    stall = way.proxy.on(StallAnswer(), method="GET", path=SOURCE, nth=2 if where == "fetch" else 99)

    def watch(step: Step) -> None:
        if isinstance(step, ClipProgress):
            stop.set()
        if isinstance(step, ClipStage) and step.stage == "fetch" == where:
            threading.Thread(target=stop_when, args=(stall,), daemon=True).start()

    def stop_when(stall: Rule) -> None:
        stall.wait()
        stop.set()

    result = run(way.ground, job, work=work, watch=watch, should_stop=stop.is_set)
    assert codes(result) == ["INTERRUPTED", "NOT_RUN"]
    assert stall.acted is (where == "fetch")
    assert list(work.iterdir()) == []
    assert way.ground.names() == []
    assert [event.type for event in events(way.ground, job)][-1] == "lock.released"


@pytest.mark.clause("V2", "F4")
def test_a_signal_during_the_copy(way: Way, work: Path, tmp_path: Path) -> None:
    """The real command ends while it waits for the answer, and the next attempt makes the clip."""
    job = way.ground.job()
    spec = write_spec(job, tmp_path / "job.json")
    stall = way.proxy.on(StallAnswer(), method="GET", path=SOURCE, nth=2)
    there = environment(**way.ground.environment)
    process = start("run", spec, "--work", work, env=there)
    stall.wait()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 1, err
    assert "The job stopped: INTERRUPTED" in out
    assert "Traceback" not in err
    assert list(work.iterdir()) == []
    assert way.ground.names(hidden=True) == []
    way.proxy.forget()
    again = start("run", spec, "--attempt", "2", "--work", work, env=there)
    out, err = again.communicate(timeout=60)
    assert again.returncode == 0, err
    assert way.ground.names() == ["clip0.mov"]
