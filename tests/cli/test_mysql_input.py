"""Bad input and hostile names where an end is MariaDB: plain words, the right exit code, nothing half done."""

from __future__ import annotations

import re

import cli_case
import pytest
import test_hostile_names
from cli_case import Case, refusal

import ends
import reader
import servers
from fix_sensei import Sensei


@pytest.fixture
def sensei(warm_sensei: Sensei) -> Sensei:
    """Commands start in a moment."""
    return warm_sensei


@pytest.fixture
def to_mysql(sensei: Sensei, maker: ends.Maker) -> Case:
    return cli_case.new_case(sensei, ("sqlite", "mysql"), maker)


@pytest.fixture
def from_mysql(sensei: Sensei, maker: ends.Maker) -> Case:
    return cli_case.new_case(sensei, ("mysql", "sqlite"), maker)


def _create(case: Case) -> list[object]:
    return ["migrations", "create", "--config", case.file()]


# -- connections


def test_a_wrong_password_is_told_and_the_password_is_nowhere(to_mysql: Case, from_mysql: Case) -> None:
    for case, side in ((to_mysql, "target there"), (from_mysql, "source here")):
        wrong = {servers.PASSWORD_ENV: "wr0ng-pa%ss/wörd"}
        error = refusal(case, _create(case), "connect_failed", 5, side, "Access denied", env=wrong)
        assert error["details"]["side"] == side.split()[0]
        assert cli_case.leaks(case, *wrong.values(), "wr0ng", servers.password()) == []


def test_a_database_that_does_not_exist_is_named(to_mysql: Case) -> None:
    to_mysql.config["connections"]["there"] += "_gone"
    refusal(to_mysql, _create(to_mysql), "connect_failed", 5, "target there", "_gone")


def test_the_same_database_under_another_name_of_the_host_or_the_scheme_is_refused(from_mysql: Case) -> None:
    config = from_mysql.config["connections"]
    for other in (
        config["here"].replace("@127.0.0.1:", "@localhost:"),
        config["here"].replace("mysql://", "mariadb://"),
    ):
        config["there"] = other
        refusal(from_mysql, _create(from_mysql), "bad_input", 2, "same database")


def test_after_a_whole_migration_the_password_is_nowhere(to_mysql: Case) -> None:
    migration = to_mysql.completed()
    to_mysql.run("migrations", "rollback-script", migration, "--output", "rollback.sql")
    to_mysql.run("migrations", "rollback", migration, "--full", "--verify")
    to_mysql.run("migrations", "logs", migration, json=True)
    assert cli_case.leaks(to_mysql, servers.password()) == []
    kept = [to_mysql.query(to_mysql.target, f"SELECT * FROM sensei_{t}") for t in ("migrations", "steps", "scripts")]
    assert all(kept)
    assert servers.password() not in str(kept)


# -- tables


def test_a_missing_table_or_schema_is_named_with_those_that_are_there(from_mysql: Case) -> None:
    changes = {"source": {"connection": "here", "include_tables": ["custmers"]}}
    words = ["migrations", "create", "--config", from_mysql.file(changes)]
    refusal(from_mysql, words, "unknown_name", 2, "custmers", "customers")
    changes = {"source": {"connection": "here", "schemas": ["shpo"]}}
    words = ["migrations", "create", "--config", from_mysql.file(changes)]
    refusal(from_mysql, words, "unknown_name", 2, "shpo")


def test_a_target_table_that_exists_or_appears_after_the_plan_is_refused_under_fail(to_mysql: Case) -> None:
    ends.run(to_mysql.target, "CREATE TABLE orders (anything integer); INSERT INTO orders VALUES (1)")
    refusal(to_mysql, _create(to_mysql), "refused", 3, "orders", "on_existing")
    ends.run(to_mysql.target, "DROP TABLE orders")
    migration = to_mysql.create()
    ends.run(to_mysql.target, "CREATE TABLE ORDERS (anything integer); CREATE TABLE orders (anything integer)")
    refusal(to_mysql, ["migrations", "start", migration], "refused", 3, "orders", "on_existing")
    assert to_mysql.run("migrations", "status", migration, json=True).data["status"] == "planned"


# -- names


def _fit(name: str) -> bool:
    return not name.endswith(" ") and all(ord(c) <= 0xFFFF for c in name)


def test_hostile_names_arrive_go_on_to_another_engine_and_are_taken_back(
    to_mysql: Case, maker: ends.Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [*filter(_fit, test_hostile_names.NAMES), "tick`ed", "ticks``", "`"]
    monkeypatch.setattr(test_hostile_names, "NAMES", names)
    case = to_mysql
    ends.run(case.source, "DROP TABLE orders; DROP TABLE customers")
    # Keys of MariaDB take no text without an end.
    ends.run(case.source, test_hostile_names.script().replace(" text DEFAULT ", " varchar(70) DEFAULT "))
    before = reader.snapshot(case.target)
    migration = case.create()
    assert case.run("migrations", "plan", migration, json=True).data["not_migrated"] == []
    assert case.run("migrations", "start", migration, json=True).data["rows_quarantined"] == 0
    assert reader.compare_databases(case.source, case.target) == []
    shown = case.run("migrations", "status", migration)
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", shown.stdout)
    for kind, sql in {
        "index": "SELECT DISTINCT table_name, index_name FROM information_schema.statistics"
        " WHERE table_schema = database() AND index_name LIKE 'i%' AND table_name NOT LIKE 'sensei%'",
        "unique": "SELECT 1 FROM information_schema.table_constraints WHERE table_schema = database()"
        " AND constraint_type = 'UNIQUE' AND table_name NOT LIKE 'sensei%'",
        "foreign key": "SELECT 1 FROM information_schema.table_constraints WHERE table_schema = database()"
        " AND constraint_type = 'FOREIGN KEY'",
        "check": "SELECT 1 FROM information_schema.check_constraints WHERE constraint_schema = database()"
        " AND table_name NOT LIKE 'sensei%'",
    }.items():
        assert len(case.query(case.target, sql)) == len(names), kind

    # What has arrived is a source, too.
    onwards = Case(case.sensei, case.target, maker("postgres")())
    onwards.config = {
        **case.config,
        "connections": {"here": ends.url(onwards.source), "there": ends.url(onwards.target)},
        "target": {"connection": "there", "schema": "public"},
    }
    file = onwards.file(name="onwards.yaml")
    onwards.run("migrations", "start", onwards.run("migrations", "create", "--config", file, json=True).data["id"])
    assert reader.compare_databases(case.source, onwards.target) == []

    words = [w for name in names[1:] for w in ("--tables", name)]
    done = case.run("migrations", "rollback", migration, *words, "--keep-progress", json=True, real=True).data
    assert (len(done["tables"]), len(done["evidence"])) == (len(names) - 1, len(names) - 1)
    assert case.run("migrations", "resume", migration, json=True).data["rows_quarantined"] == 0
    assert reader.compare_databases(case.source, case.target) == []
    report = case.run("migrations", "rollback", migration, "--full", "--verify", json=True, real=True).data
    assert report["passed"] is True
    assert reader.diff_snapshots(before, reader.snapshot(case.target)) == []


@pytest.mark.parametrize("name", [" blanks ", "🙈", "x" * 65], ids=["blank", "beyond U+FFFF", "65 characters"])
def test_a_name_that_the_target_can_not_hold_is_refused_and_can_be_renamed(to_mysql: Case, name: str) -> None:
    quoted = servers.quote(name)
    ends.run(to_mysql.source, f"CREATE TABLE {quoted} (id integer PRIMARY KEY)")
    refusal(to_mysql, _create(to_mysql), "refused", 3, f"table {name}", "target:")
    ends.run(to_mysql.source, f"DROP TABLE {quoted}; CREATE TABLE t (id integer PRIMARY KEY, {quoted} integer)")
    refusal(to_mysql, _create(to_mysql), "refused", 3, f"column t.{name}", "target")
    ends.run(to_mysql.source, "INSERT INTO t VALUES (1, 7)")
    to_mysql.completed({"tables": {"t": {"columns": {name: {"target": "plain"}}}}})
    assert to_mysql.query(to_mysql.target, "SELECT plain FROM t") == [(7,)]


def test_names_of_keys_and_indexes_that_the_target_can_not_hold_get_another(to_mysql: Case) -> None:
    """Nobody asks for them by name: a migration is not refused for one."""
    ends.run(
        to_mysql.source,
        'CREATE TABLE t (id integer PRIMARY KEY, a integer, CONSTRAINT "u 🙈" UNIQUE (a));'
        f'CREATE INDEX "index " ON t (a, id); CREATE INDEX "{"i" * 70}" ON t (id, a); INSERT INTO t VALUES (1, 2)',
    )
    migration = to_mysql.completed()
    found = to_mysql.query(
        to_mysql.target,
        "SELECT count(DISTINCT index_name) FROM information_schema.statistics"
        " WHERE table_schema = database() AND table_name = 't'",
    )
    assert found == [(4,)]
    report = to_mysql.run("migrations", "rollback", migration, "--full", "--verify", json=True).data
    assert report["passed"] is True


def test_columns_that_would_merge_are_refused(sensei: Sensei, maker: ends.Maker) -> None:
    case = cli_case.new_case(sensei, ("postgres", "mysql"), maker)
    ends.run(case.source, 'CREATE TABLE t (id integer PRIMARY KEY, name varchar(9), "NAME" varchar(9))')
    refusal(case, _create(case), "refused", 3, "NAME", "would both become", "columns:")
