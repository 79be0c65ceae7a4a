"""COPY's escapes over bytes, also of a value so large that each copy of it is felt: those go piece by piece."""

from __future__ import annotations

import binascii
from collections.abc import Iterator

from sensei.catalog import rowtext

#: Each byte that COPY escapes and how, the backslash first.
ESCAPES = tuple((c.encode(), rowtext.escape(c).encode()) for c in "\\\t\n\r\b\v\f")
#: Bytes of a value, or of a row, beyond which it travels in pieces.
LARGE = 4_000_000
#: Bytes of one piece, before it is escaped.
PIECE = 512_000

Value = bytes | bytearray | memoryview


def escape(value: bytes) -> bytes:
    """Escape the bytes of fields as COPY writes them."""
    for special, escaped in ESCAPES:
        # Looking for one byte is next to nothing, and most values hold none of them.
        if special in value:
            value = value.replace(special, escaped)
    return value


def pieces(value: Value) -> Iterator[bytes]:
    """Yield one field of any size, escaped; memory is that of a piece."""
    view = memoryview(value)
    for at in range(0, len(view), PIECE):
        yield escape(bytes(view[at : at + PIECE]))


def hexed(value: Value) -> Iterator[bytes]:
    """Yield bytes as a field, in hex behind an escaped backslash and an x."""
    yield rb"\\x"
    view = memoryview(value)
    for at in range(0, len(view), PIECE):
        yield binascii.hexlify(view[at : at + PIECE])
