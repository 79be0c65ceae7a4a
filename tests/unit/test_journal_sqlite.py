"""Opening a state store in an SQLite file: what is refused, how long is waited, who may read it."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import sensei
from sensei import errors, journal
from sensei.journal import database, keys, schema

ACTOR = journal.Actor("anna", "host1", "sensei")


def _url(path: Path) -> str:
    return f"sqlite:///{path}"


def test_the_store_and_the_key_are_for_their_owner_only(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with journal.open_store(_url(home / "sensei.db"), home) as store:
        store.create_migration("mig_1", "shop", None, "", "", {}, ACTOR)
        files = [p for p in home.rglob("*") if p.is_file()]
        assert {p.name for p in files} >= {"sensei.db", "sensei.db-wal", "sensei.pem"}
        assert {stat.S_IMODE(p.stat().st_mode) for p in files} == {0o600}
        assert {stat.S_IMODE(p.stat().st_mode) for p in (home, home / "keys")} == {0o700}


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.StoreFailed, match="no folder") as caught:
        journal.open_store(_url(tmp_path / "none" / "sensei.db"), tmp_path)
    assert "mkdir" in caught.value.hint


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary, " * 1000)
    with pytest.raises(errors.StoreFailed, match="not an SQLite database"):
        journal.open_store(_url(path), tmp_path)
    assert path.read_text() == "dear diary, " * 1000


def test_a_database_of_somebody_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE orders (id integer)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(errors.StoreFailed, match="something else"):
        journal.open_store(_url(path), tmp_path)
    assert path.read_bytes() == before


def test_a_damaged_store_is_reported_as_damaged(tmp_path: Path) -> None:
    path = tmp_path / "sensei.db"
    with journal.open_store(_url(path), tmp_path) as store:
        store.create_migration("mig_1", "shop", None, "x" * 50_000, "", {}, ACTOR)
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(errors.StoreFailed, match="damaged") as caught:
        journal.open_store(_url(path), tmp_path)
    assert "backup" in caught.value.hint


def test_a_locked_store_is_waited_for_and_then_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "PATIENCE", 0.2)
    path = tmp_path / "sensei.db"
    with journal.open_store(_url(path), tmp_path) as store:
        store.create_migration("mig_1", "shop", None, "", "", {}, ACTOR)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            with pytest.raises(errors.StoreFailed, match="locked by another process"):
                store.append("mig_1", "note", {}, ACTOR)
        finally:
            other.close()
        store.append("mig_1", "note", {}, ACTOR)
        assert store.verify("mig_1") == []


def test_a_store_that_can_not_be_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sensei.db"
    path.mkdir()
    with pytest.raises(errors.StoreFailed, match="can't be opened for writing") as caught:
        journal.open_store(_url(path), tmp_path)
    assert "SENSEI_STORE" in caught.value.hint


@pytest.mark.parametrize("url", ["mysql://h/db", "sqlite://", "sqlite:///", "sensei.db", "sqlite://host/x"])
def test_a_url_that_can_be_no_store_is_bad_input(url: str, tmp_path: Path) -> None:
    with pytest.raises((errors.BadInput, errors.StoreFailed)):
        journal.open_store(url, tmp_path)


def test_bytes_that_are_no_text_are_found_and_do_not_stop_the_check(tmp_path: Path) -> None:
    path = tmp_path / "sensei.db"
    with journal.open_store(_url(path), tmp_path) as store:
        store.create_migration("mig_1", "shop", None, "", "", {}, ACTOR)
        store.append("mig_1", "note", {}, ACTOR)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("DROP TRIGGER events_stay")
        other.execute("UPDATE events SET kind = CAST(x'fffe' AS TEXT), at = x'00', payload = 7 WHERE seq = 1")
        other.close()
        assert any("event 1" in problem for problem in store.verify("mig_1"))


def test_a_damaged_key_is_reported_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "sensei.pem").write_text("rubbish")
    with journal.open_store(_url(tmp_path / "sensei.db"), tmp_path) as store:
        with pytest.raises(errors.StoreFailed, match="not an Ed25519 key") as caught:
            store.create_migration("mig_1", "shop", None, "", "", {}, ACTOR)
        assert "backup" in caught.value.hint
        assert store.migrations() == []


def test_a_home_keeps_one_key(tmp_path: Path) -> None:
    first, second = keys.Keys(tmp_path), keys.Keys(tmp_path)
    assert first.fingerprint == second.fingerprint
    assert [key.fingerprint for key in first.known()] == [first.fingerprint]
    assert keys.fingerprint(keys.load_public(first.public_pem())) == first.fingerprint
    assert [p.name for p in (tmp_path / "keys").iterdir()] == ["sensei.pem"]
    assert second.verify(first.fingerprint, "text", first.sign("text"))
    assert not second.verify(first.fingerprint, "other", first.sign("text"))


def test_opening_a_file_store_loads_neither_postgres_nor_cryptography(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys; from sensei import journal; "
        "journal.open_store(sys.argv[1], pathlib.Path(sys.argv[2])).close(); "
        "print([m for m in ('psycopg2', 'cryptography', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, _url(tmp_path / "sensei.db"), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(sensei.__file__).parent.parent)},
    )
    assert done.stdout.strip() == "[]"


def test_an_event_leaves_the_migrations_row_and_its_plan_alone(tmp_path: Path) -> None:
    with journal.open_store(_url(tmp_path / "sensei.db"), tmp_path) as store:
        store.create_migration("mig_1", "shop", None, "", "", {}, ACTOR)
        connection = sqlite3.connect(tmp_path / "sensei.db")
        with connection:
            connection.execute(
                "CREATE TRIGGER untouched BEFORE UPDATE ON migrations BEGIN SELECT RAISE(ABORT, 'written anew'); END"
            )
        connection.close()
        event = store.append("mig_1", "note", {}, ACTOR)
        assert store.migration("mig_1").updated_at == event.at


def test_a_change_of_what_the_store_is_made_of_comes_with_a_new_version() -> None:
    from sensei.journal import events

    made = {engine: events.digest("\n".join(schema.statements(engine)))[:16] for engine in ("sqlite", "postgres")}
    # Changed? Raise schema.VERSION, add the way up to schema._UPGRADES, then put the new digests here.
    assert (schema.VERSION, made) == (2, {"sqlite": "74fcb8a3d23dba26", "postgres": "d19447bfb4309c02"})
