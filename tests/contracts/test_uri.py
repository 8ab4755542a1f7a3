"""Addresses that people write: the file that one names, and the credentials that are never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxx.contracts.errors import PreflightRefused, RootsInvalid, StoreRefused
from proxx.contracts.output_names import uri_problem
from proxx.contracts.uri import InvalidFileUri, file_path, is_file_uri, without_secrets
from proxx.create.discover import discover, locate_argument
from proxx.create.request import require_valid_request
from proxx.files.places import Places
from proxx.files.roots import OnDisk, OutOfReach, Roots, parse_roots
from proxx.store.opening import open_store
from tests.create.test_jobs import request

SECRETS = ("s3://AKIA1:SECRET@bucket/x", "s3://AKIA1:SEC=RET@bucket/x", "s3://AKIA1:SEC/RET+1@bucket/x")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        *((secret, "s3://***@bucket/x") for secret in SECRETS),
        ("https://user@host/x", "https://***@host/x"),
        ("s3://a:b@c@bucket/x@y", "s3://***@bucket/x@y"),
        ("s3://bucket/a@b:c@d.mov", "s3://bucket/a@b:c@d.mov"),
        ("media:/a@b/c.mov", "media:/a@b/c.mov"),
        ("/a@b/c.mov", "/a@b/c.mov"),
    ],
)
def test_secrets_are_replaced(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///mnt/My%20Proxies", "/mnt/My Proxies"),
        ("file://localhost/mnt/x", "/mnt/x"),
        ("FILE://LocalHost/mnt/x", "/mnt/x"),
        ("file:/mnt/x", "/mnt/x"),
        ("file:///a%23%3F%25%2f%C3%A9 é+.mov", "/a#?%/é é+.mov"),
        ("file:///100%", "/100%"),
        ("file:///a\nb\t", "/a\nb\t"),
    ],
)
def test_a_file_uri_names_a_file(uri: str, path: str) -> None:
    assert is_file_uri(uri)
    assert file_path(uri) == path
    assert locate_argument(uri, Places()) == OnDisk(Path(path))
    assert open_store(uri).uri == open_store(path).uri
    assert require_valid_request(request(Path("/x"), output=uri)) == path


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("file://host/x", "another machine"),
        ("file://user:SECRET@host/x", "another machine"),
        ("file:///a?b", "%3F"),
        ("file:///a#b", "%23"),
        ("file:///a%00b", "not a full path"),
        ("file:///a%ffb", "UTF-8"),
        ("file://localhost", "not a full path"),
    ],
)
def test_a_uri_that_does_not_name_a_file_of_this_machine_is_refused(uri: str, reason: str) -> None:
    with pytest.raises(InvalidFileUri, match=reason):
        file_path(uri)
    (problem,) = discover([uri]).problems
    assert problem.code == "PLACE_UNREACHABLE"
    with pytest.raises(PreflightRefused) as refused:
        require_valid_request(request(Path("/x"), output=uri))
    with pytest.raises(StoreRefused) as store:
        open_store(uri)
    messages = [problem.message, refused.value.problems[0].message, str(store.value.detail)]
    assert all(reason in text and "SECRET" not in text for text in messages)
    assert refused.value.problems[0].code == "OUTPUT_UNWRITABLE"


def test_a_file_name_with_a_colon_is_no_uri_and_other_schemes_are_refused() -> None:
    assert locate_argument("file:1.mov", Places()) == OnDisk(Path.cwd() / "file:1.mov")
    (problem,) = discover(["https://user:SECRET@host/x.mov"]).problems
    assert (problem.path, problem.code) == ("https://***@host/x.mov", "PLACE_UNREACHABLE")
    (signed,) = discover(["https://b.s3.test/x.mov?X-Amz-Credential=SECRET&X-Amz-Signature=SECRET"]).problems
    assert signed.path == "https://b.s3.test/x.mov?***"
    assert "SECRET" not in signed.message
    assert without_secrets("s3://b/what?.mov") == "s3://b/what?.mov"
    assert "SECRET" not in problem.message


@pytest.mark.parametrize("secret", SECRETS)
def test_credentials_in_an_address_are_never_shown(secret: str) -> None:
    rooted = parse_roots("media=/mnt/media")
    messages = [str(uri_problem(f"{secret}//y")), str(uri_problem(f"{secret}\0"))]
    for roots in (Roots(), rooted):
        for place in (secret, f"{secret}/../y"):
            messages += map(str, discover([place], places=Places(roots=roots)).problems)
        with pytest.raises(OutOfReach) as out:
            roots.spot(secret)
        messages.append(str(out.value))
        with pytest.raises(PreflightRefused) as refused:
            require_valid_request(request(Path("/x"), output=secret, places=Places(roots=roots)))
        messages += map(str, refused.value.problems)
    for text in (secret, f"media={secret}", f"media={secret}//y", f"a=/x;a={secret}", f"Media={secret}"):
        with pytest.raises(RootsInvalid) as invalid:
            parse_roots(text)
        messages.append(str(invalid.value))
    for kind in ("s3", "gs", "file"):
        with pytest.raises(StoreRefused) as store:
            open_store(secret.replace("s3", kind, 1))
        messages.append(str(store.value))
    assert len(messages) > 15
    for text in messages:
        assert "AKIA1" not in text and "SEC" not in text and "RET" not in text, text
