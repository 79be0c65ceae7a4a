"""Each command in each state that it does not fit is refused with exit 3, and the hint names the one that does."""

from __future__ import annotations

import re

import pytest

import cli_case
from cli_case import Case, InProcess, refusal

CRASH = "journal:step_begun:copy:before"

#: Command -> states in which it is carried out; everywhere else it is refused.
FITS = {
    "start": {"planned"},
    "resume": {"paused", "failed", "running"},
    "pause": {"running", "paused"},
    "cancel": {"planned"},
    "rollback": {"paused", "failed", "running", "completed", "rolled_back"},
    "verify-rollback": {"paused", "failed", "running", "completed", "rolled_back"},
}
#: State -> what the hint has to name.
HINTS = {
    "planned": ["start", "cancel"],
    "running": ["resume"],  # its process is gone
    "paused": ["resume", "rollback"],
    "failed": ["resume", "rollback"],
    "completed": ["rollback"],
    "rolled_back": ["verify-rollback", "create"],
    "cancelled": ["create"],
}
WORDS = {"cancel": ["--reason", "no"], "rollback": ["--full"]}


@pytest.fixture
def states(files: Case, call: InProcess) -> dict[str, str]:
    """A migration in each state, by state."""
    made = {}
    for state in HINTS:
        files.config["connections"]["there"] = f"sqlite:///{files.sensei.folder}/{state}.db"
        made[state] = str(call("migrations", "create", "--config", files.file())[1]["id"])
    for state in ("running", "paused", "failed"):
        files.run("migrations", "start", made[state], crash_at=CRASH)
    for state in ("completed", "rolled_back"):
        files.run("migrations", "start", made[state])
    assert call("migrations", "pause", made["paused"])[0] == 0
    cli_case.fill(files.source, "CREATE TABLE more (a); ALTER TABLE orders ADD COLUMN extra text")
    cli_case.fill(files.source, "ALTER TABLE orders DROP COLUMN extra; DROP TABLE more")
    cli_case.fill(files.source, "INSERT INTO customers (id, name) VALUES (9, 'late')")
    files.run("migrations", "resume", made["failed"], expect=4)
    assert call("migrations", "rollback", made["rolled_back"], "--full")[0] == 0
    assert call("migrations", "cancel", made["cancelled"], "--reason", "no")[0] == 0
    for state, migration in made.items():
        assert call("migrations", "status", migration)[1]["status"] == state
    return made


def test_each_command_in_each_wrong_state_names_the_right_one(
    files: Case, call: InProcess, states: dict[str, str]
) -> None:
    tried = 0
    for command, fits in FITS.items():
        for state in HINTS.keys() - fits:
            migration = states[state]
            code, document = call("migrations", command, migration, *WORDS.get(command, []))
            where = f"{command} while {state}: {document}"
            assert code == 3, where
            error = document["error"]
            assert error["code"] == "wrong_state", where
            assert state.replace("_", " ") in error["message"], where
            if command != "verify-rollback":
                for named in HINTS[state]:
                    assert re.search(rf"sensei migrations {named}\b", error["details"]["hint"]), where
            cli_case.readable(error["message"])
            assert call("migrations", "status", migration)[1]["status"] == state, where
            tried += 1
    assert tried == len(FITS) * len(HINTS) - sum(map(len, FITS.values()))


def test_what_fits_twice_does_nothing_the_second_time(call: InProcess, states: dict[str, str]) -> None:
    assert call("migrations", "pause", states["paused"])[0] == 0
    code, document = call("migrations", "rollback", states["rolled_back"], "--full", "--dry-run")
    assert (code, document["statements"]) == (0, [])
    assert call("migrations", "rollback", states["rolled_back"], "--full")[0] == 0


def test_a_failed_migration_says_why_and_what_to_do(files: Case, states: dict[str, str]) -> None:
    shown = files.run("migrations", "status", states["failed"]).stdout
    assert "failed: " in shown
    assert "customers" in shown
    assert "time pressure" in shown
    assert f"next: sensei migrations resume {states['failed']}" in shown


def test_a_dead_runner_is_told_by_status_and_watch(files: Case, states: dict[str, str]) -> None:
    for command in ("status", "watch"):
        shown = files.run("migrations", command, states["running"]).stdout
        assert "ran it and is gone" in shown
        assert f"sensei migrations resume {states['running']}" in shown


def test_a_cancelled_plan_has_no_rollback_script(files: Case, states: dict[str, str]) -> None:
    words = ["migrations", "rollback-script", states["cancelled"], "--output", "x.sql"]
    refusal(files, words, "wrong_state", 3, "cancelled", "create")
    assert not (files.sensei.folder / "x.sql").exists()


# Ids


@pytest.mark.parametrize(
    "command", ["plan", "start", "resume", "pause", "status", "watch", "logs", "verify-rollback"]
)
def test_an_unknown_id_is_told(call: InProcess, command: str) -> None:
    code, document = call("migrations", command, "mig_00000000")
    assert (code, document["error"]["code"]) == (2, "unknown_name")
    assert "mig_00000000" in document["error"]["message"]
    assert document["error"]["details"]["hint"] == "sensei migrations list"


def test_a_mistyped_id_names_the_nearest_and_a_beginning_is_enough(files: Case, call: InProcess) -> None:
    migration = call("migrations", "create", "--config", files.file())[1]["id"]
    typo = migration[:-1] + ("0" if migration[-1] != "0" else "1")
    code, document = call("migrations", "status", typo)
    assert (code, migration in document["error"]["message"]) == (2, True)
    assert call("migrations", "status", migration[:7])[1]["id"] == migration
    assert call("migrations", "create", "--config", files.file())[0] == 0
    code, document = call("migrations", "status", "mig_")
    assert (code, document["error"]["code"]) == (2, "unknown_name")
    assert "several" in document["error"]["message"]


@pytest.mark.parametrize("wild", ["", "%", "mig_' OR 1=1 --", "../../etc/passwd", "x\ny\x1b[31m"])
def test_wild_ids_are_unknown_and_nothing_else(files: Case, call: InProcess, wild: str) -> None:
    code, document = call("migrations", "status", wild)
    assert (code, document["error"]["code"]) == (2, "unknown_name")
    assert "\x1b" not in document["error"]["message"]
    code, document = call("evidence", "purge", wild, "--yes")
    assert code == 2


# Two runners


def test_a_second_runner_is_refused_and_told_who_holds_it(files: Case) -> None:
    cli_case.fill(
        files.source,
        "INSERT INTO customers (id, name) WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n"
        " WHERE i < 60000) SELECT i, 'name ' || i FROM n",
    )
    migration = files.create({"options": {"chunk_rows": 100, "parallelism": 1}})
    first = files.sensei.spawn("migrations", "start", migration)
    from fix_sensei import wait_until

    wait_until(lambda: "copying" in first.so_far().stderr, what="the copy")
    for command in ("start", "resume", "cancel"):
        result = files.run("migrations", command, migration, *WORDS.get(command, []), json=True, expect=3)
        error = result.data["error"]
        assert error["code"] in ("lease_held", "wrong_state"), result
        if command == "resume":
            assert str(first.pid) in error["message"]
            assert f"sensei migrations watch {migration}" in error["details"]["hint"]
    seen = files.run("migrations", "status", migration, json=True).data
    assert seen["runner"]["pid"] == first.pid
    assert seen["status"] == "running"
    paused = files.run("migrations", "pause", migration, "--reason", "lunch", json=True).data
    assert paused["status"] == "paused"
    told = first.wait(30, expect=0)
    assert "paused (lunch)" in told.stdout
    assert "sensei migrations resume" in told.stdout
    files.run("migrations", "rollback", migration, "--full", "--verify")
