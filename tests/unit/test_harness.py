"""The harness itself: servers come, die and go; commands are judged, killed and never left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg2
import pytest

import fix_sensei
import servers

TESTS = Path(servers.__file__).parent

#: Stands in for the product, so that the harness is tested apart from it.
FAKE = """
import json, os, signal, sys, time
words = [w for w in sys.argv[1:] if w != "--json"]
if os.environ.get("SENSEI_CRASH_AT"):
    os.kill(os.getpid(), signal.SIGKILL)
if words[0] == "exit":
    sys.exit(int(words[1]))
if words[0] == "sleep":
    print("asleep", flush=True)
    time.sleep(float(words[1]))
if words[0] == "detach":
    import subprocess
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
if words[0] == "ask":
    print("terminal", sys.stdin.isatty(), "answer", input("really? "))
if "--json" in sys.argv:
    print(json.dumps({"words": words, "home": os.environ["SENSEI_HOME"]}))
if words[0] == "chatty":
    print("one more line")
"""


@pytest.fixture
def fake(sensei: fix_sensei.Sensei, tmp_path: Path) -> fix_sensei.Sensei:
    folder = tmp_path / "fake"
    folder.mkdir()
    (folder / "sensei.py").write_text(FAKE)
    sensei.env["PYTHONPATH"] = str(folder)
    return sensei


def test_a_command_has_a_home_of_its_own_and_its_json_is_parsed(fake: fix_sensei.Sensei) -> None:
    result = fake("migrations", "list", json=True)
    assert result.data == {"words": ["migrations", "list"], "home": str(fake.home)}


def test_an_unexpected_exit_code_fails_the_test(fake: fix_sensei.Sensei) -> None:
    assert fake("exit", "3", expect=3).returncode == 3
    assert fake("exit", "3", expect=None).returncode == 3
    with pytest.raises(pytest.fail.Exception, match="expected exit code 0"):
        fake("exit", "3")


def test_more_than_one_document_on_stdout_fails_the_test(fake: fix_sensei.Sensei) -> None:
    with pytest.raises(pytest.fail.Exception, match="not one JSON document"):
        fake("chatty", json=True)


def test_a_crash_point_must_kill_the_process(fake: fix_sensei.Sensei) -> None:
    assert fake("exit", "0", crash_at="chunk.copied:2").returncode == fix_sensei.KILLED
    with pytest.raises(pytest.fail.Exception, match="expected exit code -9"):
        fake("exit", "0", crash_at="")


def test_a_command_that_hangs_is_killed_and_shown(fake: fix_sensei.Sensei) -> None:
    with pytest.raises(pytest.fail.Exception, match="asleep"):
        fake("sleep", "60", timeout=0.5)
    assert fake.processes() == []


def test_a_running_command_can_be_killed_hard(fake: fix_sensei.Sensei) -> None:
    running = fake.spawn("sleep", "60")
    fix_sensei.wait_until(lambda: "asleep" in running.so_far().stdout, what="the command's first line")
    assert running.is_running()
    assert running.kill9().returncode == fix_sensei.KILLED


def test_detached_processes_are_found_by_their_home_and_killed(fake: fix_sensei.Sensei) -> None:
    fake("detach")
    (left,) = fake.processes()
    fake.kill9_all()
    assert not left.is_running()


def test_a_question_can_be_answered_on_a_terminal(fake: fix_sensei.Sensei) -> None:
    result = fake.on_terminal("ask", answers="yes\n")
    assert "terminal True answer yes" in result.stdout


def test_the_operators_own_settings_do_not_reach_a_command(
    fake: fix_sensei.Sensei, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENSEI_STORE", "postgresql://elsewhere/")
    monkeypatch.setenv("PGHOST", "elsewhere")
    seen = fake.environment()
    assert "SENSEI_STORE" not in seen
    assert "PGHOST" not in seen
    assert seen[servers.PASSWORD_ENV] == servers.password()


def test_waiting_in_vain_fails_the_test() -> None:
    with pytest.raises(pytest.fail.Exception, match="the moon"):
        fix_sensei.wait_until(lambda: False, 0.1, what="the moon")


def test_a_killed_server_keeps_what_was_committed_and_its_port(pg_db: servers.Database) -> None:
    server, port = pg_db.server, pg_db.server.port
    pg_db.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2)")
    server.kill()
    assert not server.is_up()
    server.start()
    assert server.port == port
    assert pg_db.value("SELECT count(*) FROM t") == 2
    server.restart("immediate")
    assert server.is_up()
    assert pg_db.value("SELECT count(*) FROM t") == 2


def test_the_servers_url_names_the_password_and_does_not_hold_it(pg_db: servers.Database) -> None:
    assert servers.password() not in pg_db.url
    assert f"${{{servers.PASSWORD_ENV}}}" in pg_db.url


def test_a_wrong_password_is_refused(pg_db: servers.Database) -> None:
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(pg_db.dsn, password="wrong")


def test_psql_stops_at_the_first_error(pg_db: servers.Database) -> None:
    assert pg_db.psql("SELECT 1; SELECT 2;") == "1\n2\n"
    with pytest.raises(servers.ServerError, match="division by zero"):
        pg_db.psql("SELECT 1/0; CREATE TABLE never ();")
    assert pg_db.value("SELECT to_regclass('never')") is None


def test_a_database_with_sessions_and_slots_can_be_dropped(pg_server: servers.PostgresServer) -> None:
    database = pg_server.create_db()
    session = database.connect()
    database.execute("SELECT pg_create_logical_replication_slot('slot_to_drop', 'pgoutput')")
    pg_server.drop_db(database.name)
    session.close()
    left = pg_server.database("postgres").value("SELECT count(*) FROM pg_database WHERE datname = %s", [database.name])
    assert left == 0


def test_a_role_may_only_what_it_was_granted(pg_db: servers.Database, pg_server: servers.PostgresServer) -> None:
    role = pg_server.create_role()
    try:
        pg_db.execute("CREATE TABLE t (a int)")
        with pytest.raises(servers.ServerError, match="permission denied"):
            pg_server.psql(pg_db.name, "SELECT * FROM t", user=role)
    finally:
        pg_server.drop_role(role)


def test_awkward_defaults_change_how_values_are_shown(pg_db: servers.Database) -> None:
    pg_db.set_defaults(servers.AWKWARD_DEFAULTS)
    shown = pg_db.psql("SELECT '2024-02-01'::date, 0.1::float8 + 0.2, '\\x00ff'::bytea")
    assert shown == "01/02/2024|0.3|\\000\\377\n"


def test_a_server_goes_with_its_owner_however_that_ended() -> None:
    owner = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import servers, time; s = servers.PostgresServer(); s.start();"
            "print(s.folder, s._process.pid, flush=True); time.sleep(60)",
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

    fix_sensei.wait_until(gone, 15, what="the end of an orphaned server")


def test_the_sqlite_shell_stops_at_the_first_error(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    assert servers.sqlite_shell(path, "CREATE TABLE t (a); INSERT INTO t VALUES (1); SELECT * FROM t;") == "1\n"
    with pytest.raises(servers.ServerError, match="no such table"):
        servers.sqlite_shell(path, "SELECT * FROM nowhere; DROP TABLE t;")
    assert servers.sqlite_shell(path, "SELECT count(*) FROM t;") == "1\n"


def test_installing_servers_does_nothing_where_they_are() -> None:
    before = time.monotonic()
    done = subprocess.run(["sh", TESTS / "install-servers.sh"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "PostgreSQL, MariaDB and sqlite3 are installed.\n")
    assert time.monotonic() - before < 10
