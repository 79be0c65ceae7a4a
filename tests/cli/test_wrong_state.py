"""Each command in each state that it does not fit is refused with exit 3, and the hint names the one that does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import cli_case
import pytest
from cli_case import Case, InProcess, refusal

import fix_postgres
import mid_copy
import servers
from fix_sensei import Sensei, wait_until

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


@dataclass(frozen=True)
class States:
    """A migration in each state, by state, all in one home."""

    case: Case
    call: InProcess
    ids: dict[str, str]


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> Iterator[States]:
    """Made once; the tests leave every migration in its state."""
    sensei = Sensei(folder := tmp_path_factory.mktemp("states"), folder / "home")
    files = cli_case.new_case(sensei, ("sqlite", "sqlite"), no_server)
    call = InProcess(sensei)
    made = {}
    for state in HINTS:
        files.config["connections"]["there"] = f"sqlite:///{folder}/{state}.db"
        made[state] = str(call("migrations", "create", "--config", files.file(name=f"{state}.yaml"))[1]["id"])
    for state in ("running", "paused", "failed"):
        files.run("migrations", "start", made[state], crash_at=CRASH)
    for state in ("completed", "rolled_back"):
        files.run("migrations", "start", made[state])
    assert call("migrations", "pause", made["paused"])[0] == 0
    cli_case.fill(files.source, "INSERT INTO customers (id, name) VALUES (9, 'late')")
    files.run("migrations", "resume", made["failed"], expect=4)
    assert call("migrations", "rollback", made["rolled_back"], "--full")[0] == 0
    assert call("migrations", "cancel", made["cancelled"], "--reason", "no")[0] == 0
    for state, migration in made.items():
        assert call("migrations", "status", migration)[1]["status"] == state
    yield States(files, call, made)
    sensei.kill9_all()


def no_server(*_: object, **__: object) -> servers.Database:
    raise AssertionError("no server is needed here")


def test_each_command_in_each_wrong_state_names_the_right_one(states: States) -> None:
    tried, call = 0, states.call
    for command, fits in FITS.items():
        for state in HINTS.keys() - fits:
            migration = states.ids[state]
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


def test_what_fits_twice_does_nothing_the_second_time(states: States) -> None:
    assert states.call("migrations", "pause", states.ids["paused"])[0] == 0
    over = states.ids["rolled_back"]
    code, document = states.call("migrations", "rollback", over, "--full", "--dry-run")
    assert (code, document["statements"]) == (0, [])
    assert states.call("migrations", "rollback", over, "--full")[0] == 0


def test_a_failed_migration_says_why_and_what_to_do(states: States) -> None:
    shown = states.case.run("migrations", "status", states.ids["failed"]).stdout
    assert "failed: " in shown
    assert "customers" in shown
    assert "time pressure" in shown
    assert f"next: sensei migrations resume {states.ids['failed']}" in shown


def test_a_dead_runner_is_told_by_status_and_watch(states: States) -> None:
    for command in ("status", "watch"):
        shown = states.case.run("migrations", command, states.ids["running"]).stdout
        assert ", is gone" in shown
        assert f"sensei migrations resume {states.ids['running']}" in shown


def test_a_cancelled_plan_has_no_rollback_script(states: States) -> None:
    words = ["migrations", "rollback-script", states.ids["cancelled"], "--output", "x.sql"]
    refusal(states.case, words, "wrong_state", 3, "cancelled", "create")
    assert not (states.case.sensei.folder / "x.sql").exists()


# Ids


@pytest.mark.parametrize("command", ["plan", "start", "resume", "pause", "status", "watch", "logs", "verify-rollback"])
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


def test_a_second_runner_is_refused_and_told_who_holds_it(
    sensei: Sensei, make_pg_db: fix_postgres.MakeDatabase
) -> None:
    source, target = sensei.folder / "shop.db", make_pg_db()
    mid_copy.fill(source)
    migration = mid_copy.plan(sensei, source, target)
    first = sensei.spawn("migrations", "start", migration)
    # Held still: however slow the machine, the copy can't be over before the pause is asked for.
    with mid_copy.held_still(sensei, target):
        for command in ("start", "resume", "cancel"):
            result = sensei("migrations", command, migration, *WORDS.get(command, []), json=True, expect=3)
            error = result.data["error"]
            assert error["code"] in ("lease_held", "wrong_state"), result
            if command == "resume":
                assert str(first.pid) in error["message"]
                assert f"sensei migrations watch {migration}" in error["details"]["hint"]
        seen = mid_copy.status(sensei, migration)
        assert seen["runner"]["pid"] == first.pid
        assert seen["status"] == "running"
        pause = sensei.spawn("migrations", "pause", migration, "--reason", "lunch", "--json")
        wait_until(lambda: "pausing at the next chunk boundary" in first.so_far().stderr, what="the request")
    assert json.loads(pause.wait(60, expect=0).stdout)["status"] == "paused"
    told = first.wait(60, expect=0)
    assert "paused (lunch)" in told.stdout
    assert "sensei migrations resume" in told.stdout
    sensei("migrations", "rollback", migration, "--full", "--verify")
