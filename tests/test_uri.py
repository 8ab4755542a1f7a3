"""Addresses as people write them: what of one is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxx.discover import discover
from proxx.errors import PreflightRefused, RootsInvalid, StoreRefused
from proxx.naming import place_fault
from proxx.places import Places
from proxx.reach import OutOfReach, Roots, parse_roots
from proxx.request import require_sensible
from proxx.store import open_store
from proxx.uri import without_secrets
from tests.test_create import request

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
def test_without_secrets(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


@pytest.mark.parametrize("secret", SECRETS)
def test_credentials_in_an_address_are_shown_nowhere(secret: str) -> None:
    rooted = parse_roots("media=/mnt/media")
    said = [str(place_fault(f"{secret}//y")), str(place_fault(f"{secret}\0"))]
    for roots in (Roots(), rooted):
        for place in (secret, f"{secret}/../y"):
            said += map(str, discover([place], places=Places(roots=roots)).problems)
        with pytest.raises(OutOfReach) as out:
            roots.spot(secret)
        said.append(str(out.value))
        with pytest.raises(PreflightRefused) as refused:
            require_sensible(request(Path("/x"), output=secret, places=Places(roots=roots)))
        said += map(str, refused.value.problems)
    for text in (secret, f"media={secret}", f"media={secret}//y", f"a=/x;a={secret}", f"Media={secret}"):
        with pytest.raises(RootsInvalid) as invalid:
            parse_roots(text)
        said.append(str(invalid.value))
    for kind in ("s3", "gs", "file"):
        with pytest.raises(StoreRefused) as store:
            open_store(secret.replace("s3", kind, 1))
        said.append(str(store.value))
    assert len(said) > 15
    for text in said:
        assert "AKIA1" not in text and "SEC" not in text and "RET" not in text, text
