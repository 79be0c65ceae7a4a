"""A migration that can be held still in the middle of its copy, so that what happens there happens there."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pymysql
import pymysql.constants.ER

import reader
import servers
from ends import End, ledger_table, url
from fix_sensei import Sensei, wait_until

ROWS = 2990
#: Enough of them that a busy machine still sees the copy under way.
CHUNKS = 120

Where = End


def fill(where: Where, *, rows: int = ROWS, width: int = 40) -> None:
    """Two tables: ``shops``, small, and ``items``, which has ``rows`` rows of ``width`` characters."""
    if isinstance(where, Path):
        with contextlib.closing(sqlite3.connect(where)) as db:
            db.executescript(
                "CREATE TABLE shops (id INTEGER PRIMARY KEY, name TEXT NOT NULL);"
                "CREATE TABLE items (id INTEGER PRIMARY KEY, shop INTEGER NOT NULL REFERENCES shops (id), note TEXT);"
                "CREATE INDEX items_shop ON items (shop);"
            )
            db.executemany("INSERT INTO shops VALUES (?, ?)", [(i, f"shop {i}") for i in range(10)])
            db.executemany(
                "INSERT INTO items VALUES (?, ?, ?)",
                [(i, i % 10, f"{i} ".rjust(width, "x")) for i in range(rows)],
            )
            db.commit()
        return
    if isinstance(where, servers.MysqlDatabase):
        where.execute(
            "CREATE TABLE shops (id integer PRIMARY KEY, name varchar(60) NOT NULL);"
            "CREATE TABLE items (id integer PRIMARY KEY, shop integer NOT NULL, note text, INDEX items_shop (shop),"
            " CONSTRAINT items_shop_fkey FOREIGN KEY (shop) REFERENCES shops (id));"
            "INSERT INTO shops SELECT seq, concat('shop ', seq) FROM seq_0_to_9;"
            f"INSERT INTO items SELECT seq, seq % 10, lpad(concat(seq, ' '), {width}, 'x') FROM seq_0_to_{rows - 1};"
            "ANALYZE TABLE shops, items"
        )
        return
    where.execute(
        "CREATE SCHEMA shop;"
        "CREATE TABLE shop.shops (id integer PRIMARY KEY, name text NOT NULL);"
        "CREATE TABLE shop.items (id integer PRIMARY KEY, shop integer NOT NULL REFERENCES shop.shops, note text);"
        "CREATE INDEX items_shop ON shop.items (shop);"
        "INSERT INTO shop.shops SELECT i, 'shop ' || i FROM generate_series(0, 9) i;"
        f"INSERT INTO shop.items SELECT i, i % 10, lpad(i || ' ', {width}, 'x') FROM generate_series(0, {rows - 1}) i;"
        "ANALYZE"
    )


def file(
    sensei: Sensei,
    source: Where,
    target: Where,
    *,
    source_url: str = "",
    target_url: str = "",
    rows: int = ROWS,
    **options: Any,
) -> Path:
    """Write the file of a migration of what `fill` made, in ``CHUNKS`` chunks."""
    config = {
        "name": "shop",
        "connections": {"src": source_url or url(source), "dst": target_url or url(target)},
        "source": {"connection": "src", **({"schemas": ["shop"]} if isinstance(source, servers.Database) else {})},
        "target": {"connection": "dst", **({"schema": "shop"} if isinstance(target, servers.Database) else {})},
        "options": {"parallelism": 2, "chunk_rows": -(-rows // CHUNKS), **options},
    }
    return sensei.write("migration.yaml", config)


def plan(sensei: Sensei, source: Where, target: Where, **how: Any) -> str:
    """Plan the migration of `file`, which takes the rest of the arguments; returns its id."""
    sensei.env["SENSEI_CRASH_LOG"] = str(sensei.folder / "points")
    made = sensei("migrations", "create", "--config", file(sensei, source, target, **how), json=True)
    return str(made.data["id"])


def status(sensei: Sensei, migration: str) -> dict[str, Any]:
    found: dict[str, Any] = sensei("migrations", "status", migration, json=True).data
    return found


def differences(source: Where, target: Where) -> list[str]:
    a, b = ("shop" if isinstance(end, servers.Database) else "" for end in (source, target))
    return reader.compare_databases(source, target, schema_a=a, schema_b=b, tables=("shops", "items"))


def check_finished(sensei: Sensei, migration: str, source: Where, target: Where) -> None:
    """Completed, each row once, the journal whole, and the way back open and proven."""
    found = sensei("migrations", "status", migration, "--detailed", json=True).data
    assert found["status"] == "completed"
    assert found["journal"]["problems"] == []
    assert found["errors"]["total"] == 0
    assert differences(source, target) == []
    proof = sensei("migrations", "rollback", migration, "--full", "--verify", json=True).data
    assert proof["passed"], proof


def chunks_done(target: Where) -> int:
    """How many chunks have been committed; 0 while there is no ledger."""
    try:
        if isinstance(target, Path):
            with contextlib.closing(sqlite3.connect(f"file:{target}?mode=ro", uri=True)) as db:
                return int(db.execute("SELECT count(*) FROM sensei_chunks").fetchone()[0])
        return int(target.value(f"SELECT count(*) FROM {ledger_table(target, 'chunks')}"))
    except (sqlite3.OperationalError, psycopg2.errors.UndefinedTable):
        return 0
    except pymysql.err.ProgrammingError as error:
        if error.args[0] != pymysql.constants.ER.NO_SUCH_TABLE:
            raise
        return 0


@contextlib.contextmanager
def held_still(sensei: Sensei, target: Where) -> Iterator[None]:
    """Wait for the copy to be under way and hold it there: no chunk commits within the block.

    PostgreSQL, MariaDB: by a lock on the row that every chunk share-locks first. SQLite, where whoever waits for the
    file may wait until the copy is over: by stopping the runner that was spawned last, and its workers.
    """
    if isinstance(target, Path):
        log = Path(sensei.env["SENSEI_CRASH_LOG"])
        runner = psutil.Process(sensei.last_pid)
        wait_until(lambda: log.exists() and "chunk:commit:after" in log.read_text(), what="a chunk", interval=0.002)
        stopped = [runner]
        runner.suspend()
        stopped += runner.children(recursive=True)
        for process in stopped[1:]:
            process.suspend()
        assert log.read_text().count("chunk:commit:after") < CHUNKS, "the copy was over before it could be held"
        try:
            yield
        finally:
            for process in stopped:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.resume()
        return
    wait_until(lambda: chunks_done(target) > 0, what="the first chunk", interval=0.002)
    connection = target.connect(autocommit=False)
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT 1 FROM {ledger_table(target, 'migrations')} FOR UPDATE")
        assert chunks_done(target) < CHUNKS, "the copy was over before it could be held"
        yield
    finally:
        with contextlib.suppress(
            psycopg2.Error, pymysql.err.Error
        ):  # the server may be gone by now: that is what tests do to it
            connection.rollback()
        connection.close()


def sessions(database: servers.Database | servers.MysqlDatabase) -> int:
    """How many of Sensei's sessions the server has in this database."""
    if isinstance(database, servers.MysqlDatabase):  # a session does not tell whose it is: all but the one that asks
        found = database.value("SELECT count(*) - 1 FROM information_schema.processlist WHERE db = database()")
        return int(found)
    return int(
        database.value(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'sensei%'"
        )
    )
