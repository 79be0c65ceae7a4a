"""What a PostgreSQL server can do to the state store: lose connections, lock rows, refuse rights."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import servers
from sensei import errors, journal
from sensei.journal import database, postgres

ACTOR = journal.Actor("anna", "host1", "sensei")
ID = "mig_1"


@pytest.fixture
def store(pg_db: servers.Database, tmp_path: Path) -> Iterator[journal.Store]:
    with journal.open_store(pg_db.url, tmp_path) as opened:
        opened.create_migration(ID, "shop", None, "", "", {}, ACTOR)
        yield opened


def _cut(db: servers.Database) -> None:
    db.query(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'sensei'"
    )


def test_a_connection_lost_between_two_writes_is_made_again(store: journal.Store, pg_db: servers.Database) -> None:
    for n in range(3):
        _cut(pg_db)
        assert store.append(ID, "note", {"n": n}, ACTOR).seq == n + 2
    assert store.verify(ID) == []


def test_a_connection_lost_inside_a_write_repeats_it_once_and_writes_it_once(
    store: journal.Store, pg_db: servers.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = postgres.PostgresDatabase.run
    cuts = iter([True])

    def cut_then_run(self: postgres.PostgresDatabase, sql: str, *values: object) -> int:
        if sql.startswith("UPDATE heads") and next(cuts, False):
            _cut(pg_db)
        return run(self, sql, *values)  # type: ignore[arg-type]

    monkeypatch.setattr(postgres.PostgresDatabase, "run", cut_then_run)
    store.append(ID, "note", {}, ACTOR)
    assert next(cuts, None) is None
    assert [event.seq for event in store.events(ID)] == [1, 2]
    assert store.verify(ID) == []


def _commit_whose_answer_is_lost(
    monkeypatch: pytest.MonkeyPatch, before: Callable[[postgres.PostgresDatabase], None]
) -> None:
    commit = postgres.PostgresDatabase._commit
    losses = iter([True])

    def lossy(self: postgres.PostgresDatabase) -> None:
        if next(losses, False):
            before(self)
            raise errors.CommitUnknown("the answer was lost")
        commit(self)

    monkeypatch.setattr(postgres.PostgresDatabase, "_commit", lossy)


def test_a_commit_whose_answer_was_lost_counts_if_it_took_effect(
    store: journal.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _commit_whose_answer_is_lost(monkeypatch, postgres.PostgresDatabase._commit)
    assert store.append(ID, "note", {}, ACTOR).seq == 2
    assert [event.seq for event in store.events(ID)] == [1, 2]


def test_a_commit_whose_answer_was_lost_is_an_error_if_it_took_none(
    store: journal.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _commit_whose_answer_is_lost(monkeypatch, postgres.PostgresDatabase._rollback)
    with pytest.raises(errors.StoreFailed, match="lost") as caught:
        store.append(ID, "note", {}, ACTOR)
    assert "nothing was written" in caught.value.hint
    assert [event.seq for event in store.events(ID)] == [1]


def test_a_locked_head_is_waited_for_and_then_reported(
    pg_db: servers.Database, store: journal.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PATIENCE", 0.2)
    holder = pg_db.connect(autocommit=False)
    try:
        holder.cursor().execute("SELECT 1 FROM sensei_journal.heads FOR UPDATE")
        with journal.open_store(pg_db.url, tmp_path) as hasty:
            with pytest.raises(errors.StoreFailed, match="locked by another process"):
                hasty.append(ID, "note", {}, ACTOR)
            holder.rollback()
            hasty.append(ID, "note", {}, ACTOR)
    finally:
        holder.close()


def test_events_cannot_be_truncated(pg_db: servers.Database, store: journal.Store) -> None:
    with pytest.raises(Exception, match="never"):
        pg_db.execute("TRUNCATE sensei_journal.events CASCADE")
    assert store.verify(ID) == []


def test_a_server_that_does_not_wait_for_its_disk_is_made_to_wait_for_the_journal(
    pg_db: servers.Database, tmp_path: Path
) -> None:
    pg_db.set_defaults({"synchronous_commit": "off"})
    with journal.open_store(pg_db.url, tmp_path) as store:
        assert store._db.write(lambda tx: tx.one("SHOW synchronous_commit")) == ("on",)


def test_a_wrong_password_is_reported_without_showing_it(
    pg_db: servers.Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(servers.PASSWORD_ENV, "hunter2@/:?")
    with pytest.raises(errors.StoreFailed, match="no connection") as caught:
        journal.open_store(pg_db.url, tmp_path)
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"
    assert os.environ[servers.PASSWORD_ENV] == "hunter2@/:?"


def test_an_unset_password_variable_is_named(
    pg_db: servers.Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(servers.PASSWORD_ENV)
    with pytest.raises(errors.BadInput, match=servers.PASSWORD_ENV):
        journal.open_store(pg_db.url, tmp_path)


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.StoreFailed, match=r"team on 127\.0\.0\.1:1") as caught:
        journal.open_store("postgresql://anna@127.0.0.1:1/team", tmp_path)
    assert caught.value.exit_code == 5
