"""Reads the lengths of KLV items, the building blocks of MXF files (SMPTE ST 336). Pure."""

from __future__ import annotations

from typing import Final

KEY_BYTES: Final = 16  # of each item's key; its length follows
LENGTH_BYTES: Final = 9  # the longest length field: one byte that counts, then 8 bytes of length


def read_ber_length(data: bytes) -> tuple[int, int] | None:
    """Returns the length that `data` begins with (BER) and how many bytes its field has; None if it is not valid.

    A first byte below 128 is the length itself; above, its low 7 bits count the bytes that hold the length. More
    than 8 of them, or fewer bytes in `data` than it counts, are not valid.
    """
    if not data:
        return None
    if data[0] < 0x80:
        return data[0], 1
    size = data[0] & 0x7F
    if size > LENGTH_BYTES - 1 or len(data) < 1 + size:
        return None
    return int.from_bytes(data[1 : 1 + size], "big"), 1 + size
