"""The printed way back on SQLite, run by the real `sqlite3` client alone."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from sensei import catalog, engines
from sensei.catalog import types
from sensei.engines import base, ledger

ENGINE = engines.for_url("sqlite:///x")
MIGRATION = "mig_1a2b"
TOKEN = "token'of this migration"
EVIDENCE = f"sensei_evidence_{MIGRATION}"
HOSTILE = "o'r\"d; DROP TABLE mine; --\n.shell touch hacked\n[x] `é` %s ?"
INT = types.LogicalType(types.Kind.INTEGER, bits=64)

pytestmark = pytest.mark.skipif(shutil.which("sqlite3") is None, reason="no sqlite3 client: tests/install-servers.sh")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A target that has tables of its own, and into which three tables were migrated."""
    path = tmp_path / "target.db"
    with sqlite3.connect(path) as db:
        db.executescript(
            """CREATE TABLE mine (a INTEGER PRIMARY KEY AUTOINCREMENT, b TEXT);
            CREATE INDEX mine_b ON mine (b); INSERT INTO mine (b) VALUES ('keep');
            CREATE VIEW v AS SELECT * FROM mine;"""
        )
    db.close()
    return path


def tables() -> list[catalog.Table]:
    """Two tables whose foreign keys point at each other, one of a hostile name, and one that points at itself."""

    def table(name: str, parent: str) -> catalog.Table:
        return catalog.Table(
            catalog.TableName("", name),
            (
                catalog.Column("id", INT, "INTEGER", nullable=False, identity="by default"),
                catalog.Column("p", INT, "INT"),
            ),
            primary=catalog.Key(f"{name}_pkey", ("id",)),
            foreign_keys=(catalog.ForeignKey("fk", ("p",), catalog.TableName("", parent), ("id",)),),
            indexes=(catalog.Index(f"{name}_i", (catalog.IndexColumn("p"),)),),
        )

    return [table("plain", HOSTILE), table(HOSTILE, "plain"), table("self", "self")]


def migrate(path: Path) -> list[base.Guarded]:
    """Do what a runner does, and return the way back."""
    session = ENGINE.connect(f"sqlite:///{path}", base.Purpose.TARGET)
    book = ledger.Ledger(ENGINE, MIGRATION)
    book.set_up(session, TOKEN, "source", "plan")
    undo: list[base.Guarded] = []
    for table in tables():
        with base.transaction(session):
            for sql in ENGINE.ddl.create(table):
                session.run(sql)
            session.run(f"INSERT INTO {ENGINE.ddl.qualified(table.name)} VALUES (1, 1)")
            identity = ENGINE.introspect.object_identity(session, "table", table.name)
            assert identity is not None
            book.record_object(session, f"table:{table.name}", "table", table.name, identity)
    for table in tables():
        index = next(f for f in ENGINE.ddl.finish(table) if f.kind == "index")
        name = catalog.TableName("", index.name)
        with base.transaction(session):
            session.run(index.statements[0])
            identity = ENGINE.introspect.object_identity(session, "index", name)
            assert identity is not None
            book.record_object(session, f"index:{name}", "index", name, identity)
        undo += ENGINE.undo.set_aside(MIGRATION, f"index:{name}", "index", name, EVIDENCE)
    for table in tables():
        undo += ENGINE.undo.set_aside(MIGRATION, f"table:{table.name}", "table", table.name, EVIDENCE)
    session.close()
    return [*ENGINE.undo.prepare(MIGRATION, EVIDENCE), *undo]


def script(undo: list[base.Guarded], token: str = TOKEN) -> str:
    head = ["Rollback of", f"a name with a line break: {HOSTILE}"]
    tail = ENGINE.undo.discard(EVIDENCE, [t.name for t in tables()])
    return ENGINE.undo.script(MIGRATION, token, head, undo, tail)


def run(path: Path, text: str, way: str) -> subprocess.CompletedProcess[str]:
    """Run a script as an operator would, in a folder of its own, with the operator's own settings in the way."""
    folder = path.parent / "elsewhere"
    folder.mkdir(exist_ok=True)
    (folder / "rollback.sql").write_text(text)
    (folder / ".sqliterc").write_text(".mode box\n.headers on\n.echo on\n.nullvalue nothing\n")
    command = ["sqlite3", str(path)] + ([".read rollback.sql"] if way == "read" else [])
    done = subprocess.run(
        command,
        input=text if way == "stdin" else "",
        cwd=folder,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin:/usr/local/bin"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert not (folder / "hacked").exists()
    return done


def dump(path: Path) -> dict[str, tuple[str, int]]:
    """Every object's definition and, for tables, its number of rows."""
    with sqlite3.connect(path) as db:
        found = {}
        for kind, name, sql in db.execute(
            "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'"
        ).fetchall():
            rows = db.execute(f"SELECT count(*) FROM {ENGINE.ddl.quote(name)}").fetchone()[0] if kind == "table" else 0
            found[name] = (sql, rows)
    db.close()
    return found


def own(found: dict[str, tuple[str, int]]) -> dict[str, tuple[str, int]]:
    return {name: facts for name, facts in found.items() if not name.startswith("sensei_")}


@pytest.mark.parametrize("way", ["stdin", "read"])
def test_the_client_alone_takes_the_target_back_to_what_it_was(path: Path, way: str) -> None:
    before = dump(path)
    undo = migrate(path)
    text = script(undo)
    done = run(path, text, way)
    assert (done.returncode, done.stderr) == (0, "")
    after = dump(path)
    assert own(after) == before
    for table in tables():
        assert after[f"{EVIDENCE}_{table.name.name}"][1] == 1
    # Foreign keys among the tables that were set aside follow them.
    with sqlite3.connect(path) as db:
        parents = {r[0] for t in tables() for r in db.execute(
            'SELECT "table" FROM pragma_foreign_key_list(?)', [f"{EVIDENCE}_{t.name.name}"])}  # fmt: skip
        assert parents == {f"{EVIDENCE}_{t.name.name}" for t in tables()}
        assert db.execute("SELECT state, epoch FROM sensei_migrations").fetchall() == [("rolled_back", 1000)]
        assert db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'mine'").fetchall() == [(1,)]
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()
    assert "set table plain aside" in done.stdout
    assert sorted(p.name for p in (path.parent / "elsewhere").iterdir()) == [".sqliterc", "rollback.sql"]


@pytest.mark.parametrize("way", ["stdin", "read"])
def test_a_second_run_changes_nothing_and_is_no_failure(path: Path, way: str) -> None:
    text = script(migrate(path))
    assert run(path, text, way).returncode == 0
    before = path.read_bytes()
    again = run(path, text, way)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert path.read_bytes() == before


@pytest.mark.parametrize("way", ["stdin", "read"])
def test_a_table_made_later_under_the_same_name_is_left_alone(path: Path, way: str) -> None:
    text = script(migrate(path))
    assert run(path, text, way).returncode == 0
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE plain (somebody, elses)")
        db.execute("CREATE INDEX plain_i ON plain (somebody)")
    db.close()
    before = dump(path)
    assert run(path, text, way).returncode == 0
    assert dump(path) == before


@pytest.mark.parametrize("way", ["stdin", "read"])
@pytest.mark.parametrize("wrong", ["no ledger", "another token", "empty file"])
def test_another_file_is_refused_in_plain_words_and_not_changed(path: Path, way: str, wrong: str) -> None:
    text = script(migrate(path))
    if wrong == "another token":
        text = script([], token="somebody's")
    else:
        path = path.with_name("other.db")
        if wrong == "no ledger":
            shutil.copy(path.with_name("target.db"), path)
            with sqlite3.connect(path) as db:
                for name in [n for n in dump(path) if n.startswith("sensei_")]:
                    db.execute(f"DROP TABLE {name}")
            db.close()
        else:
            path.touch()
    before = path.read_bytes()
    done = run(path, text, way)
    assert done.returncode != 0
    assert "nothing was changed: this file does not hold mig_1a2b" in done.stderr
    assert path.read_bytes() == before


def test_the_same_statements_run_one_by_one_do_the_same(path: Path, tmp_path: Path) -> None:
    before = dump(path)
    undo = migrate(path)
    session = ENGINE.connect(f"sqlite:///{path}", base.Purpose.TARGET)
    for _ in range(2):
        for guarded in undo:
            # Cut off between any two of them, the rest still applies.
            with base.transaction(session):
                if session.rows(f"SELECT {guarded.when}")[0][0]:
                    session.run(guarded.run)
    assert own(dump(path)) == before
    with base.transaction(session):
        for statement in ENGINE.undo.discard(EVIDENCE, [t.name for t in tables()]):
            session.run(statement)
    assert not any(name.startswith(EVIDENCE) for name in dump(path))
    session.close()


def test_tables_are_dropped_where_no_evidence_is_wanted(path: Path) -> None:
    before = dump(path)
    migrate(path)
    undo = [g for t in tables() for g in ENGINE.undo.drop(MIGRATION, f"table:{t.name}", "table", t.name)]
    assert run(path, script(undo), "stdin").returncode == 0
    assert own(dump(path)) == before
    assert not any(name.startswith(EVIDENCE) for name in dump(path))


def test_a_statement_that_fails_takes_the_whole_script_back(path: Path) -> None:
    undo = migrate(path)
    with sqlite3.connect(path) as db:
        db.execute(f'CREATE TABLE "{EVIDENCE}_self" (in_the_way)')
    db.close()
    before = path.read_bytes()
    done = run(path, script(undo), "stdin")
    assert done.returncode != 0 and "already another table" in done.stderr
    assert path.read_bytes() == before
