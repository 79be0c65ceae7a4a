"""The table that is moved: TPC-H lineitem from ``tpchgen-cli``, loaded into PostgreSQL and an SQLite file."""

from __future__ import annotations

import csv
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2

from benchmarks import server

COLUMNS = (
    ("l_orderkey", "INTEGER"),
    ("l_partkey", "INTEGER"),
    ("l_suppkey", "INTEGER"),
    ("l_linenumber", "INTEGER"),
    ("l_quantity", "DECIMAL(15,2)"),
    ("l_extendedprice", "DECIMAL(15,2)"),
    ("l_discount", "DECIMAL(15,2)"),
    ("l_tax", "DECIMAL(15,2)"),
    ("l_returnflag", "CHAR(1)"),
    ("l_linestatus", "CHAR(1)"),
    ("l_shipdate", "DATE"),
    ("l_commitdate", "DATE"),
    ("l_receiptdate", "DATE"),
    ("l_shipinstruct", "CHAR(25)"),
    ("l_shipmode", "CHAR(10)"),
    ("l_comment", "VARCHAR(44)"),
)
KEY = "PRIMARY KEY (l_orderkey, l_linenumber)"


def schema() -> str:
    """The statement that creates the table, without its key, in both engines."""
    return "CREATE TABLE lineitem (" + ", ".join(f"{name} {kind} NOT NULL" for name, kind in COLUMNS) + ")"


def generate(folder: Path, scale: float) -> Path:
    """The CSV file of that scale, made where it is not there yet; FileNotFoundError without the tool."""
    made = folder / f"lineitem-{scale:g}.csv"
    if made.exists():
        return made
    beside = Path(sys.executable).parent / "tpchgen-cli"
    tool = str(beside) if beside.exists() else shutil.which("tpchgen-cli")
    if tool is None:
        raise FileNotFoundError("tpchgen-cli is missing: pip install tpchgen-cli")
    part = folder / f"generate-{scale:g}"
    subprocess.run(
        [tool, "csv", "-s", f"{scale:g}", "-T", "lineitem", "-o", str(part), "-q"],
        check=True,
        capture_output=True,
    )
    # Only a whole file gets the name that the next run looks for.
    (part / "lineitem.csv").rename(made)
    shutil.rmtree(part)
    return made


def into_sqlite(source: Path, target: Path) -> None:
    """Load the CSV into a new SQLite file; one that is there already is kept."""
    if target.exists():
        return
    part = target.with_suffix(".part")
    part.unlink(missing_ok=True)
    with closing(sqlite3.connect(part, isolation_level=None)) as db, source.open(newline="") as file:
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("PRAGMA synchronous = OFF")
        db.execute(schema()[:-1] + f", {KEY})")
        rows = csv.reader(file)
        next(rows)
        db.execute("BEGIN")
        db.executemany(f"INSERT INTO lineitem VALUES ({', '.join('?' * len(COLUMNS))})", rows)
        db.execute("COMMIT")
        # No ANALYZE: pgloader would carry the table of its statistics over.
    part.rename(target)


def into_postgres(source: Path, pg: server.Server, database: str) -> None:
    """Load the CSV into a new database, key and statistics included."""
    pg.create_db(database)
    with closing(psycopg2.connect(pg.dsn(database))) as db, source.open("rb") as file:
        with db, db.cursor() as cursor:
            cursor.execute(schema())
            cursor.copy_expert("COPY lineitem FROM STDIN (FORMAT csv, HEADER)", file, size=1 << 20)
            cursor.execute(f"ALTER TABLE lineitem ADD {KEY}")
        db.autocommit = True
        with db.cursor() as cursor:
            # Frozen and hinted before the first round: otherwise the first reader pays for all.
            cursor.execute("VACUUM (FREEZE, ANALYZE) lineitem")


# Independent of how a tool declares the columns: numbers as numbers, texts without padding.
_SUMS = (
    ", ".join(
        f"sum(CAST({name} AS numeric))" if kind[0] in "ID" and kind != "DATE" else f"sum(length(rtrim({name}{text})))"
        for name, kind in COLUMNS
        for text in ("::text" if kind == "DATE" else "",)
    )
    + ", min(l_shipdate)::date::text, max(l_receiptdate)::date::text"
)
_KEY_COLUMNS = (
    "SELECT array_agg(a.attname::text ORDER BY array_position(i.indkey::int[], a.attnum::int))"
    " FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)"
    " WHERE i.indisprimary AND i.indrelid = 'lineitem'::regclass"
)


def summary(pg: server.Server, database: str) -> tuple[Any, ...]:
    """Count, sums and extremes: what both sides have to agree on after a move."""
    return pg.sql(database, f"SELECT count(*), {_SUMS} FROM lineitem")[0]


def complaints(pg: server.Server, database: str, wanted: tuple[Any, ...]) -> Iterator[str]:
    """What is wrong with a target, in words; nothing where it is whole."""
    found = summary(pg, database)
    if found != wanted:
        yield f"the sums over the rows differ: {found} instead of {wanted}"
    key = pg.sql(database, _KEY_COLUMNS)[0][0]
    if key != ["l_orderkey", "l_linenumber"]:
        yield f"the primary key is {key}"
    if not is_analyzed(pg, database):
        yield "the table was not analyzed"


def is_analyzed(pg: server.Server, database: str) -> bool:
    """Whether the planner's statistics are there."""
    return bool(pg.sql(database, "SELECT count(*) > 0 FROM pg_stats WHERE tablename = 'lineitem'")[0][0])


def is_gone(pg: server.Server, database: str) -> bool:
    """Whether the schema that it was moved to holds it no more."""
    return pg.sql(database, "SELECT to_regclass('public.lineitem') IS NULL")[0][0] is True
