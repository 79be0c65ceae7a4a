"""The printed way back on PostgreSQL, run by the real psql alone."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

import servers
from sensei import catalog, engines
from sensei.catalog import types
from sensei.config import connections
from sensei.engines import base, ledger

MIGRATION = "mig_1a2b"
TOKEN = "token-of-this-migration"
EVIDENCE = "sensei_evidence_mig_1a2b"
HOSTILE = "Or\"d; DROP TABLE x; --\n\\! false $sensei$ $sensei_2$ '%s' ? é"
INT = types.LogicalType(types.Kind.INTEGER, bits=64)

Made = list[tuple[str, str, catalog.TableName]]


def _session(db: servers.Database) -> base.Session:
    url = connections.expand(db.url, {servers.PASSWORD_ENV: servers.password()})
    return engines.for_url(url).connect(url, base.Purpose.TARGET)


def _engine() -> base.Engine:
    return engines.for_url("postgresql://")


def _table(
    schema: str, name: str, *, identity: str | None = None, parent: catalog.TableName | None = None
) -> catalog.Table:
    columns = (
        catalog.Column("id", INT, "bigint", nullable=False, identity=identity),
        catalog.Column("parent", INT, "bigint"),
    )
    keys = (catalog.ForeignKey("to_parent", ("parent",), parent, ("id",)),) if parent else ()
    return catalog.Table(
        catalog.TableName(schema, name),
        columns,
        primary=catalog.Key("same_pkey", ("id",)) if schema == "b" else catalog.Key(f"{name[:20]}_pkey", ("id",)),
        foreign_keys=keys,
    )


def _migrate(db: servers.Database) -> Made:
    """Do what a runner does: ledger, schema, tables, keys, each object entered with its identity."""
    engine = _engine()
    session = _session(db)
    book = ledger.Ledger(engine, MIGRATION)
    book.set_up(session, TOKEN, "source", "plan")
    shop, b = catalog.TableName("shop", HOSTILE), catalog.TableName("b", "orders")
    tables = [
        _table("shop", HOSTILE, identity="always"),
        _table("shop", "orders", parent=shop),
        _table("b", "orders", parent=shop),
        _table("b", "lines", parent=b),
    ]
    tables[3] = catalog.Table(tables[3].name, tables[3].columns, foreign_keys=tables[3].foreign_keys)
    made: Made = []
    with base.transaction(session):
        for schema in ("shop", "b"):
            for statement in engine.ddl.create_schema(schema):
                session.run(statement)
            made.append((f"schema:{schema}", "schema", catalog.TableName("", schema)))
        sequence = catalog.Sequence(catalog.TableName("shop", "alone"), last_value=7)
        for statement in [*engine.ddl.create(sequence), *engine.ddl.prime_alone(sequence)]:
            session.run(statement)
        made.append(("sequence:alone", "sequence", sequence.name))
        for table in tables:
            for statement in engine.ddl.create(table):
                session.run(statement)
            made.append((f"table:{table.name}", "table", table.name))
        finishes = [f for t in tables for f in engine.ddl.finish(t)]
        for finish in sorted(finishes, key=lambda f: f.kind == "foreign_key"):
            for statement in finish.statements:
                session.run(statement)
        for step, kind, name in made:
            identity = engine.introspect.object_identity(session, kind, name)
            assert identity is not None
            book.record_object(session, step, kind, name, identity)
    session.close()
    return made


def _script(made: Made, evidence: str | None = EVIDENCE) -> str:
    undo = _engine().undo
    body = undo.prepare(MIGRATION, evidence)
    for step, kind, name in reversed(made):
        if evidence is None:
            body += undo.drop(MIGRATION, step, kind, name)
        else:
            body += undo.set_aside(MIGRATION, step, kind, name, evidence)
    tail = undo.discard(EVIDENCE, [name for _, kind, name in made if kind == "table"])
    return undo.script(MIGRATION, TOKEN, ["Rollback of a migration", f"of {HOSTILE}\nSELECT 1/0;"], body, tail)


def _psql(db: servers.Database, script: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "rollback.sql"
    path.write_text(script, encoding="utf-8")
    return subprocess.run(
        [db.server.bindir / "psql", "-X", "-f", path],
        env=db.server.client_env(db.name),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def _relations(db: servers.Database) -> set[tuple[str, str, str]]:
    return {
        (s, n, k)
        for s, n, k in db.query(
            "SELECT n.nspname, c.relname, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'sensei_')"
        )
    }


def _schemas(db: servers.Database) -> set[str]:
    return {s for (s,) in db.query("SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information|public)'")}


def _kinds(found: set[tuple[str, str, str]], schema: str) -> Sequence[str]:
    return sorted(k for s, _, k in found if s == schema)


def test_psql_alone_sets_everything_aside_with_its_keys_and_sequences(pg_db: servers.Database, tmp_path: Path) -> None:
    made = _migrate(pg_db)
    done = _psql(pg_db, _script(made), tmp_path)
    assert done.returncode == 0, done.stderr
    found = _relations(pg_db)
    assert {s for s, _, _ in found} == {EVIDENCE}
    # Two of the four tables are called orders, and two keys bear one name.
    assert _kinds(found, EVIDENCE) == sorted("rrrr" + "iii" + "SS")
    assert _schemas(pg_db) == {"sensei_", EVIDENCE}
    assert pg_db.value("SELECT count(*) FROM pg_constraint WHERE contype = 'f'") == 3
    assert pg_db.value("SELECT state FROM sensei_.migrations") == "rolled_back"
    assert pg_db.value("SELECT epoch FROM sensei_.migrations") == 1000


def test_psql_alone_drops_what_the_migration_made(pg_db: servers.Database, tmp_path: Path) -> None:
    made = _migrate(pg_db)
    done = _psql(pg_db, _script(made, None), tmp_path)
    assert done.returncode == 0, done.stderr
    assert _relations(pg_db) == set()
    assert _schemas(pg_db) == {"sensei_"}


def test_a_circle_of_foreign_keys_is_dropped_in_any_order(pg_db: servers.Database, tmp_path: Path) -> None:
    made = _migrate(pg_db)
    pg_db.execute("ALTER TABLE b.orders ADD UNIQUE (parent), ADD FOREIGN KEY (id) REFERENCES b.orders (parent)")
    done = _psql(pg_db, _script([made[0], made[1], made[2], *reversed(made[3:])], None), tmp_path)
    assert done.returncode == 0, done.stderr
    assert _relations(pg_db) == set()


def test_the_script_run_twice_changes_nothing_the_second_time(pg_db: servers.Database, tmp_path: Path) -> None:
    script = _script(_migrate(pg_db))
    assert _psql(pg_db, script, tmp_path).returncode == 0
    before = _relations(pg_db), pg_db.query("SELECT * FROM sensei_.migrations")
    again = _psql(pg_db, script, tmp_path)
    assert again.returncode == 0, again.stderr
    assert (_relations(pg_db), pg_db.query("SELECT * FROM sensei_.migrations")) == before
    assert "NOTICE" not in again.stderr


@pytest.mark.parametrize("evidence", [EVIDENCE, None])
def test_a_table_of_the_same_name_that_someone_made_later_is_not_touched(
    pg_db: servers.Database, tmp_path: Path, evidence: str | None
) -> None:
    script = _script(_migrate(pg_db), evidence)
    pg_db.execute("DROP TABLE b.lines; CREATE TABLE b.lines (theirs int); INSERT INTO b.lines VALUES (1)")
    done = _psql(pg_db, script, tmp_path)
    assert done.returncode == 0, done.stderr
    assert pg_db.value("SELECT theirs FROM b.lines") == 1


def test_a_view_on_a_migrated_table_stops_a_drop_and_nothing_is_changed(
    pg_db: servers.Database, tmp_path: Path
) -> None:
    script = _script(_migrate(pg_db), None)
    pg_db.execute("CREATE VIEW public.theirs AS SELECT * FROM shop.orders")
    before = _relations(pg_db)
    done = _psql(pg_db, script, tmp_path)
    assert done.returncode != 0
    assert "theirs" in done.stderr
    assert _relations(pg_db) == before
    assert pg_db.value("SELECT state FROM sensei_.migrations") == "running"


def test_in_another_database_the_script_fails_plainly_and_changes_nothing(
    pg_db: servers.Database, pg_db2: servers.Database, tmp_path: Path
) -> None:
    script = _script(_migrate(pg_db))
    done = _psql(pg_db2, script, tmp_path)
    assert done.returncode != 0
    assert "not the database" in done.stderr
    assert _schemas(pg_db2) == set()


def test_in_the_target_of_another_run_of_that_name_the_script_changes_nothing(
    pg_db: servers.Database, tmp_path: Path
) -> None:
    script = _script(_migrate(pg_db))
    pg_db.execute("UPDATE sensei_.migrations SET token = 'other'")
    before = _relations(pg_db)
    done = _psql(pg_db, script, tmp_path)
    assert done.returncode != 0
    assert "not the database" in done.stderr
    assert _relations(pg_db) == before


def test_run_one_by_one_the_statements_do_what_the_script_does(pg_db: servers.Database) -> None:
    made = _migrate(pg_db)
    undo = _engine().undo
    session = _session(pg_db)
    for _ in range(2):
        for guarded in undo.prepare(MIGRATION, EVIDENCE) + [
            g for step, kind, name in reversed(made) for g in undo.set_aside(MIGRATION, step, kind, name, EVIDENCE)
        ]:
            if session.rows(f"SELECT {guarded.when}")[0][0]:
                session.run(guarded.run)
    session.close()
    assert _kinds(_relations(pg_db), EVIDENCE) == sorted("rrrr" + "iii" + "SS")


def test_discarding_evidence_leaves_nothing_of_it(pg_db: servers.Database, tmp_path: Path) -> None:
    made = _migrate(pg_db)
    assert _psql(pg_db, _script(made), tmp_path).returncode == 0
    session = _session(pg_db)
    session.run(f"DROP SEQUENCE {EVIDENCE}.alone")
    for statement in _engine().undo.discard(EVIDENCE, [n for _, kind, n in made if kind == "table"]):
        session.run(statement)
    session.close()
    assert EVIDENCE not in _schemas(pg_db)
