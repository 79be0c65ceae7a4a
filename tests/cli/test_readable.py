"""What people read stays readable with a hundred tables, and is told without either side being there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cli_case
import pytest
from cli_case import Case, readable


@pytest.fixture
def many(files: Case) -> Case:
    """A hundred tables, each with an index and a foreign key."""
    cli_case.fill(
        files.source,
        "".join(
            f"CREATE TABLE t{i:03} (id integer PRIMARY KEY, name text, parent integer REFERENCES t{max(0, i - 1):03});"
            f"CREATE INDEX of{i:03} ON t{i:03} (name); INSERT INTO t{i:03} VALUES (1, 'x', 1);"
            for i in range(98)
        ),
    )
    return files


def test_a_migration_of_a_hundred_tables_fits_on_a_screen(many: Case) -> None:
    migration = many.create()
    shown = {"plan": many.run("migrations", "plan", migration)}
    shown["start"] = many.run("migrations", "start", migration)
    for verb in ("status", "watch"):
        shown[verb] = many.run("migrations", verb, migration)
    shown["rollback"] = many.run("migrations", "rollback", migration, "--full", "--verify", real=True)
    for verb, result in shown.items():
        lines = result.stdout.splitlines()
        assert len(lines) < 40, f"{verb} prints {len(lines)} lines:\n{result.stdout}"
        assert max(map(len, lines)) < 200, verb
        readable(result.stdout + result.stderr)
        assert lines[-1].startswith(("next: ", "the way back stays open: ", "see: ")), verb
    # Nothing is hidden: the long forms have it all.
    plan = many.run("migrations", "plan", migration, json=True).data
    assert len([s for s in plan["steps"] if s["kind"] == "copy"]) == 100
    detailed = many.run("migrations", "status", migration, "--detailed").stdout
    assert all(f"t{i:03}" in detailed for i in range(98))
    logs = many.run("migrations", "logs", migration).stdout.splitlines()
    assert all(len(line) <= 400 for line in logs)
    assert "rollback verified: passed" in logs[-1]


def test_status_plan_logs_and_script_need_neither_side(files: Case) -> None:
    migration = files.completed()
    for end in (files.source, files.target):
        assert isinstance(end, Path)
        end.rename(end.with_suffix(".away"))
    for words in (["status"], ["status", "--detailed"], ["plan"], ["logs"], ["watch"]):
        result = files.run("migrations", words[0], migration, *words[1:])
        assert migration in result.stdout or words == ["logs"]
    detailed = files.run("migrations", "status", migration, "--detailed", json=True).data
    assert isinstance(detailed["quarantine"]["rows"], list)
    files.run("migrations", "rollback-script", migration, "--output", "x.sql")
    result = files.run("migrations", "rollback", migration, "--full", json=True, expect=None)
    assert result.returncode in (3, 5), "a target that is gone is not taken for one that is clean"
    assert files.run("migrations", "verify-rollback", migration, json=True, expect=None).returncode in (3, 5)
    for end in (files.source, files.target):
        assert isinstance(end, Path)
        end.unlink(missing_ok=True)
        end.with_suffix(".away").rename(end)
    assert files.run("migrations", "rollback", migration, "--full", "--verify", json=True).data["passed"] is True


def test_a_fault_in_sensei_itself_is_exit_1_without_a_traceback_unless_asked_for(files: Case) -> None:
    breaking = files.sensei.folder / "broken"
    breaking.mkdir()
    (breaking / "sitecustomize.py").write_text(
        "import sensei.runner.status as s\ndef broken(*a, **k): raise RuntimeError('a bug')\ns.status = broken\n"
    )
    migration = files.create()
    path = f"{breaking}:{files.sensei.environment()['PYTHONPATH']}"
    result = files.run("migrations", "status", migration, expect=1, env={"PYTHONPATH": path}, real=True)
    assert "a bug" in result.stderr
    assert "--debug" in result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    result = files.run("migrations", "status", migration, "--debug", expect=1, env={"PYTHONPATH": path}, real=True)
    assert "Traceback" in result.stderr
    result = files.run("migrations", "status", migration, json=True, expect=1, env={"PYTHONPATH": path}, real=True)
    assert result.data["error"]["code"] == "fault"


def test_output_that_nobody_reads_any_more_is_no_error(files: Case) -> None:
    migration = files.create()
    done = subprocess.run(
        ["/bin/sh", "-c", f"{sys.executable} -m sensei migrations plan {migration} --json | head -c 1"],
        capture_output=True,
        text=True,
        env=files.sensei.environment(),
        cwd=files.sensei.folder,
    )
    assert done.stdout == "{"
    assert done.stderr == ""
