"""A MariaDB target that forbids LOAD DATA LOCAL takes the rows by INSERTs, and the plan says so."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import fix_sensei
import moves
import reader
import servers


def test_without_local_infile_rows_arrive_by_inserts_and_the_plan_says_so(
    sensei: fix_sensei.Sensei, mysql_db: servers.MysqlDatabase, tmp_path: Path
) -> None:
    source = tmp_path / "source.db"
    with sqlite3.connect(source) as db:
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, note TEXT, raw BLOB, price DECIMAL(10,2), yes BOOLEAN)")
        db.executemany(
            "INSERT INTO t VALUES (?, ?, ?, ?, ?)",
            [(n, f"it's\t{n}\\\n\v", bytes([n % 256, 0]), n / 4, n % 2) for n in range(300)],
        )
    db.close()
    mysql_db.execute("SET GLOBAL local_infile = 0")
    try:
        move = moves.plan_move(sensei, source, mysql_db)
        assert any("local_infile" in r["reason"] for r in move.plan["risks"])
        move.start()
        assert reader.compare_databases(source, mysql_db) == []
    finally:
        mysql_db.execute("SET GLOBAL local_infile = 1")
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES
