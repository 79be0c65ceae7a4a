"""Every kind of damage to a target is found, counted, shown down to the values, and named for what it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

import comparing
import ends
import fix_sensei
import moves
from sensei.validation import model

#: One table by each way of comparing: ranges of whole numbers, two of them, texts, and no key at all.
TABLES = ("numbered", "pairs", "named", "bare")
_COLUMNS = """
    {key}, price numeric(12,4), big {big}, f double precision, first varchar(60), second varchar(60),
    note text, bin {bytes}, at {moment}, flag boolean, n bigint
"""
_KEYS = {
    "numbered": "id {whole} PRIMARY KEY",
    "pairs": "a integer NOT NULL, b integer NOT NULL",
    "named": "code varchar(40) NOT NULL PRIMARY KEY",
    "bare": "x integer",
}
_ENDS = {"pairs": ", PRIMARY KEY (a, b)"}
_WORDS = {
    "postgres": {
        "bytes": "bytea",
        "moment": "timestamp",
        "big": "numeric(30,6)",
        "whole": "integer",
        "true": "true",
        "false": "false",
    },
    "sqlite": {
        "bytes": "blob",
        "moment": "timestamp",
        "big": "numeric text(30,6)",
        "whole": "integer",
        "true": "1",
        "false": "0",
    },
    "mysql": {
        "bytes": "blob",
        "moment": "datetime(6)",
        "big": "numeric(30,6)",
        "whole": "integer",
        "true": "1",
        "false": "0",
    },
}
ROWS = 300


def _blob(engine: str, value: bytes) -> str:
    return f"'\\x{value.hex()}'" if engine == "postgres" else f"x'{value.hex()}'"


def _fill(engine: str) -> list[str]:
    words = _WORDS[engine]
    statements = []
    for table in TABLES:
        columns = _COLUMNS.format(key=_KEYS[table].format(**words), **words)
        statements.append(f"CREATE TABLE {table} ({columns}{_ENDS.get(table, '')})")
        rows = []
        for n in range(1, ROWS + 1):
            key = {"numbered": f"{n}", "pairs": f"{n // 7}, {n}", "named": f"'Code-{n}é'", "bare": f"{n}"}[table]
            flag = words["true" if n % 2 else "false"]
            rows.append(
                f"({key}, {n}.1235, '{n}12345678901234.123456', {n}.5, 'First {n}', 'Second {n}', '',"
                f" {_blob(engine, bytes([n % 256, 7]))}, '2024-05-{n % 28 + 1:02} 10:00:00', {flag}, {n * 1000})"
            )
        statements.append(f"INSERT INTO {table} VALUES {', '.join(rows)}")
    return statements


@dataclass(frozen=True)
class Damage:
    """One changed value: in which row, by what SQL, and what it is to be called."""

    n: int
    column: str
    value: str
    kind: str  #: "other": it has no name, and is found all the same


def _damages(source: str, engine: str) -> list[Damage]:
    words = _WORDS[engine]
    truth = "other" if source == "mysql" else "negated"  # a boolean is a small number there
    return [
        Damage(2, "bin", _blob(engine, bytes([3, 7])), "one_bit"),
        Damage(3, "first", "'First 2'", "one_bit"),
        Damage(4, "first", "'First 4 '", "trailing_blanks"),
        Damage(50, "price", "50.12", "rounded"),
        Damage(51, "big", "'5112345678901234.12'", "rounded"),
        Damage(52, "at", "'2024-05-25 11:00:00'", "shifted"),
        Damage(53, "note", "NULL", "null_for_empty"),
        Damage(54, "first", "upper(first)", "case"),
        Damage(55, "second", "'Second'", "cut"),
        Damage(57, "flag", "0" if source == "mysql" else words["false"], truth),
        Damage(58, "price", "-price", "negated"),
        Damage(59, "f", "59.50000000000001", "other"),
        Damage(60, "n", "NULL", "null_for_value"),
        Damage(299, "second", "'e\u0301'", "other"),
        Damage(ROWS, "first", "'é'", "other"),
    ]


class Shop:
    """A finished move, damaged and mended over and over: a copy of each table stays beside it on the target."""

    def __init__(self, move: moves.Move, target: ends.End) -> None:
        self.move, self.target = move, target

    def run(self, sql: str) -> None:
        """Run a statement in each table of the target."""
        for table in TABLES:
            ends.run(self.target, sql.format(table=table))

    def mend(self) -> None:
        self.run("DELETE FROM {table}")
        self.run("INSERT INTO {table} SELECT * FROM kept_{table}")

    def found(self, **how: Any) -> dict[str, model.Divergence]:
        return comparing.compare(self.move, **how)

    def counted(self, **how: Any) -> dict[str, tuple[int, int, int]]:
        return {t: (d.missing, d.extra, d.different) for t, d in self.found(**how).items()}


PAIRS = [(s, t) for s in _WORDS for t in _WORDS]


@pytest.fixture(params=PAIRS, ids="-".join)
def shop(request: pytest.FixtureRequest, sensei: fix_sensei.Sensei, maker: ends.Maker) -> Shop:
    source, target = (maker(engine)() for engine in request.param)
    for statement in _fill(request.param[0]):
        ends.run(source, statement)
    schema = "public" if request.param[1] == "postgres" else None
    move = moves.plan_move(sensei, source, target, schema=schema)
    move.start()
    found = Shop(move, target)
    found.run("CREATE TABLE kept_{table} AS SELECT * FROM {table}")
    return found


#: Blocks of a few rows, so that a block's edges are everywhere, and blocks as they are.
BLOCKS = (11, 25_000)


def test_every_kind_of_damage_is_found_in_every_kind_of_table_and_called_by_its_name(shop: Shop) -> None:
    for rows in BLOCKS:
        assert all(d.same and d.rows_compared == ROWS for d in shop.found(block_rows=rows).values())
    _values(shop)
    _rows(shop)
    _whole_columns(shop)
    _moved_on(shop)


def _values(shop: Shop) -> None:
    """One value in each of many rows, one row lost, and two columns of one row swapped, all at once."""
    damages = _damages(ends.engine(shop.move.source), ends.engine(shop.target))
    for d in damages:
        shop.run(f"UPDATE {{table}} SET {d.column} = {d.value} WHERE n = {d.n * 1000}")
    shop.run("DELETE FROM {table} WHERE n = 77000")
    shop.run("UPDATE {table} SET first = 'Second 88', second = 'First 88' WHERE n = 88000")
    changed = len(damages) + 1
    for rows in BLOCKS:
        for table, found in shop.found(block_rows=rows).items():
            assert found.cause is model.Cause.TRANSFORMATION_BUG
            assert "checksums" in found.evidence
            if table == "bare":  # without a key nothing tells that two rows were one
                assert (found.missing, found.extra, found.different) == (changed + 1, changed, 0)
                continue
            assert (found.missing, found.extra, found.different) == (1, 0, changed), (table, rows)
            named = {(p.column, p.kind) for p in found.patterns}
            assert named == {(d.column, d.kind) for d in damages if d.kind != "other"} | {("first", "swapped")}
            shown = {(_n(table, s.key), s.column) for s in found.samples if s.kind == "different"}
            assert shown == {(d.n, d.column) for d in damages} | {(88, "first"), (88, "second")}
            assert [_n(table, s.key) for s in found.samples if s.kind == "missing"] == [77]
            assert all(s.source != s.target for s in found.samples if s.column)
    shop.mend()


def _n(table: str, key: Mapping[str, str | None]) -> int:
    return int((key[{"numbered": "id", "pairs": "b", "named": "code"}[table]] or "").strip("Code-é"))


def _rows(shop: Shop) -> None:
    """Rows that are gone, that nobody knows, and that are there twice."""
    shop.run("DELETE FROM {table} WHERE n = 300000 OR n < 3000")
    assert shop.counted(block_rows=11) == dict.fromkeys(TABLES, (3, 0, 0))
    shop.run("DELETE FROM {table}")
    for rows in BLOCKS:
        assert shop.counted(block_rows=rows) == dict.fromkeys(TABLES, (ROWS, 0, 0))
    shop.mend()
    for table, column in {"numbered": "id", "pairs": "b", "named": "code", "bare": "x"}.items():
        value = "'another'" if table == "named" else "100000"
        others = ", ".join(c for c in _names(table) if c != column)
        ends.run(
            shop.target,
            f"INSERT INTO {table} ({column}, {others}) SELECT {value}, {others} FROM {table} WHERE n = 5000",
        )
    ends.run(shop.target, "INSERT INTO bare SELECT * FROM bare WHERE n = 9000")
    for rows in BLOCKS:
        expected = {**dict.fromkeys(TABLES, (0, 1, 0)), "bare": (0, 2, 0)}
        assert shop.counted(block_rows=rows) == expected
    assert shop.found()["numbered"].samples[0].key == {"id": "100000"}
    shop.mend()
    if ends.engine(shop.target) == "postgres":
        keyed = ("numbered", "pairs", "named")
        for table in keyed:
            ends.run(shop.target, f"ALTER TABLE {table} DROP CONSTRAINT {table}_pkey")
            ends.run(shop.target, f"INSERT INTO {table} SELECT * FROM {table} WHERE n = 77000")
        assert shop.counted(block_rows=11) == {**dict.fromkeys(keyed, (0, 1, 0)), "bare": (0, 0, 0)}
        shop.mend()


def _whole_columns(shop: Shop) -> None:
    shop.run("UPDATE {table} SET price = round(price, 2)")
    found = shop.found()
    assert found["numbered"].patterns[0].says == (
        f"all {ROWS} differences are in price, at the third decimal: rounded to 2"
    )
    assert {t: (d.missing, d.extra, d.different) for t, d in found.items()} == {
        **dict.fromkeys(TABLES, (0, 0, ROWS)),
        "bare": (ROWS, ROWS, 0),
    }
    quick = shop.found(quick=True, block_rows=5)
    assert all(0 < quick[t].rows_compared < ROWS and quick[t].different for t in ("numbered", "pairs"))
    shop.mend()


def _moved_on(shop: Shop) -> None:
    """A source that was written since is told from a target that is wrong."""
    ends.run(shop.move.source, "UPDATE numbered SET first = 'new' WHERE n = 77000")
    ends.run(shop.move.source, "DELETE FROM named WHERE n = 5000")
    ends.run(shop.target, "UPDATE pairs SET first = 'wrong' WHERE n = 77000")
    found = shop.found()
    assert {t: d.cause for t, d in found.items()} == {
        "numbered": model.Cause.SOURCE_MOVED_ON,
        "named": model.Cause.SOURCE_MOVED_ON,
        "pairs": model.Cause.TRANSFORMATION_BUG,
        "bare": None,
    }
    sample = found["numbered"].samples[0]
    assert (sample.key, sample.column, sample.source, sample.target) == ({"id": "77"}, "first", "new", "First 77")


def _names(table: str) -> list[str]:
    text = _COLUMNS.format(key=_KEYS[table].format(whole=""), bytes="", big="", moment="")
    return [part.split()[0] for part in text.replace("(12,4)", "").split(",")]
