"""Names: normalization is a fixed point, and no value of a token leads out of the folder."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath

from hypothesis import example, given
from hypothesis import strategies as st

from proxx.contracts.output_names import (
    TOKENS,
    BadTemplate,
    colliding_uris,
    expand_template,
    normalized_name,
    uri_problem,
)

names = st.text(st.characters(), max_size=20)
anything = st.text(st.one_of(st.characters(), st.sampled_from("/.{}-:\\\0\ud800")), max_size=20)
greek = st.text(st.sampled_from("αΑᾳΑ\u0345\u0301\u0308\u0390ςσΣİıI\u0307"), max_size=8)


@given(names | greek)
def test_normalization_is_a_fixed_point(name: str) -> None:
    assert normalized_name(normalized_name(name)) == normalized_name(name)


@given(names | greek)
def test_all_unicode_forms_of_a_name_are_equal(name: str) -> None:
    for form in ("NFC", "NFD"):
        assert normalized_name(unicodedata.normalize(form, name)) == normalized_name(name)
    assert normalized_name(unicodedata.normalize("NFD", name).casefold()) == normalized_name(name)


@given(st.sampled_from("abcxyzéñßŁжд"), names)
def test_names_that_differ_in_case_are_equal(letter: str, rest: str) -> None:
    assert normalized_name(letter.upper() + rest) == normalized_name(letter + rest)


@given(st.lists(names | greek, max_size=6), st.randoms(use_true_random=False))
def test_collisions_do_not_depend_on_the_order(uris: list[str], random: object) -> None:
    shuffled = list(uris)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert (
        len(colliding_uris(uris))
        == len(colliding_uris(shuffled))
        == len(uris) - len({normalized_name(uri) for uri in uris})
    )


@given(st.fixed_dictionaries(dict.fromkeys(TOKENS, anything)), st.lists(st.sampled_from(TOKENS), min_size=1))
@example(dict.fromkeys(TOKENS, ".."), ["source_dir", "source_name"])
@example(dict.fromkeys(TOKENS, "/etc/passwd"), ["source_name"])
@example(dict.fromkeys(TOKENS, "{source_name}"), ["source_name", "source_dir"])
def test_an_expanded_template_stays_inside(values: dict[str, str], tokens: list[str]) -> None:
    template = "/".join(f"{{{token}}}" for token in tokens)
    try:
        path = expand_template(template, values, ".mov")
    except BadTemplate:
        return
    assert not path.startswith("/")
    assert ".." not in PurePosixPath(path).parts
    assert uri_problem(f"/out/{path}") is None
    assert path.endswith(".mov")
    whole = "/".join(values[token] for token in tokens)
    assert path.removesuffix(".mov") == "/".join(part for part in whole.split("/") if part not in ("", "."))


@given(st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=40))
def test_a_token_is_expanded_once(name: str) -> None:
    if name not in (".", ".."):
        assert expand_template("{source_name}", {"source_name": name, "index": "9"}, ".mov") == f"{name}.mov"
