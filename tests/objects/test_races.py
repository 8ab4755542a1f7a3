"""Twenty writers at once for a lock, a claim, an event number: one has it, and the others are told whose it is."""

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
    """What there is one of: an attempt's lock, an output's claim, an event's number."""
    return event_key(JOB, number, 1), claim_key(f"/p/{number}.mov", 1), event_key(JOB, 1000, number)


def judge(store: Store, keys: list[str], answers: Answers) -> None:
    """answers: for each key what each writer was told, "" for: it is yours."""
    for key in keys:
        told = answers[key]
        assert len(told) == WRITERS
        winners = [me for me, there in told.items() if there == ""]
        assert len(winners) == 1, f"{key}: {winners}"
        assert {there for me, there in told.items() if me != winners[0]} == set(winners)
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
    """The same where the writers share no process, only the store."""
    store = kind.new()
    keys = [key for number in range(1, ROUNDS + 1) for key in contested(number)]
    racers: list[subprocess.Popen[str]] = []
    each = WRITERS // PROCESSES
    try:
        for number in range(PROCESSES):
            mine = [f"{number}-{me}" for me in range(each)]
            racers.append(started(kind, [store.uri, json.dumps(mine)]))
        for racer in racers:
            assert said(racer) == "ready"
        for key in keys:  # each process waits for the word, so that every round is a race
            for racer in racers:
                tell(racer, key)
        for racer in racers:
            tell(racer, "")
        answers: Answers = {key: {} for key in keys}
        for racer in racers:
            found: dict[str, Any] = json.loads(said(racer))
            for key, told in found.items():
                answers[key].update(told)
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


def tell(racer: subprocess.Popen[str], line: str) -> None:
    assert racer.stdin is not None
    racer.stdin.write(f"{line}\n")
    racer.stdin.flush()


def said(racer: subprocess.Popen[str]) -> str:
    assert racer.stdout is not None
    return racer.stdout.readline().rstrip("\n")
