"""The line that stands for a row in a digest: the same bytes from every server, and from no two different rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from sensei.catalog.types import Kind, LogicalType

#: Between two fields of a line, and between two lines.
FIELD, ROW = b"\x1f", b"\n"
#: Texts of more bytes, and binary values of more, are stood for by their md5, so that no line outgrows a server.
LARGE = 8192
#: What the text of a value of these kinds holds is anybody's choice: its length goes before it, so that no separator
#: in it can pass for ours. All other texts are made of digits, signs and letters.
FREE = frozenset({Kind.TEXT, Kind.JSON, Kind.JSONB, Kind.ANY, Kind.NATIVE, Kind.UNSUPPORTED})


def may_be_large(type: LogicalType) -> bool:
    """Tell whether values of a type may be longer than LARGE: what is declared short is not looked at for it."""
    return type.length is None or type.length * (1 if type.kind is Kind.BYTES else 4) > LARGE


def field(text: bytes | None, type: LogicalType) -> bytes:
    """Return what stands in a line for one value, given as its canonical text (not escaped).

    NULL is nothing at all: of the kinds that are not free no value is, and a free one has its length.
    """
    if type.kind in FREE:
        if text is None:
            return FIELD
        large = may_be_large(type) and len(text) > LARGE
        return b"%d" % len(text) + FIELD + (hashlib.md5(text).hexdigest().encode() if large else text)
    if text is None:
        return b""
    if type.kind is Kind.BYTES and may_be_large(type) and len(text) > 2 * LARGE + 2 and text.startswith(b"\\x"):
        try:
            value = bytes.fromhex(text[2:].decode("ascii"))
        except ValueError:
            return text
        return b"%d:" % len(value) + hashlib.md5(value).hexdigest().encode()
    return text


def line(texts: Iterable[bytes | None], kinds: Sequence[LogicalType]) -> bytes:
    """Return the line of a row."""
    return FIELD.join(field(text, kind) for text, kind in zip(texts, kinds, strict=True))


def weight(line: bytes) -> int:
    """Return what a line adds to a sum that must not depend on order: 60 bits of its md5."""
    return int(hashlib.md5(line).hexdigest()[:15], 16)


def bucket(key: bytes, buckets: int) -> int:
    """Return which of so many buckets (a power of 2, 65536 at most) a key's line falls into."""
    return int(hashlib.md5(key).hexdigest()[:4], 16) & (buckets - 1)
