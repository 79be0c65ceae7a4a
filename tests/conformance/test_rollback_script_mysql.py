"""The printed way back on MariaDB, run by the real `mariadb` client alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import fix_mysql
import server_process
import servers
from sensei import catalog, engines
from sensei.catalog import types
from sensei.config import connections
from sensei.engines import base, ledger

MIGRATION = "mig_1a2b"
TOKEN = "token-of-this-migration"
EVIDENCE = "sensei_evidence_mig_1a2b"
HOSTILE = "Or`d; DROP TABLE x; --\n\\! false 'sensei' '%s' \\' ? é"
INT = types.LogicalType(types.Kind.INTEGER, bits=64)
ENGINE = engines.for_url("mysql://host/database")

Made = list[tuple[str, str, catalog.TableName]]


class Target:
    """A server with a database that a migration went into, and into two more that it made."""

    def __init__(self, db: servers.MysqlDatabase) -> None:
        self.db = db
        self.one, self.two = f"{db.name}_one", f"{db.name}_two"
        self.made = self._migrate()

    def _migrate(self) -> Made:
        """Do what a runner does: ledger, schemas, tables, keys, each object entered with its identity."""
        session = connect(self.db)
        book = ledger.Ledger(ENGINE, MIGRATION)
        book.set_up(session, TOKEN, "source", "plan")
        parent, orders = catalog.TableName(self.one, HOSTILE), catalog.TableName(self.two, "orders")
        tables = [
            table(self.one, HOSTILE),
            table(self.one, "orders", parent),
            table(self.two, "orders", parent),
            table(self.two, "lines", orders),
        ]
        made: Made = []
        for schema in (self.one, self.two):
            for statement in ENGINE.ddl.create_schema(schema):
                session.run(statement)
            made.append((f"schema:{schema}", "schema", catalog.TableName("", schema)))
        sequence = catalog.Sequence(catalog.TableName(self.one, "alone"), last_value=7)
        for statement in [*ENGINE.ddl.create(sequence), *ENGINE.ddl.prime_alone(sequence)]:
            session.run(statement)
        made.append(("sequence:alone", "sequence", sequence.name))
        for each in tables:
            for statement in ENGINE.ddl.create(each):
                session.run(statement)
            made.append((f"table:{each.name}", "table", each.name))
        for finish in (f for t in tables for f in ENGINE.ddl.finish(t)):
            for statement in finish.statements:
                session.run(statement)
        for step, kind, name in made:
            identity = ENGINE.introspect.object_identity(session, kind, name)
            assert identity is not None
            book.record_object(session, step, kind, name, identity)
        session.close()
        return made

    def names(self, schema: str) -> set[str]:
        sql = "SELECT table_name FROM information_schema.tables WHERE table_schema = %s"
        return {name for (name,) in self.db.query(sql, [schema])}

    def state(self) -> str:
        return str(self.db.value("SELECT state FROM sensei_migrations"))


def connect(db: servers.MysqlDatabase) -> base.Session:
    url = connections.expand(db.url, {servers.PASSWORD_ENV: servers.password()})
    return ENGINE.connect(url, base.Purpose.TARGET)


def table(schema: str, name: str, parent: catalog.TableName | None = None) -> catalog.Table:
    columns = (
        catalog.Column("id", INT, "bigint", nullable=False, identity="by default"),
        catalog.Column("parent", INT, "bigint"),
    )
    keys = (catalog.ForeignKey(f"{schema}_{name}"[:60], ("parent",), parent, ("id",)),) if parent else ()
    return catalog.Table(catalog.TableName(schema, name), columns, primary=catalog.Key("", ("id",)), foreign_keys=keys)


def script(made: Made, evidence: str | None = EVIDENCE) -> str:
    body = ENGINE.undo.prepare(MIGRATION, evidence)
    for step, kind, name in reversed(made):
        if evidence is None:
            body += ENGINE.undo.drop(MIGRATION, step, kind, name)
        else:
            body += ENGINE.undo.set_aside(MIGRATION, step, kind, name, evidence)
    tail = [f"{s};" for s in ENGINE.undo.discard(EVIDENCE, [name for _, kind, name in made if kind != "schema"])]
    head = ["Rollback of a migration", f"of {HOSTILE}\nSELECT 1/0;"]
    return ENGINE.undo.script(MIGRATION, TOKEN, head, body, tail)


def run(db: servers.MysqlDatabase, text: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run a script as an operator does: `mariadb DATABASE < script`, nothing set."""
    path = tmp_path / "rollback.sql"
    path.write_text(text, encoding="utf-8")
    with path.open("rb") as opened:
        return subprocess.run(
            ["mariadb", "-h", "127.0.0.1", "-P", str(db.server.port), "-u", servers.USER, db.name],
            env=server_process.plain_env() | {"MYSQL_PWD": servers.password()},
            stdin=opened,
            capture_output=True,
            text=True,
            timeout=300,
        )


@pytest.fixture
def target(make_mysql_db: fix_mysql.MakeMysqlDatabase):  # type: ignore[no-untyped-def]
    db = make_mysql_db()
    found = Target(db)
    yield found
    names = ", ".join(f"`{schema}`.{name}" for schema in (found.one, found.two) for name in ("orders", "`lines`"))
    db.execute(f"SET foreign_key_checks = 0; DROP TABLE IF EXISTS theirs, {names}")
    for schema in (found.one, found.two):
        db.server.drop_db(schema)


def test_mariadb_alone_sets_everything_aside_and_foreign_keys_follow(target: Target, tmp_path: Path) -> None:
    done = run(target.db, script(target.made), tmp_path)
    assert done.returncode == 0, done.stderr
    # Two of the four tables are called orders.
    kept = target.names(EVIDENCE)
    assert {HOSTILE, "orders", "lines", "alone"} <= kept and len(kept) == 5
    (other,) = kept - {HOSTILE, "orders", "lines", "alone"}
    assert other.startswith("orders_")
    assert not {target.one, target.two} & set(target.db.server.databases("t_"))
    assert target.state() == "rolled_back"
    keys = target.db.query(
        "SELECT referenced_table_name, unique_constraint_schema FROM information_schema.referential_constraints"
        " WHERE constraint_schema = %s",
        [EVIDENCE],
    )
    # `lines` points at the orders of its own database, which was the first of the two to come.
    assert sorted(keys) == sorted([(HOSTILE, EVIDENCE), (HOSTILE, EVIDENCE), ("orders", EVIDENCE)])
    assert target.db.value(f"SELECT next_not_cached_value FROM `{EVIDENCE}`.alone") > 7


def test_a_second_run_does_nothing(target: Target, tmp_path: Path) -> None:
    text = script(target.made)
    first = run(target.db, text, tmp_path)
    before = target.names(EVIDENCE)
    second = run(target.db, text, tmp_path)
    assert (first.returncode, second.returncode) == (0, 0), second.stderr
    assert first.stdout.strip() and not second.stdout.strip()
    assert target.names(EVIDENCE) == before


def test_a_run_that_was_cut_off_anywhere_goes_on(target: Target, tmp_path: Path) -> None:
    text = script(target.made)
    ends = [n for n, line in enumerate(text.splitlines(), 1) if line.startswith("EXECUTE")]
    lines = text.splitlines(keepends=True)
    for end in ends[2::2]:
        assert run(target.db, "".join(lines[:end]), tmp_path).returncode == 0
    done = run(target.db, text, tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(target.names(EVIDENCE)) == 5 and target.state() == "rolled_back"


def test_it_refuses_any_other_database_and_changes_nothing(
    target: Target, make_mysql_db: fix_mysql.MakeMysqlDatabase, tmp_path: Path
) -> None:
    other, third = make_mysql_db(), make_mysql_db()
    done = run(other, script(target.made), tmp_path)
    assert done.returncode != 0 and f"wrong database: {MIGRATION} was not carried out here" in done.stderr
    session = connect(third)
    ledger.Ledger(ENGINE, MIGRATION).set_up(session, "another token", "source", "plan")
    session.close()
    done = run(third, script(target.made), tmp_path)
    assert done.returncode != 0 and "wrong database" in done.stderr
    assert target.names(target.one) == {HOSTILE, "orders", "alone"} and target.state() == "running"
    assert third.value("SELECT state FROM sensei_migrations") == "running"


def test_a_table_that_somebody_else_put_in_its_place_is_left_alone(target: Target, tmp_path: Path) -> None:
    target.db.execute(
        f"DROP TABLE `{target.two}`.`lines`; CREATE TABLE `{target.two}`.`lines` (theirs int); SELECT SLEEP(1.1)"
    )
    target.db.execute(f"ALTER TABLE `{target.two}`.`lines` COMMENT 'not of the same second'")
    done = run(target.db, script(target.made), tmp_path)
    assert done.returncode == 0, done.stderr
    assert target.names(target.two) == {"lines"} and "lines" not in target.names(EVIDENCE)


def test_an_index_or_a_column_that_somebody_added_does_not_strand_a_table(target: Target, tmp_path: Path) -> None:
    target.db.execute("SELECT SLEEP(1.1)")
    target.db.execute(f"ALTER TABLE `{target.two}`.`lines` ADD INDEX theirs (parent)")
    done = run(target.db, script(target.made), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "lines" in target.names(EVIDENCE)


def test_drop_removes_tables_that_point_at_each_other_and_the_empty_databases(target: Target, tmp_path: Path) -> None:
    done = run(target.db, script(target.made, evidence=None), tmp_path)
    assert done.returncode == 0, done.stderr
    databases = set(target.db.server.databases(""))
    assert not {target.one, target.two, EVIDENCE} & databases
    assert target.state() == "rolled_back"


def test_drop_keeps_what_others_hung_on_a_table_or_put_into_a_database(target: Target, tmp_path: Path) -> None:
    target.db.execute(
        f"CREATE TABLE theirs (id bigint, FOREIGN KEY (id) REFERENCES `{target.two}`.`orders` (id));"
        f" CREATE TABLE `{target.one}`.`mine` (id int)"
    )
    done = run(target.db, script(target.made, evidence=None), tmp_path)
    assert done.returncode == 0, done.stderr
    assert target.names(target.two) == {"orders"} and target.names(target.one) == {"mine"}
    target.db.execute("DROP TABLE theirs")


def test_the_drops_stand_last_commented_out_and_work(target: Target, tmp_path: Path) -> None:
    text = script(target.made)
    assert run(target.db, text, tmp_path).returncode == 0
    lines = text.splitlines()
    last = max(n for n, line in enumerate(lines) if line and not line.startswith("--"))
    tail = [line.removeprefix("-- ") for line in lines[last + 1 :]]
    assert any("DROP TABLE" in line for line in tail)
    done = run(target.db, "\n".join([*lines[: last + 1], *tail]), tmp_path)
    assert done.returncode == 0, done.stderr
    assert EVIDENCE not in target.db.server.databases("sensei_")
    again = run(target.db, "\n".join([*lines[: last + 1], *tail]), tmp_path)
    assert again.returncode == 0, again.stderr  # nothing is there: nothing is to be done


def test_the_drops_stop_where_others_point_at_the_evidence(target: Target, tmp_path: Path) -> None:
    assert run(target.db, script(target.made), tmp_path).returncode == 0
    target.db.execute(f"CREATE TABLE theirs (id bigint, FOREIGN KEY (id) REFERENCES `{EVIDENCE}`.`orders` (id))")
    session = connect(target.db)
    with pytest.raises(Exception, match="foreign keys of other tables point at this evidence"):
        for statement in ENGINE.undo.discard(EVIDENCE, [n for _, k, n in target.made if k != "schema"]):
            session.run(statement)
    session.close()
    assert len(target.names(EVIDENCE)) == 5
    target.db.execute("DROP TABLE theirs")
