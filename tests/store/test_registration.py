"""Registration: complete or resumable, one owner for each output, and what a refusal leaves behind."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pytest

from proxx.contracts.canonical import Json
from proxx.contracts.error_bases import ProxxError
from proxx.contracts.errors import (
    JobRetired,
    Locked,
    OutputClaimed,
    SpecAltered,
    SpecInvalid,
    StoreDamaged,
    StoreUnavailable,
)
from proxx.contracts.event import Worker, stamp
from proxx.store.base import Store
from proxx.store.file import FileStore
from proxx.store.keys import claim_key, parse
from proxx.store.lock import acquire, retire
from proxx.store.registration import (
    RefusalRecord,
    first_difference,
    is_registered,
    record_refusal,
    register,
    registration,
)
from tests.objects.around import Around
from tests.objects.kinds import Kind, NewStore, turns

A, B, C = "aa" * 32, "bb" * 32, "cc" * 32
DIT = Worker(host="cart-2", pid=7, user="dit")


def enter(store: Store, job_id: str, outputs: Sequence[str], spec: bytes = b"{}") -> None:
    register(store, spec, job_id, outputs, stamp(DIT, "reg"))


class FailsAt(Around):
    """A store that fails at the n-th create, before or after the object was created."""

    def __init__(self, inner: Store, at: int, landed: bool) -> None:
        super().__init__(inner)
        self.at, self.landed, self.count = at, landed, 0

    def create(self, key: str, data: bytes) -> bytes | None:
        self.count += 1
        if self.count == self.at and not self.landed:
            raise StoreUnavailable(message="failed")
        there = super().create(key, data)
        if self.count == self.at:
            raise StoreUnavailable(message="failed")
        return there


def test_the_order_in_which_a_registration_writes(new_store: NewStore) -> None:
    order: list[str] = []

    class Recording(Around):
        def create(self, key: str, data: bytes) -> bytes | None:
            order.append(key)
            return super().create(key, data)

    store = Recording(new_store())
    outputs = ["/p/b.mov", "/p/A.mov"]
    enter(store, A, outputs)
    claims = sorted(claim_key(output, 1) for output in outputs)
    *written, last = order
    day, begun = last.split("/")[2], written[-2]
    assert written == [f"jobs/{A}/spec.json", *claims, begun, f"jobs/{A}/registered.json"]
    assert begun.startswith(f"index/open/{day}/{A}/begun.")
    assert last.startswith(f"index/open/{day}/{A}/registered.")
    assert json.loads(store.read(claim_key("/p/a.MOV", 1)) or b"") == {
        "schema": "proxx.claim/1",
        "job_id": A,
        "output": "/p/A.mov",
    }
    record = registration(store, A)
    assert record and record.outputs == tuple(outputs) and record.envelope.worker == DIT
    assert is_registered(store, A)
    assert not is_registered(store, B) and not is_registered(store, "../x") and registration(store, B) is None


def test_registering_again_changes_nothing(store: Store) -> None:
    enter(store, A, ["/p/a.mov"])
    before = store.list("")
    enter(store, A, ["/p/a.mov"])
    assert store.list("") == before


@pytest.mark.clause("I7")
@pytest.mark.parametrize("landed", [False, True])
@pytest.mark.parametrize("at", range(1, 6))
def test_a_registration_that_failed_anywhere_can_be_resumed(new_store: NewStore, at: int, landed: bool) -> None:
    outputs = ["/p/a.mov", "/p/b.mov"]
    whole, broken = new_store(), FailsAt(new_store(), at, landed)
    enter(whole, A, outputs)
    with pytest.raises(StoreUnavailable):
        enter(broken, A, outputs)
    committed = landed and at == 5
    assert is_registered(broken, A) == committed
    enter(broken, A, outputs)
    assert is_registered(broken, A)
    kinds = [{found.kind for key in one.list("") if (found := parse(key))} for one in (whole, broken)]
    if committed:  # only listings use this key, and it is not written later
        kinds[0].remove("index_registered")
    assert kinds[0] == kinds[1]
    assert {broken.read(key) for key in broken.list("claims/")} == {whole.read(key) for key in whole.list("claims/")}


@pytest.mark.clause("I7", "V2")
def test_a_registration_whose_process_was_killed_can_be_resumed(tmp_path: Path) -> None:
    outputs = [f"/p/{n}.mov" for n in range(300)]
    program = (
        "import json, sys; from pathlib import Path\n"
        "from proxx.store.opening import FileStore; from proxx.store.registration import register\n"
        "from proxx.contracts.event import stamp, this_worker\n"
        "outputs = json.loads(sys.stdin.readline()); print('ready', flush=True)\n"
        f"register(FileStore(Path(sys.argv[1])), b'{{}}', {A!r}, outputs, stamp(this_worker(), 'r'))\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin and child.stdout
    child.stdin.write(json.dumps(outputs) + "\n")
    child.stdin.flush()
    assert child.stdout.readline() == "ready\n"
    store = FileStore(tmp_path)
    while not store.children("claims/"):  # until it is half done
        assert child.poll() is None
    child.kill()
    child.communicate()
    assert store.read(f"jobs/{A}/spec.json") == b"{}"
    enter(store, A, outputs)
    assert is_registered(store, A)
    assert len(store.list("claims/")) == 300


@pytest.mark.clause("F1")
def test_another_spec_under_the_same_id_is_refused_with_the_path_of_the_difference(store: Store) -> None:
    enter(store, A, ["/p/a.mov"], b'{"clips": [{"frames": 1}, {"frames": 2}]}')
    with pytest.raises(SpecAltered) as caught:
        enter(store, A, ["/p/a.mov"], b'{"clips": [{"frames": 1}, {"frames": 3}]}')
    assert (caught.value.code, caught.value.status) == ("SPEC_ALTERED", 3)
    assert [problem.path for problem in caught.value.problems] == ["clips[1].frames"]
    for other in (b'{"clips":[{"frames":1},{"frames":2}]}', b"not json"):
        with pytest.raises(SpecAltered, match=r"\(the whole file\)"):
            enter(store, A, ["/p/a.mov"], other)


@pytest.mark.parametrize(
    ("one", "other", "path"),
    [
        ({"a": 1}, {"a": 1}, None),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, "a.b[1]"),
        ({"a": [1]}, {"a": [1, 2]}, "a[1]"),
        ({"a": [1, 2]}, {"a": [1]}, "a[1]"),
        ({"a": 1}, {"a": 1, "b": 2}, "b"),
        ({"a": 1, "b": 2}, {"a": 1}, "b"),
        ({"a": 1}, {"a": True}, "a"),
        ({"a": None}, {}, "a"),
        ([], {}, "(the whole file)"),
    ],
)
def test_first_difference_returns_a_path(one: Json, other: Json, path: str | None) -> None:
    assert first_difference(one, other) == path


@pytest.mark.clause("A2")
@pytest.mark.parametrize(
    "twin",
    [
        "/P/Été.mov",
        "/p/ÉTÉ.MOV",
        unicodedata.normalize("NFD", "/p/Été.mov"),
        unicodedata.normalize("NFD", "/p/été.mov"),
    ],
)
def test_an_output_has_one_owner_whatever_its_case_and_unicode_form(store: Store, twin: str) -> None:
    enter(store, A, ["/p/Été.mov"])
    before = store.list("")
    with pytest.raises(OutputClaimed) as caught:
        enter(store, B, ["/p/x.mov", twin])
    error = caught.value
    assert (error.code, error.status, error.owner, error.output) == ("OUTPUT_CLAIMED", 4, A, twin)
    assert error.message == f"{twin} belongs to job {A}"
    assert store.list("") == before  # it reads all claims first: nothing of B is left behind
    with pytest.raises(SpecInvalid) as inner:
        enter(store, C, ["/p/Été2.mov", twin.replace(".", "2.")])
    assert inner.value.problems[0].path == "outputs[1]"


@pytest.mark.clause("A2")
def test_only_the_outputs_of_a_retired_job_can_be_claimed(store: Store) -> None:
    enter(store, A, ["/p/a.mov", "/p/b.mov"])
    ledger = acquire(store, A, 1, DIT, "r")
    with pytest.raises(Locked):
        retire(store, A, "x", DIT)
    ledger.append("lock.released", {"result": {}})
    with pytest.raises(OutputClaimed):
        enter(store, B, ["/p/a.mov"])
    retire(store, A, "made with the wrong profile", DIT)
    enter(store, B, ["/p/a.mov"])
    assert store.list("claims/") == tuple(
        sorted((claim_key("/p/a.mov", 1), claim_key("/p/a.mov", 2), claim_key("/p/b.mov", 1)))
    )
    enter(store, A, ["/p/a.mov", "/p/b.mov"])  # it stays registered, but it never runs
    with pytest.raises(JobRetired):
        acquire(store, A, 3, DIT, "r")
    with pytest.raises(OutputClaimed) as caught:
        enter(store, C, ["/p/A.MOV"])
    assert caught.value.owner == B
    retire(store, B, "x", DIT)
    enter(store, C, ["/p/A.MOV"])
    assert claim_key("/p/a.mov", 3) in store.list("claims/")


def test_a_half_registered_job_keeps_its_claims_until_it_is_retired(new_store: NewStore) -> None:
    store = FailsAt(new_store(), at=3, landed=True)  # spec.json and two claims, but no registered.json
    with pytest.raises(StoreUnavailable):
        enter(store, A, ["/p/a.mov", "/p/b.mov"])
    with pytest.raises(OutputClaimed):
        enter(store, B, ["/p/a.mov", "/p/b.mov"])
    assert retire(store, A, "its machine is gone", DIT) == 1
    enter(store, B, ["/p/a.mov", "/p/b.mov"])
    with pytest.raises(JobRetired):
        enter(store, A, ["/p/a.mov", "/p/b.mov"])
    assert is_registered(store, B) and not is_registered(store, A)


def test_an_unreadable_claim_is_not_taken_over(new_store: NewStore) -> None:
    for damaged in (b"{", b"[]", b'{"schema":"proxx.claim/2","job_id":"x"}'):
        store = new_store()
        store.create(claim_key("/p/a.mov", 1), damaged)
        with pytest.raises(StoreDamaged, match="a claim cannot be read"):
            enter(store, A, ["/p/a.mov"])


def race(store: Store, jobs: dict[str, list[str]]) -> dict[str, str]:
    barrier, outcomes = threading.Barrier(len(jobs)), dict.fromkeys(jobs, "")

    def run(job_id: str) -> None:
        barrier.wait()
        try:
            enter(store, job_id, jobs[job_id])
            outcomes[job_id] = "won"
        except ProxxError as error:
            outcomes[job_id] = error.code

    threads = [threading.Thread(target=run, args=(job_id,)) for job_id in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


@pytest.mark.clause("A2", lead=True)
def test_two_jobs_racing_for_the_same_outputs_in_other_spellings(kind: Kind) -> None:
    """Two jobs race for the same outputs in other case and Unicode form: one gets them all, the other none."""
    mine = ["/p/Été.mov", "/p/b.mov"]
    theirs = ["/P/B.MOV", unicodedata.normalize("NFD", "/p/ÉTÉ.mov")]
    for _ in range(turns(kind, memory=100, file=15, server=3)):
        store = kind.new()
        outcomes = race(store, {A: mine, B: theirs})
        assert sorted(outcomes.values()) == ["OUTPUT_CLAIMED", "won"]
        winner, loser = sorted(outcomes, key=lambda job: outcomes[job] != "won")
        owners = {json.loads(store.read(key) or b"")["job_id"] for key in store.list("claims/")}
        assert owners == {winner}  # claims are made in sorted order, so the loser of the first holds nothing
        assert is_registered(store, winner)
        assert not is_registered(store, loser)


def test_of_three_jobs_that_overlap_in_a_ring_one_wins(kind: Kind) -> None:
    for _ in range(turns(kind, memory=100, file=10, server=2)):
        store = kind.new()
        jobs = {A: ["/p/x", "/p/y"], B: ["/p/y", "/p/z"], C: ["/p/z", "/p/x"]}
        outcomes = race(store, jobs)
        won = [job for job in jobs if outcomes[job] == "won"]
        assert len(won) == 1
        for job in jobs:  # an operator can always free what the losers hold
            if job not in won and store.read(f"jobs/{job}/spec.json"):
                retire(store, job, "lost a race", DIT)
        retire(store, won[0], "x", DIT)
        enter(store, "dd" * 32, ["/p/x", "/p/y", "/p/z"])


@pytest.mark.clause("I2", "A7")
def test_a_refusal_is_recorded_and_uses_up_no_attempt(store: Store) -> None:
    who = stamp(DIT, "run-1")
    error = Locked(message="attempt 1 is open", detail="by x", run_id="r")
    key = record_refusal(store, A, error, who, 1)
    assert key == f"jobs/{A}/refusals/{who.nonce}.json"
    assert RefusalRecord.model_validate_json(store.read(key) or b"") == RefusalRecord(
        schema_="proxx.refusal/1", code="LOCKED", message="attempt 1 is open", detail="by x", attempt=1, envelope=who
    )
    assert store.list("") == (key, "store.json")
