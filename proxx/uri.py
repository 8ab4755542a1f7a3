"""What people write as an address, and how much of it may be shown."""

from __future__ import annotations

import re
from typing import Final

_WITH_PASSWORD: Final = re.compile(r"://[^/@]*:[^@]*@")  # a secret key may hold slashes
_USER: Final = re.compile(r"://[^/]*@")


def without_secrets(text: str) -> str:
    """The text with `***` for what stands before an `@` where a URL has its user and password."""
    return _USER.sub("://***@", _WITH_PASSWORD.sub("://***@", text))
