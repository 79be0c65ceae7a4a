"""SQL that renders one column as text inside the server, and what is left for Python to spell."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from sensei.catalog import floattext, rowtext, types
from sensei.engines import escaping
from sensei.engines.mysql import names
from sensei.engines.mysql.facts import BLOBS, GEOMETRIES, UTF8, WHOLE, Column

Kind = types.Kind

_STRINGS = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set"})


@dataclass(frozen=True)
class Marks:
    """Words that nobody can have written into a text, made up anew for every read.

    They stand for what SQL has no spelling for: NULL among joined fields, and floats that the server spells otherwise.
    """

    word: str = field(default_factory=lambda: f"\x1d{secrets.token_hex(6)}")

    @property
    def null(self) -> bytes:
        """Stands for NULL."""
        return f"{self.word}N".encode()

    def settled(self, block: bytes) -> bytes:
        """Return escaped rows with NULL and every float in COPY's spelling."""
        word = self.word.encode()
        if word not in block:
            return block
        block = block.replace(self.null, b"\\N")
        return self.floats(block) if word in block else block

    def floats(self, block: bytes) -> bytes:
        """Spell the floats that were left to Python."""
        return re.sub(re.escape(self.word.encode()) + rb"([df])([-+.e0-9]+)", _spelled, block)


def _spelled(found: re.Match[bytes]) -> bytes:
    return floattext.text(float(found[2]), 32 if found[1] == b"f" else 64).encode()


def canonical(column: Column, type: types.LogicalType, marks: Marks) -> str:
    """Return SQL for a value (not NULL) as canonical text."""
    x = names.quote(column.name)
    match type.kind:
        case Kind.INTEGER:
            return _whole(x, column)
        case Kind.DECIMAL:
            return f"{x} + 0" if column.zerofill else _text(x, column)
        case Kind.FLOAT:
            return _float(x, column, marks)
        case Kind.BOOLEAN if column.word in ("tinyint", "bit", "smallint", "int"):
            return f"CASE {x} WHEN 1 THEN 't' WHEN 0 THEN 'f' ELSE {_misfit('integer', f'{x} + 0')} END"
        case Kind.BYTES:
            return f"CONCAT({_PREFIX}, LOWER(HEX({x})))"
        case Kind.DATE | Kind.TIMESTAMP | Kind.TIMESTAMPTZ if column.word in ("date", "datetime", "timestamp"):
            return _moment(x, column, type)
        case Kind.TIME if column.word == "time":
            short = _trimmed(x, column)
            return f"IF({x} BETWEEN '00:00:00' AND '24:00:00', {short}, {_misfit('duration', x)})"
        case _:
            return plain(column)


def plain(column: Column) -> str:
    """Return SQL for a value (not NULL) as the server itself would take it back."""
    x = names.quote(column.name)
    if column.word in BLOBS or column.word in GEOMETRIES:
        return f"CONCAT({_PREFIX}, LOWER(HEX({x})))"
    if column.word == "bit":
        return f"CAST({x} AS UNSIGNED)"
    if column.word == "float":
        return f"CAST({x} AS DOUBLE)"  # of itself the server prints six digits
    return _text(x, column)


#: Begins bytes in hex: a backslash and an x.
_PREFIX = "_binary x'5c78'"


def _text(x: str, column: Column) -> str:
    if column.word in _STRINGS:
        if column.charset in UTF8:
            return x
        shown = f"CONVERT({x} USING utf8mb4)"
        if column.charset in WHOLE:
            return shown
        # Bytes without a character become question marks. No target takes C0 for text, so that such a row is refused.
        back = f"CAST(CONVERT({shown} USING {names.quote(column.charset)}) AS BINARY)"
        return f"IF({back} = CAST({x} AS BINARY), {shown}, CONCAT(_binary x'c0', CAST({x} AS BINARY)))"
    if column.word in ("json", "uuid", "inet4", "inet6"):
        return f"CAST({x} AS CHAR CHARACTER SET utf8mb4)"
    return x


def _whole(x: str, column: Column) -> str:
    if column.word == "bit":
        return f"CAST({x} AS UNSIGNED)"
    return f"{x} + 0" if column.zerofill or column.word == "year" else x


def _float(x: str, column: Column, marks: Marks) -> str:
    # Within these bounds the server's shortest text is the canonical one; outside it turns to exponents elsewhere.
    left = names.literal(marks.word)
    if column.word == "float":
        # Six digits are printed: enough where they read back as the same float.
        fits = f"{x} = 0 OR (ABS({x}) >= 1e-4 AND ABS({x}) < 1e6 AND CAST(CONCAT({x}) AS FLOAT) = {x})"
        return f"IF({fits}, {x}, CONCAT({left}, 'f', CAST({x} AS DOUBLE)))"
    return f"IF({x} = 0 OR (ABS({x}) >= 1e-4 AND ABS({x}) < 1e15), {x}, CONCAT({left}, 'd', {x}))"


def _moment(x: str, column: Column, type: types.LogicalType) -> str:
    """Return a date or a timestamp; zero dates, and days of the year 0, are misfits everywhere else.

    A 31st of February, which the server takes on request, goes as it is: PostgreSQL refuses it by itself.
    """
    zone = ", '+00'" if type.kind is Kind.TIMESTAMPTZ else ""
    short = _trimmed(x, column)
    shown = f"CONCAT({short}{zone})" if zone else short
    # The cheapest question that finds them all: of a date without a month or a day there is no count of days.
    return f"IF(TO_DAYS({x}) > 365, {shown}, {_misfit(column.word, x)})"


def _trimmed(x: str, column: Column) -> str:
    """Return a time without zeros at the end of its fraction."""
    return f"TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM {x}))" if column.digits else x


def _misfit(word: str, x: str) -> str:
    return f"CONCAT('{rowtext.MISFIT} {word} ', {x})"


def whole_values(
    column: Column, type: types.LogicalType, marks: Marks, own: bool
) -> tuple[str, Callable[[memoryview], Iterable[bytes]]]:
    """Return SQL for a value of any size as a field of its own, and what makes the escaped text of it, in pieces.

    Functions that put strings together give NULL beyond max_allowed_packet: large values are taken as they are.
    """
    if column.word in BLOBS or column.word in GEOMETRIES:
        return names.quote(column.name), escaping.hexed
    if column.word in _STRINGS or column.word == "json":
        x = names.quote(column.name)
        # Binary, or the server would make question marks of what is no character, on the way out.
        return (f"CONVERT({x} USING binary)" if column.charset in UTF8 else _text(x, column)), escaping.pieces
    sql = plain(column) if own else canonical(column, type, marks)
    return f"CONCAT({sql})", lambda value: (escaping.escape(marks.floats(bytes(value))),)
