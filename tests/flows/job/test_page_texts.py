"""Log lines follow the ledger, the table has a row per clip, the report has remedies; hostile names do no harm."""

from __future__ import annotations

import logging

import pytest
from proxx_flows.job.page_texts import (
    LogLine,
    clip_table,
    ended_line,
    escape_markdown,
    headline,
    lock_line,
    markdown_report,
    refused_line,
    step_line,
)
from proxx_flows.job.registered_job import ClipFacts, JobFacts

from proxx.contracts.errors import Locked
from proxx.contracts.event import Worker
from proxx.contracts.result import ExecutionResult
from proxx.engine.steps import ClipEnded, ClipProgress, ClipStage, ClipStarted, Step
from tests.support.results import JOB, completed, failed, failure, not_run, result

WORKER = Worker(host="one", pid=17, user="editor", name="station-3")
DIGEST = "sha256:" + "d" * 64
WORKER_TEXT = "[editor@one process 17 (station-3)]"


def example_facts(clips: int = 3, name: str = "A001") -> JobFacts:
    return JobFacts(
        job_id=JOB,
        attempt=1,
        name=name,
        profile="prores_proxy",
        store="file:///store",
        clips=tuple(
            ClipFacts(f"/media/A{index:03d}.mov", f"/proxies/A{index:03d}.mov", 25, "01:00:00:00", DIGEST)
            for index in range(clips)
        ),
    )


def test_log_lines_start_with_the_events_of_the_ledger() -> None:
    steps: list[Step] = [
        ClipStarted(0, 3, "/media/A000.mov", 25),
        ClipStage(0, "encode"),
        ClipProgress(0, 12, None, None),
        ClipStage(0, "verify"),
        ClipStage(0, "publish"),
        ClipEnded(0, completed(0)),
        ClipStarted(1, 3, "/media/A001.mov", 1),
        ClipEnded(1, failed(1)),
    ]
    lines = [line for step in steps if (line := step_line(step, example_facts(), WORKER)) is not None]
    assert [lock_line(example_facts(), WORKER), *lines] == [
        LogLine(
            logging.INFO,
            f"lock.acquired: A001, job 0123456789ab, attempt 1: 3 clips, 75 frames, prores_proxy {WORKER_TEXT}",
        ),
        LogLine(logging.INFO, f"clip.started: 1 of 3, A000.mov, 25 frames {WORKER_TEXT}"),
        LogLine(logging.INFO, f"clip.publishing: 1 of 3, A000.mov, /proxies/A000.mov {WORKER_TEXT}"),
        LogLine(
            logging.INFO,
            f"clip.completed: 1 of 3, A000.mov, 25 frames, sha256:{'c' * 64}, /proxies/A000.mov {WORKER_TEXT}",
        ),
        LogLine(logging.INFO, f"clip.started: 2 of 3, A001.mov, 1 frame {WORKER_TEXT}"),
        LogLine(logging.ERROR, f"clip.failed: 2 of 3, A001.mov: FRAMES_MISMATCH: What happened. {WORKER_TEXT}"),
    ]


def test_the_last_line_counts_what_was_made_and_names_what_stopped_the_job() -> None:
    good, stopped = result(completed(0)), result(completed(0), not_run(1), stopped=failure("INTERRUPTED"))
    worker = "[editor@one process 17]"
    assert ended_line(good) == LogLine(
        logging.INFO,
        f"lock.released: COMPLETED, 1 of 1 clip, 25 frames, 4.1 kB in 1:00, result {good.fingerprint[:12]} {worker}",
    )
    assert ended_line(stopped) == LogLine(
        logging.ERROR,
        f"lock.released: FAILED, 1 of 2 clips, 25 frames, 4.1 kB in 1:00, result {stopped.fingerprint[:12]}; "
        f"stopped by INTERRUPTED: What happened. {worker}",
    )


def test_the_line_of_a_refusal_ends_with_nothing_was_begun() -> None:
    error = Locked(message="attempt 1 is open", detail="by\nsomebody")
    text = f"refused: LOCKED: attempt 1 is open (by\\nsomebody); nothing was begun {WORKER_TEXT}"
    assert refused_line(error, WORKER) == LogLine(logging.ERROR, text)


def test_the_table_has_a_row_for_each_clip() -> None:
    ended = result(completed(0), failed(1), not_run(2), stopped=failure("FRAMES_MISMATCH"))
    row = {"timecode": "01:00:00:00"}
    assert clip_table(ended, example_facts()) == [
        {
            **row,
            "clip": "1",
            "source": "/media/A000.mov",
            "output": "/proxies/A000.mov",
            "frames": "25",
            "sha256": "c" * 64,
            "verdict": "COMPLETED",
        },
        {
            **row,
            "clip": "2",
            "source": "/media/A001.mov",
            "output": "/proxies/A001.mov",
            "frames": "",
            "sha256": "",
            "verdict": "FRAMES_MISMATCH",
        },
        {
            **row,
            "clip": "3",
            "source": "/media/A002.mov",
            "output": "/proxies/A002.mov",
            "frames": "",
            "sha256": "",
            "verdict": "NOT_RUN",
        },
    ]


def test_the_report_of_a_failed_job() -> None:
    ended = result(completed(0), failed(1), not_run(2), stopped=failure("FRAMES_MISMATCH"))
    assert markdown_report(ended, example_facts()) == (
        "# FAILED: A001\n\n"
        "1 of 3 clips, 25 frames, 4.1 kB in 1:00.\n\n"
        "## The job was stopped\n\n"
        "**FRAMES\\_MISMATCH**: What happened\\.\n\n"
        "What to do: What to do\\.\n\n"
        "## Clip 2 of 3: A001\\.mov\n\n"
        "The job was stopped while it made this clip.\n\n"
        "- source: \\/media\\/A001\\.mov\n"
        "- output, not published: \\/proxies\\/A001\\.mov\n"
        "- frames: 25 expected, 24 found\n"
        f"- encoder log, in the store: `jobs/{JOB}/attempts/0001/clips/001.log`\n\n"
        "Not started: 1 clip.\n\n"
        "## What to do next\n\n"
        "Fix the problems above, then run the next attempt: `proxx submit 0123456789ab --attempt 2`. "
        "It keeps the proxies that are finished.\n\n"
        f"{details(ended)}"
    )


def test_the_report_of_a_completed_job() -> None:
    ended = result(completed(0))
    report = f"# COMPLETED: A001\n\n1 of 1 clip, 25 frames, 4.1 kB in 1:00.\n\n{details(ended)}"
    assert markdown_report(ended, example_facts(1)) == report


def details(ended: ExecutionResult) -> str:
    return (
        "## Details\n\n"
        f"- job `{JOB}`, attempt 1\n"
        f"- result `{ended.fingerprint}`\n"
        "- store: file\\:\\/\\/\\/store\n"
        "- worker: editor\\@one process 17, run `run-1`\n"
        "- began 2026\\-01\\-31T10\\:00\\:00Z, ended 2026\\-01\\-31T10\\:01\\:00Z\n"
        "- all events: `proxx history 0123456789ab`\n"
    )


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a|b", r"a\|b"),
        ("`rm`", r"\`rm\`"),
        ("# no\nheading", r"\# no\\nheading"),
        ("<img src=x>", r"\<img src\=x\>"),
        ("[a](http://b)", r"\[a\]\(http\:\/\/b\)"),
        ("\x1b[31mred", r"\\x1b\[31mred"),
        ("\u202emov.exe", r"\\u202emov\.exe"),
    ],
)
def test_a_hostile_name_is_shown_and_has_no_effect(name: str, shown: str) -> None:
    assert escape_markdown(name) == shown
    assert headline(example_facts(1, name)) == f"{shown}: job `0123456789ab`, attempt 1, profile prores\\_proxy"


def test_a_hostile_path_stays_in_its_cell_and_on_its_line() -> None:
    hostile = "/media/a\n|`\x1b[2J.mov"
    facts = ClipFacts(hostile, hostile, 25, "", DIGEST)
    job = JobFacts(job_id=JOB, attempt=1, name="A001", profile="p", store="s", clips=(facts,))
    ended = result(failed(0).model_copy(update={"source": hostile, "output": hostile}))
    (row,) = clip_table(ended, job)
    assert row["source"] == row["output"] == "/media/a\\n|`\\x1b[2J.mov"
    line = step_line(ClipStarted(0, 1, hostile, 25), job, WORKER)
    assert line == LogLine(logging.INFO, f"clip.started: 1 of 1, a\\n|`\\x1b[2J.mov, 25 frames {WORKER_TEXT}")
    assert "## Clip 1 of 1: a\\\\n\\|\\`\\\\x1b\\[2J\\.mov\n" in markdown_report(ended, job)
