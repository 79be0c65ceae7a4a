"""Any one change to the stored journal, whatever it is, is found."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sensei import journal
from sensei.states import State, StepState

ID, EVENTS = "mig_1", 10
COLUMNS = (
    "seq", "at", "actor_user", "actor_host", "actor_command", "kind", "payload", "prev_hash", "hash",
    "signer", "signature", "migration_id",
)  # fmt: skip
ROW = ("name", "environment", "status", "returns_to", "config_text", "config_digest", "plan", "created_at",
       "source_label", "target_label")  # fmt: skip

_VALUES = st.none() | st.integers(-(2**62), 2**62) | st.floats() | st.text(max_size=20) | st.binary(max_size=20)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one migration of EVENTS events, at rest."""
    home = tmp_path_factory.mktemp("home")
    actor = journal.Actor("anna", "host1", "sensei migrations start")
    with journal.open_store(f"sqlite:///{home}/sensei.db", home) as store:
        store.create_migration(ID, "shop", None, "name: shop", "abc", {"steps": []}, actor)
        store.transition(ID, State.RUNNING, actor)
        for n in range(3):
            store.step(ID, f"copy:t{n}", StepState.BEGUN, {"n": n}, actor)
            store.step(ID, f"copy:t{n}", StepState.DONE, {}, actor)
        store.transition(ID, State.PAUSED, actor)
        store.append(ID, "note", {"text": "é"}, actor)
        assert len(store.events(ID)) == EVENTS
        assert store.verify(ID) == []
    return home


def _problems_after(original: Path, forge: Callable[[sqlite3.Connection], None]) -> list[str]:
    with TemporaryDirectory() as copy:
        home = Path(copy) / "home"
        shutil.copytree(original, home)
        connection = sqlite3.connect(home / "sensei.db", isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous=OFF")
            connection.execute("PRAGMA ignore_check_constraints=ON")
            for (rule,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                connection.execute(f"DROP TRIGGER {rule}")
            before = list(connection.iterdump())
            try:
                forge(connection)
            except (sqlite3.IntegrityError, UnicodeEncodeError):
                assume(False)  # the database refuses this one itself
            assume(list(connection.iterdump()) != before)
        finally:
            connection.close()
        with journal.open_store(f"sqlite:///{home}/sensei.db", home) as store:
            return store.verify(ID)


@settings(max_examples=60)
@given(column=st.sampled_from(COLUMNS), seq=st.integers(1, EVENTS), value=_VALUES)
def test_any_edit_of_any_column_of_any_event_is_found(original: Path, column: str, seq: int, value: object) -> None:
    def forge(connection: sqlite3.Connection) -> None:
        connection.execute(f"UPDATE events SET {column} = ? WHERE seq = ?", (value, seq))

    assert _problems_after(original, forge)


@settings(max_examples=20)
@given(seq=st.integers(1, EVENTS), at=st.integers(0, 200), column=st.sampled_from(COLUMNS[1:11]))
def test_one_changed_letter_is_found(original: Path, seq: int, at: int, column: str) -> None:
    def forge(connection: sqlite3.Connection) -> None:
        (text,) = connection.execute(f"SELECT {column} FROM events WHERE seq = ?", (seq,)).fetchone()
        i = at % len(text)
        changed = text[:i] + chr(ord(text[i]) ^ 1) + text[i + 1 :]
        connection.execute(f"UPDATE events SET {column} = ? WHERE seq = ?", (changed, seq))

    assert _problems_after(original, forge)


@settings(max_examples=15)
@given(gone=st.sets(st.integers(1, EVENTS), min_size=1))
def test_the_absence_of_any_events_is_found(original: Path, gone: set[int]) -> None:
    def forge(connection: sqlite3.Connection) -> None:
        connection.executemany("DELETE FROM events WHERE seq = ?", [(seq,) for seq in gone])

    assert _problems_after(original, forge)


@settings(max_examples=15)
@given(pair=st.sets(st.integers(1, EVENTS), min_size=2, max_size=2))
def test_two_events_that_changed_places_are_found(original: Path, pair: set[int]) -> None:
    a, b = sorted(pair)

    def forge(connection: sqlite3.Connection) -> None:
        for old, new in ((a, 1000), (b, a), (1000, b)):
            connection.execute("UPDATE events SET seq = ? WHERE seq = ?", (new, old))

    assert _problems_after(original, forge)


@settings(max_examples=10)
@given(length=st.integers(0, EVENTS - 1))
def test_a_cut_off_end_is_found_even_with_the_head_turned_back(original: Path, length: int) -> None:
    def forge(connection: sqlite3.Connection) -> None:
        connection.execute(
            "UPDATE heads SET (seq, hash, signer, signature) = "
            "(SELECT seq, hash, signer, signature FROM events WHERE events.seq = ?) WHERE ? > 0",
            (length, length),
        )
        connection.execute("DELETE FROM events WHERE seq > ?", (length,))

    assert _problems_after(original, forge)


@settings(max_examples=30)
@given(column=st.sampled_from(ROW), value=_VALUES)
def test_any_edit_of_the_migrations_row_is_found(original: Path, column: str, value: object) -> None:
    def forge(connection: sqlite3.Connection) -> None:
        connection.execute(f"UPDATE migrations SET {column} = ?", (value,))

    assert _problems_after(original, forge)


@settings(max_examples=20)
@given(column=st.sampled_from(("seq", "hash", "signer", "signature")), value=_VALUES)
def test_any_edit_of_the_head_is_found(original: Path, column: str, value: object) -> None:
    def forge(connection: sqlite3.Connection) -> None:
        connection.execute(f"UPDATE heads SET {column} = ?", (value,))

    assert _problems_after(original, forge)
