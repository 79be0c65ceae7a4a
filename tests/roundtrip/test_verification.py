"""Each of the five lines is measured: real damage makes its line fail, by name, and mending makes it hold again."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import ends
import fix_postgres
import fix_sensei
import fork_server
import moves
import servers
import small_shop

BAD = {
    "source_row_counts": "changed",
    "source_data_integrity": "damaged",
    "target_cleaned": False,
    "indexes_restored": False,
    "sequences_reset": False,
}
COUNTS, DATA, CLEANED, INDEXES, SEQUENCES = BAD


@dataclass(frozen=True)
class Damage:
    """``spoil`` on one end makes exactly these lines untrue; a difference holds ``names``; ``mend`` undoes it."""

    what: str
    lines: tuple[str, ...]
    names: str
    spoil: str
    mend: str
    engine: str = ""  #: only there
    but: str = ""  #: not there

    def __str__(self) -> str:
        return self.what.replace(" ", "-")


SOURCE = [
    Damage(
        "one blank in a row", (DATA,), "customers",
        "UPDATE customers SET name = 'bob' WHERE id = 2", "UPDATE customers SET name = 'bob ' WHERE id = 2",
    ),
    Damage(
        "a row deleted", (COUNTS, DATA), "tags",
        "DELETE FROM tags WHERE order_id = 2", "INSERT INTO tags VALUES (2, 'a')",
    ),
    Damage(
        "a row inserted", (COUNTS, DATA), "orders",
        "INSERT INTO orders (id, customer) VALUES (9, 1)", "DELETE FROM orders WHERE id = 9",
    ),
    Damage(
        "one row for another", (DATA,), "tags",
        "DELETE FROM tags WHERE order_id = 2; INSERT INTO tags VALUES (9, 'z')",
        "DELETE FROM tags WHERE order_id = 9; INSERT INTO tags VALUES (2, 'a')",
    ),
    Damage("an index dropped", (DATA,), "orders_customer",
           "DROP INDEX orders_customer", "CREATE INDEX orders_customer ON orders (customer)", but="mysql"),
    Damage("a foreign key dropped", (DATA,), "orders_customer_fkey",
           "ALTER TABLE orders DROP FOREIGN KEY orders_customer_fkey",
           "ALTER TABLE orders ADD CONSTRAINT orders_customer_fkey FOREIGN KEY (customer) REFERENCES customers (id)",
           "mysql"),
]  # fmt: skip

TARGET = [
    Damage("an index dropped", (CLEANED, INDEXES), "theirs_note",
           "DROP INDEX theirs_note", "CREATE INDEX theirs_note ON theirs (note)", but="mysql"),
    Damage("an index of another kind", (CLEANED, INDEXES), "theirs_note",
           "DROP INDEX theirs_note; CREATE INDEX theirs_note ON theirs (note DESC)",
           "DROP INDEX theirs_note; CREATE INDEX theirs_note ON theirs (note)", but="mysql"),
    Damage("an index dropped", (CLEANED, INDEXES), "theirs_note",
           "DROP INDEX theirs_note ON theirs", "CREATE INDEX theirs_note ON theirs (note)", "mysql"),
    Damage("an index of a prefix", (CLEANED, INDEXES), "theirs_note",
           "DROP INDEX theirs_note ON theirs; CREATE INDEX theirs_note ON theirs (note(5))",
           "DROP INDEX theirs_note ON theirs; CREATE INDEX theirs_note ON theirs (note)", "mysql"),
    Damage("one blank in a row", (CLEANED,), "theirs",
           "UPDATE theirs SET note = 'two' WHERE id = 2", "UPDATE theirs SET note = 'two ' WHERE id = 2"),
    Damage("NULL for empty", (CLEANED,), "theirs",
           "UPDATE theirs SET note = '' WHERE id = 3", "UPDATE theirs SET note = NULL WHERE id = 3"),
    Damage("a table left over", (CLEANED,), "left_over",
           "CREATE TABLE left_over (id integer)", "DROP TABLE left_over"),
    Damage("a table dropped", (CLEANED,), "theirs_too",
           "DROP TABLE theirs_too",
           "CREATE TABLE theirs_too (id integer PRIMARY KEY, v text); INSERT INTO theirs_too VALUES (1, 'x')",
           "sqlite"),
    Damage("a column added", (CLEANED,), "extra",
           "ALTER TABLE theirs_too ADD COLUMN extra integer", "ALTER TABLE theirs_too DROP COLUMN extra"),
    Damage("a view made", (CLEANED,), "seen", "CREATE VIEW seen AS SELECT * FROM theirs", "DROP VIEW seen"),
    Damage("a sequence moved", (CLEANED, SEQUENCES), "theirs",
           "UPDATE sqlite_sequence SET seq = 99 WHERE name = 'theirs'",
           "UPDATE sqlite_sequence SET seq = 3 WHERE name = 'theirs'", "sqlite"),
    Damage("a sequence moved", (CLEANED, SEQUENCES), "theirs_id_seq",
           "SELECT setval('theirs_id_seq', 99)", "SELECT setval('theirs_id_seq', 3)", "postgres"),
    Damage("a sequence drawn from", (CLEANED, SEQUENCES), "counter",
           "SELECT nextval('counter')", "SELECT setval('counter', 1)", "postgres"),
    Damage("a sequence moved", (CLEANED, SEQUENCES), "theirs",
           "ALTER TABLE theirs AUTO_INCREMENT = 99", "ALTER TABLE theirs AUTO_INCREMENT = 4", "mysql"),
    Damage("a sequence drawn from", (CLEANED, SEQUENCES), "counter",
           "DO SETVAL(counter, 5000)", "DROP SEQUENCE counter; CREATE SEQUENCE counter; DO NEXTVAL(counter)", "mysql"),
    Damage("a comment changed", (CLEANED,), "theirs",
           "ALTER TABLE theirs COMMENT 'of new'", "ALTER TABLE theirs COMMENT 'of old'", "mysql"),
    Damage("a collation changed", (CLEANED,), "note",
           "ALTER TABLE theirs MODIFY note varchar(60) COLLATE utf8mb4_bin DEFAULT 'kept'",
           "ALTER TABLE theirs MODIFY note varchar(60) DEFAULT 'kept'", "mysql"),
    Damage("a trigger made", (CLEANED,), "told",
           "CREATE TRIGGER told BEFORE INSERT ON theirs FOR EACH ROW SET NEW.wide = 'x'", "DROP TRIGGER told", "mysql"),
    Damage("a comment changed", (CLEANED,), "theirs",
           "COMMENT ON TABLE theirs IS 'of new'", "COMMENT ON TABLE theirs IS 'of old'", "postgres"),
    Damage("a default changed", (CLEANED,), "note",
           "ALTER TABLE theirs ALTER note SET DEFAULT 'lost'", "ALTER TABLE theirs ALTER note SET DEFAULT 'kept'",
           but="sqlite"),
    Damage("a constraint added", (CLEANED,), "odd",
           "ALTER TABLE theirs ADD CONSTRAINT odd CHECK (wide <> 'odd')", "ALTER TABLE theirs DROP CONSTRAINT odd",
           but="sqlite"),
    Damage("a schema left over", (CLEANED,), "empty", "CREATE SCHEMA empty", "DROP SCHEMA empty", "postgres"),
    Damage("a schema of its own gone", (CLEANED,), "theirs_too",
           "CREATE SCHEMA sensei_hide; ALTER TABLE theirs_too SET SCHEMA sensei_hide",
           "ALTER TABLE sensei_hide.theirs_too SET SCHEMA public; DROP SCHEMA sensei_hide", "postgres"),
]  # fmt: skip


class Fast:
    """verify-rollback without an interpreter's start each time."""

    def __init__(self, move: moves.Move) -> None:
        self.move = move
        self._env = {k: v for k, v in move.sensei.environment().items() if k != "PYTHONFAULTHANDLER"}
        self._server = fork_server.ForkServer(self._env)

    def verify(self, expect: int) -> dict[str, Any]:
        output = self.move.sensei.folder / "verified.json"
        words = ["migrations", "verify-rollback", self.move.id, "--json", "--quiet"]
        folder = self.move.sensei.folder
        code = self._server.run(words, self._env, folder, output, folder / "verified.err")
        assert code == expect, output.read_text()
        found: dict[str, Any] = json.loads(output.read_text())
        return found

    def close(self) -> None:
        self._server.close()


def _judge(verifier: Fast, damage: Damage) -> None:
    found = verifier.verify(expect=4)
    lines = found["rollback_verification"]
    wrong = {line for line, value in lines.items() if value != moves.LINES[line]}
    assert wrong == set(damage.lines), (damage.what, found["differences"])
    assert {line: lines[line] for line in wrong} == {line: BAD[line] for line in wrong}
    assert found["passed"] is False
    assert any(damage.names in d for d in found["differences"]), (damage.what, found["differences"])


def _mended(move: moves.Move, what: str) -> None:
    found = move.verify()
    assert (found["rollback_verification"], found["differences"]) == (moves.LINES, []), what


@pytest.fixture
def sensei(warm_sensei: fix_sensei.Sensei) -> fix_sensei.Sensei:
    """Commands start in a moment."""
    return warm_sensei


@pytest.fixture
def rolled_back(
    request: pytest.FixtureRequest,
    sensei: fix_sensei.Sensei,
    maker: ends.Maker,
    tmp_path_factory: pytest.TempPathFactory,
) -> moves.Move:
    source, target = request.param
    folder = tmp_path_factory.mktemp("ends")
    a = small_shop.source(source, maker(source), folder)
    b = small_shop.target(target, maker(target), folder)
    move = moves.plan_move(sensei, a, b, options={"chunk_rows": 2})
    move.start()
    done = move.rollback("--verify").data
    assert (done["rollback_verification"], done["differences"]) == (moves.LINES, [])
    return move


@pytest.mark.parametrize(
    "rolled_back", [("sqlite", "postgres"), ("postgres", "sqlite"), ("mysql", "mysql")], indirect=True, ids="-".join
)
def test_each_line_fails_with_the_damage_that_it_is_about_and_holds_again_once_mended(rolled_back: moves.Move) -> None:
    """One migration for all kinds of damage: each starts from a verification that holds."""
    move = rolled_back
    verifier = Fast(move)
    try:
        for end, damages in ((move.source, SOURCE), (move.target, TARGET)):
            for damage in damages:
                if damage.engine not in ("", moves.engine(end)) or damage.but == moves.engine(end):
                    continue
                small_shop.run(end, damage.spoil)
                _judge(verifier, damage)
                small_shop.run(end, damage.mend)
    finally:
        verifier.close()
    _mended(move, "all of it")


@pytest.mark.parametrize("engine", ends.ENGINES)
def test_a_target_table_dropped_and_filled_anew_is_noticed(
    sensei: fix_sensei.Sensei, maker: ends.Maker, tmp_path: Path, engine: str
) -> None:
    """What the migrated tables are set aside from is measured, too: a table kept under its own name is no clean-up."""
    source = small_shop.source("postgres" if engine == "sqlite" else "sqlite", maker("postgres"), tmp_path)
    target = small_shop.target(engine, maker(engine), tmp_path)
    move = moves.plan_move(sensei, source, target)
    move.start()
    # Not rolled back yet: the target is not clean, and every migrated table is named.
    found = move.verify(expect=4)
    assert found["rollback_verification"]["target_cleaned"] is False
    for table in ("customers", "orders", "tags"):
        assert any(table in d for d in found["differences"])
    assert found["rollback_verification"]["source_data_integrity"] == "verified"
    move.rollback()
    small_shop.run(target, "CREATE TABLE customers (id integer)")
    again = move.verify(expect=4)
    assert any("customers" in d for d in again["differences"])


def test_verify_source_leaves_the_targets_lines_unchecked(
    sensei: fix_sensei.Sensei, make_pg_db: fix_postgres.MakeDatabase, tmp_path: Path
) -> None:
    source = small_shop.source("sqlite", make_pg_db, tmp_path)
    target = small_shop.target("postgres", make_pg_db, tmp_path)
    move = moves.plan_move(sensei, source, target)
    move.start()
    done = move.rollback("--verify-source").data
    assert done["rollback_verification"] == {
        **moves.LINES, CLEANED: "not_checked", INDEXES: "not_checked", SEQUENCES: "not_checked"
    }  # fmt: skip
    assert done["passed"] is True
    shown = sensei("migrations", "verify-rollback", move.id).stdout.splitlines()
    good = {**moves.LINES, CLEANED: "true", INDEXES: "true", SEQUENCES: "true"}
    for line, value in good.items():
        assert any(line in s and str(value) in s for s in shown), shown


def test_a_damaged_rollback_ends_with_4_and_can_be_verified_again(
    sensei: fix_sensei.Sensei, make_pg_db: fix_postgres.MakeDatabase, tmp_path: Path
) -> None:
    source = small_shop.source("sqlite", make_pg_db, tmp_path)
    target = small_shop.target("postgres", make_pg_db, tmp_path)
    move = moves.plan_move(sensei, source, target)
    move.start()
    assert isinstance(target, servers.Database)
    target.execute("DROP INDEX theirs_note")
    done = move.rollback("--verify", expect=4).data
    assert done["rollback_verification"][INDEXES] is False
    assert (done["status"], done["passed"]) == ("rolled_back", False)
    target.execute("CREATE INDEX theirs_note ON theirs (note)")
    _mended(move, "the index")


def test_lines_that_the_file_does_not_demand_are_measured_told_and_do_not_fail(
    sensei: fix_sensei.Sensei, tmp_path: Path
) -> None:
    source, target = tmp_path / "a.db", tmp_path / "b.db"
    with sqlite3.connect(source) as db:
        db.executescript("CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)")
    with sqlite3.connect(target) as db:
        db.executescript("CREATE TABLE own (id INTEGER PRIMARY KEY); CREATE INDEX own_id ON own (id)")
    demanded = [{"source_row_counts": "unchanged"}, {"source_data_integrity": "verified"}]
    move = moves.plan_move(sensei, source, target, rollback_verification=demanded)
    move.start()
    assert move.rollback("--verify").data["passed"]
    with sqlite3.connect(target) as db:
        db.execute("DROP INDEX own_id")
    document = move.verify()
    assert document["rollback_verification"]["indexes_restored"] is False
    assert (document["passed"], document["waived"]) == (True, ["target_cleaned", "indexes_restored"])
    with sqlite3.connect(source) as db:
        db.execute("DELETE FROM t")
    assert move.verify(expect=4)["passed"] is False
