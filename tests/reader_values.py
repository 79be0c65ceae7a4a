"""What a value is, whatever engine holds it: a second opinion that shares no code with the product."""

from __future__ import annotations

import json
import re
import struct
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import Any

#: Kinds of value that the reader tells apart. Everything else is text as the server prints it.
KINDS = frozenset(
    (
        *("int", "decimal", "float4", "float8", "bool", "text", "bytes", "uuid", "json"),
        *("date", "time", "timestamp", "timestamptz", "interval"),
        "char",  # text whose blanks at the end do not count
    )
)


@dataclass(frozen=True)
class Kind:
    """What the values of a column mean; ``scale`` of a decimal is None where each value has its own."""

    name: str
    scale: int | None = None

    def __post_init__(self) -> None:
        assert self.name in KINDS, self.name


@dataclass(frozen=True)
class Column:
    """``declared`` is the type as its engine shows it; SQLite's columns have no kind of their own."""

    name: str
    declared: str
    kind: Kind | None


@dataclass(frozen=True)
class Odd:
    """A value that does not look like its kind: equal only to exactly the same oddity."""

    kind: str
    value: str


#: Kind by PostgreSQL's own name of the type, where they differ.
_RENAMED = {
    **dict.fromkeys(("int2", "int4", "int8", "oid"), "int"),
    "numeric": "decimal",
    "bytea": "bytes",
    # The type json keeps its text, white space included; only jsonb is a value.
    "json": "text",
    "jsonb": "json",
}


def kind_of_postgres(base_type: str, type_modifier: int) -> Kind:
    """The kind of a column by pg_type.typname (of the base type under domains) and atttypmod."""
    name = _RENAMED.get(base_type, base_type)
    if name not in KINDS:
        name = "text"
    if name != "decimal" or type_modifier < 4:
        return Kind(name)
    scale = (type_modifier - 4) & 0x7FF
    return Kind(name, scale - 0x800 if scale & 0x400 else scale)


def from_postgres(text: str | None, kind: Kind) -> Any:
    """The canonical form of what the server printed with ISO dates, UTC, hex bytes and full float digits."""
    if text is None:
        return None
    match kind.name:
        case "int":
            return int(text)
        case "decimal":
            return _decimal(text, None)
        case "float4":
            return float4(float(text))
        case "float8":
            return float8(float(text))
        case "bool":
            return {"t": True, "f": False}[text]
        case "bytes":
            return bytes.fromhex(text.removeprefix("\\x"))
        case "uuid":
            return str(uuid.UUID(text))
        case "char":
            return text.rstrip(" ")
    return _from_text(text, kind)


#: Kind by MariaDB's own name of the type, where they differ. What is in neither list is text.
_MYSQL_RENAMED = {
    **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "bigint", "year", "bit"), "int"),
    **dict.fromkeys(("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"), "bytes"),
    **dict.fromkeys(
        ("geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon"), "bytes"
    ),
    "geometrycollection": "bytes",
    "decimal": "decimal",
    "float": "float4",
    "double": "float8",
    "date": "date",
    "time": "time",
    "datetime": "timestamp",
    "timestamp": "timestamptz",
    "uuid": "uuid",
}


def kind_of_mysql(base_type: str, scale: int | None) -> Kind:
    """The kind of a column by information_schema's DATA_TYPE and NUMERIC_SCALE."""
    name = _MYSQL_RENAMED.get(base_type.lower(), "text")
    return Kind(name, scale if name == "decimal" else None)


def from_mysql(value: str | bytes | None, kind: Kind) -> Any:
    """The canonical form of what the server printed in UTC; bytes are those of a binary column."""
    if value is None:
        return None
    if kind.name == "bytes":
        return value if isinstance(value, bytes) else _odd(value, kind)
    if isinstance(value, bytes):
        if kind.name == "uuid" and len(value) == 16:
            return str(uuid.UUID(bytes=value))
        return _odd(value, kind)
    match kind.name:
        case "int":
            return int(value)
        case "decimal":
            return _decimal(value, None)
        case "float4":
            return float4(float(value))
        case "float8":
            return float8(float(value))
        case "bool":
            return {"1": True, "0": False}.get(value, _odd(value, kind))
        case "uuid":
            return str(uuid.UUID(value))
        case "char":
            return value.rstrip(" ")
        case "timestamptz":
            # The session is in UTC, and a type without a zone that holds instants holds them in UTC.
            return _timestamp(value if re.search(r"[+Z]|-\d\d:?\d\d$", value[10:]) else value + "Z", kind)
        case "interval" if found := re.fullmatch(r"(-?)(\d+):(\d\d):(\d\d)(?:\.(\d+))?", value):
            whole = (int(found[2]) * 60 + int(found[3])) * 60 + int(found[4])
            micros = whole * 1_000_000 + int((found[5] or "").ljust(6, "0"))
            return ("interval", 0, 0, -micros if found[1] else micros)
    return _from_text(value, kind)


def from_sqlite(value: Any, kind: Kind, *, is_source: bool) -> Any:
    """The canonical form of a value of SQLite that stands for one of that kind.

    As a target it must be written as the kind demands: a declared scale shows. As a source it may be written
    as its author liked, since the PostgreSQL side has the types; but nothing may be rounded away.
    """
    if value is None:
        return None
    match kind.name, value:
        case "int", int():
            return value
        # Whole numbers beyond SQLite's own are kept as their digits.
        case "int", str() if not is_source and re.fullmatch(r"0|[1-9]\d*", value):
            return int(value)
        case "decimal", str():
            return _decimal(value, kind.scale if is_source else None)
        case "decimal", int() | float():
            return _decimal(repr(value), kind.scale)
        case "float4", int() | float() if not is_source:
            return float4(float(value))
        case "float4" | "float8", int() | float() if float(value) == value or value != value:
            return float8(float(value))
        # SQLite turns NaN into NULL and -0.0 in a REAL column into 0.0, so they can only survive as text.
        case "float4" | "float8", "NaN" | "Infinity" | "-Infinity" | "-0" | "-0.0":
            return (float4 if kind.name == "float4" and not is_source else float8)(float(value))
        case "bool", 0 | 1 if isinstance(value, int):
            return bool(value)
        case "bytes", bytes():
            return value
        case "uuid", bytes() if len(value) == 16:
            return str(uuid.UUID(bytes=value))
        case "uuid", str():
            try:
                return str(uuid.UUID(value))
            except ValueError:
                return _odd(value, kind)
        case "text" | "char", int() | float() if is_source:
            return repr(value)
        case "char", str():
            return value.rstrip(" ")
        case _, str():
            return _from_text(value, kind)
    return _odd(value, kind)


def storage(value: Any) -> Any:
    """The canonical form of a value of SQLite for itself: its storage class and its bits."""
    return float8(value) if isinstance(value, float) else value


def float8(number: float) -> tuple[str, str]:
    """A double by its bits; every NaN is the same."""
    return ("float", "nan" if number != number else struct.pack(">d", number).hex())


def float4(number: float) -> tuple[str, str]:
    """The single-precision number nearest to this one, by its bits."""
    try:
        return ("float4", "nan" if number != number else struct.pack(">f", number).hex())
    except OverflowError:
        return ("float4", f"beyond {number!r}")


def widened(single: Any) -> Any:
    """A single-precision value as the double that it is: what a source of doubles is compared with."""
    if single is None:
        return None
    return ("float", "nan") if single[1] == "nan" else float8(struct.unpack(">f", bytes.fromhex(single[1]))[0])


def _from_text(text: str, kind: Kind) -> Any:
    match kind.name:
        case "text":
            return text
        case "date":
            return text if re.fullmatch(r"\d{4,}-\d\d-\d\d( BC)?|-?infinity", text) else _odd(text, kind)
        case "time":
            found = re.fullmatch(r"(\d\d:\d\d)(:\d\d)?(?:\.(\d+))?", text)
            return f"{found[1]}{found[2] or ':00'}.{_micros(found[3])}" if found else _odd(text, kind)
        case "timestamp" | "timestamptz":
            return _timestamp(text, kind)
        case "interval":
            return _interval(text, kind)
        case "json":
            try:
                return _json(json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=_no_json))
            except ValueError:
                return _odd(text, kind)
    return _odd(text, kind)


def _odd(value: Any, kind: Kind) -> Odd:
    return Odd(kind.name, repr(value))


def _decimal(text: str, scale: int | None) -> Any:
    """A decimal with its own number of places, or with ``scale`` places where that loses nothing."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return Odd("decimal", repr(text))
    if not number.is_finite():
        return ("decimal", str(number).lower())
    sign, shown, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    digits = int("".join(map(str, shown))) * (-1 if sign else 1) * 10 ** max(exponent, 0)
    places = max(-exponent, 0)
    if scale is not None:
        while places > max(scale, 0) and digits % 10 == 0:
            digits, places = digits // 10, places - 1
        if places < scale:
            digits, places = digits * 10 ** (scale - places), scale
    return ("decimal", digits, places)


def _micros(fraction: str | None) -> str:
    """At least six places; more than six stay, so that a finer value is seen to differ."""
    fraction = (fraction or "").rstrip("0")
    return fraction.ljust(6, "0")


def _timestamp(text: str, kind: Kind) -> Any:
    if text in ("infinity", "-infinity"):
        return text
    day_and_time = r"(\d{4,})-(\d\d)-(\d\d)[ T](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?"
    found = re.fullmatch(day_and_time + r"(Z|[+-]\d\d(?::?\d\d(?::?\d\d)?)?)?( BC)?", text)
    if not found:
        return _odd(text, kind)
    year, month, day, hour, minute, second, fraction, offset, era = found.groups()
    if kind.name == "timestamp":
        if offset:
            return _odd(text, kind)
        return f"{year}-{month}-{day}T{hour}:{minute}:{second or '00'}.{_micros(fraction)}{era or ''}"
    if not offset:
        return _odd(text, kind)
    zone = UTC
    if offset != "Z" and offset.strip("+-0:"):
        parts = [int(p) for p in re.findall(r"\d\d", offset)] + [0, 0]
        shift = timedelta(hours=parts[0], minutes=parts[1], seconds=parts[2])
        zone = timezone(-shift if offset[0] == "-" else shift)
    if zone is UTC:
        plain = f"{year}-{month}-{day}T{hour}:{minute}:{second or '00'}"
    else:
        try:
            numbers = [int(n or 0) for n in (year, month, day, hour, minute, second)]
            local = datetime(*numbers, tzinfo=zone)  # type: ignore[arg-type, misc]
            plain = local.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
        except ValueError:
            return _odd(text, kind)
    return f"{plain}.{_micros(fraction)}Z{era or ''}"


def _interval(text: str, kind: Kind) -> Any:
    """Months, days and microseconds apart, as PostgreSQL keeps them, from an ISO 8601 duration."""
    number = r"(-?\d+(?:\.\d+)?)"
    pattern = rf"P(?:{number}Y)?(?:{number}M)?(?:{number}W)?(?:{number}D)?"
    found = re.fullmatch(rf"{pattern}(?:T(?:{number}H)?(?:{number}M)?(?:{number}S)?)?", text)
    if not found:
        return _odd(text, kind)
    years, months, weeks, days, hours, minutes, seconds = (Decimal(g or 0) for g in found.groups())
    micros = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000
    parts = (years * 12 + months, weeks * 7 + days, micros)
    if any(p != int(p) for p in parts):
        return _odd(text, kind)
    return ("interval", *(int(p) for p in parts))


def _no_json(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def _json(value: Any) -> Any:
    """A JSON value as data: no key order, numbers as exact decimals, true not the same as 1."""
    if isinstance(value, dict):
        return ("object", *sorted((k, _json(v)) for k, v in value.items()))
    if isinstance(value, list):
        return ("array", *(_json(v) for v in value))
    if isinstance(value, Decimal):
        sign, digits, exponent = value.as_tuple()
        assert isinstance(exponent, int)
        shown = "".join(map(str, digits)).lstrip("0")
        bare = shown.rstrip("0")
        return ("number", "0" if not bare else f"{'-' * sign}{bare}e{exponent + len(shown) - len(bare)}")
    return ("word", value) if isinstance(value, bool) or value is None else value
