"""A thousand tables with foreign keys among them: more than one transaction of a server bears, there and back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg2
import psycopg2.errors
import pytest

import fix_sensei
import moves
import servers

TABLES = 1000
#: Dropping them takes more locks than the test's server has: some thirteen each, of 3,840.
FEWER = 400


def source(path: Path, tables: int) -> Path:
    """Each table but the first points at another, in a tree; some point at themselves, or at two."""
    with closing(sqlite3.connect(path)) as db:
        for n in range(tables):
            parent = f" REFERENCES t{(n - 1) // 2}" if n else ""
            db.execute(
                f"CREATE TABLE t{n} (id INTEGER PRIMARY KEY, parent INTEGER{parent}, other INTEGER"
                f" REFERENCES t{n if n % 10 == 0 else (n - 1) // 3}, name TEXT NOT NULL)"
            )
            db.execute(f"INSERT INTO t{n} VALUES (1, 1, 1, 'row of {n}')")
        db.commit()
    return path


def relations(target: servers.Database, schema: str) -> int:
    found = target.value(
        "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind = 'r' AND n.nspname = ?".replace("?", "%s"),
        [schema],
    )
    return int(found)


def leave_locks(connection: psycopg2.extensions.connection, number: int) -> None:
    """Take all locks that the server has room for, but some."""
    taken = 0
    with connection.cursor() as cursor:
        with pytest.raises(psycopg2.errors.OutOfMemory):
            while True:
                cursor.execute("SELECT pg_advisory_lock(n) FROM generate_series(%s, %s) n", [taken, taken + 99])
                taken += 100
        assert taken > number
        cursor.execute("SELECT pg_advisory_unlock(n) FROM generate_series(0, %s) n", [number - 1])


def moved(sensei: fix_sensei.Sensei, target: servers.Database, tables: int, evidence: str) -> moves.Move:
    file = source(sensei.folder / "many.db", tables)
    move = moves.plan_move(sensei, file, target, options={"evidence": evidence})
    assert len([s for s in move.plan["steps"] if s["kind"] == "create_table"]) == tables
    move.start()
    status = sensei("migrations", "status", move.id, json=True).data
    assert (status["status"], len(status["progress"]["tables"])) == ("completed", tables)
    assert (relations(target, "public"), status["progress"]["rows_copied"]) == (tables, tables)
    return move


def test_a_thousand_tables_are_moved_set_aside_in_several_transactions_and_purged(
    warm_sensei: fix_sensei.Sensei, pg_db: servers.Database
) -> None:
    assert pg_db.value("SHOW max_locks_per_transaction") == "64"  # the default: nobody was asked to raise it
    move = moved(warm_sensei, pg_db, TABLES, "keep")
    place = f"sensei_evidence_{move.id}"

    # The script is cut off after its second transaction; the command goes on from there.
    whole = move.script().read_text()
    parts = whole.split("\nCOMMIT;\n")
    assert len(parts) > 4
    cut = warm_sensei.write("cut.sql", "\nCOMMIT;\n".join([*parts[:2], ""]))
    pg_db.psql(cut)
    aside = relations(pg_db, place)
    assert 0 < aside < TABLES and relations(pg_db, "public") == TABLES - aside
    assert warm_sensei("migrations", "resume", move.id, expect=None).returncode == 3
    done = move.rollback("--verify").data
    assert (done["passed"], done["rollback_verification"]) == (True, moves.LINES)
    assert (relations(pg_db, "public"), relations(pg_db, place)) == (0, TABLES)
    pg_db.psql(move.script("again.sql"))  # and the whole script finds nothing left to be done
    assert (relations(pg_db, "public"), relations(pg_db, place)) == (0, TABLES)

    # What others hang on evidence keeps all of it.
    pg_db.execute(f'CREATE VIEW looks AS SELECT id FROM "{place}".t500')
    assert "view public.looks" in warm_sensei("evidence", "purge", move.id, "--yes", expect=3).stderr
    assert relations(pg_db, place) == TABLES
    pg_db.execute("DROP VIEW looks")
    assert len(warm_sensei("evidence", "purge", move.id, "--yes", json=True).data["purged"]) == TABLES
    assert pg_db.value("SELECT count(*) FROM pg_namespace WHERE nspname = %s", [place]) == 0


def test_more_tables_than_a_transaction_can_drop_are_dropped_also_after_a_crash_between_two(
    warm_sensei: fix_sensei.Sensei, pg_db: servers.Database
) -> None:
    move = moved(warm_sensei, pg_db, FEWER, "drop")
    # Half of them alone first, in several transactions too, cut off between two, and copied anew.
    alone = ("migrations", "rollback", move.id, "--tables", "t2", "--yes")
    warm_sensei(*alone, crash_at="rollback:piece:after:1")
    left = relations(pg_db, "public")
    assert 0 < left < FEWER
    done = warm_sensei(*alone, "--verify", json=True).data
    assert (done["status"], done["passed"]) == ("paused", True)
    taken = [
        t["name"]
        for t in warm_sensei("migrations", "status", move.id, json=True).data["progress"]["tables"]
        if t["status"] == "rolled_back"
    ]
    assert len(taken) > 200 and relations(pg_db, "public") == FEWER - len(taken) < left
    move.resume()
    assert relations(pg_db, "public") == FEWER
    move.rollback(crash_at="rollback:piece:after:2")
    assert 0 < relations(pg_db, "public") < FEWER
    status = warm_sensei("migrations", "status", move.id, json=True).data
    assert status["status"] == "rolling_back" and "rollback" in status["next"]
    with closing(pg_db.connect()) as others:
        leave_locks(others, 800)  # less than a transaction's share: it goes on in smaller ones
        done = move.rollback("--verify").data
    assert (done["status"], done["passed"], done["evidence"]) == ("rolled_back", True, [])
    assert relations(pg_db, "public") == 0
