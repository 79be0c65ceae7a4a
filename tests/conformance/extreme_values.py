"""Values at the ends of each everyday type, and values that a column's type does not promise."""

from __future__ import annotations

from typing import Any

#: A text of a megabyte in which every kind of escape keeps coming back.
LONG = "0123456789 ü\t\\N\n" * (1 << 16)

TEXTS = [
    "",
    "plain",
    "tab\there",
    "line\nfeed",
    "carriage\rreturn\r\n",
    "back\\slash \\\\ two",
    "\\N",
    "\\.",
    "\\.\n\\N\n",
    'it\'s "quoted" `so`',
    "".join(map(chr, range(1, 32))) + "\x7f",
    "\x1d\x1e\x1f units and \x1e rows",
    "𝄞 𐍈 🜁 four bytes",
    "e\u0301 and é, ﬁ, \u200b zero width, \ufeff mark",
    "right to left: עברית",
    "trailing blanks   ",
    "   leading blanks",
    "NULL",
    "\uffff\ufffd\U0010ffff",
    LONG,
    None,
]

BYTES = [b"", bytes(range(256)), b"\\x00", b"\x00" * 3, b"\\N\n\t", bytes(range(255, -1, -1)) * 4096, None]

#: PostgreSQL: type -> values as literals that the server reads into that type (None: NULL).
POSTGRES: dict[str, list[Any]] = {
    "smallint": ["-32768", "32767", "0", None],
    "integer": ["-2147483648", "2147483647", "0", None],
    "bigint": ["-9223372036854775808", "9223372036854775807", "9007199254740993", "0", None],
    "numeric": [
        *("NaN", "Infinity", "-Infinity", "0", "0.000", "-0.10", "1.50", "100", "0.1"),
        "123456789012345678901234567890.123456789012345678901234567890",
        "-99999999999999999999999999999999999999999999999999",
        "0.000000000000000000000000000000000000000001",
        "9007199254740993",
        "1e40",
        None,
    ],
    "numeric(10,2)": ["99999999.99", "-99999999.99", "0.10", "0.00", "19.99", "NaN", None],
    "numeric(15,0)": ["999999999999999", "-999999999999999", "0", None],
    "numeric(38,10)": ["9999999999999999999999999999.9999999999", "0.0000000001", "1.5", "NaN", None],
    "numeric(3,5)": ["0.00999", "-0.00001", None],
    "numeric(3,-2)": ["12300", "-99900", None],
    "double precision": [
        *("5e-324", "2.2250738585072014e-308", "1.7976931348623157e308", "-1.7976931348623157e308"),
        *("0.30000000000000004", "0.1", "1e22", "1e15", "123456789012345680", "-0", "0"),
        *("NaN", "Infinity", "-Infinity", "3.141592653589793", None),
    ],
    "real": ["16777217", "1e-45", "1.1754944e-38", "3.4028235e38", "0.1", "-0", "NaN", "Infinity", "-Infinity", None],
    "boolean": ["true", "false", None],
    "text": TEXTS,
    "character varying(12)": ["", "abc   ", "ééééé日本語🜁🜁🜁🜁", "\\N", None],
    "character(4)": ["", "ab", "ab  ", "日本", "a\tb\\", None],
    "bytea": BYTES,
    "date": [
        *("0001-01-01", "9999-12-31", "1582-10-10", "2000-02-29", "1969-12-31"),
        *("infinity", "-infinity", "0044-03-15 BC", "4713-01-01 BC", "5874897-12-31", "12345-06-07", None),
    ],
    "time": ["00:00:00", "24:00:00", "23:59:59.999999", "12:00:00.000001", "01:02:03.5", None],
    "time(0)": ["00:00:00", "24:00:00", "23:59:59", None],
    "timestamp": [
        *("0001-01-01 00:00:00", "9999-12-31 23:59:59.999999", "1969-12-31 23:59:59.5", "2016-02-29 01:02:03"),
        *("2011-03-27 02:30:00", "infinity", "-infinity", "0044-03-15 12:00:00.000001 BC", None),
        "294276-12-31 23:59:59.999999",
    ],
    "timestamp(3)": ["2016-02-29 01:02:03.456", None],
    "timestamptz": [
        *("2011-03-27 02:30:00.123456+05:45", "1890-01-01 00:00:00+00", "0001-01-01 00:00:00+00"),
        *("9999-12-31 23:59:59.999999+00", "2016-06-30 12:00:00-12", "2016-06-30 12:00:00+14"),
        *("infinity", "-infinity", "0044-03-15 12:00:00+00 BC", "1845-01-01 00:00:00 Asia/Manila", None),
    ],
    "uuid": ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", None],
    "json": [
        *('{"b": 1,  "a": 2}', '{"k": 1, "k": 2}', "1e400", "-0", "null", '"x"', "[1, 2.50, 1.0]", "true"),
        *("12345678901234567890123456789.10", '{"t": "a\\u0041\\n\\"q\\""}', " [ ] ", None),
    ],
    "jsonb": [
        *('{"b": 1,  "a": 2}', '{"k": 1, "k": 2}', "1e40", "null", '"x"', "[1, 2.50, 1.0]", "false", "{}"),
        *("12345678901234567890123456789.10", '{"t": "a\\u0041\\n\\"q\\"", "ü": {"deep": [[[]]]}}', None),
    ],
}

#: SQLite: declared type -> values that conform to it, as Python binds them.
SQLITE: dict[str, list[Any]] = {
    "INTEGER": [-(2**63), 2**63 - 1, 2**53 + 1, 0, None],
    "BIGINT": [-(2**63), 2**63 - 1, 0, None],
    "DECIMAL(10,2)": [19.99, 5, -0.1, 99999999.99, -99999999.99, 0, None],
    "NUMERIC TEXT": ["123456789012345678901234567890.123456789012345678901234567890", "0.10", "1.50", "-7", None],
    "REAL": [5e-324, 1.7976931348623157e308, 0.1 + 0.2, 1e22, 1e15, 3.0, float("inf"), float("-inf"), None],
    "BOOLEAN": [0, 1, None],
    "TEXT": TEXTS,
    "VARCHAR(12)": ["", "abc   ", "ééééé日本語🜁🜁🜁🜁", "\\N", None],
    #: Longer than they should be: the target's column is made wide enough, and the plan says so.
    "VARCHAR(3)": ["four", "日本語字", "abc"],
    "BLOB": BYTES,
    "DATE": ["0001-01-01", "9999-12-31", "1582-10-10", "2000-02-29", None],
    "TIME": ["00:00:00", "24:00:00", "23:59:59.999999", "12:34", None],
    "DATETIME": ["0001-01-01 00:00:00", "9999-12-31 23:59:59.999999", "2016-02-29T01:02:03", None],
    "TIMESTAMPTZ": ["2011-03-27 02:30:00.123456+05:45", "2016-06-30 12:00:00Z", "2016-06-30T12:00:00-12:00", None],
    "UUID": ["00000000-0000-0000-0000-000000000000", "FFFFFFFF-ffff-ffff-ffff-ffffffffffff", bytes(range(16)), None],
    "JSON": ['{"b": 1,  "a": 2}', '{"k": 1, "k": 2}', "null", '"x"', "[1, 2.50]", None],
    "JSON TEXT": ["1e400", "-0", "7", "true", None],
    "JSONB TEXT": ['{"b": 1,  "a": 2}', "12345678901234567890123456789.10", "[]", None],
}

#: SQLite: declared type -> values that it takes although they do not conform.
MISFITS: dict[str, list[Any]] = {
    "INTEGER": ["abc", 1.5, b"\x01", "", "9223372036854775808"],
    "DECIMAL(10,2)": [0.999, "abc", 123456789.5, b"\x01", float("inf")],
    "REAL": ["abc", b"\x01", ""],
    "BOOLEAN": [2, -1, "yes", 0.5],
    "TEXT": [b"blob in text", "nul \x00 inside"],
    "VARCHAR(3)": [b"\x01"],
    "BLOB": ["text in blob", 7],
    "DATE": ["now", 20240101, "2024-02-30", "2024-13-01", "yesterday", 2460000.5, "0000-00-00", "2024-01-01 10:00:00"],
    "TIME": ["25:00:00", "now", 10, "10:00:60"],
    "DATETIME": ["0000-00-00 00:00:00", 1700000000, "2024-01-01 10:00:00+02:00", "now", "2024-01-01 10:00:00.1234567"],
    "TIMESTAMPTZ": ["2024-01-01 10:00:00", 1700000000, "noon"],
    "UUID": ["not a uuid", b"\x01\x02", 5],
    "JSON": ["{", "NaN", b"{}", ""],
}
