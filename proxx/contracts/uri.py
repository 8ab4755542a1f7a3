"""Addresses that people write: the path of a `file:` URI, and the removal of credentials before one is shown."""

from __future__ import annotations

import re
from typing import Final

_WITH_PASSWORD: Final = re.compile(r"://[^/@]*:[^@]*@")  # a secret key may hold slashes
_USER: Final = re.compile(r"://[^/]*@")
_QUERY: Final = re.compile(r"(https?://[^?]*)\?.*", re.DOTALL | re.IGNORECASE)  # an S3 key may hold a `?`
_ENCODED: Final = re.compile(rb"%([0-9A-Fa-f]{2})")


class InvalidFileUri(ValueError):
    """The `file:` URI does not name a file of this machine. The message is a sentence for people."""


def is_file_uri(text: str) -> bool:
    """Returns whether `text` starts as a `file:` URI; a file name such as `file:1.mov` does not."""
    return text[:6].lower() == "file:/"


def file_path(uri: str) -> str:
    """Returns the full path of a `file:` URI (RFC 8089), with `%20` and so on decoded. Raises InvalidFileUri."""
    rest, shown = uri.partition(":")[2], without_secrets(uri)
    if "?" in rest or "#" in rest:
        raise InvalidFileUri(f"{shown!r} has a query or a fragment: in a file name write `?` as %3F and `#` as %23")
    host = ""
    if rest.startswith("//"):
        host, mark, path = rest[2:].partition("/")
        rest = mark + path
    if host.lower() not in ("", "localhost"):
        raise InvalidFileUri(f"{shown!r} names another machine: write a file of this one as file:///path")
    try:
        whole = _ENCODED.sub(lambda match: bytes.fromhex(match[1].decode()), rest.encode()).decode()
    except UnicodeError as error:
        raise InvalidFileUri(f"{shown!r} is not UTF-8 when decoded") from error
    if not whole.startswith("/") or "\0" in whole:
        raise InvalidFileUri(f"{shown!r} is not a full path: write it as file:///path")
    return whole


def without_secrets(text: str) -> str:
    """Returns the text with `***` for a URL's user and password and for a web address's query (a signature)."""
    return _QUERY.sub(r"\1?***", _USER.sub("://***@", _WITH_PASSWORD.sub("://***@", text)))
