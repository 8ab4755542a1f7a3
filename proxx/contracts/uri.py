"""What people write as an address: the path of a `file:` URI, and how much of any may be shown."""

from __future__ import annotations

import re
from typing import Final

_WITH_PASSWORD: Final = re.compile(r"://[^/@]*:[^@]*@")  # a secret key may hold slashes
_USER: Final = re.compile(r"://[^/]*@")
_QUERY: Final = re.compile(r"(https?://[^?]*)\?.*", re.DOTALL | re.IGNORECASE)  # an S3 key may hold a `?`
_ENCODED: Final = re.compile(rb"%([0-9A-Fa-f]{2})")


class InvalidFileUri(ValueError):
    """A `file:` URI that names no file of this machine. Its text is a sentence for people."""


def is_file_uri(text: str) -> bool:
    """A name such as `file:1.mov` is none."""
    return text[:6].lower() == "file:/"


def file_path(uri: str) -> str:
    """The full path that a `file:` URI stands for (RFC 8089), its `%20` and so on decoded. Raises NoFile."""
    rest, shown = uri.partition(":")[2], without_secrets(uri)
    if "?" in rest or "#" in rest:
        raise InvalidFileUri(
            f"{shown!r} has a query or a fragment: in the name of a file `?` is written %3F, `#` is %23"
        )
    host = ""
    if rest.startswith("//"):
        host, mark, path = rest[2:].partition("/")
        rest = mark + path
    if host.lower() not in ("", "localhost"):
        raise InvalidFileUri(f"{shown!r} names another machine: a file of this one is written file:///path")
    try:
        whole = _ENCODED.sub(lambda match: bytes.fromhex(match[1].decode()), rest.encode()).decode()
    except UnicodeError as why:
        raise InvalidFileUri(f"{shown!r} is not UTF-8 when decoded") from why
    if not whole.startswith("/") or "\0" in whole:
        raise InvalidFileUri(f"{shown!r} is no full path: it is written file:///path")
    return whole


def without_secrets(text: str) -> str:
    """The text with `***` for a URL's user and password, and for a web address's query, which can be a signature."""
    return _QUERY.sub(r"\1?***", _USER.sub("://***@", _WITH_PASSWORD.sub("://***@", text)))
