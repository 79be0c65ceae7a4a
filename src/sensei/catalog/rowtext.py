"""Canonical row text: PostgreSQL's COPY text form, read and written in Python where a server can't."""

from __future__ import annotations

import datetime
import json
import math
import re
import uuid
from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation
from typing import Any

from sensei.catalog import floattext
from sensei.catalog.types import Kind, LogicalType

NULL = "\\N"
#: Begins the field that stands for a value which its column's type does not promise: no target accepts it.
MISFIT = "sensei-misfit:"

# PostgreSQL writes exactly these escapes; its reader knows more, see `unescape`.
_ESCAPES = {"\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\v": "\\v", "\f": "\\f", "\r": "\\r"}
_ESCAPE_TABLE = str.maketrans(_ESCAPES)
_UNESCAPES = {"b": "\b", "t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r"}
_ESCAPED = re.compile(r"\\(x[0-9A-Fa-f]{1,2}|[0-7]{1,3}|.|$)", re.DOTALL)
_ESCAPED_BYTES = re.compile(_ESCAPED.pattern.encode(), re.DOTALL)

_INTEGER = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_DATE = re.compile(r"([0-9]{4,7})-([0-9]{2})-([0-9]{2})( BC)?")
_CLOCK = r"([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?"
_OFFSET = "Z|[+-][0-9]{2}(?::?[0-9]{2}(?::[0-9]{2})?)?"
_TIME = re.compile(_CLOCK)
_STAMP = re.compile(rf"([0-9]{{4,7}})-([0-9]{{2}})-([0-9]{{2}})(?:[ T]{_CLOCK}({_OFFSET})?)?( BC)?")
_ENDLESS = ("infinity", "-infinity")


def escape(text: str) -> str:
    """Escape one field's text as COPY writes it."""
    return text.translate(_ESCAPE_TABLE)


def unescape(text: str) -> str:
    """Undo every escape that COPY reads, octal and hex included."""
    if "\\" not in text:
        return text
    if not re.search(r"\\[x0-7]", text):
        return _ESCAPED.sub(lambda m: _UNESCAPES.get(m[1], m[1] or "\\"), text)

    # \x and octal name bytes, not characters: the field becomes text again only as a whole.
    return _unescape_bytes(text.encode()).decode()


def _unescape_bytes(raw: bytes) -> bytes:
    def one(m: re.Match[bytes]) -> bytes:
        what = m[1]
        if what[:1] == b"x" and len(what) > 1:
            return bytes([int(what[1:], 16)])
        if what[:1].isdigit() and what[:1] < b"8":
            return bytes([int(what, 8) & 0xFF])
        return _UNESCAPES.get(what.decode("latin-1"), "").encode() or what or b"\\"

    return _ESCAPED_BYTES.sub(one, raw)


def split_line(line: bytes) -> list[bytes | None]:
    """Split one row (with or without its newline) into unescaped fields, UTF-8 or not; None is NULL."""
    return [
        None if field == b"\\N" else _unescape_bytes(field) if b"\\" in field else field
        for field in line.removesuffix(b"\n").split(b"\t")
    ]


def join_line(fields: Iterable[str | None]) -> str:
    """Write one row from fields' canonical texts: escaped, with its newline."""
    return "\t".join(NULL if field is None else escape(field) for field in fields) + "\n"


# -- numbers


def decimal_text(value: Decimal | int | str, scale: int | None, precision: int | None = None) -> str:
    """Return an exact numeric at its scale, in plain digits; ValueError where digits would be lost."""
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError(f"not a number: {value!r}") from None
    if not number.is_finite():
        if precision is not None and not number.is_nan():
            raise ValueError("a numeric with a precision can't be infinite")
        return "NaN" if number.is_nan() else ("-Infinity" if number < 0 else "Infinity")
    sign, digits, exponent = number.as_tuple()
    power = int(exponent)
    if power > 0:
        digits, power = (*digits, *(0,) * power), 0
    text = "".join(map(str, digits)).lstrip("0")
    places = -power
    if scale is not None:
        if places > scale:
            if text[len(text) - (places - scale) :].strip("0") if text else "":
                raise ValueError(f"more than {scale} digits after the point: {value}")
            text = text[: max(len(text) - (places - scale), 0)]
        elif text:
            text += "0" * (scale - places)
        places = scale
    if precision is not None and len(text) > precision:
        raise ValueError(f"more than {precision} digits: {value}")
    text = text.rjust(places + 1, "0")
    minus = "-" if sign and text.strip("0") else ""
    return minus + (f"{text[:-places]}.{text[-places:]}" if places > 0 else text)


# -- dates and times


def date_text(text: str) -> str:
    """Return a date in PostgreSQL's ISO form; ValueError where it is none."""
    if text in _ENDLESS:
        return text
    m = _DATE.fullmatch(text)
    if m is None:
        raise ValueError(f"not a date: {text!r}")
    _calendar(m[1], m[2], m[3])
    return text


def time_text(text: str) -> str:
    """Return a time of day in PostgreSQL's form; ValueError where it is none."""
    m = _TIME.fullmatch(text)
    if m is None:
        raise ValueError(f"not a time of day: {text!r}")
    return _clock(m[1], m[2], m[3], m[4])


def timestamp_text(text: str, zone: bool) -> str:
    """Return a timestamp in PostgreSQL's ISO form, with a zone in UTC as ``+00``; ValueError where it is none.

    A date alone is midnight, without a zone only; a ``T`` between date and time is a blank.
    """
    if text in _ENDLESS:
        return text
    m = _STAMP.fullmatch(text)
    if m is None:
        raise ValueError(f"not a timestamp: {text!r}")
    year, month, day, hour, minute, second, fraction, offset, era = m.groups()
    _calendar(year, month, day)
    if (offset is not None) != zone:
        raise ValueError(f"a timestamp {'without' if zone else 'with'} a zone: {text!r}")
    clock = _clock(hour, minute, second, fraction) if hour is not None else "00:00:00"
    if zone and offset not in ("Z", "+00", "+00:00", "+0000", "-00", "-00:00", "-0000"):
        if era or len(year) > 4 or clock.startswith("24"):
            raise ValueError(f"beyond what can be turned into UTC: {text!r}")
        year, month, day, clock = _to_utc(year, month, day, clock, offset)
    return f"{year}-{month}-{day} {clock}{'+00' if zone else ''}{era or ''}"


def _calendar(year: str, month: str, day: str) -> None:
    # A leap year's twin of the same weekday rules stands in for years that Python has no date for.
    number = int(year)
    if number == 0 or (len(year) > 4 and year[0] == "0"):
        raise ValueError(f"no such year: {year}")
    if 1 <= number <= 9999:
        datetime.date(number, int(month), int(day))
    else:
        datetime.date(2000 + number % 400, int(month), int(day))


def _clock(hour: str, minute: str, second: str | None, fraction: str | None) -> str:
    second, fraction = second or "00", (fraction or "").rstrip("0")
    whole = int(hour) * 3600 + int(minute) * 60 + int(second)
    if int(minute) > 59 or int(second) > 59 or whole > 86400 or (whole == 86400 and fraction):
        raise ValueError(f"no such time of day: {hour}:{minute}:{second}")
    if len(fraction) > 6:
        raise ValueError("more than 6 digits of a second's fraction")
    return f"{hour}:{minute}:{second}" + (f".{fraction}" if fraction else "")


def _to_utc(year: str, month: str, day: str, clock: str, offset: str) -> tuple[str, str, str, str]:
    parts = [int(p) for p in re.findall("[0-9]{2}", offset)] + [0, 0]
    shift = datetime.timedelta(hours=parts[0], minutes=parts[1], seconds=parts[2])
    naive = datetime.datetime.fromisoformat(f"{year}-{month}-{day} {clock.partition('.')[0]}")
    try:
        moment = naive + (shift if offset[0] == "-" else -shift)
    except OverflowError:
        raise ValueError("beyond what can be turned into UTC") from None
    _, point, fraction = clock.partition(".")
    return (
        f"{moment.year:04d}",
        f"{moment.month:02d}",
        f"{moment.day:02d}",
        f"{moment:%H:%M:%S}{point}{fraction}",
    )


# -- JSON


def canonical_json(text: str) -> str:
    """Return JSON as a value: keys sorted, no white space, numbers as exact decimals.

    Of keys that occur twice the last wins, as in PostgreSQL's jsonb. ``1.0``, ``1`` and ``1e0`` are one number.
    Raises ValueError for text that is not JSON.
    """

    def refuse(name: str) -> Any:
        raise ValueError(f"{name} is not JSON")

    value = json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=refuse)
    out: list[str] = []
    _write_json(value, out.append)
    return "".join(out)


def _write_json(value: Any, put: Callable[[str], None]) -> None:
    if isinstance(value, Decimal):
        sign, digits, exponent = value.normalize().as_tuple() if value else (0, (0,), 0)
        # Digits and power of ten: plain notation of 1e1000000000 would not fit into memory.
        put(f"{'-' if sign else ''}{''.join(map(str, digits))}" + (f"e{exponent}" if exponent else ""))
    elif isinstance(value, dict):
        put("{")
        for i, key in enumerate(sorted(value)):
            put(("," if i else "") + json.dumps(key, ensure_ascii=False) + ":")
            _write_json(value[key], put)
        put("}")
    elif isinstance(value, list):
        put("[")
        for i, item in enumerate(value):
            if i:
                put(",")
            _write_json(item, put)
        put("]")
    else:
        put(json.dumps(value, ensure_ascii=False))


# -- values


def format_value(value: Any, type: LogicalType) -> str:
    """Return the canonical text (not yet escaped) of a Python value that is not None.

    Takes the natural Python type of each kind, and for exact numerics, dates, times, uuid and JSON their text.
    Raises ValueError where the value does not conform to the type: it is never rounded, cut or completed.
    """
    try:
        return _FORMATS.get(type.kind, _format_any)(value, type)
    except OverflowError as e:
        raise ValueError(str(e)) from e


def integers(type: LogicalType) -> range:
    """Return the integers that a type holds."""
    bits = type.bits or 64
    return range(1 << bits) if type.unsigned else range(-1 << (bits - 1), 1 << (bits - 1))


def _format_integer(value: Any, type: LogicalType) -> str:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"not an integer: {value!r}")
    if value not in integers(type):
        raise ValueError(f"beyond {'unsigned ' if type.unsigned else ''}{type.bits or 64} bits: {value}")
    return str(value)


def _format_decimal(value: Any, type: LogicalType) -> str:
    if isinstance(value, float):
        # The shortest text is what an operator wrote: 19.99, not the 51 digits of the double.
        value = repr(value)
    if isinstance(value, str):
        if value not in ("NaN", "Infinity", "-Infinity", "inf", "-inf", "nan") and not _DECIMAL.fullmatch(value):
            raise ValueError(f"not a number: {value!r}")
    elif not isinstance(value, int | Decimal) or isinstance(value, bool):
        raise ValueError(f"not a number: {value!r}")
    return decimal_text(value, (type.scale or 0) if type.precision is not None else None, type.precision)


def _format_float(value: Any, type: LogicalType) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        if float(value) != value:
            raise ValueError(f"not exactly a float: {value}")
        value = float(value)
    if not isinstance(value, float):
        raise ValueError(f"not a float: {value!r}")
    return floattext.text(value, type.bits or 64)


def _format_boolean(value: Any, type: LogicalType) -> str:
    if value is True or value is False or (isinstance(value, int) and value in (0, 1)):
        return "t" if value else "f"
    raise ValueError(f"not a boolean: {value!r}")


def _format_text(value: Any, type: LogicalType) -> str:
    if not isinstance(value, str):
        raise ValueError(f"not text: {value!r}"[:200])
    return value


def _format_bytes(value: Any, type: LogicalType) -> str:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise ValueError(f"not bytes: {value!r}"[:200])
    return "\\x" + value.hex()


def _format_moment(value: Any, type: LogicalType) -> str:
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(datetime.UTC)
        value = value.isoformat(" ")
    elif isinstance(value, datetime.date | datetime.time):
        value = value.isoformat()
    if not isinstance(value, str):
        raise ValueError(f"not a {type.kind}: {value!r}"[:200])
    if type.kind is Kind.DATE:
        return date_text(value)
    if type.kind is Kind.TIME:
        return time_text(value)
    return timestamp_text(value, type.kind is Kind.TIMESTAMPTZ)


def _format_uuid(value: Any, type: LogicalType) -> str:
    try:
        if isinstance(value, bytes):
            value = uuid.UUID(bytes=value)
        return str(value if isinstance(value, uuid.UUID) else uuid.UUID(value))
    except (AttributeError, TypeError, ValueError):
        raise ValueError(f"not a uuid: {value!r}"[:200]) from None


def _format_json(value: Any, type: LogicalType) -> str:
    if isinstance(value, str):
        return value
    # A bare number may have lost its quotes to SQLite's affinity, but not its value.
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return str(value) if isinstance(value, int) else repr(value)
    raise ValueError(f"not JSON text: {value!r}"[:200])


def _format_any(value: Any, type: LogicalType) -> str:
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return floattext.text(value)
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    return str(value)


_FORMATS: dict[Kind, Callable[[Any, LogicalType], str]] = {
    Kind.INTEGER: _format_integer,
    Kind.DECIMAL: _format_decimal,
    Kind.FLOAT: _format_float,
    Kind.BOOLEAN: _format_boolean,
    Kind.TEXT: _format_text,
    Kind.BYTES: _format_bytes,
    Kind.DATE: _format_moment,
    Kind.TIME: _format_moment,
    Kind.TIMESTAMP: _format_moment,
    Kind.TIMESTAMPTZ: _format_moment,
    Kind.UUID: _format_uuid,
    Kind.JSON: _format_json,
    Kind.JSONB: _format_json,
}


def parse_value(text: str | None, type: LogicalType) -> Any:
    """Read canonical text (unescaped; None is NULL) into Python: int, Decimal, float, bool, bytes or str.

    Dates, times, uuid and JSON stay text: they reach beyond what Python's types hold (infinity, BC).
    """
    if text is None:
        return None
    match type.kind:
        case Kind.INTEGER:
            return int(text)
        case Kind.DECIMAL:
            return Decimal(text)
        case Kind.FLOAT:
            return float(text)
        case Kind.BOOLEAN:
            if text not in ("t", "f"):
                raise ValueError(f"not a boolean: {text!r}")
            return text == "t"
        case Kind.BYTES:
            if not text.startswith("\\x"):
                raise ValueError("bytes are written as \\x and hex")
            return bytes.fromhex(text[2:])
        case _:
            return text


def compare(a: str | None, b: str | None, type: LogicalType) -> bool:
    """Tell whether two canonical texts are one value: byte by byte, but JSONB by value."""
    if a == b or a is None or b is None or type.kind is not Kind.JSONB:
        return a == b
    try:
        return canonical_json(a) == canonical_json(b)
    except ValueError:
        return False
