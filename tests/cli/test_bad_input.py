"""Files, connections and names that are wrong: said plainly, with the contract's exit code, and nothing is written."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import cli_case
import pytest
from cli_case import Case, refusal

import servers


def create(case: Case, text: str | None = None, *words: str) -> list[str | Path]:
    path = case.sensei.write("migration.yaml", text) if text is not None else case.file()
    return ["migrations", "create", "--config", path, *words]


# The file


def test_a_missing_file_is_named(files: Case) -> None:
    refusal(
        files, ["migrations", "create", "--config", "nowhere.yaml"], "config_error", 2, "nowhere.yaml", "no such file"
    )


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("", "migration.yaml:1:1", "empty"),
        ("just words", "migration.yaml:1:1", "map"),
        ("name: shop\n  source: [", "migration.yaml:2:", ""),
        ("name: shop\nname: shop2\n", "migration.yaml:2:1", "name"),
        ("a: &x [*x, *x]\n", "migration.yaml:1:", ""),
        ("name: shop\nsorce: {connection: here}\n", "migration.yaml:2:1", "did you mean 'source'"),
        ("name: shop\nsource: {connection: here}\n", "migration.yaml:1:1", "target"),
        (
            "name: shop\nsource: {connection: here}\ntarget: {connection: there}\noptions: {parallelism: many}\n",
            "migration.yaml:4:",
            "expected a whole number, found text 'many'",
        ),
        (
            "name: shop\nsource: {connection: here}\ntarget: {connection: there}\noptions:\n  on_existing: fial\n",
            "migration.yaml:5:",
            "fail, replace or append",
        ),
        (
            "name: shop\nsource: [here]\ntarget: {connection: there}\n",
            "migration.yaml:2:9",
            "expected a map, found a list",
        ),
    ],
    ids=["empty", "text", "broken", "twice", "alias loop", "misspelt", "lacking", "not a number", "no choice", "list"],
)
def test_a_wrong_file_is_told_with_line_and_column(files: Case, text: str, place: str, said: str) -> None:
    error = refusal(files, create(files, text), "config_error", 2, place, said)
    assert "details" in error


def test_a_file_that_is_no_text_is_refused(files: Case) -> None:
    path = files.sensei.folder / "migration.yaml"
    path.write_bytes(b"name: \xff\xfe\x00shop\n")
    refusal(files, ["migrations", "create", "--config", path], "config_error", 2, "migration.yaml:1")


def test_every_complaint_of_a_file_is_told_at_once(files: Case) -> None:
    text = "name: Shop 1\nsource: {conection: here}\ntarget: {connection: there}\noptions: {chunk_rows: 0}\n"
    refusal(files, create(files, text), "config_error", 2, ":1:", ":2:", ":4:", "did you mean 'connection'")


def test_a_folder_given_as_the_file_is_refused(files: Case) -> None:
    refusal(files, ["migrations", "create", "--config", files.sensei.folder], "config_error", 2, "folder")


# Connections


def test_an_unknown_connection_names_the_nearest_known_one(files: Case) -> None:
    files.run("connections", "add", "prod-source", cli_case.url(files.source))
    changes = {"source": {"connection": "prod-sorce"}}
    words = ["migrations", "create", "--config", files.file(changes)]
    refusal(files, words, "unknown_name", 2, "prod-sorce", "did you mean 'prod-source'", "sensei connections add")


def test_an_unset_variable_is_named_and_how_to_set_it(to_postgres: Case) -> None:
    words = create(to_postgres)
    name = servers.PASSWORD_ENV
    refusal(to_postgres, words, "bad_input", 2, name, "not set", f"export {name}=", env={name: ""})


@pytest.mark.parametrize(
    ("address", "exit_code", "code"),
    [
        ("postgres//host/db", 2, "bad_input"),
        ("oracle://host/db", 2, "bad_input"),
        ("postgresql://u:s3cret-in-clear@host/db", 2, "bad_input"),
        ("postgresql://u@host/db?password=s3cret-in-clear", 2, "bad_input"),
        ("sqlite://relative", 2, "bad_input"),
        ("postgresql://u:s3cret-in-clear/x@host/db", 2, "bad_input"),
    ],
)
def test_a_wrong_url_is_refused_and_never_shown(files: Case, address: str, exit_code: int, code: str) -> None:
    refusal(files, ["connections", "add", "prod", address], code, exit_code)
    assert files.run("connections", "list", json=True).data["connections"] == []
    for result in files.seen:
        # The words of a command line are the operator's own; what counts is what was printed and kept.
        assert "s3cret" not in result.stdout + result.stderr
    assert cli_case.leaks(files, "s3cret") == []


@pytest.mark.parametrize("scheme", ["mysql", "mariadb"])
def test_a_mysql_server_that_is_down_or_a_url_without_a_database_is_told(files: Case, scheme: str) -> None:
    files.run("connections", "add", "old", f"{scheme}://root:${{PW}}@127.0.0.1:1/shop")
    words = ["migrations", "create", "--config", files.file({"source": {"connection": "old"}})]
    refusal(files, words, "connect_failed", 5, "source old", "refused", env={"PW": "s3cret"})
    files.run("connections", "add", "bare", f"{scheme}://root:${{PW}}@127.0.0.1:1/")
    words = ["migrations", "create", "--config", files.file({"source": {"connection": "bare"}})]
    refusal(files, words, "bad_input", 2, "names no database", env={"PW": "s3cret"})
    assert cli_case.leaks(files, "s3cret") == []


def test_a_server_that_is_down_is_told_with_its_side_and_name(between_postgres: Case) -> None:
    config = between_postgres.config["connections"]
    config["there"] = config["there"].replace(f":{_port(between_postgres)}/", ":1/")
    error = refusal(
        between_postgres,
        create(between_postgres),
        "connect_failed",
        5,
        "target there",
        "refused",
        "run the same command again",
    )
    assert error["details"]["side"] == "target"
    assert cli_case.leaks(between_postgres, servers.password()) == []


def test_a_wrong_password_is_told_and_the_password_is_nowhere(between_postgres: Case) -> None:
    words = create(between_postgres)
    wrong = {servers.PASSWORD_ENV: "wr0ng-pa%ss/wörd"}
    refusal(between_postgres, words, "connect_failed", 5, "source here", "password authentication failed", env=wrong)
    assert cli_case.leaks(between_postgres, *wrong.values(), "wr0ng", servers.password()) == []


def test_a_database_that_does_not_exist_is_named(between_postgres: Case) -> None:
    between_postgres.config["connections"]["here"] += "_gone"
    refusal(between_postgres, create(between_postgres), "connect_failed", 5, "source here", "does not exist")


def test_after_a_whole_migration_the_password_is_nowhere(between_postgres: Case) -> None:
    migration = between_postgres.completed()
    between_postgres.run("migrations", "rollback-script", migration, "--output", "rollback.sql")
    between_postgres.run("migrations", "status", migration, "--detailed", json=True)
    between_postgres.run("migrations", "rollback", migration, "--full", "--verify")
    between_postgres.run("migrations", "logs", migration, json=True)
    assert cli_case.leaks(between_postgres, servers.password()) == []
    kept = between_postgres.query(between_postgres.target, "SELECT row_to_json(m)::text FROM sensei_.migrations m")
    assert kept
    assert servers.password() not in str(kept)


def _port(case: Case) -> int:
    assert isinstance(case.target, servers.Database)
    return case.target.server.port


# Source and target the same


def test_one_connection_on_both_sides_is_refused(files: Case) -> None:
    words = ["migrations", "create", "--config", files.file({"target": {"connection": "here"}})]
    refusal(files, words, "bad_input", 2, "same database")


@pytest.mark.parametrize("how", ["symlink", "hard link", "dots"])
def test_the_same_file_under_another_path_is_refused(files: Case, how: str) -> None:
    assert isinstance(files.source, Path)
    other = files.sensei.folder / "other.db"
    if how == "symlink":
        other.symlink_to(files.source)
    elif how == "hard link":
        os.link(files.source, other)
    else:
        other = files.sensei.folder / "x" / ".." / "source.db"
        (files.sensei.folder / "x").mkdir()
    files.config["connections"]["there"] = f"sqlite:///{other}"
    refusal(files, create(files), "bad_input", 2, "same database")


def test_the_same_database_under_another_host_name_is_refused(between_postgres: Case) -> None:
    config = between_postgres.config["connections"]
    config["there"] = config["here"].replace("@127.0.0.1:", "@localhost:")
    refusal(between_postgres, create(between_postgres), "bad_input", 2, "same database")


def test_another_schema_of_one_database_is_refused_too(between_postgres: Case) -> None:
    changes = {"target": {"connection": "here", "schema": "elsewhere"}}
    words = ["migrations", "create", "--config", between_postgres.file(changes)]
    refusal(between_postgres, words, "bad_input", 2, "same database")


# Tables that are not there, or are there already


def test_a_missing_table_is_named_with_those_that_are_there(case: Case) -> None:
    changes = {"source": {"connection": "here", "include_tables": ["custmers"]}}
    words = ["migrations", "create", "--config", case.file(changes)]
    refusal(case, words, "unknown_name", 2, "custmers", "customers")


def test_a_mapped_table_or_column_that_is_missing_is_named(files: Case) -> None:
    words = ["migrations", "create", "--config", files.file({"tables": {"order": {"target": "x"}}})]
    refusal(files, words, "unknown_name", 2, "order")
    changes = {"tables": {"orders": {"columns": {"totl": {"target": "x"}}}}}
    refusal(files, ["migrations", "create", "--config", files.file(changes)], "unknown_name", 2, "totl")


def test_a_missing_schema_is_named(between_postgres: Case) -> None:
    changes = {"source": {"connection": "here", "schemas": ["shpo"]}}
    words = ["migrations", "create", "--config", between_postgres.file(changes)]
    refusal(between_postgres, words, "unknown_name", 2, "shpo", "public")


def test_a_target_table_that_exists_is_refused_under_fail(case: Case) -> None:
    cli_case.fill(case.target, "CREATE TABLE orders (anything integer); INSERT INTO orders VALUES (1)")
    refusal(case, create(case), "refused", 3, "orders", "on_existing")


def test_a_target_table_that_appears_after_the_plan_is_refused_by_start(case: Case) -> None:
    cli_case.fill(case.target, "CREATE TABLE own (a integer)")
    migration = case.create()
    cli_case.fill(case.target, "CREATE TABLE orders (anything integer)")
    refusal(case, ["migrations", "start", migration], "refused", 3, "orders", "on_existing")
    assert case.run("migrations", "status", migration, json=True).data["status"] == "planned"


def test_a_target_file_that_appears_after_the_plan_is_not_taken_for_ours(files: Case) -> None:
    migration = files.create()
    cli_case.fill(files.target, "CREATE TABLE own (a integer)")
    refusal(files, ["migrations", "start", migration], "world_changed", 3, "target there", "planned on", "create")


# Files of SQLite


def test_a_missing_source_file_is_named(files: Case) -> None:
    files.config["connections"]["here"] = f"sqlite:///{files.sensei.folder}/gone.db"
    refusal(files, create(files), "connect_failed", 5, "source here", "gone.db")


def test_a_source_that_is_no_database_is_told(files: Case) -> None:
    other = files.sensei.folder / "text.db"
    other.write_text("This is a letter and no database at all. " * 30)
    files.config["connections"]["here"] = f"sqlite:///{other}"
    refusal(files, create(files), "connect_failed", 5, "source here", "not an SQLite database")


def test_a_folder_given_as_a_database_is_told(files: Case) -> None:
    files.config["connections"]["there"] = f"sqlite:///{files.sensei.folder}"
    refusal(files, create(files), "connect_failed", 5, "target there", "folder")


def test_a_target_in_a_folder_that_does_not_exist_is_told(files: Case) -> None:
    files.config["connections"]["there"] = f"sqlite:///{files.sensei.folder}/gone/target.db"
    refusal(files, create(files), "connect_failed", 5, "target there", "no folder")


def test_a_read_only_folder_as_target_is_told_before_anything_is_planned(files: Case) -> None:
    folder = files.sensei.folder / "closed"
    folder.mkdir(mode=0o500)
    files.config["connections"]["there"] = f"sqlite:///{folder}/target.db"
    result = cli_case.without_privileges(files.sensei, *create(files), "--json")
    assert result.returncode == 3, result
    assert result.data["error"]["code"] == "missing_privilege"
    assert "target there" in result.data["error"]["message"]
    assert "chmod" in result.data["error"]["details"]["hint"]
    assert list(folder.iterdir()) == []
    folder.chmod(0o700)
    assert cli_case.without_privileges(files.sensei, *create(files)).returncode == 0


def test_a_read_only_file_as_target_is_told_before_anything_is_planned(files: Case) -> None:
    assert isinstance(files.target, Path)
    cli_case.fill(files.target, "CREATE TABLE own (a)")
    files.target.chmod(0o400)
    result = cli_case.without_privileges(files.sensei, *create(files), "--json")
    assert (result.returncode, result.data["error"]["code"]) == (3, "missing_privilege"), result


def test_a_source_file_that_can_not_be_read_is_told(files: Case) -> None:
    assert isinstance(files.source, Path)
    files.source.chmod(0o000)
    result = cli_case.without_privileges(files.sensei, *create(files), "--json")
    assert result.returncode in (3, 5), result
    assert "source here" in result.data["error"]["message"]


def test_a_source_that_is_being_written_is_waited_for_and_then_told(files: Case) -> None:
    files.config["connections"]["here"] += "?timeout=0.2"
    writer = sqlite3.connect(files.source, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    try:
        result = files.run(*create(files), json=True, expect=5, real=True)
        assert "in use" in result.data["error"]["message"]
    finally:
        writer.close()


# Words of a command line


@pytest.mark.parametrize(
    "words",
    [
        ["migrations", "status"],
        ["migrations", "stat", "x"],
        ["migrations", "create"],
        ["migrations", "create", "--conf", "x"],
        ["migrations", "list", "--status", "runing"],
        ["migrations", "rollback", "mig_00"],
        ["migrations", "rollback", "mig_00", "--full", "--tables", "a"],
        ["migrations", "rollback", "mig_00", "--full", "--keep-progress"],
        ["migrations", "cancel", "mig_00"],
        ["migrations", "start", "mig_00", "--until", "tomorrow"],
        ["nonsense"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_told_with_where_to_look(files: Case, words: list[str]) -> None:
    error = refusal(files, words, "bad_input", 2)
    assert "sensei" in error["details"]["hint"] or "one of:" in error["details"]["hint"] or "end" in str(error)
