"""Logical types, and the verdict on carrying one into another, there and back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a value means, whatever engine holds it."""

    INTEGER = "integer"
    DECIMAL = "decimal"  #: exact numeric; precision and scale None: unconstrained
    FLOAT = "float"
    BOOLEAN = "boolean"
    TEXT = "text"
    BYTES = "bytes"
    DATE = "date"
    TIME = "time"
    TIMESTAMP = "timestamp"  #: naive
    TIMESTAMPTZ = "timestamptz"
    UUID = "uuid"
    JSON = "json"  #: keeps its text
    JSONB = "jsonb"  #: a value: key order and white space are not data
    ANY = "any"  #: SQLite column without a declared type
    NATIVE = "native"  #: carried only between two databases of the same engine
    UNSUPPORTED = "unsupported"  #: not carried at all


EVERYDAY = frozenset(set(Kind) - {Kind.NATIVE, Kind.UNSUPPORTED})


@dataclass(frozen=True)
class LogicalType:
    """A type without an engine: kind plus the limits that its values keep."""

    kind: Kind
    bits: int | None = None  #: INTEGER 8/16/24/32/64 (unsigned: any up to 64), FLOAT 32/64
    precision: int | None = None  #: DECIMAL digits in all; TIME and TIMESTAMP* fractional digits (None: 6)
    scale: int | None = None  #: DECIMAL digits after the point
    length: int | None = None  #: TEXT characters at most, BYTES bytes at most
    fixed: bool = False  #: TEXT padded with blanks to its length (char(n)), BYTES with zeros (binary(n))
    #: For NATIVE and UNSUPPORTED the engine's own name. For others it may say by which of several types the source
    #: holds such values: a target of the same engine can then say it as the source did.
    native: str = ""
    domain: str = ""  #: the domain that it was declared through, if any
    unsigned: bool = False  #: INTEGER from 0 to 2^bits - 1
    labels: tuple[str, ...] = ()  #: TEXT that is one of these (an enumeration), in their order
    #: TEXT of which the source takes some for equal that differ in bytes: in case, accents or trailing blanks.
    #: False: it compares bytes; None: not known.
    folds: bool | None = None
    #: NATIVE and UNSUPPORTED: as what another engine can keep the values, so that they read back as the same; None: not
    #: at all. TEXT is the text, and BYTES are the bytes, that the source's engine prints and takes.
    elsewhere: Kind | None = None

    def __str__(self) -> str:
        if self.kind is Kind.INTEGER:
            return f"{'unsigned ' if self.unsigned else ''}int{self.bits}"
        if self.kind is Kind.FLOAT:
            return f"float{self.bits}"
        if self.kind is Kind.DECIMAL and self.precision is not None:
            return f"decimal({self.precision},{self.scale or 0})"
        if self.kind is Kind.TEXT and self.length is not None:
            return f"{'char' if self.fixed else 'varchar'}({self.length})"
        if self.kind in (Kind.NATIVE, Kind.UNSUPPORTED):
            return self.native
        return str(self.kind)


class Verdict(StrEnum):
    """What happens to values of one type in another."""

    EXACT = "exact"  #: the same values, and the same limits
    WIDENING = "widening"  #: every value arrives unchanged; the target would also take values that the source would not
    LOSSY = "lossy"  #: some values would change; needs the operator's consent
    NONE = "none"  #: not carried


def worse(one: Verdict, other: Verdict) -> Verdict:
    """Return the one of two verdicts that promises less."""
    order = list(Verdict)
    return max(one, other, key=order.index)


@dataclass(frozen=True)
class Mapped:
    """How one column's type is carried by an engine."""

    native: str  #: the type as written in the target's DDL
    there: Verdict  #: source to target
    back: Verdict  #: target to source, for values that came from there
    reason: str = ""  #: in an operator's words; empty where both verdicts are exact
