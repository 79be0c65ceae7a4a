"""A table that goes through another engine and home again has the types that it had."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import fix_mysql
import fix_postgres
import fix_sensei
import moves
import servers

ODD = """
CREATE TABLE odd (
  id INTEGER PRIMARY KEY, code NVARCHAR(9) COLLATE NOCASE, n INT8, price NUMERIC(10,2), at DATETIME, flag BOOL,
  data BLOB
);
INSERT INTO odd VALUES (1, 'Ab', 7, 1.5, '2026-11-25 10:00:00', 1, x'00ff'), (2, NULL, NULL, NULL, NULL, NULL, NULL);
"""


def _declared(path: Path) -> list[tuple[str, str]]:
    connection = sqlite3.connect(path)
    try:
        return list(connection.execute("SELECT name, type FROM pragma_table_info('odd')"))
    finally:
        connection.close()


def test_a_file_s_own_words_for_types_come_home_from_postgres_unless_a_column_was_changed(
    sensei: fix_sensei.Sensei, make_pg_db: fix_postgres.MakeDatabase, tmp_path: Path
) -> None:
    source, home, later = tmp_path / "a.db", tmp_path / "home.db", tmp_path / "later.db"
    connection = sqlite3.connect(source)
    connection.executescript(ODD)
    connection.close()
    through = make_pg_db()
    moves.plan_move(sensei, source, through).start()
    back = moves.plan_move(sensei, through, home, name="home")
    back.start()
    assert _declared(home) == _declared(source)
    reasons = {r["column"]: r["reason"] for r in back.plan["risks"] if r["column"]}
    assert not any("not there" in r for r in reasons.values())

    through.execute("ALTER TABLE odd ALTER COLUMN n TYPE numeric(30,2)")
    moves.plan_move(sensei, through, later, name="later").start()
    now = dict(_declared(later))
    assert now.pop("n") == "NUMERIC TEXT(30,2)"
    assert now.items() <= dict(_declared(source)).items()


def test_types_of_mariadb_that_postgres_does_not_have_come_home(
    sensei: fix_sensei.Sensei, make_pg_db: fix_postgres.MakeDatabase, make_mysql_db: fix_mysql.MakeMysqlDatabase
) -> None:
    source, through, home = make_mysql_db(), make_pg_db(), make_mysql_db()
    source.mariadb(
        "SET NAMES utf8mb4; CREATE TABLE odd (id int unsigned PRIMARY KEY AUTO_INCREMENT, y year, e enum('x','y''s'),"
        " s set('p','q'), m mediumint, b binary(4), bits bit(9), c char(5), t tinytext COLLATE utf8mb4_unicode_ci,"
        " at timestamp NULL ON UPDATE current_timestamp()) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;"
        " INSERT INTO odd VALUES (1, 2026, 'y''s', 'p,q', -5, x'00ff', b'100000001', 'a', 'É', '2026-11-25 10:00:00'),"
        " (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);"
    )
    moves.plan_move(sensei, source, through, schema="public").start()
    moves.plan_move(sensei, through, home, name="home").start()

    def definition(db: servers.MysqlDatabase) -> str:
        # Names of keys of their own kind aside, all of it is as it was.
        return str(db.query("SHOW CREATE TABLE odd")[0][1])

    assert definition(home) == definition(source)
    assert home.query("SELECT * FROM odd ORDER BY id") == source.query("SELECT * FROM odd ORDER BY id")


def test_a_day_alone_among_moments_is_announced_before_it_becomes_midnight(
    sensei: fix_sensei.Sensei, make_pg_db: fix_postgres.MakeDatabase, tmp_path: Path
) -> None:
    source, target = tmp_path / "a.db", make_pg_db()
    connection = sqlite3.connect(source)
    connection.executescript(
        "CREATE TABLE visits (id INTEGER PRIMARY KEY, at DATETIME, on_day DATE);"
        "INSERT INTO visits VALUES (1, '2026-11-25', '2026-11-25'), (2, '2026-11-25 10:00:00', NULL), (3, NULL, NULL);"
    )
    connection.close()
    move = moves.plan_move(sensei, source, target)
    assert [(r["column"], r["reason"]) for r in move.plan["risks"] if "midnight" in r["reason"]] == [
        ("at", "1 of 3 values are a day alone: they arrive as its midnight, and go home so")
    ]
    move.start()
    assert target.query("SELECT at::text FROM visits ORDER BY id") == [
        ("2026-11-25 00:00:00",), ("2026-11-25 10:00:00",), (None,),
    ]  # fmt: skip
