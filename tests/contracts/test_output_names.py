"""Names: which ones are the same file, and that a template never leaves the output folder."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from proxx.contracts.output_names import (
    DEFAULT_TEMPLATE,
    LONGEST,
    TOKENS,
    BadTemplate,
    check_template,
    colliding_uris,
    expand_template,
    normalized_name,
    uri_problem,
)

HOSTILE = [
    "-i", "a:b", "%03d", "'; rm -rf ~", '"', "new\nline", "e\u0301", "é", "concat:a|b", "$(reboot)", "{source_name}",
    "{index}", "\\1", "\\g<0>", "a\\b", "~", "*?[", "ß", "\u202egnp", "…", "..a", "a..", ". .", "CON", " ",
]  # fmt: skip


def values(**changed: str) -> dict[str, str]:
    return {
        "source_name": "A001", "source_ext": "mov", "source_dir": "card/clips", "index": "007", "profile": "sample",
        "job_name": "day 1", "date": "2026-01-31",
    } | changed  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/p/A.mov", "/p/a.MOV"),
        ("/p/é.mov", "/p/e\u0301.mov"),
        ("/p/É.mov", "/p/e\u0301.mov"),
        ("/p/straße", "/p/STRASSE"),
        ("/p/Å", "/p/\u212b"),
        ("/p/Σς", "/p/σσ"),
        ("/p/\u1fb3\u0301", "/p/\u1fb4"),  # casefold alone is not enough for Greek with iota subscript
        ("/p/\uac00", "/p/\u1100\u1161"),
    ],
)
@pytest.mark.clause("A2")
def test_names_that_are_the_same_on_some_file_system_collide(one: str, other: str) -> None:
    assert normalized_name(one) == normalized_name(other)
    assert colliding_uris([one, other]) == (other,)


def test_different_names_do_not_collide() -> None:
    assert colliding_uris(["/p/a", "/p/b", "/p/a ", "/p/ａ", "/q/a"]) == ()  # full width: a different letter
    assert colliding_uris(["a", "b", "A", "B", "a"]) == ("A", "B", "a")


def test_normalization_is_idempotent_for_every_letter() -> None:
    for code in range(sys.maxunicode + 1):
        once = normalized_name(chr(code))
        if once != chr(code):
            assert normalized_name(once) == once, hex(code)
            assert unicodedata.is_normalized("NFC", once), hex(code)


@pytest.mark.parametrize("token", TOKENS)
def test_every_token_is_known_and_expanded(token: str) -> None:
    check_template("{index}{" + token + "}")
    assert expand_template("{index}-{" + token + "}", values(), ".mov") == f"007-{values()[token]}.mov"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{source_name}{reel}", r"unknown token \{reel\}; the tokens are \{source_name\}, "),
        ("{source_name}{b}{a}", r"unknown token \{a\}, \{b\}; "),
        ("{source_name}{}", r"unknown token \{\}; "),
        ("{source_name", "a brace has no counterpart"),
        ("{source_name}}", "a brace has no counterpart"),
        ("{{source_name}}", "a brace has no counterpart"),
        ("proxy", "all clips would have the same name"),
        ("", "all clips would have the same name"),
        ("/etc/{source_name}", "not inside the output folder"),
        ("../{source_name}", "not inside the output folder"),
        ("a/../../{source_name}", "not inside the output folder"),
    ],
)
def test_a_bad_template_is_refused(template: str, reason: str) -> None:
    with pytest.raises(BadTemplate, match=reason):
        check_template(template)


def test_the_default_template_keeps_the_folders_of_the_card() -> None:
    check_template(DEFAULT_TEMPLATE)
    assert expand_template(DEFAULT_TEMPLATE, values(), ".mov") == "card/clips/A001.mov"
    assert expand_template(DEFAULT_TEMPLATE, values(source_dir=""), ".mov") == "A001.mov"


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_plain_names(name: str) -> None:
    assert expand_template("{source_dir}/{source_name}", values(source_name=name), ".mov") == f"card/clips/{name}.mov"
    assert expand_template("{source_dir}/{source_name}", values(source_dir=name), ".mov") == f"{name}/A001.mov"


@pytest.mark.parametrize("name", ["..", "a/../..", "\ud800", "a\0b", "x" * (LONGEST - 3)])
def test_impossible_names_are_refused(name: str) -> None:
    with pytest.raises(BadTemplate):
        expand_template("{source_name}", values(source_name=name), ".mov")


def test_length_is_counted_in_bytes_with_the_suffix() -> None:
    assert expand_template("{source_name}", values(source_name="é" * 125 + "x"), ".mov")  # 250 + 1 + 4
    with pytest.raises(BadTemplate, match="longer than 255 bytes"):
        expand_template("{source_name}", values(source_name="é" * 126), ".mov")
    with pytest.raises(BadTemplate, match="longer than 255 bytes"):
        expand_template("{source_dir}/{source_name}", values(source_dir="x" * 256), ".mov")


@pytest.mark.parametrize("uri", ["/p/a.mov", "s3://bucket/a.mov", "media:/card/a.mov", "C:/p/a.mov", "/p/a:b", "/-i",
                                 "/p/%03d", "/p/…", "/p/new\nline"])  # fmt: skip
def test_full_places_are_accepted(uri: str) -> None:
    assert uri_problem(uri) is None


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("a.mov", "not a full path"),
        ("../a.mov", "not a full path"),
        ("", "not a full path"),
        ("-i:/a", "not a full path"),
        ("media:card/a.mov", "not a full path"),
        ("file:/p/a.mov", "not a full path"),
        ("file:///p/a.mov", "not a full path"),
        ("/p/../a.mov", "two names"),
        ("/p/./a.mov", "two names"),
        ("/p//a.mov", "two names"),
        ("//p/a.mov", "two names"),
        ("/p/", "two names"),
        ("/", "two names"),
        ("s3://bucket/../a", "two names"),
        ("s3://", "two names"),
        ("/p/a\0", "NUL"),
        ("/p/\ud800", "Unicode"),
    ],
)
def test_ambiguous_and_relative_places_are_refused(uri: str, reason: str) -> None:
    assert reason in (uri_problem(uri) or "")
