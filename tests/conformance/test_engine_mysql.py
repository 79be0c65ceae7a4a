"""What the MySQL engine promises of a session: pinned, read only, its errors with their meaning, runners kept apart."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import mysql_rows
import servers
from mysql_rows import SOURCE, TARGET, Connect
from sensei import errors
from sensei.engines import base, ledger, mysql
from sensei.engines.mysql import address, fence, session

ENGINE = mysql.engine()

connect = pytest.fixture(mysql_rows.connecting)


def _url(db: servers.MysqlDatabase, user: str, password: str = "pw", query: str = "") -> str:
    return f"mysql://{user}:{password}@127.0.0.1:{db.server.port}/{db.name}{query}"


@pytest.fixture
def account(mysql_db: servers.MysqlDatabase) -> Iterator[str]:
    """A user without any rights but those that a test grants."""
    mysql_db.execute("CREATE USER narrow@'%' IDENTIFIED BY 'pw'")
    yield "narrow"
    mysql_db.execute("DROP USER narrow@'%'")


# -- pins


def test_whatever_the_server_s_defaults_a_session_renders_and_reads_alike(
    mysql_db: servers.MysqlDatabase, connect: Connect
) -> None:
    """The test server's own defaults are strange ones: see server_mariadb."""
    for purpose in (SOURCE, TARGET):
        found = connect(mysql_db, purpose)
        shown = found.rows(
            "SELECT @@time_zone, @@sql_mode, @@character_set_results, @@autocommit, @@sql_notes, 'a\\'b' '?', ? AS x",
            ["it's %s \\ \" `?` 𝄞"],
        )[0]
        zone, mode, charset, autocommit, notes, quoted, bound = shown
        assert (zone, charset, autocommit, notes) == ("+00:00", "utf8mb4", 1, 1)
        assert "STRICT_ALL_TABLES" in mode and "NO_BACKSLASH_ESCAPES" not in mode and "ANSI_QUOTES" not in mode
        assert (quoted, bound) == ("a'b?", "it's %s \\ \" `?` 𝄞")
        found.confirm_pinned()


def test_placeholders_are_only_those_outside_of_quotes_and_comments() -> None:
    sql = """SELECT ? AS `a?%`, '?''\\'?', "?" -- ? it's
        , 5 % ? /* ? ' */ # ? "
        , 5 --?"""
    assert (
        session.placeholders(sql)
        == """SELECT %s AS `a?%%`, '?''\\'?', "?" -- ? it's
        , 5 %% %s /* ? ' */ # ? "
        , 5 --%s"""
    )


def test_a_source_session_can_not_write(mysql_db: servers.MysqlDatabase, connect: Connect) -> None:
    connect(mysql_db).run("CREATE TABLE t (id int)")
    source = connect(mysql_db, SOURCE)
    for statement in ("INSERT INTO t VALUES (1)", "CREATE TABLE u (id int)", "TRUNCATE t"):
        with pytest.raises(errors.ServerFailed, match="READ ONLY"):
            source.run(statement)
    source.begin()
    with pytest.raises(errors.ServerFailed, match="READ ONLY"):
        source.run("DELETE FROM t")
    source.rollback()


def test_a_target_that_only_reads_is_refused(
    mysql_server: servers.MysqlServer, mysql_db: servers.MysqlDatabase, connect: Connect
) -> None:
    mysql_db.execute("SET GLOBAL read_only = 1")
    try:
        with pytest.raises(errors.Refused, match="read_only"):
            connect(mysql_db)
        connect(mysql_db, SOURCE)
    finally:
        mysql_db.execute("SET GLOBAL read_only = 0")


def test_a_session_that_a_proxy_swapped_is_found_out(mysql_db: servers.MysqlDatabase, connect: Connect) -> None:
    one, two = connect(mysql_db), connect(mysql_db)
    one.connection, two.connection = two.connection, one.connection
    for each in (one, two):
        with pytest.raises(errors.Refused, match="proxy"):
            each.confirm_pinned()


# -- where to


def test_what_is_no_address_is_told_without_showing_it() -> None:
    for url in (
        "mysql://u:secret@h", "mysql://u:secret@h/", "mysql://u:secret@h/a/b", "mysql://u:secret@h:port/d",
        "mysql://u:secret@h/d?connect_timeout=soon", "mysql://u:secret@h/d?ssl_mode=maybe",
        "mysql://u:secret@h/d?ssl_ca=/nowhere/ca.pem",
    ):  # fmt: skip
        with pytest.raises(errors.BadInput) as told:
            address.parse(url)
        assert "secret" not in str(told.value) + told.value.hint


def test_an_address_is_taken_apart_as_it_was_written() -> None:
    found = address.parse("mariadb://a%40b:p%2Fw%C3%BC@[::1]:3307/d%C3%A4ta?read_timeout=5&lock_wait_timeout=7")
    assert found.database == "däta"
    assert found.timeouts == {"lock_wait_timeout": 7, "statement_timeout": 86_400}
    arguments = {k: found.arguments[k] for k in ("user", "password", "host", "port", "read_timeout")}
    assert arguments == {"user": "a@b", "password": "p/wü".encode(), "host": "::1", "port": 3307, "read_timeout": 5}
    assert "p/w" not in repr(found)
    assert address.parse("mysql://h/d?ssl_mode=DISABLED").arguments["ssl_disabled"] is True
    assert address.parse("mysql://h/d?ssl_mode=VERIFY_IDENTITY").arguments["ssl"].check_hostname


def test_the_engine_s_own_password_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".my.cnf").write_text(
        "!includedir /etc/mysql\n[mysqld]\npassword=no\n[client]\n# user=x\nuser = ann\npassword = 'a#b=c'\nssl\n"
    )
    found = address.parse("mysql://h/d").arguments
    assert (found["user"], found["password"]) == ("ann", b"a#b=c")
    assert address.parse("mysql://bob:x@h/d").arguments["password"] == b"x"


# -- errors


def test_each_error_has_its_meaning(mysql_db: servers.MysqlDatabase, connect: Connect, account: str) -> None:
    found = connect(mysql_db)
    found.run("CREATE TABLE t (id int PRIMARY KEY, v varchar(3) NOT NULL, CHECK (v <> 'no'))")
    found.run("CREATE TABLE u (id int REFERENCES t (id), FOREIGN KEY (id) REFERENCES t (id))")
    found.run("INSERT INTO t VALUES (1, 'a')")
    refused = {
        "INSERT INTO t VALUES (1, 'b')": None,
        "INSERT INTO t VALUES (2, 'long')": "v",
        "INSERT INTO t VALUES (2, NULL)": "v",
        "INSERT INTO t VALUES ('x', 'b')": "id",
        "INSERT INTO t VALUES (99999999999, 'b')": "id",
        "INSERT INTO t VALUES (2, 'no')": None,
        "INSERT INTO u VALUES (7)": None,
    }
    for statement, column in refused.items():
        with pytest.raises(errors.DataRejected) as told:
            found.run(statement)
        assert told.value.details.get("column") == column, told.value
        assert told.value.duplicate is (statement == "INSERT INTO t VALUES (1, 'b')")
    with pytest.raises(errors.UnknownName):
        found.rows("SELECT * FROM nowhere")
    with pytest.raises(errors.DataRejected):
        found.run("INSERT INTO t VALUES (?, ?)", [1, "\ud800"])
    mysql_db.execute(f"GRANT SELECT ON {mysql_db.name}.u TO {account}@'%'")
    narrow = session.connect(_url(mysql_db, account), TARGET)
    with pytest.raises(errors.MissingPrivilege):
        narrow.run("INSERT INTO u VALUES (1)")
    narrow.close()
    for url in (_url(mysql_db, account, "wrong-secret"), _url(mysql_db, account).replace(mysql_db.name, "elsewhere")):
        with pytest.raises(errors.ConnectFailed) as failed:
            session.connect(url, TARGET)
        assert "secret" not in str(failed.value)


def test_a_lost_connection_may_pass_and_a_lost_commit_is_unknown(
    mysql_db: servers.MysqlDatabase, connect: Connect
) -> None:
    killer = connect(mysql_db)
    killer.run("CREATE TABLE t (id int)")
    one, two = connect(mysql_db), connect(mysql_db)
    killer.run(f"KILL {one.number}")
    with pytest.raises(errors.Transient) as lost:
        one.rows("SELECT 1")
    assert not lost.value.outcome_unknown
    one.rollback()
    with pytest.raises(errors.Transient):
        one.commit()  # it was never sent: nothing is unknown
    two.begin()
    two.run("INSERT INTO t VALUES (1)")
    killer.run(f"KILL {two.number}")
    with pytest.raises(errors.CommitUnknown):
        two.commit()


def test_locks_that_are_not_given_may_pass(mysql_db: servers.MysqlDatabase, connect: Connect) -> None:
    holder, waiter = connect(mysql_db), connect(mysql_db)
    holder.run("CREATE TABLE t (id int PRIMARY KEY)")
    holder.run("INSERT INTO t VALUES (1), (2)")
    for each in (holder, waiter):
        each.run("SET SESSION innodb_lock_wait_timeout = 1, SESSION lock_wait_timeout = 1")
    holder.begin()
    holder.run("UPDATE t SET id = 3 WHERE id = 1")
    waiter.begin()
    with pytest.raises(errors.Transient):
        waiter.run("UPDATE t SET id = 4 WHERE id = 1")
    waiter.rollback()
    with pytest.raises(errors.Transient):
        waiter.run("ALTER TABLE t ADD v int")
    holder.rollback()


def test_a_deadlock_may_pass_and_its_transaction_is_not_committed_by_mistake(
    mysql_db: servers.MysqlDatabase, connect: Connect
) -> None:
    one, two = connect(mysql_db), connect(mysql_db)
    one.run("CREATE TABLE t (id int PRIMARY KEY, v int)")
    one.run("INSERT INTO t VALUES (1, 0), (2, 0)")
    one.begin()
    two.begin()
    one.run("UPDATE t SET v = 1 WHERE id = 1")
    two.run("UPDATE t SET v = 2 WHERE id = 2")
    failed: list[BaseException] = []

    def wait() -> None:
        try:
            one.run("UPDATE t SET v = 1 WHERE id = 2")
        except errors.SenseiError as error:
            failed.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.5)
    try:
        two.run("UPDATE t SET v = 2 WHERE id = 1")
    except errors.SenseiError as error:
        failed.append(error)
    thread.join()
    assert [type(f) for f in failed] == [errors.Transient]
    states = []
    for each in (one, two):
        try:
            each.commit()
            states.append("committed")
        except errors.Fault:
            states.append("refused")
    assert sorted(states) == ["committed", "refused"]


def test_ddl_in_a_transaction_is_not_committed_in_silence(mysql_db: servers.MysqlDatabase, connect: Connect) -> None:
    found = connect(mysql_db)
    with pytest.raises(errors.Fault, match="ended"), base.transaction(found):
        found.run("CREATE TABLE t (id int)")


def test_a_statement_beyond_max_allowed_packet_says_what_to_do(
    mysql_db: servers.MysqlDatabase, connect: Connect
) -> None:
    found = connect(mysql_db)
    found.run("CREATE TABLE t (v longtext)")
    with pytest.raises(errors.ServerFailed) as told:
        found.run("INSERT INTO t VALUES (?)", ["x" * (found.max_packet + 10)])
    assert "max_allowed_packet" in told.value.hint or isinstance(told.value, errors.Transient)


# -- ledger and fence


def test_of_two_runners_only_the_later_one_writes(mysql_db: servers.MysqlDatabase, connect: Connect) -> None:
    first, second = connect(mysql_db), connect(mysql_db)
    book = ledger.Ledger(ENGINE, "mig_a")
    book.set_up(first, "token", "source", "{}")
    book.set_up(second, "token", "source", "{}")
    book.raise_epoch(first, 1)
    chunk = ledger.Chunk("shop.t", 1, 0, None, None)
    with base.transaction(first):
        assert book.claim_chunk(first, 1, chunk)
        book.close_chunk(first, chunk, 10, 0, "text", "seq:x")
    with contextlib.suppress(errors.Transient), base.transaction(second):
        assert not book.claim_chunk(second, 1, chunk)
        raise errors.Transient("what claim_chunk refused is rolled back")
    first.begin()
    book.hold_epoch(first, 1)
    second.run("SET SESSION innodb_lock_wait_timeout = 1")
    with pytest.raises(errors.Transient):
        book.raise_epoch(second, 2)  # it waits for who is about to commit
    first.commit()
    book.raise_epoch(second, 2)
    with pytest.raises(errors.TakenOver), base.transaction(first):
        book.hold_epoch(first, 1)
    with pytest.raises(errors.TakenOver):
        book.raise_epoch(first, 1)


def test_names_that_a_collation_takes_for_equal_are_two_in_the_ledger(
    mysql_db: servers.MysqlDatabase, connect: Connect
) -> None:
    found = connect(mysql_db)
    book = ledger.Ledger(ENGINE, "mig_a")
    book.set_up(found, "token", "source", "{}")
    book.raise_epoch(found, 1)
    for name in ("a", "A", "a ", "ä", "a" * 600):
        with base.transaction(found):
            assert book.claim_chunk(found, 1, ledger.Chunk(name, 1, 0, None, None)), name


def test_a_dead_runner_s_statement_is_ended_before_its_place_is_taken(
    mysql_db: servers.MysqlDatabase, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server goes on with what a client asked for that is gone: no DDL of it may land after a take-over."""
    monkeypatch.setattr(fence, "PATIENCE", 1)
    dead, heir = connect(mysql_db), connect(mysql_db)
    book = ledger.Ledger(ENGINE, "mig_a")
    book.set_up(dead, "token", "source", "{}")
    book.raise_epoch(dead, 1)
    ended: list[errors.SenseiError] = []

    def late() -> None:
        with base.fenced(ENGINE, dead, "mig_a"):
            try:
                dead.run("CREATE TABLE late AS SELECT SLEEP(60) AS v")
            except errors.SenseiError as error:
                ended.append(error)

    thread = threading.Thread(target=late)
    thread.start()
    time.sleep(0.5)
    began = time.monotonic()
    book.raise_epoch(heir, 2)
    assert time.monotonic() - began < 30
    thread.join(30)
    assert [type(e) for e in ended] == [errors.Transient]
    assert heir.rows("SHOW TABLES LIKE 'late'") == []
    # Nobody holds it any more, and another migration's was never in the way.
    with base.fenced(ENGINE, heir, "mig_a"), base.fenced(ENGINE, heir, "mig_b"):
        pass


def test_the_fence_outlasts_what_ends_a_transaction(mysql_db: servers.MysqlDatabase, connect: Connect) -> None:
    holder, other = connect(mysql_db), connect(mysql_db)
    with base.fenced(ENGINE, holder, "mig_a"):
        holder.run("CREATE TABLE t (id int)")
        with base.transaction(holder):
            holder.run("INSERT INTO t VALUES (1)")
        assert other.rows("SELECT IS_FREE_LOCK(?)", [fence.name("mig_a")]) == [(0,)]
    assert other.rows("SELECT IS_FREE_LOCK(?)", [fence.name("mig_a")]) == [(1,)]
