"""Twenty writers race for a lock, a claim, an event number: one wins and the others learn who."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from proxx.store.base import Store
from proxx.store.keys import claim_key, event_key
from tests.objects.kinds import Kind, speaking_to
from tests.objects.racer import Answers, race

REPO = Path(__file__).parents[2]
JOB = "ab" * 32
WRITERS, ROUNDS, PROCESSES = 20, 50, 4


def contested(number: int) -> tuple[str, ...]:
    """Returns keys that only one writer may create: the lock of an attempt, a claim, an event number."""
    return event_key(JOB, number, 1), claim_key(f"/p/{number}.mov", 1), event_key(JOB, 1000, number)


def judge(store: Store, keys: list[str], answers: Answers) -> None:
    """Checks that one writer created each key and all others were given its content."""
    for key in keys:
        by_writer = answers[key]
        assert len(by_writer) == WRITERS
        winners = [me for me, existing in by_writer.items() if existing == ""]
        assert len(winners) == 1, f"{key}: {winners}"
        assert {existing for me, existing in by_writer.items() if me != winners[0]} == set(winners)
        assert store.read(key) == winners[0].encode()


@pytest.mark.clause("P3")
def test_twenty_threads(kind: Kind) -> None:
    """Of 20 threads that create the same key at once, in 50 rounds one wins each, on every kind of store: a lock, a
    claim and an event's number in each round.
    """
    store = kind.new()
    keys = [key for number in range(1, ROUNDS + 1) for key in contested(number)]
    answers = race(store, [str(me) for me in range(WRITERS)], keys, threading.Barrier(WRITERS).wait)
    judge(store, keys, answers)


@pytest.mark.clause("P3", "T2", "A6")
@pytest.mark.parametrize("kind", ["file", "moto", "rgw"], indirect=True)
def test_twenty_writers_in_four_processes(kind: Kind) -> None:
    """The same for writers that share no process, only the store."""
    store = kind.new()
    keys = [key for number in range(1, ROUNDS + 1) for key in contested(number)]
    racers: list[subprocess.Popen[str]] = []
    each = WRITERS // PROCESSES
    try:
        for number in range(PROCESSES):
            mine = [f"{number}-{me}" for me in range(each)]
            racers.append(started(kind, [store.uri, json.dumps(mine)]))
        for racer in racers:
            assert next_line(racer) == "ready"
        for key in keys:  # every process waits for the key, so that every round is a race
            for racer in racers:
                send_line(racer, key)
        for racer in racers:
            send_line(racer, "")
        answers: Answers = {key: {} for key in keys}
        for racer in racers:
            own_answers: dict[str, Any] = json.loads(next_line(racer))
            for key, by_writer in own_answers.items():
                answers[key].update(by_writer)
    finally:
        for racer in racers:
            racer.kill()
            racer.communicate()
    judge(store, keys, answers)


def started(kind: Kind, arguments: list[str]) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "tests.objects.racer", *arguments]
    if kind.bucket is None:
        return subprocess.Popen(argv, cwd=REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with speaking_to(kind.bucket.endpoint):
        return subprocess.Popen(argv, cwd=REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def send_line(racer: subprocess.Popen[str], line: str) -> None:
    assert racer.stdin is not None
    racer.stdin.write(f"{line}\n")
    racer.stdin.flush()


def next_line(racer: subprocess.Popen[str]) -> str:
    assert racer.stdout is not None
    return racer.stdout.readline().rstrip("\n")
