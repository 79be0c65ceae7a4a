"""Canonical JSON, hashes and actors of the journal."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensei.journal import actors, events

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(_JSON)
def test_canonical_json_is_ascii_reads_back_and_is_stable(value: Any) -> None:
    text = events.canonical(value)
    assert text.isascii() and "\0" not in text
    assert json.loads(text) == value
    assert events.canonical(json.loads(text)) == text


def test_the_order_of_keys_does_not_matter() -> None:
    assert events.canonical({"b": 1, "a": 2}) == events.canonical({"a": 2, "b": 1}) == '{"a":2,"b":1}'


def test_facts_that_are_no_json_are_written_as_text() -> None:
    moment = datetime(2026, 2, 15, 2, tzinfo=UTC)
    facts = {
        "at": moment,
        "n": Decimal("1.50"),
        "p": Path("/a"),
        "u": UUID(int=1),
        "b": b"\x00\xff",
        "s": {"b", "a"},
    }
    assert json.loads(events.canonical(facts)) == {
        "at": "2026-02-15T02:00:00+00:00",
        "n": "1.50",
        "p": "/a",
        "u": str(UUID(int=1)),
        "b": "00ff",
        "s": ["a", "b"],
    }


def test_times_are_kept_in_utc_so_that_their_texts_sort() -> None:
    early = datetime(2026, 2, 15, 3, tzinfo=timezone(timedelta(hours=2)))
    late = datetime(2026, 2, 15, 1, 0, 0, 1, tzinfo=UTC)
    assert events.to_text(early) < events.to_text(late)
    assert events.from_text(events.to_text(early)) == early


@given(st.integers(0, 6), st.text(min_size=1))
def test_every_part_of_an_event_is_in_its_hash(part: int, other: str) -> None:
    def hash_of(parts: list[str]) -> str:
        migration, at, user, host, command, kind, payload = parts
        return events.event_hash(migration, 1, at, actors.Actor(user, host, command), kind, payload, "p")

    parts = ["mig", "now", "anna", "host", "start", "note", "{}"]
    changed = [*parts[:part], parts[part] + other, *parts[part + 1 :]]
    assert hash_of(parts) != hash_of(changed)
    # Moving text from one column to the next is a change too.
    moved = [*parts[:part], parts[part][:-1], *parts[part + 1 :]]
    moved[(part + 1) % 7] = parts[part][-1] + moved[(part + 1) % 7]
    assert hash_of(parts) != hash_of(moved)


@pytest.mark.parametrize(
    "words",
    [
        ["sensei", "connections", "add", "a", "postgresql://u:hunter2@h/db"],
        ["sensei", "connections", "add", "a", "postgresql://u:hun/te@r2:hunter2@h/db"],
        ["sensei", "connections", "add", "a", "postgresql://h/db?user=u&password=hunter2"],
        ["sensei", "x", "host=h password='hunter2 hunter2' dbname=d"],
        ["sensei", "x", "PGPASSWORD=hunter2"],
        ["sensei", "x", "--password", "hunter2"],
        ["sensei", "x", "--db-password=hunter2"],
        ["sensei", "x", "--api-key", "hunter2"],
    ],
)
def test_no_password_of_a_command_line_reaches_the_journal(words: list[str]) -> None:
    shown = actors.masked_command(words)
    assert "hunter2" not in shown and actors.MASK in shown


def test_a_command_line_without_secrets_is_kept_as_typed() -> None:
    words = ["sensei", "migrations", "cancel", "mig_1", "--reason", "wrong schema"]
    assert actors.masked_command(words) == "sensei migrations cancel mig_1 --reason 'wrong schema'"
    url = "sqlite:///home/x/sensei.db"
    assert actors.masked_command(["sensei", url]) == f"sensei {url}"


def test_bytes_that_no_store_can_hold_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/usr/bin/sensei", "a\udcff\0"])
    assert actors.current_actor().command == "sensei 'a\\udcff\\x00'"
