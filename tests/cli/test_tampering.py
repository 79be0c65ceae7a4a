"""A journal that was edited by hand: every command that acts refuses with exit 4 and names what was changed."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable

import cli_case
import pytest
from cli_case import Case, InProcess

Edit = Callable[[sqlite3.Connection, str], object]


def edit(case: Case, migration: str, change: Edit) -> None:
    """What somebody with the file and an SQLite client can do."""
    with contextlib.closing(sqlite3.connect(case.sensei.home / "sensei.db")) as store, store:
        store.execute("PRAGMA foreign_keys = OFF")
        for (name,) in store.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            store.execute(f"DROP TRIGGER {name}")
        assert change(store, migration) is not None


def payload(store: sqlite3.Connection, migration: str) -> object:
    row = store.execute("SELECT payload FROM events WHERE migration_id = ? AND seq = 3", (migration,)).fetchone()
    changed = json.dumps({**json.loads(row[0]), "reason": "nobody did this"})
    return store.execute("UPDATE events SET payload = ? WHERE migration_id = ? AND seq = 3", (changed, migration))


def actor(store: sqlite3.Connection, migration: str) -> object:
    return store.execute("UPDATE events SET actor_user = 'mallory' WHERE migration_id = ? AND seq = 3", (migration,))


def gone(store: sqlite3.Connection, migration: str) -> object:
    return store.execute("DELETE FROM events WHERE migration_id = ? AND seq = 3", (migration,))


def cut(store: sqlite3.Connection, migration: str) -> object:
    return store.execute("DELETE FROM events WHERE migration_id = ? AND seq > 3", (migration,))


def status(store: sqlite3.Connection, migration: str) -> object:
    return store.execute("UPDATE migrations SET status = 'planned' WHERE id = ?", (migration,))


def plan(store: sqlite3.Connection, migration: str) -> object:
    return store.execute("UPDATE migrations SET plan = replace(plan, 'orders', 'others') WHERE id = ?", (migration,))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (payload, "event 3"),
        (actor, "event 3"),
        (gone, "event"),
        (cut, "event"),
        (status, "the status is planned"),
        (plan, "plan differs"),
    ],
)
def test_an_edited_store_is_refused_by_every_command_that_acts(
    files: Case, call: InProcess, change: Edit, named: str
) -> None:
    migration = files.completed() if change is not cut else started(files)
    edit(files, migration, change)
    before = files.snapshots()
    for words in (
        ["start", migration],
        ["resume", migration],
        ["pause", migration],
        ["cancel", migration, "--reason", "x"],
        ["rollback", migration, "--full", "--verify"],
        ["rollback", migration, "--full", "--dry-run"],
        ["rollback-script", migration, "--output", "x.sql"],
        ["verify-rollback", migration],
        ["plan", migration],
    ):
        code, document = call("migrations", *words)
        assert (code, document["error"]["code"]) == (4, "tamper_found"), words
        assert named in document["error"]["message"], words
        assert document["error"]["details"]["hint"], words
        cli_case.readable(document["error"]["message"])
    assert files.snapshots() == before
    code, document = call("migrations", "status", migration, "--detailed")
    assert code == 0
    assert any(named in problem for problem in document["journal"]["problems"])


def started(case: Case) -> str:
    migration = case.create()
    case.sensei("migrations", "start", migration, crash_at="journal:step_begun:copy:before")
    return migration


def test_status_and_logs_tell_people_that_the_journal_was_edited(files: Case) -> None:
    migration = files.completed()
    edit(files, migration, payload)
    shown = files.run("migrations", "status", migration, "--detailed").stdout
    assert "journal: " in shown
    assert "event 3" in shown
    assert "chain and signatures hold" not in shown
    files.run("migrations", "logs", migration)
    text = files.run("migrations", "rollback", migration, "--full", expect=4).stderr
    assert text.startswith("error: ")
    assert "event 3" in text
    assert "next: " in text


def test_an_untouched_journal_holds(files: Case) -> None:
    migration = files.completed()
    assert "chain and signatures hold" in files.run("migrations", "status", migration, "--detailed").stdout


def test_a_strangers_signature_is_named(files: Case) -> None:
    migration = files.completed()
    (files.sensei.home / "keys" / "sensei.pem").unlink()
    found = files.run("migrations", "status", migration, "--detailed", json=True).data["journal"]["problems"]
    assert found
    assert "key" in found[0]
