"""A number that is no year is refused, and 0 stays 0, by either way of loading."""

from __future__ import annotations

import pytest

from sensei import errors
from sensei.catalog.types import Kind, LogicalType
from sensei.engines.mysql import facts, insert, load

YEAR = facts.Column("y", "year", "year(4)", True, "", "", 0)
NUMBER = LogicalType(Kind.INTEGER, bits=16)


@pytest.mark.parametrize(("field", "sql"), [(b"0", b"'0000'"), (b"1901", b"'1901'"), (b"2155", b"'2155'")])
def test_a_year_is_written_with_all_its_digits(field: bytes, sql: bytes) -> None:
    assert insert.literal(YEAR, NUMBER, own=False)(field) == sql


@pytest.mark.parametrize("field", [b"5", b"70", b"99", b"199", b"-1", b"20000"])
def test_a_number_that_the_server_would_make_a_year_of_is_refused(field: bytes) -> None:
    with pytest.raises(errors.DataRejected):
        insert.literal(YEAR, NUMBER, own=False)(field)


def test_rows_that_are_loaded_by_the_server_are_held_to_the_same() -> None:
    assert load.expression(YEAR, NUMBER, 3, own=False) == (
        "IF(@v3 IS NULL, NULL, IF(@v3 REGEXP '^(0|[0-9]{4})$', IF(@v3 = '0', '0000', @v3),"
        " CAST(CONCAT('sensei-refuses 3: ', @v3) AS SIGNED)))"
    )
