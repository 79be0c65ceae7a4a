"""The surface that scripts rely on: command lines, exit codes, JSON documents, ids, questions."""

from __future__ import annotations

import json
import re
import shlex

import cli_case
import pytest
from cli_case import Case, InProcess, missing

#: Every command line of the contract that this version carries out, with words that make it end at "no such id".
CARRIED_OUT = """
connections add NAME sqlite:////x.db
connections list
connections test nowhere
connections remove nowhere
migrations create --config none.yaml
migrations create --config none.yaml --environment staging
migrations list
migrations list --status running
migrations plan mig_0
migrations logs mig_0
migrations logs mig_0 --follow
migrations watch mig_0
migrations start mig_0
migrations start mig_0 --detach
migrations start mig_0 --until completed
migrations start mig_0 --detach --until completed
migrations status mig_0
migrations status mig_0 --detailed
migrations pause mig_0
migrations pause mig_0 --reason "a reason"
migrations resume mig_0
migrations resume mig_0 --config none.yaml
migrations resume mig_0 --detach
migrations resume mig_0 --until completed
migrations cancel mig_0 --reason "a reason"
migrations rollback-script mig_0 --output x.sql
migrations rollback mig_0 --full
migrations rollback mig_0 --full --dry-run
migrations rollback mig_0 --full --verify
migrations rollback mig_0 --full --verify-source
migrations rollback mig_0 --full --reason "a reason"
migrations rollback mig_0 --tables a,b
migrations rollback mig_0 --tables shop.a --tables b --keep-progress
migrations rollback mig_0 --phase one
migrations verify-rollback mig_0
keys list
keys export --output key.pem
evidence list
evidence list mig_0
evidence purge mig_0
validations run mig_0
validations run mig_0 --type quick
validations list mig_0
validations report mig_0 --run 1 --failures-only --export report.json
validations divergence mig_0 --export report.json
validations repair mig_0 --tables a,b
validations certificate mig_0 --output c.json
validations verify-certificate c.json --key key.pem
"""

#: Every command line that is understood but not carried out yet.
NOT_YET = """
checks run --config FILE
checks run --config FILE --environment staging
backups create prod-source
backups create prod-source --schema-only --output DIR
backups register PATH --for prod-source
backups test BACKUP
backups list
migrations cutover mig_0
migrations cutover mig_0 --phase one --dry-run
migrations cutover mig_0 --force --reason TEXT
migrations switch-back mig_0 --phase one --dry-run
migrations finalize mig_0 --dry-run
migrations analyze mig_0
export post-cutover-transactions mig_0 --since 2026-02-15T04:00:00Z --output x.json --tables a,b
export artifacts mig_0 --output x.tar.gz
apply-transactions --source prod-source --data x.json --dry-run
drill run --config FILE --environment staging
drill list
drill sign DRILL --by NAME
metrics rollback
agent
serve --host 127.0.0.1 --port 8080
"""


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


@pytest.mark.parametrize("command", lines(CARRIED_OUT))
def test_a_command_line_of_the_contract_is_understood(call: InProcess, command: str) -> None:
    words = [w.replace("NAME", "a-name") for w in shlex.split(command)]
    code, document = call(*words)
    if code:
        assert code == 2, document
        assert document["error"]["code"] in ("unknown_name", "config_error", "bad_input"), "only the name unknown"
    else:
        assert "error" not in document


@pytest.mark.parametrize("command", lines(NOT_YET))
def test_what_is_not_carried_out_yet_is_refused_and_never_pretended(call: InProcess, command: str) -> None:
    code, document = call(*shlex.split(command))
    assert (code, document["error"]["code"]) == (3, "not_yet")
    assert " ".join(shlex.split(command)[:2]).split(" -")[0] in document["error"]["message"]


def test_every_command_explains_itself(call: InProcess, capsys: pytest.CaptureFixture[str]) -> None:
    from sensei.cli import app

    nouns = ["migrations", "connections", "evidence", "keys", "checks", "backups", "validations", "export", "drill"]
    commands = [[noun] for noun in nouns] + [shlex.split(c)[:2] for c in lines(CARRIED_OUT)] + [["demo"], []]
    for words in commands:
        assert app.run([*words, "--help"]) == 0
        shown = capsys.readouterr().out
        assert shown.startswith("Usage: sensei"), words
        assert "--help" in shown
    assert app.run(["--version"]) == 0
    assert re.fullmatch(r"sensei \d+\.\d+\.\d+\S*\n", capsys.readouterr().out)


# JSON documents


def test_the_documents_of_a_whole_migration_have_the_contracts_keys(to_postgres: Case) -> None:
    case = to_postgres
    cli_case.fill(
        case.source, "CREATE VIEW rich AS SELECT * FROM customers LIMIT 5; INSERT INTO orders VALUES (9, 99, 1)"
    )
    made = case.run("migrations", "create", "--config", case.file(), json=True, real=True).data
    assert re.fullmatch(r"mig_[0-9a-f]+", made["id"])
    migration = made["id"]

    plan = case.run("--json", "migrations", "plan", migration)
    planned = json.loads(plan.stdout)
    assert not missing(["steps", "risks", "not_migrated", "estimate"], planned)
    for step in planned["steps"]:
        assert not missing(["id", "kind", "object", "reversible", "inverse"], step)
    for risk in planned["risks"]:
        assert not missing(["severity", "table", "column", "reason"], risk)
    assert {"kind": "view", "object": "rich"}.items() <= planned["not_migrated"][0].items()
    assert planned["not_migrated"][0]["reason"]
    assert not missing(["rows", "bytes", "seconds"], planned["estimate"])
    assert planned["estimate"]["rows"] == 7

    case.run("migrations", "--json", "start", migration)
    status = json.loads(case.run("migrations", "status", "--json", migration).stdout)
    keys = ["id", "name", "environment", "status", "phase", "progress", "lag", "errors", "advice"]
    assert not missing(keys, status)
    assert (status["id"], status["name"], status["environment"]) == (migration, "shop", None)
    assert (status["status"], status["phase"]) == ("completed", "execution")
    progress = status["progress"]
    assert not missing(["percent", "rows_copied", "rows_total", "tables"], progress)
    assert (progress["percent"], progress["rows_copied"], progress["rows_total"]) == (100.0, 6, 7)
    for table in progress["tables"]:
        assert not missing(
            ["name", "status", "rows_copied", "rows_total", "chunks_done", "chunks_total", "rows_quarantined"], table
        )
    assert status["errors"] == {"total": 1, "rate": pytest.approx(1 / 7)}
    assert not missing(["seconds", "changes"], status["lag"])
    assert status["advice"] == {
        "situation": "Validation failure during testing",
        "recommended_action": "Fix and retry",
        "time_pressure": "Low",
    }
    detailed = case.run("migrations", "status", migration, "--detailed", json=True).data
    assert not missing(["steps", "quarantine", "journal"], detailed)
    (turned_out,) = detailed["quarantine"]["rows"]
    assert turned_out["table"] == "orders"
    assert "customer" in turned_out["reason"]

    dry = case.run("migrations", "rollback", migration, "--full", "--dry-run", json=True).data
    assert dry["dry_run"] is True
    assert len(dry["statements"]) >= 2
    assert case.run("migrations", "status", migration, json=True).data["status"] == "completed"
    expected = {
        "source_row_counts": "unchanged",
        "source_data_integrity": "verified",
        "target_cleaned": True,
        "indexes_restored": True,
        "sequences_reset": True,
    }
    keys = ["rollback_verification", "passed", "duration_seconds", "differences", "evidence"]
    for words in (["rollback", migration, "--full", "--verify"], ["verify-rollback", migration]):
        report = case.run("migrations", *words, json=True).data
        assert not missing(keys, report)
        assert report["rollback_verification"] == expected
        assert list(report["rollback_verification"]) == list(expected)
        assert report["passed"] is True
        assert report["differences"] == []
        assert isinstance(report["duration_seconds"], float)
        assert {e["object"].rpartition(".")[2] for e in report["evidence"]} == {"customers", "orders"}
    assert case.run("evidence", "list", migration, json=True).data["evidence"]
    events = case.run("migrations", "logs", migration, json=True).data["events"]
    for event in events:
        assert not missing(["seq", "at", "actor", "kind", "payload", "hash"], event)
        assert not missing(["user", "host", "command"], event["actor"])
        assert event["at"].endswith("+00:00")
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))


def test_verify_source_measures_the_first_two_lines_and_says_so_of_the_rest(files: Case) -> None:
    migration = files.completed()
    report = files.run("migrations", "rollback", migration, "--full", "--verify-source", json=True).data
    lines = report["rollback_verification"]
    assert (lines["source_row_counts"], lines["source_data_integrity"]) == ("unchanged", "verified")
    assert {v for k, v in lines.items() if not k.startswith("source_")} == {"not_checked"}
    assert report["passed"] is True


def test_a_difference_is_exit_4_with_the_whole_report(files: Case) -> None:
    migration = files.completed()
    cli_case.fill(files.source, "UPDATE customers SET name = name || ' ' WHERE id = 1")
    result = files.run("migrations", "rollback", migration, "--full", "--verify", json=True, expect=4, real=True)
    assert result.data["rollback_verification"]["source_data_integrity"] == "damaged"
    assert result.data["passed"] is False
    assert "customers" in result.data["differences"][0]
    text = files.run("migrations", "verify-rollback", migration, expect=4).stdout
    assert "source_data_integrity: damaged" in text
    assert "FAILED" in text
    assert "difference: " in text


# --quiet, --json anywhere, --yes and questions


def test_quiet_prints_ids_only(files: Case) -> None:
    words = ["migrations", "create", "--config", files.file(), "--quiet"]
    result = files.run(*words, real=True)
    assert re.fullmatch(r"mig_[0-9a-f]+\n", result.stdout)
    assert result.stderr == ""
    migration = result.stdout.strip()
    for verb in ("start", "status", "plan"):
        result = files.run("migrations", verb, migration, "-q")
        assert (result.stdout, result.stderr) == (f"{migration}\n", ""), verb
    result = files.run("migrations", "rollback", migration, "--full", "--verify", "--quiet")
    assert (result.stdout, result.stderr) == (f"{migration}\n", "")
    assert files.run("--quiet", "migrations", "list").stdout == f"{migration}\n"
    assert len(cli_case.ids(files.run("evidence", "list", "-q"))) == 2


def test_progress_and_messages_go_to_stderr(files: Case) -> None:
    migration = files.create()
    result = files.run("migrations", "start", migration)
    assert "copying" in result.stderr
    assert "copying" not in result.stdout
    assert f"{migration} is completed" in result.stdout


def test_a_reason_may_look_like_an_option(files: Case) -> None:
    migration = files.create()
    files.run("migrations", "cancel", migration, "--reason", "--json", json=True)
    events = files.run("migrations", "logs", migration, json=True).data["events"]
    assert events[-1]["payload"]["reason"] == "--json"


def test_a_question_is_asked_on_a_terminal_only_and_yes_answers_it(files: Case) -> None:
    migration = files.completed()
    files.run("migrations", "rollback", migration, "--full")
    purge = ["evidence", "purge", migration]
    result = files.run(*purge, json=True, expect=3)
    assert result.data["error"]["code"] == "refused"
    assert "--yes" in result.data["error"]["details"]["hint"]
    assert files.query(files.target, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'sensei_evidence%'")[0][0]
    refused = files.sensei.on_terminal(*purge, answers="n\n", expect=3)
    assert "[y/N]" in refused.stdout
    agreed = files.sensei.on_terminal(*purge, answers="y\n")
    assert "dropped customers" in agreed.stdout
    assert not files.query(files.target, "SELECT 1 FROM sqlite_schema WHERE name LIKE 'sensei_evidence%'")
    assert files.run(*purge, "--yes").stdout == "nothing is kept\n"
    assert {e["purged_at"] is None for e in files.run("evidence", "list", json=True).data["evidence"]} == {False}


def test_a_migration_on_a_terminal_ends_with_its_result_and_next_command(files: Case) -> None:
    migration = files.create()
    shown = files.sensei.on_terminal("migrations", "start", migration).stdout
    assert f"{migration} is completed: 6 rows in" in shown
    assert f"sensei migrations rollback {migration} --full --verify" in shown


# Environments


STAGING = {"environments": {"staging": {"target": {"connection": "elsewhere"}, "source": {"connection": "copy"}}}}


def test_an_environment_is_laid_over_the_rest_and_named_in_the_id(files: Case) -> None:
    folder = files.sensei.folder
    cli_case.fill(folder / "copy.db", cli_case.SHOP)
    files.config["connections"] |= {"elsewhere": f"sqlite:///{folder}/else.db", "copy": f"sqlite:///{folder}/copy.db"}
    words = ["migrations", "create", "--config", files.file(STAGING), "--environment", "staging"]
    migration = files.run(*words, json=True).data["id"]
    assert re.fullmatch(r"mig_staging_[0-9a-f]+", migration)
    status = files.run("migrations", "status", migration, json=True).data
    assert status["environment"] == "staging"
    assert "else.db" in status["target"]
    files.run("migrations", "start", migration)
    files.run("migrations", "rollback", migration, "--full", "--verify")
    assert not (folder / "target.db").exists()


def test_an_environment_that_keeps_the_real_databases_is_refused_without_yes(files: Case, call: InProcess) -> None:
    same = {"environments": {"staging": {"options": {"parallelism": 1}}}}
    words = ["migrations", "create", "--config", files.file(same), "--environment", "staging"]
    code, document = call(*words)
    assert (code, document["error"]["code"]) == (3, "refused")
    assert "source stays 'here'" in document["error"]["message"]
    assert "--yes" in document["error"]["details"]["hint"]
    code, document = call(*words, "--yes")
    assert code == 0
    assert document["id"].startswith("mig_staging_")


def test_a_rehearsal_on_a_real_database_under_another_name_is_refused_without_yes(files: Case, call: InProcess) -> None:
    folder = files.sensei.folder
    cli_case.fill(folder / "copy.db", cli_case.SHOP)
    for name, file in (("copy", "copy.db"), ("alias", "./target.db"), ("other", "source.db")):
        assert call("connections", "add", name, f"sqlite:///{folder}/{file}")[0] == 0
    for target, real in (("alias", "'there', the target"), ("other", "'here', the source")):
        sides = {"source": {"connection": "copy"}, "target": {"connection": target}}
        words = ["migrations", "create", "--config", files.file({"environments": {"staging": sides}})]
        code, document = call(*words, "--environment", "staging")
        assert (code, document["error"]["code"]) == (3, "refused")
        assert f"the target '{target}' is the database of {real} of the rest" in document["error"]["message"]
        assert "environments.staging.target.connection" in document["error"]["details"]["hint"]
    assert call("migrations", "list")[1]["migrations"] == []


def test_an_unknown_environment_names_the_known_ones(files: Case, call: InProcess) -> None:
    words = ["migrations", "create", "--config", files.file(STAGING), "--environment", "stagign"]
    code, document = call(*words)
    assert (code, document["error"]["code"]) == (2, "config_error")
    assert "did you mean 'staging'" in document["error"]["message"]
