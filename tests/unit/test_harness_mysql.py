"""The private MariaDB servers: they come, die and go, and their defaults are awkward."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pymysql
import pytest

import fix_mysql
import fix_sensei
import servers
from wire_proxy import WireProxy

TESTS = Path(servers.__file__).parent


def test_a_killed_server_keeps_what_was_committed_and_its_port(mysql_db: servers.MysqlDatabase) -> None:
    server, port = mysql_db.server, mysql_db.server.port
    mysql_db.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2)")
    server.kill()
    assert not server.is_up()
    server.start()
    assert server.port == port
    assert mysql_db.value("SELECT count(*) FROM t") == 2
    server.restart()
    assert server.is_up()
    assert mysql_db.value("SELECT count(*) FROM t") == 2


def test_the_servers_url_names_the_password_and_does_not_hold_it(mysql_db: servers.MysqlDatabase) -> None:
    assert servers.password() not in mysql_db.url
    assert f"${{{servers.PASSWORD_ENV}}}" in mysql_db.url


def test_a_wrong_password_and_a_passwordless_root_are_refused(mysql_db: servers.MysqlDatabase) -> None:
    for who in ({"password": "wrong"}, {"user": "root", "password": ""}):
        with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
            mysql_db.connect(**who)  # type: ignore[arg-type]


def test_the_client_stops_at_the_first_error(mysql_db: servers.MysqlDatabase) -> None:
    assert mysql_db.mariadb("SELECT 1; SELECT 2;") == "1\n2\n"
    with pytest.raises(servers.ServerError, match="nowhere"):
        mysql_db.mariadb("SELECT * FROM nowhere; CREATE TABLE never (a int);")
    assert mysql_db.query("SHOW TABLES") == []


def test_statements_after_the_first_are_not_passed_over(mysql_db: servers.MysqlDatabase) -> None:
    with pytest.raises(pymysql.err.ProgrammingError, match="nowhere"):
        mysql_db.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1); SELECT * FROM nowhere; DROP TABLE t")
    assert mysql_db.value("SELECT count(*) FROM t") == 1


def test_a_database_with_open_transactions_can_be_dropped(mysql_server: servers.MysqlServer) -> None:
    database = mysql_server.create_db()
    database.execute("CREATE TABLE t (a int)")
    session = database.connect(autocommit=False)
    session.cursor().execute("SELECT * FROM t FOR UPDATE")
    mysql_server.drop_db(database.name)
    assert database.name not in mysql_server.databases()
    session.close()


def test_an_account_may_only_what_it_was_granted(
    mysql_db: servers.MysqlDatabase, mysql_server: servers.MysqlServer
) -> None:
    mysql_db.execute("CREATE TABLE t (a int)")
    user = mysql_server.create_user(f"SELECT ON `{mysql_db.name}`.*")
    try:
        assert mysql_server.mariadb(mysql_db.name, "SELECT count(*) FROM t", user=user) == "0\n"
        with pytest.raises(servers.ServerError, match="denied"):
            mysql_server.mariadb(mysql_db.name, "INSERT INTO t VALUES (1)", user=user)
    finally:
        mysql_server.drop_user(user)


def test_a_session_that_pins_nothing_reads_and_stores_something_else(mysql_db: servers.MysqlDatabase) -> None:
    mysql_db.execute(
        "CREATE TABLE t (at timestamp NULL, fixed char(4) CHARACTER SET utf8mb4);"
        "INSERT INTO t VALUES ('2024-02-01 00:00:00', 'x')"
    )
    assert mysql_db.mariadb("SELECT at, concat('[', fixed, ']') FROM t") == "2024-02-01 05:45:00\t[x   ]\n"
    # Cut off with a warning, as a column of another type, in a table without transactions, not committed.
    mysql_db.mariadb("CREATE TABLE u (a varchar(2), at timestamp); INSERT INTO u VALUES ('abc', NULL); COMMIT;")
    (
        kept,
        at,
    ) = mysql_db.query("SELECT a, at FROM u")[0]
    assert kept == "ab" and at is not None
    assert mysql_db.value("SELECT engine FROM information_schema.tables WHERE table_name = 'u'") == "Aria"


def test_what_a_rollback_leaves_beside_a_database_goes_with_it(mysql_server: servers.MysqlServer) -> None:
    database, left = mysql_server.create_db(), mysql_server.create_db("sensei_evidence_mig_x")
    fix_mysql.tidy([database])
    assert not {database.name, left.name} & set(mysql_server.databases())


def test_a_server_goes_with_its_owner_however_that_ended() -> None:
    owner = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import servers, time; s = servers.MysqlServer(); s.start();"
            "print(s.folder, s.pid, flush=True); time.sleep(60)",
        ],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        text=True,
    )
    assert owner.stdout is not None
    with owner.stdout:
        folder, pid = owner.stdout.readline().split()
    assert Path(folder).exists()
    owner.kill()
    owner.wait()

    def gone() -> bool:
        alive = psutil.pid_exists(int(pid)) and psutil.Process(int(pid)).status() != "zombie"
        return not alive and not Path(folder).exists()

    fix_sensei.wait_until(gone, 30, what="the end of an orphaned server")


def _through(proxy: WireProxy, database: servers.MysqlDatabase, sql: str) -> None:
    connection = database.connect(port=proxy.port)
    try:
        connection.cursor().execute(sql)
    finally:
        if connection.open:
            connection.close()


@pytest.mark.parametrize("answers", [True, False])
def test_the_wire_is_cut_around_the_statement_that_was_named_and_once(
    mysql_db: servers.MysqlDatabase, answers: bool
) -> None:
    with WireProxy(mysql_db.server.port, "mysql") as proxy:
        proxy.cut(answers=answers, at="create table t")
        with pytest.raises(pymysql.err.OperationalError, match="Lost connection"):
            _through(proxy, mysql_db, "CREATE TABLE t (a int)")
        assert proxy.cuts == 1
        made = mysql_db.query("SHOW TABLES")
        assert made == ([("t",)] if answers else [])
        # A transaction that loaded nothing commits; one that did is cut.
        proxy.cut(answers=answers)
        _through(proxy, mysql_db, "CREATE TABLE IF NOT EXISTS t (a int)")
        _through(proxy, mysql_db, "COMMIT")
        session = mysql_db.connect(port=proxy.port, autocommit=False)
        session.cursor().execute("INSERT INTO t VALUES (1)")
        with pytest.raises(pymysql.err.OperationalError, match="Lost connection"):
            session.commit()
        assert mysql_db.value("SELECT count(*) FROM t") == (1 if answers else 0)
        assert proxy.cuts == 2
