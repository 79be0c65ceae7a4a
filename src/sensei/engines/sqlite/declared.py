"""What a declared type means in SQLite: its affinity, and the logical type that its words promise."""

from __future__ import annotations

import re

from sensei.catalog.types import Kind, LogicalType

_LIMITS = re.compile(r"\(\s*\+?(\d+)\s*(?:,\s*\+?(\d+)\s*)?\)")
_BY_WORD = {
    "BOOL": LogicalType(Kind.BOOLEAN),
    "BOOLEAN": LogicalType(Kind.BOOLEAN),
    "DATE": LogicalType(Kind.DATE),
    "TIME": LogicalType(Kind.TIME),
    "DATETIME": LogicalType(Kind.TIMESTAMP),
    "TIMESTAMP": LogicalType(Kind.TIMESTAMP),
    "TIMESTAMPTZ": LogicalType(Kind.TIMESTAMPTZ),
    "TIMESTAMP WITH TIME ZONE": LogicalType(Kind.TIMESTAMPTZ),
    "TIME WITHOUT TIME ZONE": LogicalType(Kind.TIME),
    "TIMESTAMP WITHOUT TIME ZONE": LogicalType(Kind.TIMESTAMP),
    "UUID": LogicalType(Kind.UUID),
    "GUID": LogicalType(Kind.UUID),
    "UNIQUEIDENTIFIER": LogicalType(Kind.UUID),
    "JSON": LogicalType(Kind.JSON),
    "JSON TEXT": LogicalType(Kind.JSON),
    "JSONB": LogicalType(Kind.JSONB),
    "JSONB TEXT": LogicalType(Kind.JSONB),
    "BYTEA": LogicalType(Kind.BYTES),
    "BINARY": LogicalType(Kind.BYTES),
    "VARBINARY": LogicalType(Kind.BYTES),
    "SMALLINT": LogicalType(Kind.INTEGER, bits=64),
    "ANY": LogicalType(Kind.ANY),
    "": LogicalType(Kind.ANY),
}
_EXACT = ("DECIMAL", "NUMERIC", "DEC", "NUMERIC TEXT", "DECIMAL TEXT", "MONEY")


def affinity(declared: str, *, strict: bool = False) -> str:
    """Return "integer", "text", "blob", "real" or "numeric" by SQLite's own rules."""
    upper = declared.upper()
    if "INT" in upper:
        return "integer"
    if "CHAR" in upper or "CLOB" in upper or "TEXT" in upper:
        return "text"
    if "BLOB" in upper or not upper or (strict and upper == "ANY"):
        return "blob"
    if "REAL" in upper or "FLOA" in upper or "DOUB" in upper:
        return "real"
    return "numeric"


def logical(declared: str) -> LogicalType:
    """Return what a declared type means. SQLite enforces none of it, so values are looked at besides."""
    found = _logical(declared)
    # The declared text travels along, so that one SQLite file can say it as the other did.
    return LogicalType(found.kind, found.bits, found.precision, found.scale, found.length, found.fixed, native=declared)


def _logical(declared: str) -> LogicalType:
    words = " ".join(_LIMITS.sub(" ", declared).upper().split())
    limits = _LIMITS.search(declared)
    first = int(limits[1]) if limits else None
    second = int(limits[2]) if limits and limits[2] else None
    if words in _BY_WORD:
        return _BY_WORD[words]
    if words in _EXACT:
        if first is None or first == 0:
            return LogicalType(Kind.DECIMAL)
        return LogicalType(Kind.DECIMAL, precision=max(first, second or 0), scale=second or 0)
    match affinity(declared):
        case "integer":
            return LogicalType(Kind.INTEGER, bits=64)
        case "text":
            return LogicalType(Kind.TEXT, length=first if "TEXT" not in words and first else None)
        case "blob":
            return LogicalType(Kind.BYTES)
        case "real":
            return LogicalType(Kind.FLOAT, bits=64)
        case _:
            return LogicalType(Kind.DECIMAL)
