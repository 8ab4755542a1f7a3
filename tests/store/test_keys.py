"""Key names: their form, what is refused, and which output names are the same file."""

from __future__ import annotations

import unicodedata

import pytest

from proxx.store import keys

JOB = "ab" * 32
TIME = "2026-01-31T12:05:00.123456Z"
UUID = "12345678-1234-5678-1234-567812345678"


def test_the_keys_of_layout_1() -> None:
    assert keys.STORE_KEY == "store.json"
    assert keys.spec_key(JOB) == f"jobs/{JOB}/spec.json"
    assert keys.registered_key(JOB) == f"jobs/{JOB}/registered.json"
    assert keys.event_key(JOB, 1, 1) == f"jobs/{JOB}/attempts/0001/events/00001.json"
    assert keys.event_key(JOB, 12345, 123456) == f"jobs/{JOB}/attempts/12345/events/123456.json"
    assert keys.clip_log_key(JOB, 1, 3) == f"jobs/{JOB}/attempts/0001/clips/003.log"
    assert keys.result_key(JOB, 2) == f"jobs/{JOB}/attempts/0002/result.json"
    assert keys.refusal_key(JOB, UUID) == f"jobs/{JOB}/refusals/{UUID}.json"
    assert keys.storage_key(JOB, 2) == f"jobs/{JOB}/attempts/0002/storage.json"
    assert keys.index_begun_key(TIME, JOB) == f"index/open/2026-01-31/{JOB}/begun.120500"
    assert keys.index_registered_key(TIME, JOB) == f"index/open/2026-01-31/{JOB}/registered.120500"
    assert keys.index_taken_key(TIME, JOB, 1) == f"index/open/2026-01-31/{JOB}/0001.120500"
    assert keys.index_ended_key(TIME, JOB, 1, "failed-SOURCE_MISSING", UUID) == (
        f"index/ended/2026-01-31/{JOB}/0001.120500.failed-source_missing.{UUID}"
    )
    assert keys.index_ended_key(TIME, JOB, 1, "unlocked", "A run!").endswith("/0001.120500.unlocked")


def test_a_claim_key_is_frozen() -> None:
    assert keys.claim_key("/Proxies/A001.mov", 1) == (
        "claims/2e50cfa84c10ce8f70b8555f43df70350a37450f7d937f2f7c86257289a38bdf/0001"
    )


@pytest.mark.clause("A2")
@pytest.mark.parametrize(
    "other",
    [
        "/proxies/Été/A001.MOV",
        unicodedata.normalize("NFD", "/Proxies/Été/A001.mov"),
        unicodedata.normalize("NFD", "/PROXIES/ÉTÉ/A001.MOV"),
    ],
)
def test_case_and_composition_do_not_make_another_output(other: str) -> None:
    assert keys.claim_key(other, 1) == keys.claim_key("/Proxies/Été/A001.mov", 1)


@pytest.mark.parametrize(
    "key",
    [
        "jobs/x/attempts/1/events/00001.json",  # not padded
        f"jobs/{JOB}/attempts/0000/events/00001.json",
        f"jobs/{JOB}/attempts/0001/events/00000.json",
        f"jobs/{JOB}/attempts/00001/events/00001.json",  # padded too wide: it would be a second name of attempt 1
        f"jobs/{JOB}/attempts/0001/events/00001.json.bak",
        f"jobs/{JOB}/attempts/0001/events/.00001.json",
        f"claims/{'a' * 64}/0000",
        "thumbs.db",
        "",
    ],
)
def test_foreign_names_are_not_parsed(key: str) -> None:
    assert keys.parse(key) is None


@pytest.mark.parametrize("bad", ["", ".", "..", "../x", "a/b", "A" * 64, "-a", "é", "a b", "a" * 129])
def test_a_job_id_never_leaves_its_folder(bad: str) -> None:
    assert not keys.is_job_id(bad)
    with pytest.raises(ValueError, match="is not a job's id"):
        keys.spec_key(bad)


@pytest.mark.parametrize("bad", ["", "/a", "a/", "a//b", ".a", "a/.b", "../a", "a/..", "A", "a b", "é", "a\n"])
def test_unsafe_names_are_not_keys(bad: str) -> None:
    assert not keys.is_key(bad)


def test_clips_are_numbered_from_0_and_the_rest_from_1() -> None:
    assert keys.clip_log_key(JOB, 1, 0).endswith("/000.log")
    with pytest.raises(ValueError, match="is less than 1"):
        keys.event_key(JOB, 0, 1)
    with pytest.raises(ValueError, match="is less than 1"):
        keys.event_key(JOB, 1, 0)
