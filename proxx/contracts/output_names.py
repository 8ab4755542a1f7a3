"""Output names: the tokens of the template, and which names are the same on any file system.

Two names are the same if they are equal in Unicode form NFC with case folded: that covers the file systems that media
travels over (APFS and NTFS ignore case, HFS+ ignores composition, exFAT both).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

from proxx.contracts.uri import without_secrets

TOKENS: Final = ("source_name", "source_ext", "source_dir", "index", "profile", "job_name", "date")
DEFAULT_TEMPLATE: Final = "{source_dir}/{source_name}"
LONGEST: Final = 255  # bytes of one path component, on all common file systems

_TOKEN: Final = re.compile(r"\{([^{}]*)\}")
_START: Final = re.compile(r"/|([A-Za-z][A-Za-z0-9+.-]*):(?://|/)")


class BadTemplate(ValueError):
    """The template has an unknown token, leaves the output folder, or gives no usable name."""


def normalized_name(uri: str) -> str:
    """Returns the form in which outputs are compared and claimed. Idempotent."""
    once = unicodedata.normalize("NFC", unicodedata.normalize("NFD", uri).casefold())
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", once).casefold())


def uri_problem(uri: str) -> str | None:
    """Returns why `uri` is not the only full name of a file, or None if it is.

    Full names are `/path`, `root:/path` and `s3://bucket/key`; a `file:` URI is written as its path.
    """
    start, shown = _START.match(uri), without_secrets(uri)
    path = uri[start.end() :] if start else ""
    if start is None or start[1] == "file":
        return f"{shown!r} is not a full path: write `/path`, `root:/path` or `s3://bucket/key`"
    if any(part in ("", ".", "..") for part in path.split("/")):
        return f"{shown!r} has an empty part, `.` or `..`: the same file would have two names"
    return f"{shown!r} is not Unicode text without NUL" if "\0" in uri or not _is_text(uri) else None


def _is_text(name: str) -> bool:
    """Returns False for a file name that is not UTF-8 on disk (Python keeps its bytes as lone surrogates)."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ADDRESS: Final = re.compile(r"\d+(\.\d+){3}")


def bucket_name_problem(name: str) -> str | None:
    """Returns why `name` cannot be a bucket's (Amazon S3, "General purpose bucket naming rules"), or None."""
    if not _BUCKET.fullmatch(name) or ".." in name or _ADDRESS.fullmatch(name):
        return "a bucket name has 3 to 63 lowercase letters, digits, `-` and `.`"
    return None


def colliding_uris(uris: Iterable[str]) -> tuple[str, ...]:
    """Returns the uris that name the same file as an earlier one, in order."""
    seen: set[str] = set()
    clash = []
    for uri in uris:
        key = normalized_name(uri)
        if key in seen:
            clash.append(uri)
        seen.add(key)
    return tuple(clash)


def check_template(template: str) -> None:
    """Checks a template before any source is read. Raises BadTemplate."""
    unknown = sorted({name for name in _TOKEN.findall(template) if name not in TOKENS})
    if unknown:
        raise BadTemplate(f"unknown token {_braced(unknown)}; the tokens are {_braced(TOKENS)}")
    if "{" in _TOKEN.sub("", template) or "}" in _TOKEN.sub("", template):
        raise BadTemplate("a brace has no counterpart")
    if template.startswith("/") or ".." in template.split("/"):
        raise BadTemplate(f"{template!r} is not inside the output folder")
    if "{source_name}" not in template and "{index}" not in template:
        raise BadTemplate("without {source_name} or {index} all clips would have the same name")


def _braced(tokens: Iterable[str]) -> str:
    return ", ".join(f"{{{token}}}" for token in tokens)


def expand_template(template: str, values: Mapping[str, str], suffix: str) -> str:
    """Returns the relative output path of one clip, with `/` between its parts and `suffix` (`.mov`) added.

    Tokens are replaced once: a source called `{index}` keeps that name. Leading slashes and empty parts are dropped.
    Raises BadTemplate if the path would leave the folder, is not text, or is longer than file systems allow.
    """
    text = _TOKEN.sub(lambda match: values[match[1]], template)
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if not parts or any(part == ".." for part in parts):
        raise BadTemplate(f"{text!r} is not inside the output folder")
    parts[-1] += suffix
    for part in parts:
        if not _is_text(part):
            raise BadTemplate(f"{part!r} is not Unicode text")
        if len(part.encode()) > LONGEST:
            raise BadTemplate(f"{part!r} is longer than {LONGEST} bytes")
        if "\0" in part:
            raise BadTemplate(f"{part!r} has a NUL byte")
    return "/".join(parts)
