"""Canonical row text at the extremes: each line here is what PostgreSQL's COPY prints."""

from __future__ import annotations

import datetime
import math
import struct
import uuid
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensei.catalog import floattext, rowtext
from sensei.catalog.types import Kind, LogicalType

FLOAT = LogicalType(Kind.FLOAT, bits=64)
FLOAT32 = LogicalType(Kind.FLOAT, bits=32)
MONEY = LogicalType(Kind.DECIMAL, precision=10, scale=2)
BARE = LogicalType(Kind.DECIMAL)
DATE = LogicalType(Kind.DATE)
TIME = LogicalType(Kind.TIME)
STAMP = LogicalType(Kind.TIMESTAMP)
STAMPTZ = LogicalType(Kind.TIMESTAMPTZ)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "-0"),
        (0.1, "0.1"),
        (1 / 3, "0.3333333333333333"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1.0, "1"),
        (100.0, "100"),
        (1e14, "100000000000000"),
        (1e15, "1e+15"),
        (123456789012345.0, "123456789012345"),
        (1234567890123456.0, "1.234567890123456e+15"),
        (1e20, "1e+20"),
        (1e300, "1e+300"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (-1.5e-7, "-1.5e-07"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (math.nan, "NaN"),
    ],
)
def test_a_float_is_the_shortest_text_in_the_spelling_of_postgresql(value: float, text: str) -> None:
    assert rowtext.format_value(value, FLOAT) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"),
        (16777216.0, "1.6777216e+07"),
        (0.10000000149011612, "0.1"),
        (123456.0, "123456"),
        (1234567.0, "1.234567e+06"),
        (1e-45, "1e-45"),
        (3.4028235e38, "3.4028235e+38"),
        (-0.0, "-0"),
    ],
)
def test_a_float_of_32_bits_is_as_short_as_its_own_bits_allow(value: float, text: str) -> None:
    assert rowtext.format_value(value, FLOAT32) == text


@given(st.floats(allow_nan=False))
def test_a_float_reads_back_to_the_same_bits(value: float) -> None:
    assert struct.pack(">d", float(floattext.text(value))) == struct.pack(">d", value)


@given(st.floats(allow_nan=False, width=32))
def test_a_float_of_32_bits_reads_back_to_the_same_bits(value: float) -> None:
    assert struct.pack(">f", float(floattext.text(value, 32))) == struct.pack(">f", value)


@pytest.mark.parametrize("value", [1e300, 16777217.0, 1 / 3])
def test_a_float_that_32_bits_can_not_hold_is_refused_and_not_made_another(value: float) -> None:
    with pytest.raises(ValueError):
        rowtext.format_value(value, FLOAT32)


@pytest.mark.parametrize(
    ("value", "type", "text"),
    [
        (1, MONEY, "1.00"),
        (19.99, MONEY, "19.99"),
        ("0.10", MONEY, "0.10"),
        ("0.1", MONEY, "0.10"),
        ("0.100", MONEY, "0.10"),
        (Decimal("-0.00"), MONEY, "0.00"),
        (Decimal("-0.05"), MONEY, "-0.05"),
        (0, MONEY, "0.00"),
        ("99999999.99", MONEY, "99999999.99"),
        ("1e3", MONEY, "1000.00"),
        (Decimal("1.500"), BARE, "1.500"),
        (1e20, BARE, "100000000000000000000"),
        ("NaN", BARE, "NaN"),
        ("9" * 40 + "." + "9" * 20, LogicalType(Kind.DECIMAL, precision=60, scale=20), "9" * 40 + "." + "9" * 20),
        (123, LogicalType(Kind.DECIMAL, precision=5, scale=0), "123"),
    ],
)
def test_an_exact_number_is_printed_at_its_scale(value: object, type: LogicalType, text: str) -> None:
    assert rowtext.format_value(value, type) == text


@pytest.mark.parametrize("value", ["0.999", 0.999, "100000000", 0.1 + 0.2, "abc", "", "Infinity", True, b"1"])
def test_an_exact_number_is_never_rounded_or_cut(value: object) -> None:
    with pytest.raises(ValueError):
        rowtext.format_value(value, MONEY)


@pytest.mark.parametrize(
    ("value", "type", "text"),
    [
        ("0001-01-01", DATE, "0001-01-01"),
        ("9999-12-31", DATE, "9999-12-31"),
        ("20000-02-29", DATE, "20000-02-29"),
        ("0044-03-15 BC", DATE, "0044-03-15 BC"),
        ("infinity", DATE, "infinity"),
        (datetime.date(2024, 2, 29), DATE, "2024-02-29"),
        ("12:00", TIME, "12:00:00"),
        ("12:00:00.500", TIME, "12:00:00.5"),
        ("24:00:00", TIME, "24:00:00"),
        ("2024-01-02", STAMP, "2024-01-02 00:00:00"),
        ("2024-01-02T03:04:05", STAMP, "2024-01-02 03:04:05"),
        ("2024-01-02 03:04:05.120000", STAMP, "2024-01-02 03:04:05.12"),
        ("2024-01-02 03:04:05.1234560", STAMP, "2024-01-02 03:04:05.123456"),
        ("-infinity", STAMP, "-infinity"),
        ("2024-01-02 03:04:05Z", STAMPTZ, "2024-01-02 03:04:05+00"),
        ("2024-01-02 03:04:05.5+02:00", STAMPTZ, "2024-01-02 01:04:05.5+00"),
        ("2024-03-01 00:30:00+0100", STAMPTZ, "2024-02-29 23:30:00+00"),
        (datetime.datetime(2024, 1, 2, 3, 4, 5, 6, datetime.UTC), STAMPTZ, "2024-01-02 03:04:05.000006+00"),
    ],
)
def test_a_moment_is_printed_in_iso_form_and_utc(value: object, type: LogicalType, text: str) -> None:
    assert rowtext.format_value(value, type) == text


@pytest.mark.parametrize(
    ("value", "type"),
    [
        ("2023-02-29", DATE),
        ("0000-01-01", DATE),
        ("2023-2-1", DATE),
        ("now", DATE),
        (20230101, DATE),
        ("24:00:01", TIME),
        ("12:60:00", TIME),
        ("2024-01-02 03:04:05.1234567", STAMP),
        ("2024-01-02 03:04:05Z", STAMP),
        ("2024-01-02 03:04:05", STAMPTZ),
        ("now", STAMP),
        (1700000000, STAMP),
        ("2024-01-02 03:04:05\n", STAMP),
        ("0001-01-01 00:00:00+02:00", STAMPTZ),
        ("٢٠٢٤-01-02", DATE),
    ],
)
def test_what_is_no_moment_is_refused(value: object, type: LogicalType) -> None:
    with pytest.raises(ValueError):
        rowtext.format_value(value, type)


@pytest.mark.parametrize(
    ("value", "type", "text"),
    [
        (True, LogicalType(Kind.BOOLEAN), "t"),
        (0, LogicalType(Kind.BOOLEAN), "f"),
        (b"\x00\xff\\", LogicalType(Kind.BYTES), "\\x00ff5c"),
        (uuid.UUID(int=1), LogicalType(Kind.UUID), "00000000-0000-0000-0000-000000000001"),
        ("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", LogicalType(Kind.UUID), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        (-(2**63), LogicalType(Kind.INTEGER, bits=64), "-9223372036854775808"),
        ('{"b":1,  "a":1.50}', LogicalType(Kind.JSON), '{"b":1,  "a":1.50}'),
    ],
)
def test_other_kinds_are_printed_as_copy_prints_them(value: object, type: LogicalType, text: str) -> None:
    assert rowtext.format_value(value, type) == text


@pytest.mark.parametrize(
    ("value", "type"),
    [
        (2, LogicalType(Kind.BOOLEAN)),
        ("t", LogicalType(Kind.BOOLEAN)),
        ("text", LogicalType(Kind.BYTES)),
        (b"bytes", LogicalType(Kind.TEXT)),
        (32768, LogicalType(Kind.INTEGER, bits=16)),
        (2**63, LogicalType(Kind.INTEGER, bits=64)),
        (1.0, LogicalType(Kind.INTEGER, bits=64)),
        (2**53 + 1, FLOAT),
        ("1.5", FLOAT),
        ("no uuid", LogicalType(Kind.UUID)),
        (None, LogicalType(Kind.TEXT)),
    ],
)
def test_a_value_of_another_kind_is_refused(value: object, type: LogicalType) -> None:
    with pytest.raises(ValueError):
        rowtext.format_value(value, type)


@given(st.lists(st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"])), st.just("\\N")), min_size=1))
def test_any_text_comes_back_from_a_line(fields: list[str | None]) -> None:
    line = rowtext.join_line(fields)
    assert line.count("\n") == 1
    assert rowtext.split_line(line.encode()) == [None if f is None else f.encode() for f in fields]


def test_null_and_the_text_that_looks_like_it_stay_apart() -> None:
    assert rowtext.join_line([None, "\\N", ""]) == "\\N\t\\\\N\t\n"
    assert rowtext.split_line(b"\\N\t\\\\N\t\n") == [None, b"\\N", b""]


def test_a_line_that_is_not_utf8_is_split_all_the_same() -> None:
    assert rowtext.split_line(b"\xff\\t\t\\N\t\xe9") == [b"\xff\t", None, b"\xe9"]


def test_every_escape_that_copy_reads_is_undone() -> None:
    assert rowtext.unescape(r"\b\f\n\r\t\v\\\q\x41\101\xc3\xa9") == "\b\f\n\r\t\v\\qAA\xe9"


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ('{"b": 1, "a": [1.0, 2e0]}', '{"a":[1,2],"b":1e0}'),
        ('{"a":1,"a":2}', '{"a":2}'),
        ("0.0", "-0"),
        ('"\\u00e9"', '"é"'),
        ("1e400", "10e399"),
    ],
)
def test_one_json_value_in_two_spellings_is_one_value(a: str, b: str) -> None:
    jsonb = LogicalType(Kind.JSONB)
    assert rowtext.compare(a, b, jsonb)
    assert not rowtext.compare(a, b, LogicalType(Kind.JSON))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("0.1", "0.10000000000000001"),
        ("9007199254740993", "9007199254740992"),
        ('"1"', "1"),
        ("[1,2]", "[2,1]"),
        ("true", "1"),
        ("{}", "null"),
    ],
)
def test_two_json_values_are_told_apart(a: str, b: str) -> None:
    assert not rowtext.compare(a, b, LogicalType(Kind.JSONB))


@pytest.mark.parametrize("text", ["NaN", "[1,", "Infinity", ""])
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        rowtext.canonical_json(text)


def test_parsed_values_have_the_types_that_hold_them_exactly() -> None:
    assert rowtext.parse_value("1.10", MONEY) == Decimal("1.10")
    assert str(rowtext.parse_value("1.10", MONEY)) == "1.10"
    assert rowtext.parse_value("\\x00ff", LogicalType(Kind.BYTES)) == b"\x00\xff"
    assert rowtext.parse_value("t", LogicalType(Kind.BOOLEAN)) is True
    assert rowtext.parse_value(None, MONEY) is None
    assert rowtext.parse_value("infinity", DATE) == "infinity"
