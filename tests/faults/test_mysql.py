"""What goes wrong on MariaDB's side of a move: the wire, its locks, its limits and its disk. Nothing gets lost."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pymysql
import pytest

import ends
import mid_copy
import servers
import small_disk
from fix_mysql import MakeMysqlDatabase
from fix_sensei import Sensei, wait_until
from wire_proxy import WireProxy


@pytest.fixture
def sensei(warm_sensei: Sensei) -> Sensei:
    """Commands that are not killed start in a moment."""
    return warm_sensei


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.db"
    mid_copy.fill(path)
    return path


def _behind(proxy: WireProxy, database: servers.MysqlDatabase | servers.Database) -> str:
    """The database's URL, by way of the proxy."""
    behind = database.url.replace(f"@127.0.0.1:{database.server.port}/", f"@127.0.0.1:{proxy.port}/")
    assert behind != database.url
    return behind


def _patient(database: servers.MysqlDatabase, seconds: int) -> str:
    return f"{database.url}?lock_wait_timeout={seconds}"


# -- the wire


@pytest.mark.parametrize("answers", [True, False], ids=["answer_lost", "commit_lost"])
def test_a_commit_whose_outcome_is_unknown_is_settled_by_the_ledger(
    sensei: Sensei, source: Path, mysql_db: servers.MysqlDatabase, answers: bool
) -> None:
    with WireProxy(mysql_db.server.port, "mysql") as proxy:
        migration = mid_copy.plan(sensei, source, mysql_db, target_url=_behind(proxy, mysql_db))
        for _ in range(3):
            proxy.cut(answers=answers)
        sensei("migrations", "start", migration)
        assert proxy.cuts == 3
        # Each chunk is in the ledger once, and its rows with it.
        assert mid_copy.chunks_done(mysql_db) == mysql_db.value("SELECT count(*) FROM sensei_chunk_plan") > 100
        mid_copy.check_finished(sensei, migration, source, mysql_db)


def test_a_definition_that_was_carried_out_though_its_answer_was_lost_is_taken_for_done(
    sensei: Sensei, source: Path, mysql_db: servers.MysqlDatabase
) -> None:
    """It commits by itself: what is found under a step that was begun is looked at, not made twice."""
    with WireProxy(mysql_db.server.port, "mysql") as proxy:
        migration = mid_copy.plan(sensei, source, mysql_db, target_url=_behind(proxy, mysql_db), chunk_rows=1000)
        proxy.cut(answers=True, at=r"^CREATE TABLE IF NOT EXISTS .*sensei_chunks")
        proxy.cut(answers=True, at=r"^CREATE TABLE .*`(shops|items)` ")
        proxy.cut(answers=False, at=r"^CREATE TABLE .*`(shops|items)` ")
        proxy.cut(answers=True, at=r"^(ALTER|CREATE).*items_shop`")
        proxy.cut(answers=True, at=r"^ALTER.*FOREIGN KEY")
        sensei("migrations", "start", migration)
        assert proxy.cuts == 5
        assert mid_copy.differences(source, mysql_db) == []
        proxy.cut(answers=True, at=r"^RENAME TABLE")
        sensei("migrations", "rollback", migration, "--full", expect=None)
        assert proxy.cuts == 6
        proof = sensei("migrations", "rollback", migration, "--full", "--verify", json=True).data
        assert proof["passed"], proof
        assert ends.evidence(mysql_db) == ["items", "shops"]


@pytest.mark.parametrize("engine", ["mysql", "postgres"])
@pytest.mark.parametrize("what", ["--full", "--tables"])
def test_a_rollback_whose_commit_is_lost_says_how_to_go_on_and_does(
    sensei: Sensei, source: Path, maker: ends.Maker, engine: Literal["mysql", "postgres"], what: str
) -> None:
    target = maker(engine)()
    assert not isinstance(target, Path)
    with WireProxy(target.server.port, engine) as proxy:
        migration = mid_copy.plan(sensei, source, target, target_url=_behind(proxy, target), chunk_rows=1000)
        sensei("migrations", "start", migration)
        words = ["migrations", "rollback", migration, what, *(["items"] if what == "--tables" else [])]
        for at in (r"^RENAME TABLE|^ALTER TABLE .* SET SCHEMA|^DO ", r"^COMMIT"):
            proxy.cut(answers=True, at=at)
            told = sensei(*words, json=True, expect=5).data["error"]
            assert f"sensei migrations rollback {migration} {what}" in told["details"]["hint"], told
        assert proxy.cuts == 2
        sensei(*words)
        if what == "--tables":
            sensei("migrations", "resume", migration)
            mid_copy.check_finished(sensei, migration, source, target)
        assert sensei("migrations", "verify-rollback", migration, json=True).data["passed"]


def test_a_source_that_is_lost_in_the_middle_of_a_read_is_read_again(
    sensei: Sensei, mysql_db: servers.MysqlDatabase, tmp_path: Path
) -> None:
    mid_copy.fill(mysql_db)
    target = tmp_path / "target.db"
    with WireProxy(mysql_db.server.port, "mysql") as proxy:
        migration = mid_copy.plan(sensei, mysql_db, target, source_url=_behind(proxy, mysql_db))
        for answers in (True, False, True):
            proxy.cut(answers=answers, at=r"^SELECT CONCAT_WS.*items")
        sensei("migrations", "start", migration)
        assert proxy.cuts == 3
        mid_copy.check_finished(sensei, migration, mysql_db, target)


@pytest.mark.parametrize("role", ["source", "target"])
def test_a_server_that_dies_and_stays_down_fails_the_run_and_resume_completes_it(
    sensei: Sensei, make_mysql_db: MakeMysqlDatabase, mysql_server2: servers.MysqlServer, tmp_path: Path, role: str
) -> None:
    mysql, file = make_mysql_db(server=mysql_server2), tmp_path / "other.db"
    source, target = (mysql, file) if role == "source" else (file, mysql)
    mid_copy.fill(source)
    migration = mid_copy.plan(sensei, source, target)
    running = sensei.spawn("migrations", "start", migration, "--json")
    try:
        with mid_copy.held_still(sensei, target):
            mysql_server2.kill()
        died = running.wait(expect=5)
        assert role in died.stdout
        assert mid_copy.status(sensei, migration)["status"] == "failed"
        refused = sensei("migrations", "resume", migration, json=True, expect=5).data["error"]
        assert role in refused["message"] and refused["code"] == "connect_failed"
    finally:
        mysql_server2.start()
    sensei("migrations", "resume", migration)
    mid_copy.check_finished(sensei, migration, source, target)


# -- locks


@contextlib.contextmanager
def _session(database: servers.MysqlDatabase) -> Iterator[pymysql.cursors.Cursor]:
    """Somebody else's transaction, rolled back at the end."""
    connection = database.connect(autocommit=False)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION innodb_lock_wait_timeout = 60")
            yield cursor
        connection.rollback()
    finally:
        connection.close()


def _waits(database: servers.MysqlDatabase) -> bool:
    # InnoDB looks anew only for who has not asked for a tenth of a second.
    return bool(database.query("SELECT 1 FROM information_schema.innodb_lock_waits"))


def test_a_deadlock_costs_its_chunk_and_no_row(sensei: Sensei, source: Path, mysql_db: servers.MysqlDatabase) -> None:
    mysql_db.execute("CREATE TABLE ballast (id integer PRIMARY KEY)")
    migration = mid_copy.plan(sensei, source, mysql_db)
    running = sensei.spawn("migrations", "start", migration)
    with _session(mysql_db) as other:
        with mid_copy.held_still(sensei, mysql_db):
            # The server ends whoever has changed fewer rows.
            other.execute("INSERT INTO ballast SELECT seq FROM seq_1_to_20000")
            other.execute(f"INSERT INTO items VALUES ({mid_copy.ROWS - 1}, 1, 'in the way')")
        wait_until(lambda: _waits(mysql_db), what="a chunk waits for the row", interval=0.2)
        other.execute("SELECT 1 FROM sensei_migrations FOR UPDATE")  # for which that chunk has to go
    running.wait(expect=0)
    mid_copy.check_finished(sensei, migration, source, mysql_db)


def test_a_row_that_somebody_keeps_locked_fails_the_run_by_its_name_and_resume_completes_it(
    sensei: Sensei, source: Path, mysql_db: servers.MysqlDatabase
) -> None:
    migration = mid_copy.plan(sensei, source, mysql_db, target_url=_patient(mysql_db, 1))
    running = sensei.spawn("migrations", "start", migration, "--json")
    with _session(mysql_db) as other:
        with mid_copy.held_still(sensei, mysql_db):
            other.execute(f"INSERT INTO items VALUES ({mid_copy.ROWS - 1}, 1, 'in the way')")
        failed = running.wait(expect=5)
        assert "Lock wait timeout" in failed.stdout and "resume" in failed.stdout
        assert mid_copy.status(sensei, migration)["status"] == "failed"
    sensei("migrations", "resume", migration)
    mid_copy.check_finished(sensei, migration, source, mysql_db)


def test_a_table_that_somebody_reads_all_the_while_fails_the_definition_and_resume_completes_it(
    sensei: Sensei, source: Path, mysql_db: servers.MysqlDatabase
) -> None:
    """An open transaction that has read a table keeps every definition of it waiting: also those that take it back."""
    migration = mid_copy.plan(sensei, source, mysql_db, target_url=_patient(mysql_db, 1))
    running = sensei.spawn("migrations", "start", migration, "--json")
    with _session(mysql_db) as other:
        with mid_copy.held_still(sensei, mysql_db):
            other.execute("SELECT count(*) FROM items")
        failed = running.wait(expect=5)
        assert "Lock wait timeout" in failed.stdout and "resume" in failed.stdout
        assert mid_copy.status(sensei, migration)["status"] == "failed"
    sensei("migrations", "resume", migration)
    with _session(mysql_db) as other:
        other.execute("SELECT count(*) FROM items")
        error = sensei("migrations", "rollback", migration, "--full", json=True, expect=5).data["error"]
        assert "Lock wait timeout" in error["message"]
        assert f"rollback {migration} --full" in error["details"]["hint"]
        assert mid_copy.status(sensei, migration)["status"] == "rolling_back"
    proof = sensei("migrations", "rollback", migration, "--full", "--verify", json=True).data
    assert proof["passed"], proof


# -- limits


@contextlib.contextmanager
def _globals(database: servers.MysqlDatabase, **values: int) -> Iterator[None]:
    """Settings of the whole server, for sessions that begin within the block."""
    before = {name: database.value(f"SELECT @@global.{name}") for name in values}
    try:
        for name, value in values.items():
            database.execute(f"SET GLOBAL {name} = {value}")
        yield
    finally:
        for name, value in before.items():
            database.execute(f"SET GLOBAL {name} = {value}")


_SMALL = 65_536


@pytest.mark.parametrize("local", [1, 0], ids=["load_data", "inserts"])
def test_a_row_beyond_the_targets_largest_packet_arrives_or_is_told_and_never_cut(
    sensei: Sensei, mysql_db: servers.MysqlDatabase, tmp_path: Path, local: int
) -> None:
    source = tmp_path / "source.db"
    mid_copy.fill(source, rows=300, width=2000)
    ends.run(source, "UPDATE items SET note = printf('%.*c', 200000, 'y') WHERE id = 150")
    with _globals(mysql_db, max_allowed_packet=_SMALL, local_infile=local):
        migration = mid_copy.plan(sensei, source, mysql_db, rows=300)
        ended = sensei("migrations", "start", migration, json=True, expect=None)
        if ended.returncode != 0:
            assert ended.returncode == 5, ended
            error = ended.data["error"]
            assert "max_allowed_packet" in error["message"] and "SET GLOBAL" in error["details"]["hint"]
    if ended.returncode != 0:
        with _globals(mysql_db, local_infile=local):
            sensei("migrations", "resume", migration)
    mid_copy.check_finished(sensei, migration, source, mysql_db)


def test_a_row_beyond_the_sources_largest_packet_arrives_or_is_told_and_never_cut(
    sensei: Sensei, mysql_db: servers.MysqlDatabase, tmp_path: Path
) -> None:
    mid_copy.fill(mysql_db, rows=300, width=2000)
    mysql_db.execute("UPDATE items SET note = concat(repeat('z', 30000), ' ', repeat('y', 30000)) WHERE id = 150")
    mysql_db.execute("ALTER TABLE items ADD other text; UPDATE items SET other = note")
    target = tmp_path / "target.db"
    with _globals(mysql_db, max_allowed_packet=_SMALL):  # each value fits, the row does not
        migration = mid_copy.plan(sensei, mysql_db, target, rows=300)
        ended = sensei("migrations", "start", migration, json=True, expect=None)
        if ended.returncode != 0:
            assert ended.returncode == 5 and "max_allowed_packet" in ended.data["error"]["message"], ended
    if ended.returncode != 0:
        sensei("migrations", "resume", migration)
    mid_copy.check_finished(sensei, migration, mysql_db, target)


def test_a_full_disk_under_a_mariadb_target_is_told_and_resume_completes_once_there_is_room(
    sensei: Sensei, tmp_path: Path
) -> None:
    """A disk of its own for the tables; where nobody lets us mount one, a file for all of them that has an end."""
    source = tmp_path / "source.db"
    mid_copy.fill(source, width=4000)
    server = servers.MysqlServer({"innodb_file_per_table": "0", "innodb_autoextend_increment": "1"})
    with contextlib.ExitStack() as stack:
        stack.callback(server.close)
        server.start()
        disk = server.folder / "disk"
        if mounted := stack.enter_context(small_disk.mounted(disk, "28m")):
            server.stop()
            owner = (server.folder / "data").stat()
            os.chown(shutil.move(server.folder / "data" / "ibdata1", disk), owner.st_uid, owner.st_gid)
            server.change({"innodb_data_home_dir": str(disk), "innodb_data_file_path": "ibdata1:12M:autoextend"})
        else:
            server.change({"innodb_data_file_path": "ibdata1:12M:autoextend:max:16M"})
        server.restart()
        target = server.create_db()
        migration = mid_copy.plan(sensei, source, target)
        failed = sensei("migrations", "start", migration, json=True, expect=5)
        assert failed.data["error"]["code"] == "out_of_space", failed
        assert mid_copy.status(sensei, migration)["status"] == "failed"
        sensei("migrations", "resume", migration, expect=5)  # still full
        if mounted:
            small_disk.grow(disk, "128m")
        else:
            server.change({"innodb_data_file_path": "ibdata1:12M:autoextend"})
            server.restart()
        sensei("migrations", "resume", migration)
        mid_copy.check_finished(sensei, migration, source, target)
        server.stop()
