"""A store, a home or an output file that can't be used: told plainly, nothing lost."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
from pathlib import Path

import cli_case
import pytest
from cli_case import Case, InProcess, refusal

import ends
import fix_postgres
import servers
from fix_sensei import Sensei


def store_of(case: Case) -> Path:
    return case.sensei.home / "sensei.db"


def test_a_locked_store_is_waited_for_and_then_told(files: Case) -> None:
    migration = files.create()
    other = sqlite3.connect(store_of(files), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        refusal(files, ["migrations", "start", migration], "store_failed", 5, "sensei.db", "locked", "same command")
    finally:
        other.close()
    files.run("migrations", "start", migration)


def test_a_store_that_can_not_be_written_is_told(files: Case) -> None:
    migration = files.create()
    before = files.snapshots()
    store_of(files).chmod(0o400)
    result = cli_case.without_privileges(files.sensei, "migrations", "start", migration, "--json")
    assert (result.returncode, result.data["error"]["code"]) == (5, "store_failed"), result
    assert "sensei.db" in result.data["error"]["message"]
    assert "SENSEI_STORE" in result.data["error"]["details"]["hint"]
    assert files.snapshots() == before
    store_of(files).chmod(0o600)
    files.run("migrations", "start", migration)


def test_a_store_of_a_newer_version_is_left_alone(files: Case) -> None:
    migration = files.create()
    connection = sqlite3.connect(store_of(files))
    with connection:
        changed = connection.execute("UPDATE meta SET value = value + 1 WHERE name LIKE '%version%'").rowcount
    connection.close()
    assert changed == 1
    content = store_of(files).read_bytes()
    for words in (["start", migration], ["status", migration], ["list"]):
        refusal(files, ["migrations", *words], "store_failed", 5, "newer")
    assert store_of(files).read_bytes() == content


@pytest.mark.parametrize("content", [b"no database at all, a letter. " * 40, b"\0" * 4096])
def test_a_file_that_is_no_store_is_left_alone(files: Case, content: bytes) -> None:
    files.sensei.home.mkdir(mode=0o700)
    store_of(files).write_bytes(content)
    refusal(files, ["migrations", "list"], "store_failed", 5, "sensei.db", "SENSEI_STORE")
    assert store_of(files).read_bytes() == content


def test_somebody_elses_database_is_not_taken_for_a_store(files: Case) -> None:
    other = files.sensei.folder / "shop.db"
    cli_case.fill(other, "CREATE TABLE t (a)")
    content = other.read_bytes()
    words = ["migrations", "list"]
    refusal(files, words, "store_failed", 5, "of something else", env={"SENSEI_STORE": f"sqlite:///{other}"})
    assert other.read_bytes() == content


@pytest.mark.parametrize(
    ("url", "code", "exit_code"),
    [
        ("mysql://x/y", "bad_input", 2),
        ("nonsense", "bad_input", 2),
        ("sqlite:////no/such/folder/x.db", "store_failed", 5),
    ],
)
def test_a_wrong_store_url_is_told(call: InProcess, url: str, code: str, exit_code: int) -> None:
    found, document = call("migrations", "list", env={"SENSEI_STORE": url})
    assert (found, document["error"]["code"]) == (exit_code, code)
    assert document["error"]["details"]["hint"]


def test_a_store_server_that_is_down_is_told_without_its_password(files: Case) -> None:
    env = {"SENSEI_STORE": "postgresql://me:${STORE_PW}@127.0.0.1:1/store", "STORE_PW": "st0re-s3cret"}
    refusal(files, ["migrations", "list"], "store_failed", 5, "127.0.0.1", env=env)
    assert cli_case.leaks(files, "st0re-s3cret") == []


def test_an_unset_variable_of_the_stores_url_is_named(call: InProcess) -> None:
    code, document = call("migrations", "list", env={"SENSEI_STORE": "postgresql://me:${STORE_PW}@127.0.0.1/store"})
    assert (code, document["error"]["code"]) == (2, "bad_input")
    assert "STORE_PW" in document["error"]["message"]


def test_a_home_that_can_not_be_written_is_told(files: Case) -> None:
    closed = files.sensei.folder / "closed"
    closed.mkdir(mode=0o500)
    files.sensei.env["SENSEI_HOME"] = str(closed / "home")
    result = cli_case.without_privileges(files.sensei, "migrations", "list", "--json")
    assert (result.returncode, result.data["error"]["code"]) == (5, "store_failed"), result
    assert "SENSEI_HOME" in result.data["error"]["details"]["hint"]
    files.sensei.env["SENSEI_HOME"] = str(closed)
    result = cli_case.without_privileges(files.sensei, "connections", "list", "--json")
    assert (result.returncode, result.data["error"]["code"]) == (5, "store_failed"), result


def test_a_file_in_the_place_of_the_home_is_told(files: Case) -> None:
    files.sensei.home.write_text("in the way")
    refusal(files, ["migrations", "list"], "store_failed", 5, "home", "SENSEI_HOME")


def test_everything_in_the_home_is_for_its_owner_only(files: Case) -> None:
    old = os.umask(0)
    try:
        migration = files.create()
        files.run("connections", "add", "prod", "sqlite:////x.db")
        files.run("migrations", "start", migration, "--detach")
        files.run("migrations", "watch", migration)
        files.run("migrations", "rollback", migration, "--full", "--verify")
    finally:
        os.umask(old)
    home = files.sensei.home
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    open_to_others = [p for p in home.rglob("*") if p.stat().st_mode & 0o077]
    assert open_to_others == []


# Files that commands write


def test_an_output_file_that_exists_is_kept_unless_yes_is_said(files: Case) -> None:
    migration = files.create()
    out = files.sensei.folder / "rollback.sql"
    out.write_text("precious")
    words = ["migrations", "rollback-script", migration, "--output", out]
    refusal(files, words, "bad_input", 2, "rollback.sql", "already there", "--yes")
    assert out.read_text() == "precious"
    files.run(*words, "--yes")
    assert migration in out.read_text()
    refusal(files, ["keys", "export", "--output", out], "bad_input", 2, "already there")


@pytest.mark.parametrize("place", ["gone/rollback.sql", ".", "file/rollback.sql"])
def test_an_output_that_can_not_be_written_is_told(files: Case, call: InProcess, place: str) -> None:
    migration = files.create()
    (files.sensei.folder / "file").write_text("")
    for words in (["migrations", "rollback-script", migration], ["keys", "export"]):
        code, document = call(*words, "--output", place, "--yes")
        assert (code, document["error"]["code"]) == (2, "bad_input"), words
        assert place in document["error"]["message"]
        assert re.search("can't be written|already there", document["error"]["message"])
        assert document["error"]["details"].get("hint")


def test_an_output_in_a_closed_folder_is_told(files: Case) -> None:
    migration = files.create()
    closed = files.sensei.folder / "closed"
    closed.mkdir(mode=0o500)
    words = ["migrations", "rollback-script", migration, "--output", closed / "x.sql", "--json"]
    result = cli_case.without_privileges(files.sensei, *words)
    assert (result.returncode, result.data["error"]["code"]) == (2, "bad_input"), result


# A store on a server, for teams


def test_a_store_on_a_server_serves_two_homes(
    sensei: Sensei, make_pg_db: fix_postgres.MakeDatabase, maker: ends.Maker
) -> None:
    store = make_pg_db()
    case = cli_case.new_case(sensei, ("sqlite", "postgres"), maker)
    sensei.env["SENSEI_STORE"] = store.url
    other = Sensei(sensei.folder, sensei.folder / "other", dict(sensei.env))
    migration = case.create()
    assert other("migrations", "status", migration, json=True).data["status"] == "planned"
    sensei("migrations", "start", migration, crash_at="journal:step_begun:copy:before")
    assert other("migrations", "status", migration, json=True).data["status"] == "running"
    resumed = other("migrations", "resume", migration, json=True).data
    assert resumed["status"] == "completed"
    seen = sensei("migrations", "status", migration, "--detailed", json=True).data
    assert seen["status"] == "completed"
    events = sensei("migrations", "logs", migration, json=True).data["events"]
    assert len({e["actor"]["command"] for e in events}) > 1
    report = sensei("migrations", "rollback", migration, "--full", "--verify", json=True).data
    assert report["passed"] is True
    assert [m["id"] for m in other("migrations", "list", json=True).data["migrations"]] == [migration]
    assert not (sensei.home / "sensei.db").exists()
    kept = [
        store.query(f'SELECT t::text FROM "{schema}"."{table}" t')
        for schema, table in store.query(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
    ]
    assert len(kept) > 3
    assert servers.password() not in str(kept)
