"""Whole sample databases in every direction: each row arrives, nothing is passed over, and all of it goes back."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import fix_postgres
import fix_sensei
import moves
import reader
import reader_snapshot
import schema_facts
import servers

AW_SCHEMAS = ["humanresources", "person", "production", "purchasing", "sales"]

#: Something of the target's own, which a migration and its rollback must leave as it is.
OWN = """
CREATE TABLE theirs (id integer PRIMARY KEY, note text DEFAULT 'kept');
CREATE INDEX theirs_note ON theirs (note);
INSERT INTO theirs VALUES (1, 'blank at the end '), (2, NULL);
"""


@dataclass(frozen=True)
class Direction:
    data: str
    source: str
    target: str

    def __str__(self) -> str:
        return f"{self.data}-{self.source}-{self.target}"


DIRECTIONS = [
    *(Direction("chinook", s, t) for s in ("sqlite", "postgres") for t in ("sqlite", "postgres")),
    *(Direction(d, "postgres", t) for d in ("pagila", "adventureworks") for t in ("sqlite", "postgres")),
]

#: A table that numbers its rows, and the columns and values of one more row, by data set.
ONE_MORE = {
    "chinook-sqlite": ("Artist", "ArtistId", "Name", "a new one"),
    "chinook-postgres": ("artist", "artist_id", "name", "a new one"),
    "pagila-postgres": ("category", "category_id", "name", "a new one"),
    "adventureworks-postgres": ("scrapreason", "scrapreasonid", "name", "a new one"),
}


@pytest.fixture
def ends(
    request: pytest.FixtureRequest,
    pg_dataset: Callable[[str], servers.Database],
    sqlite_dataset: Callable[[str], Path],
    make_pg_db: fix_postgres.MakeDatabase,
    tmp_path: Path,
) -> tuple[Direction, moves.End, moves.End]:
    way: Direction = request.param
    source: moves.End = sqlite_dataset(way.data) if way.source == "sqlite" else pg_dataset(way.data)
    target: moves.End
    if way.target == "sqlite":
        target = tmp_path / "target.db"
        connection = sqlite3.connect(target)
        connection.executescript(OWN)
        connection.close()
    else:
        target = make_pg_db()
        target.execute(OWN)
    return way, source, target


@pytest.mark.parametrize("ends", DIRECTIONS, indirect=True, ids=str)
def test_a_sample_database_arrives_whole_and_goes_back_whole(
    sensei: fix_sensei.Sensei, ends: tuple[Direction, moves.End, moves.End]
) -> None:
    way, source, target = ends
    before = [_everything(source), _everything(target)]
    schemas = AW_SCHEMAS if way.data == "adventureworks" else None
    move = moves.plan_move(sensei, source, target, schemas=schemas, options={"parallelism": 2, "chunk_rows": 5000})
    assert [_everything(source), _everything(target)] == before
    move.start()

    names = schema_facts.tables(source, schemas)
    stayed = _not_carried_tables(move)
    _everything_left_is_named(move, source, schemas)
    for table in names:
        if table in stayed:
            assert not schema_facts.is_everyday(source, table), f"{table}: {stayed[table]}"
            continue
        there = _on_target(way, table)
        differences = reader.compare_tables(source, table, target, there)
        assert differences == [], f"{table}: {differences}"
    carried = [t for t in names if t not in stayed]
    assert carried
    if way.data == "chinook":
        assert not stayed
    if way.source == way.target == "postgres":
        assert _strict_differences(source, target, carried, move) == []
    else:
        for table in carried:
            assert _shape_differences(move, source, table, target, _on_target(way, table), carried) == []
    _new_rows_get_fresh_numbers(way, target)

    done = move.rollback("--verify").data
    assert done["rollback_verification"] == moves.LINES, done["differences"]
    assert done["passed"] is True
    assert reader.diff_snapshots(before[0], _everything(source)) == []
    after = _everything(target)
    after.get("file", {}).pop("sha256", None), before[1].get("file", {}).pop("sha256", None)
    # SQLite makes this table of its own when the first AUTOINCREMENT appears, and nobody can drop it.
    after.pop("table sqlite_sequence", None)
    assert reader.diff_snapshots(before[1], after) == []


def _everything(end: moves.End) -> reader_snapshot.Snapshot:
    return reader.snapshot(end, file_bytes=isinstance(end, Path))


def _on_target(way: Direction, table: tuple[str, str]) -> tuple[str, str]:
    if way.target == "sqlite":
        return ("", table[1])
    return (table[0] or "public", table[1])


def _not_carried_tables(move: moves.Move) -> dict[tuple[str, str], str]:
    """Tables that the plan leaves behind, with the reason, which names the column."""
    found = {}
    for kind, name, reason in move.left():
        if kind == "table":
            assert "column" in reason, (name, reason)
            schema, _, table = name.partition(".")
            found[(schema, table)] = reason
    return found


def _everything_left_is_named(move: moves.Move, source: moves.End, schemas: list[str] | None) -> None:
    """Objects that no migration carries, counted by this test's own queries, are each in the plan by name."""
    listed = Counter((kind, name.replace('"', "")) for kind, name, _ in move.left())
    assert all(reason for _, _, reason in move.left())
    owed = Counter(schema_facts.not_tables(source, schemas))
    assert owed - listed == Counter()
    kinds = {kind for kind, _ in owed}
    # Nor is anything there that is not in the source.
    assert Counter({k: n for k, n in listed.items() if k[0] in kinds}) - owed == Counter()


def _strict_differences(
    source: moves.End, target: moves.End, carried: list[tuple[str, str]], move: moves.Move
) -> list[str]:
    """Compare definitions word by word between two PostgreSQL databases, but for what the plan announces."""
    full = {f"{s}.{t}" for s, t in carried}
    before, after = (_of_tables(reader.snapshot(end, rows=False), full) for end in (source, target))
    told = {name for kind, name, _ in move.left()}
    told |= {f"{r['table']}.{r['column']}" for r in move.plan["risks"] if r["column"]}
    left_sequences = {name for kind, name, _ in move.left() if kind == "sequence"}
    found = []
    for name, was in before.items():
        rest = name.partition(" ")[2]
        if rest.replace('"', "") in {t.replace('"', "") for t in told | left_sequences}:
            continue
        now = after.get(name)
        if now is not None and "last_value" in was and now["last_value"] > was["last_value"]:
            # The script that made this source loaded rows past its sequences: then the target stands behind the rows.
            was = {**was, "last_value": now["last_value"], "is_called": now["is_called"]}
        if now is None:
            found.append(f"{name}: not there")
        else:
            found += [f"{name}: {k}: {was[k]!r} -> {now[k]!r}" for k in was if was[k] != now[k]]
    return found


def _of_tables(found: reader_snapshot.Snapshot, full: set[str]) -> reader_snapshot.Snapshot:
    ours: reader_snapshot.Snapshot = {}
    bare = {f.replace('"', "") for f in full}
    for name, entry in found.items():
        kind, _, rest = name.partition(" ")
        entry = {k: v for k, v in entry.items() if k not in ("indisclustered", "indisreplident")}
        plain = rest.replace('"', "")
        if kind in ("column", "constraint"):
            owner = plain.rpartition(".")[0]
            named = owner if "." in owner else f"public.{owner}"
            if named in bare and not str(entry.get("definition", "")).startswith("NOT NULL"):
                ours[name] = entry
        elif kind == "index":
            table = entry["definition"].partition(" ON ")[2].partition(" USING ")[0].replace("ONLY ", "")
            if table.replace('"', "") in bare:
                # A partitioned table arrives as a plain one.
                ours[name] = {**entry, "definition": entry["definition"].replace(" ON ONLY ", " ON ")}
        elif kind == "sequence" and not rest.startswith("relation"):
            ours[name] = entry
    return ours


def _shape_differences(
    move: moves.Move,
    source: moves.End,
    table: tuple[str, str],
    target: moves.End,
    there: tuple[str, str],
    carried: list[tuple[str, str]],
) -> list[str]:
    """Compare what a table promises across engines; what is missing must be in the plan by name."""
    a, b = schema_facts.shape(source, table), schema_facts.shape(target, there)
    said = {(kind, name) for kind, name, _ in move.left()}
    full = ".".join(p for p in table if p)
    found = []
    for column, needed in a.not_null.items():
        if b.not_null[column] != (needed or column in a.primary):
            found.append(f"{full}.{column}: not null {needed} -> {b.not_null[column]}")
    if a.primary != b.primary:
        found.append(f"{full}: primary key {a.primary} -> {b.primary}")
    if a.uniques != b.uniques:
        found.append(f"{full}: unique {a.uniques} -> {b.uniques}")
    for name, what in a.indexes.items():
        if name not in b.indexes and ("index", f"{full}.{name}") in said:
            continue
        if b.indexes.get(name) != what:
            found.append(f"{full}: index {name} {what} -> {b.indexes.get(name)}")
    for key in a.foreign:
        if key.columns and key not in b.foreign and not any(k == "foreign key" and n.startswith(full) for k, n in said):
            found.append(f"{full}: foreign key {key} is not there: {b.foreign}")
    if extra := b.foreign - a.foreign:
        found.append(f"{full}: foreign keys {extra} are new")
    missing = sum(1 for k, n in said if k == "check" and n.startswith(full + "."))
    if len(a.checks) - missing != len(b.checks):
        found.append(f"{full}: {len(a.checks)} checks, {missing} announced, {len(b.checks)} there")
    for column in a.defaults - b.defaults:
        if ("default", f"{full}.{column}") not in said:
            found.append(f"{full}.{column}: its default is gone")
    for column in b.defaults - a.defaults:
        found.append(f"{full}.{column}: has a default that it had not")
    if a.numbered - b.numbered and not any(k == "default" and n.startswith(full) for k, n in said):
        found.append(f"{full}: {a.numbered} numbered by the source, {b.numbered} by the target")
    if a.position is not None and b.position is not None and b.position < a.position:
        found.append(f"{full}: numbers went on from {a.position}, now from {b.position}")
    assert (table in carried) is True
    return found


def _new_rows_get_fresh_numbers(way: Direction, target: moves.End) -> None:
    table, key, column, value = ONE_MORE[f"{way.data}-{way.source}"]
    if isinstance(target, Path):
        connection = sqlite3.connect(target)
        highest = connection.execute(f'SELECT max("{key}") FROM "{table}"').fetchone()[0]
        connection.execute(f'INSERT INTO "{table}" ("{column}") VALUES (?)', [value])
        new = connection.execute(f'SELECT "{key}" FROM "{table}" WHERE "{column}" = ?', [value]).fetchone()[0]
        connection.execute(f'DELETE FROM "{table}" WHERE "{key}" = ?', [new])
        connection.commit()
        connection.close()
    else:
        schema = "production" if way.data == "adventureworks" else "public"
        highest = target.value(f'SELECT max("{key}") FROM {schema}."{table}"')
        new = target.value(f'INSERT INTO {schema}."{table}" ("{column}") VALUES (%s) RETURNING "{key}"', [value])
        target.execute(f'DELETE FROM {schema}."{table}" WHERE "{key}" = %s', [new])
        for sequence, owner, owned in schema_facts.owned_sequences(target):
            most = target.value(f"SELECT max({owned}) FROM {owner}")
            after = target.value(f"SELECT nextval('{sequence}')")
            assert most is None or after > most, (sequence, after, most)
    assert new > highest
