"""How much of an InnoDB page the longest row of a table takes: half a page holds it, or the table can't be made.

The server adds up what each column may keep in the page (`dict_index_t::rec_potentially_too_big` in MariaDB's source):
short values whole, of those that may grow beyond 255 bytes a pointer to where the rest is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from sensei import catalog

#: Bytes of a row in a page of 16 KB, and columns of a table.
BYTES, COLUMNS = 8126, 1017
#: What a column takes whose values may lie outside of the page: a pointer and its length.
_OUTSIDE = 21
#: A row's header, its transaction and its place in the undo log; and the number of a row without a key.
_HEAD, _NUMBER = 5 + 6 + 7, 6

_FIXED = {
    "tinyint": 1, "smallint": 2, "mediumint": 3, "int": 4, "bigint": 8, "float": 4, "double": 8, "date": 3, "year": 1,
    "uuid": 16, "inet6": 16, "inet4": 4, "enum": 2, "set": 8,
}  # fmt: skip
_WITH_FRACTION = {"time": 3, "datetime": 5, "timestamp": 4}
#: Bytes of so many digits of a decimal beyond whole groups of nine, each of which takes four.
_DIGITS = (0, 1, 1, 2, 2, 3, 3, 4, 4)
_NATIVE = re.compile(r"(\w+)(?:\((\d+)(?:,\s*(\d+))?\))?", re.ASCII)


def taken(native: str, width: int) -> int:
    """Return the bytes that a column may take in the page, its length included; `width` is that of a character."""
    found = _NATIVE.match(native.lower())
    word, size, scale = (found[1], found[2], int(found[3] or 0)) if found else ("", None, 0)
    if word in _FIXED:
        return _FIXED[word]
    if word in _WITH_FRACTION:
        return _WITH_FRACTION[word] + (int(size or 0) + 1) // 2
    if word == "decimal":
        return sum(n // 9 * 4 + _DIGITS[n % 9] for n in (int(size or 10) - scale, scale))
    if word == "bit":
        return (int(size or 1) + 7) // 8
    if word in ("char", "varchar", "binary", "varbinary"):
        longest = int(size or 1) * (width if word.endswith("char") else 1)
        if longest > 255:
            return _OUTSIDE
        return longest if word == "binary" or (word == "char" and width == 1) else longest + 1
    return _OUTSIDE


def row(table: catalog.Table, natives: Mapping[str, str], widths: Mapping[str, int]) -> int:
    """Return the bytes of the longest row of a table whose columns get these types."""
    optional = sum(c.nullable for c in table.columns)
    head = _HEAD + (optional + 7) // 8 + (0 if table.primary else _NUMBER)
    return head + sum(taken(natives[c.name], widths[c.name]) for c in table.columns)


def moving(
    table: catalog.Table, natives: Mapping[str, str], keyed: Iterable[str], widths: Mapping[str, int]
) -> list[str]:
    """Return the columns that go outside of the page so that the row fits, longest first; all that can, if it won't."""
    sizes = {c: taken(n, widths[c]) for c, n in natives.items()}
    movable = sorted(
        (c for c, n in natives.items() if n.startswith("var") and sizes[c] > _OUTSIDE and c not in set(keyed)),
        key=lambda c: -sizes[c],
    )
    left, found = row(table, natives, widths), []
    while left >= BYTES and movable:
        found.append(movable.pop(0))
        left -= sizes[found[-1]] - _OUTSIDE
    return found


def hinders(table: catalog.Table, natives: Mapping[str, str], widths: Mapping[str, int]) -> str:
    """Say why a table can't be made, or nothing."""
    if len(table.columns) > COLUMNS:
        return f"it has {len(table.columns):,} columns, and a table of MariaDB and MySQL {COLUMNS:,} at most"
    if (size := row(table, natives, widths)) >= BYTES:
        return (
            f"its {len(table.columns):,} columns take up to {size:,} bytes, and a page of InnoDB holds rows of less"
            f" than {BYTES:,}"
        )
    return ""
