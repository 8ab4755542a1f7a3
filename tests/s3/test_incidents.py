"""The journal of incidents: kept until they are taken into an event, and written to the program's log."""

from __future__ import annotations

import logging
import threading

import pytest

from proxx.s3.incidents import KEPT, Incident, IncidentJournal


def resent(number: int = 1) -> Incident:
    return Incident(kind="resent", action="PutObject", place="s3://b/k", cause="CUT", number=number, milliseconds=12)


def test_an_incident_as_json_and_as_a_sentence() -> None:
    assert resent().to_json() == {
        "kind": "resent", "action": "PutObject", "place": "s3://b/k", "cause": "CUT", "number": 1, "milliseconds": 12,
    }  # fmt: skip
    assert str(resent()) == "PutObject s3://b/k: resent (resend 1), CUT after 12 ms"
    settled = Incident(kind="settled", action="PutObject", place="s3://b/k", cause="CUT")
    assert settled.to_json() == {"kind": "settled", "action": "PutObject", "place": "s3://b/k", "cause": "CUT"}
    assert str(settled) == "PutObject s3://b/k: settled, CUT"
    slow = Incident(kind="slow", action="GetObject", place="s3://b/k", milliseconds=10_001)
    assert str(slow) == "GetObject s3://b/k: slow after 10001 ms"


def test_incidents_are_taken_once_and_in_order(caplog: pytest.LogCaptureFixture) -> None:
    journal = IncidentJournal()
    with caplog.at_level(logging.DEBUG, logger="proxx"):
        for number in (1, 2):
            journal.note(resent(number))
    assert [record.getMessage() for record in caplog.records] == [str(resent(1)), str(resent(2))]
    assert {(record.name, record.levelname) for record in caplog.records} == {("proxx.storage", "WARNING")}
    assert journal.take() == (resent(1).to_json(), resent(2).to_json())
    assert journal.take() == ()


def test_incidents_beyond_the_limit_are_only_counted() -> None:
    journal = IncidentJournal()

    def storm() -> None:
        for _ in range(KEPT):
            journal.note(resent())

    threads = [threading.Thread(target=storm) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = journal.take()
    assert len(taken) == KEPT + 1
    assert taken[-1] == {"kind": "left_out", "number": 2 * KEPT}
    journal.note(resent())
    assert journal.take() == (resent().to_json(),)
