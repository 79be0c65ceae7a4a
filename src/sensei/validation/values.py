"""When two texts of one column are the same value, and in which way they differ if not."""

from __future__ import annotations

import datetime
import unicodedata
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from sensei.catalog import rowtext, types
from sensei.validation import model

Kind = types.Kind

_MOMENTS = frozenset({Kind.TIMESTAMP, Kind.TIMESTAMPTZ, Kind.TIME, Kind.DATE})
_NUMBERS = frozenset({Kind.INTEGER, Kind.DECIMAL, Kind.FLOAT})


@dataclass(frozen=True)
class Tolerance:
    """Differences that the operator agreed to."""

    float_relative: float = 0.0
    seconds: float = 0.0


def norm(column: model.Column, text: str | None) -> str | None:
    """Return what stands for a value; of two that mean the same, the same.

    Where the target's type is the source's equal the bytes decide, but for what an engine spells in a way of its own.
    """
    if text is None or column.lossy:
        return None if text is None else ""
    kind = column.type.kind
    try:
        if kind is Kind.JSONB or (kind is Kind.JSON and not column.exact):
            return rowtext.canonical_json(text)
        if kind is Kind.DECIMAL and not column.exact:
            number = Decimal(text)
            return str(number.normalize()) if number.is_finite() and number else text if number else "0"
        if kind is Kind.FLOAT:
            return repr(float(text) if column.exact else float(text) + 0.0)
    except (ValueError, ArithmeticError):
        return text
    return text.rstrip(" ") if column.type.fixed and not column.exact and kind is Kind.TEXT else text


def may_be_spelled_twice(column: model.Column) -> bool:
    """Tell whether two texts of the column may be one value."""
    kind = column.type.kind
    if kind in (Kind.JSONB, Kind.FLOAT) or column.lossy:
        return True
    return not column.exact and (kind in (Kind.JSON, Kind.DECIMAL) or column.type.fixed)


def same(column: model.Column, source: str | None, target: str | None, tolerance: Tolerance) -> bool:
    """Tell whether two texts are one value, or near enough."""
    if source == target or column.lossy:
        return True
    if source is None or target is None:
        return False
    if norm(column, source) == norm(column, target):
        return True
    if tolerance.float_relative and column.type.kind is Kind.FLOAT:
        try:
            a, b = float(source), float(target)
        except ValueError:
            return False
        return abs(a - b) <= tolerance.float_relative * max(abs(a), abs(b))
    if tolerance.seconds and column.type.kind in (Kind.TIMESTAMP, Kind.TIMESTAMPTZ):
        apart = seconds_apart(source, target)
        return apart is not None and abs(apart) <= tolerance.seconds
    return False


def seconds_apart(source: str, target: str) -> float | None:
    """Return how much later the target's moment is; None where one is none that a calendar of Python has."""
    a, b = _moment(source), _moment(target)
    return None if a is None or b is None else (b - a).total_seconds()


def _moment(text: str) -> datetime.datetime | None:
    text = text.removesuffix("+00")
    try:
        return datetime.datetime.fromisoformat(f"2000-01-01 {text}" if text[2:3] == ":" else text)
    except ValueError:
        return None


def difference(column: model.Column, source: str | None, target: str | None) -> tuple[str, str]:
    """Return (kind, detail) of a difference between two values: what many of them may have in common."""
    if source is None or target is None:
        return _with_null(source, target)
    kind = column.type.kind
    if source[:1] == source[-1:] == target[:1] == target[-1:] == "'":
        # Between two SQLite files, texts that look like numbers are shown in quotes.
        source, target = source[1:-1], target[1:-1]
    if kind in _NUMBERS:
        return _numbers(source, target)
    if kind in _MOMENTS and (apart := seconds_apart(source, target)) is not None:
        return ("shifted", f"{apart:+g}") if apart else ("other", "")
    if kind is Kind.BYTES and source.startswith("\\x") and target.startswith("\\x"):
        return _bytes(source[2:], target[2:])
    if kind is Kind.BOOLEAN:
        return "negated", ""
    return _texts(source, target)


def _with_null(source: str | None, target: str | None) -> tuple[str, str]:
    if source == "":
        return "null_for_empty", ""
    if target == "":
        return "empty_for_null", ""
    return ("value_for_null", "") if source is None else ("null_for_value", "")


def _numbers(source: str, target: str) -> tuple[str, str]:
    try:
        a, b = Decimal(source), Decimal(target)
        if not a.is_finite() or not b.is_finite():
            return "other", ""
        if a == -b and a:
            return "negated", ""
        if a == b:
            return "scale", ""
        before, after = _places(a), _places(b)
        for places in range(max(after, 0), before):
            unit = Decimal(1).scaleb(-places)
            if abs(a - b) < unit and (b / unit) % 1 == 0:
                return "rounded", str(places)
        if b and (a / b).copy_abs().log10() % 1 == 0:
            return "scaled", f"{(b / a).normalize():f}"
    except (InvalidOperation, ArithmeticError):
        return "other", ""
    if b - a == (b - a).to_integral_value() and abs(b - a) in (2**31, 2**32, 2**63, 2**64, 2**16, 2**15):
        return "wrapped", f"{b - a:f}"
    return "other", ""


def _places(number: Decimal) -> int:
    return max(-int(number.normalize().as_tuple().exponent), 0)


def _bytes(source: str, target: str) -> tuple[str, str]:
    if len(source) == len(target):
        flipped = (int(source or "0", 16) ^ int(target or "0", 16)).bit_count()
        return ("one_bit", "") if flipped == 1 else ("other", "")
    shorter, longer = sorted((source, target), key=len)
    if longer.startswith(shorter):
        if not longer[len(shorter) :].strip("0"):
            return "trailing_zeros", ""
        return ("cut", str(len(shorter) // 2)) if shorter == target else ("longer", "")
    return "other", ""


def _texts(source: str, target: str) -> tuple[str, str]:
    if source.rstrip(" ") == target.rstrip(" "):
        return "trailing_blanks", ""
    if source.strip() == target.strip():
        return "outer_blanks", ""
    if source.casefold() == target.casefold():
        return "case", ""
    if unicodedata.normalize("NFC", source) == unicodedata.normalize("NFC", target):
        return "unicode_form", ""
    if source.replace("\r\n", "\n") == target.replace("\r\n", "\n"):
        return "line_ends", ""
    for wrong in ("latin-1", "cp1252"):
        try:
            if source.encode().decode(wrong) == target:
                return "encoding", ""
        except UnicodeDecodeError:
            continue
    if target and source.startswith(target):
        return "cut", str(len(target))
    if not source.isascii() and len(source) == len(target) and target.count("?") > source.count("?"):
        return "encoding", ""
    a, b = source.encode("utf-8", "replace"), target.encode("utf-8", "replace")
    if len(a) == len(b) and sum((x ^ y).bit_count() for x, y in zip(a, b, strict=True)) == 1:
        return "one_bit", ""
    return "other", ""
