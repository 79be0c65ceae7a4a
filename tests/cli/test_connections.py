"""Names for databases: kept without passwords, tested on request, forgotten completely."""

from __future__ import annotations

import stat

import cli_case
from cli_case import InProcess

import servers
from fix_sensei import Sensei


def test_a_connection_is_added_listed_tested_and_removed(sensei: Sensei, pg_db: servers.Database) -> None:
    pg_db.execute("CREATE TABLE t (a integer)")
    sensei("connections", "add", "prod-source", pg_db.url)
    (listed,) = sensei("connections", "list", json=True).data["connections"]
    assert listed["name"] == "prod-source"
    assert f"${{{servers.PASSWORD_ENV}}}" in listed["url"] or "***" in listed["url"]
    tested = sensei("connections", "test", "prod-source", json=True).data
    assert (tested["engine"], tested["tables"]) == ("postgres", 1)
    assert "prod-source answers: postgres" in sensei("connections", "test", "prod-source").stdout
    sensei("connections", "remove", "prod-source")
    assert sensei("connections", "list", json=True).data["connections"] == []
    assert sensei("connections", "remove", "prod-source", json=True, expect=2).data["error"]["code"] == "unknown_name"


def test_a_password_is_asked_for_on_a_terminal_and_kept_for_the_owner_only(
    sensei: Sensei, pg_db: servers.Database
) -> None:
    address = f"postgresql://{servers.USER}@127.0.0.1:{pg_db.server.port}/{pg_db.name}"
    shown = sensei.on_terminal("connections", "add", "prod", address, answers=servers.password() + "\n").stdout
    assert "Password of prod" in shown
    assert servers.password() not in shown
    kept = sensei.home / "passwords.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    case = cli_case.Case(sensei, pg_db, pg_db)
    nobody = {servers.PASSWORD_ENV: ""}
    case.run("connections", "test", "prod", env=nobody)
    case.run("connections", "list", json=True)
    assert cli_case.leaks(case, servers.password()) == [str(kept)]
    sensei("connections", "remove", "prod")
    assert cli_case.leaks(case, servers.password()) == []


def test_no_password_is_asked_for_without_a_terminal_or_where_it_is_given(sensei: Sensei) -> None:
    sensei("connections", "add", "one", "postgresql://me@127.0.0.1/db")
    sensei.on_terminal("connections", "add", "two", "postgresql://me:${PW}@127.0.0.1/db")
    sensei.on_terminal("connections", "add", "three", "sqlite:////three.db")
    sensei.on_terminal("connections", "add", "four", "postgresql://me@127.0.0.1/db", "--yes")
    sensei.on_terminal("connections", "add", "five", "postgresql://me@127.0.0.1/db", answers="\n")
    assert len(sensei("connections", "list", json=True).data["connections"]) == 5
    assert not (sensei.home / "passwords.json").exists()


def test_a_name_that_is_taken_is_only_replaced_on_request(sensei: Sensei, call: InProcess) -> None:
    assert call("connections", "add", "db", "sqlite:////one.db")[0] == 0
    code, document = call("connections", "add", "db", "sqlite:////two.db")
    assert (code, "already" in document["error"]["message"]) == (2, True)
    assert call("connections", "list")[1]["connections"][0]["url"] == "sqlite:////one.db"
    assert call("connections", "add", "db", "sqlite:////two.db", "--yes")[0] == 0
    assert call("connections", "list")[1]["connections"][0]["url"] == "sqlite:////two.db"


def test_testing_a_connection_that_fails_says_what_failed(call: InProcess) -> None:
    call("connections", "add", "gone", "sqlite:////no/such/file.db")
    code, document = call("connections", "test", "gone")
    assert (code, document["error"]["code"]) == (5, "connect_failed")
    assert "gone" in document["error"]["message"]


def test_the_key_that_signs_is_listed_and_exported(call: InProcess, sensei: Sensei) -> None:
    assert call("migrations", "list")[0] == 0
    assert call("keys", "export", "--output", "key.pem")[0] == 0
    text = (sensei.folder / "key.pem").read_text()
    assert text.startswith("-----BEGIN PUBLIC KEY-----")
    (key,) = call("keys", "list")[1]["keys"]
    assert len(key["fingerprint"]) == 32
