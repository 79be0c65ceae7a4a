"""A home that is gone is not a way back that is gone: the target's ledger knows enough."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import ends
import fix_sensei
import moves
import reader
import servers
import small_shop
from sensei.demo import shop


@pytest.fixture
def sensei(warm_sensei: fix_sensei.Sensei) -> fix_sensei.Sensei:
    """Commands start in a moment."""
    return warm_sensei


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    shop.write(path, 1_500)
    return path


def plan(sensei: fix_sensei.Sensei, source: moves.End, target: moves.End) -> moves.Move:
    return moves.plan_move(sensei, source, target, options={"chunk_rows": 200})


def lose_home(sensei: fix_sensei.Sensei, target: moves.End) -> None:
    """Remove the home, and name the target in a new one."""
    shutil.rmtree(sensei.home)
    new_home(sensei, target)


def new_home(sensei: fix_sensei.Sensei, target: moves.End) -> None:
    sensei.home = sensei.folder / "another-home"
    sensei("connections", "add", "target", moves.url(target))


def recovered(sensei: fix_sensei.Sensei, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sensei("migrations", "recover", "target", *words, json=True).data["recovered"]
    return found


@pytest.fixture(params=["postgres", "sqlite", "mysql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> moves.End:
    if request.param == "mysql":
        mysql: servers.MysqlDatabase = request.getfixturevalue("mysql_db")
        mysql.execute(
            "CREATE TABLE own (id integer AUTO_INCREMENT PRIMARY KEY, t text); INSERT INTO own (t) VALUES ('x')"
        )
        return mysql
    if request.param == "sqlite":
        path = tmp_path / "target.db"
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(
                "CREATE TABLE own (id INTEGER PRIMARY KEY AUTOINCREMENT, t);INSERT INTO own (t) VALUES ('x');"
            )
        return path
    database: servers.Database = request.getfixturevalue("pg_db")
    database.execute("CREATE TABLE own (id serial PRIMARY KEY, t text); INSERT INTO own (t) VALUES ('x')")
    return database


def test_a_completed_migration_is_taken_back_with_proof_from_a_new_home(
    sensei: fix_sensei.Sensei, source: Path, target: moves.End
) -> None:
    before = reader.snapshot(target)
    move = plan(sensei, source, target)
    move.start()
    lose_home(sensei, target)
    (found,) = recovered(sensei)
    assert (found["id"], found["status"], found["verifiable"]) == (move.id, "paused", True)
    status = move.status()
    assert status["progress"]["rows_copied"] == 1_500 and status["journal"]["problems"] == []

    done = move.rollback("--verify").data
    assert done["rollback_verification"] == moves.LINES and done["passed"] is True
    assert reader.diff_snapshots(before, reader.snapshot(target)) == []
    sensei("evidence", "purge", move.id, "--yes")
    move.verify()


@pytest.mark.parametrize("engine", ["postgres", "mysql"])
def test_a_migration_that_stopped_half_way_is_finished_from_a_new_home_and_no_row_comes_twice(
    sensei: fix_sensei.Sensei, source: Path, maker: ends.Maker, engine: str
) -> None:
    target = maker(engine)()
    move = plan(sensei, source, target)
    move.start(crash_at="journal:step_done:copy:before")
    lose_home(sensei, target)
    (found,) = recovered(sensei, move.id)
    assert found["status"] == "paused"
    assert move.resume(json=True).data["status"] == "completed"
    assert reader.compare_databases(source, target) == []
    assert move.rollback("--verify").data["passed"] is True


def test_a_rollback_is_still_verified_and_its_evidence_known_in_a_new_home(
    sensei: fix_sensei.Sensei, source: Path, target: moves.End
) -> None:
    move = plan(sensei, source, target)
    move.start()
    move.rollback()
    lose_home(sensei, target)
    (found,) = recovered(sensei)
    assert found["status"] == "rolled_back"
    assert move.verify()["rollback_verification"] == moves.LINES
    listed = sensei("evidence", "list", move.id, json=True).data["evidence"]
    assert {e["object"].rpartition(".")[2] for e in listed if e["kind"] == "table"} == set(shop.TABLES)

    with closing(sqlite3.connect(source)) as connection:
        connection.execute("UPDATE products SET name = name || ' ' WHERE id = 7")
        connection.commit()
    wrong = move.verify(expect=4)
    assert wrong["rollback_verification"]["source_data_integrity"] == "damaged"


def test_the_old_home_can_not_go_on_once_a_new_one_has_taken_over(
    sensei: fix_sensei.Sensei, source: Path, pg_db: servers.Database
) -> None:
    move = plan(sensei, source, pg_db)
    move.start(crash_at="journal:step_done:copy:before")
    old = sensei.home
    new_home(sensei, pg_db)
    recovered(sensei)
    move.resume()
    sensei.home = old
    assert move.resume(expect=3, json=True).data["error"]["code"] == "taken_over"
    assert reader.compare_databases(source, pg_db.dsn) == []


@pytest.mark.parametrize(
    "point", ["journal:created:after", "journal:step_done:fingerprint:after", "journal:transition:after:2"]
)
def test_a_recovery_that_is_cut_off_is_finished_by_the_same_command(
    point: str, sensei: fix_sensei.Sensei, source: Path, pg_db: servers.Database
) -> None:
    move = plan(sensei, source, pg_db)
    move.start()
    lose_home(sensei, pg_db)
    sensei("migrations", "recover", "target", crash_at=point)
    (found,) = recovered(sensei)
    assert found["status"] == "paused"
    assert sensei("migrations", "recover", "target", expect=2, json=True).data["error"]["code"] == "unknown_name"
    assert move.rollback("--verify").data["passed"] is True


def test_what_is_here_already_or_was_never_there_is_refused_and_nothing_is_made(
    sensei: fix_sensei.Sensei, source: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target.db"
    move = plan(sensei, source, target)
    move.start()
    sensei("connections", "add", "target", moves.url(target))
    refused = sensei("migrations", "recover", "target", move.id, json=True, expect=2)
    assert "already" in refused.data["error"]["message"]
    refused = sensei("migrations", "recover", "target", "mig_unknown", json=True, expect=2)
    assert "mig_unknown" in refused.data["error"]["message"]

    nowhere = tmp_path / "nowhere.db"
    sensei("connections", "add", "nowhere", moves.url(nowhere))
    sensei("migrations", "recover", "nowhere", expect=5)
    assert not nowhere.exists()


def test_a_mariadb_source_is_measured_from_a_new_home_as_from_the_old_one(
    sensei: fix_sensei.Sensei, maker: ends.Maker, tmp_path: Path
) -> None:
    source = small_shop.source("mysql", maker("mysql"), tmp_path)
    target = tmp_path / "target.db"
    move = plan(sensei, source, target)
    move.start()
    move.rollback()
    lose_home(sensei, target)
    (found,) = recovered(sensei)
    assert (found["status"], found["verifiable"]) == ("rolled_back", True)
    assert move.verify()["rollback_verification"] == moves.LINES
    ends.run(source, "UPDATE customers SET name = 'bob' WHERE id = 2")
    assert move.verify(expect=4)["rollback_verification"]["source_data_integrity"] == "damaged"
