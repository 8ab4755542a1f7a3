"""The spec: one file form, an id from its content, and every edit detected and reported with its path."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from proxx.contracts.canonical import canonical_bytes, pretty_bytes
from proxx.contracts.error_bases import InvalidInput
from proxx.contracts.errors import SpecAltered, SpecInvalid
from proxx.contracts.fingerprint import fingerprint
from proxx.contracts.job import JobContent, JobSpec, altered_paths, read_spec, seal, spec_bytes
from tests.support import specs
from tests.support.edits import DROP, Plain, edited, paths_of

SPEC = specs.job(2)
DATA = spec_bytes(SPEC)
PLAIN: Plain = json.loads(DATA)
CONTENT: Plain = {key: value for key, value in PLAIN.items() if key not in ("job_id", "seals")}


def content(plain: Plain) -> JobContent:
    return JobContent.model_validate_json(json.dumps(plain))


def paths(data: bytes, kind: type[InvalidInput]) -> list[str]:
    with pytest.raises(kind) as caught:
        read_spec(data)
    assert {problem.code for problem in caught.value.problems} == {kind.code}
    return [problem.path for problem in caught.value.problems]


def turned(value: Plain) -> Plain:
    if isinstance(value, dict):
        return {key: turned(value[key]) for key in reversed(value)}
    return [turned(item) for item in value] if isinstance(value, list) else value


def other(value: Plain) -> Plain:
    """Returns another value of the same kind."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return value[:-1] + ("0" if value[-1] != "0" else "1")
        case _:
            return "x"


@pytest.mark.clause("P1")
def test_the_file_form_is_read_back() -> None:
    assert read_spec(DATA) == SPEC
    assert spec_bytes(read_spec(DATA)) == DATA
    assert altered_paths(SPEC) == ()
    assert DATA.decode().startswith('{\n  "schema": "proxx.job/1",\n  "name": "sample",\n')


@pytest.mark.clause("P1")
def test_the_id_is_that_of_the_content() -> None:
    assert SPEC.job_id == fingerprint("proxx.job/1", CONTENT)
    assert [len(SPEC.job_id), SPEC.job_id.lower()] == [64, SPEC.job_id]


def test_the_same_work_is_the_same_job_whatever_the_order_of_keys() -> None:
    assert list(turned(CONTENT)) != list(CONTENT)
    assert seal(content(turned(CONTENT))) == SPEC
    assert spec_bytes(seal(content(turned(CONTENT)))) == DATA


def test_sealing_again_gives_the_same_spec() -> None:
    assert seal(SPEC) == SPEC


def test_the_order_of_clips_is_content() -> None:
    swapped = edited(CONTENT, "clips", CONTENT["clips"][::-1])
    assert seal(content(swapped)).job_id != SPEC.job_id


def test_a_spec_has_no_time_host_or_user() -> None:
    keys = {path.split(".")[-1] for path in paths_of(PLAIN)}
    assert not keys & {"created", "time", "date", "host", "hostname", "user", "mtime", "pid", "cwd"}


@pytest.mark.clause("F1")
def test_any_changed_value_makes_another_job() -> None:
    ids, tried = {SPEC.job_id}, 0
    for path in paths_of(CONTENT):
        try:
            changed = content(edited(CONTENT, path, other(value_at(CONTENT, path))))
        except ValidationError:
            continue
        tried += 1
        ids.add(seal(changed).job_id)
    assert tried > 80
    assert len(ids) == tried + 1


def value_at(plain: Plain, path: str) -> Plain:
    for part in path.replace("[", ".").replace("]", "").split("."):
        plain = plain[int(part) if isinstance(plain, list) else part]
    return plain


@pytest.mark.clause("F1")
def test_an_edit_of_any_field_is_refused_with_its_path() -> None:
    for path in paths_of(PLAIN):
        data = pretty_bytes(edited(PLAIN, path, other(value_at(PLAIN, path))))
        with pytest.raises((SpecInvalid, SpecAltered)) as caught:
            read_spec(data)
        reported = [problem.path for problem in caught.value.problems]
        if isinstance(caught.value, SpecAltered):  # still valid: only the sealed part is reported
            (part,) = reported
            assert path.startswith(part), (path, reported)
        else:
            assert any(path.startswith(part) for part in reported), (path, reported)


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("name", "other", ["name"]),
        ("left_out", [{"source": "/m/x", "code": "NO_VIDEO", "message": "m"}], ["left_out"]),
        ("profile.version", 2, ["profile"]),
        ("toolchain.libc", "glibc 2.36", ["toolchain"]),
        ("clips[1].expect.frames", 24, ["clips[1]"]),
        ("clips[1]", DROP, ["clips"]),
        ("job_id", "0" * 64, ["job_id"]),
        ("seals.clips[0]", "0" * 64, ["seals.clips[0]"]),
        ("seals.clips[1]", DROP, ["seals.clips"]),
        ("seals.clips[2]", "0" * 64, ["seals.clips"]),
        ("seals.name", "0" * 64, ["seals.name"]),
        ("seals.left_out", "0" * 64, ["seals.left_out"]),
    ],
)
@pytest.mark.clause("F1")
def test_every_altered_part_is_named(path: str, value: object, named: list[str]) -> None:
    assert paths(pretty_bytes(edited(PLAIN, path, value)), SpecAltered) == named


def test_an_edit_with_a_new_id_is_still_detected() -> None:
    """An edit of the spec and its job_id does not match the seals; with new seals it is another job."""
    changed = edited(PLAIN, "clips[0].expect.frames", 24)
    whole = {key: value for key, value in changed.items() if key not in ("job_id", "seals")}
    changed["job_id"] = fingerprint("proxx.job/1", whole)
    assert paths(pretty_bytes(changed), SpecAltered) == ["seals.clips[0]"]


@pytest.mark.clause("F1")
@pytest.mark.parametrize(
    "data",
    [DATA[:-1], DATA + b"\n", DATA.replace(b"\n", b"\r\n"), canonical_bytes(PLAIN), pretty_bytes(turned(PLAIN)),
     json.dumps(PLAIN, indent=2).encode() + b" ", DATA.replace(b'"sample"', b'"\\u0073ample"', 1)],
    ids=["no newline", "two newlines", "crlf", "canonical", "turned", "space", "escape"],
)  # fmt: skip
def test_the_same_values_in_another_form_are_refused(data: bytes) -> None:
    assert paths(data, SpecAltered) == ["(the whole file)"]


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        (b"proxx.job/1", b"proxx.job/0", "schema"),
        (b"proxx.job/1", b"proxx.job/2", "schema"),
        (b"proxx.profile/1", b"proxx.profile/0", "profile.schema"),
        (b'"size": 1000', b'"size": 1e3', "clips[0].source.files[0].size"),
        (b'"size": 1000', b'"size": 1000.0', "clips[0].source.files[0].size"),
        (b'"size": 1000', b'"size": 99999999999999999999', "(the whole file)"),
        (b'"size": 1000', b'"size": 1000, "size": 1000', "(the whole file)"),
        (b'"schema"', b'"schema": "proxx.job/1", "schema"', "(the whole file)"),
        (b'"A001"', b'"\\ud800"', "(the whole file)"),
        (b'"libc": null', b'"libc": null, "note": 1', "toolchain.note"),
        (b'"role": "proxy"', b'"role": "Proxy"', "clips[0].outputs[0].role"),
    ],
)
def test_an_invalid_value_is_reported_with_its_path(old: bytes, new: bytes, path: str) -> None:
    assert old in DATA
    assert path in paths(DATA.replace(old, new, 1), SpecInvalid)


def test_an_older_draft_is_refused_by_name() -> None:
    with pytest.raises(SpecInvalid) as caught:
        read_spec(b'{"schema": "proxx.job/0", "clips": "in another form"}')
    assert "this is 'proxx.job/0'; this version of proxx reads only 'proxx.job/1'" in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b"\xff", b"PK\x03\x04", b"[" * 9999, DATA[:400]])
def test_other_data_is_not_a_spec(data: bytes) -> None:
    assert paths(data, SpecInvalid)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("clips[1].outputs[0].uri", "/proxies/A000.mov", "two outputs would be one file: /proxies/A000.mov"),
        ("clips[1].outputs[0].uri", "/PROXIES/a000.MOV", "two outputs would be one file: /PROXIES/a000.MOV"),
        ("clips[1].outputs[0].uri", "/media/A000.mov", "an output would replace a source: /media/A000.mov"),
        ("clips[1].outputs[0].uri", "/Media/a000.MOV", "an output would replace a source: /Media/a000.MOV"),
        ("toolchain.name", "full", "toolchain: profile sample is not made with full"),
        ("clips", [], "clips"),
        ("name", "", "name"),
        ("name", "x" * 201, "name"),
        ("toolchain.platform", "Linux", "toolchain.platform"),
        ("left_out", [{"source": "/m/x", "code": "no video", "message": ""}], "left_out.0.code"),
    ],
)
@pytest.mark.clause("A2")
def test_an_impossible_job_is_refused(path: str, value: object, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        content(edited(CONTENT, path, value))
    assert message in str(caught.value)


def test_one_source_may_have_two_proxies() -> None:
    twice = edited(CONTENT, "clips[1].source", CONTENT["clips"][0]["source"])
    assert len(seal(content(twice)).clips) == 2


def test_a_spec_is_frozen() -> None:
    with pytest.raises(ValidationError):
        SPEC.name = "other"  # type: ignore[misc]
    assert isinstance(SPEC.clips, tuple)
    assert hash(SPEC) == hash(JobSpec.model_validate_json(DATA))
