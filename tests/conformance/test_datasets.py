"""Whole sample databases in every direction: each row arrives, nothing is passed over, and all of it goes back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import ends
import fix_sensei
import moves
import reader
import reader_snapshot
import schema_facts
import servers
import shape_compare

Table = tuple[str, str]

AW_SCHEMAS = ["humanresources", "person", "production", "purchasing", "sales"]

#: Something of the target's own, which a migration and its rollback must leave as it is.
OWN = """
CREATE TABLE theirs (id integer PRIMARY KEY, note varchar(40) DEFAULT 'kept');
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

    @property
    def schemas(self) -> list[str] | None:
        """Those of the source that the test migrates; None: all that are migrated unasked."""
        return AW_SCHEMAS if self.data == "adventureworks" else None

    @property
    def schema(self) -> str | None:
        """The target's schema where the test has to name it: a database of MariaDB is a schema to others."""
        return "public" if (self.source, self.target) == ("mysql", "postgres") else None

    def there(self, table: Table) -> Table:
        """Where a source's table is on the target."""
        if self.target == "postgres":
            return (self.schema or table[0] or "public", table[1])
        return (table[0] if self.target == "mysql" and self.schemas else "", table[1])


SOURCES = {
    "chinook": ("sqlite", "postgres", "mysql"),
    "sakila": ("mysql",),
    "pagila": ("postgres",),
    "adventureworks": ("postgres",),
}
DIRECTIONS = [Direction(d, s, t) for d, sources in SOURCES.items() for s in sources for t in ends.ENGINES]

#: A table that numbers its rows, and the columns and values of one more row, by data set.
ONE_MORE = {
    "chinook-sqlite": ("Artist", "ArtistId", "Name", "a new one"),
    "chinook-postgres": ("artist", "artist_id", "name", "a new one"),
    "chinook-mysql": ("Artist", "ArtistId", "Name", "a new one"),
    "sakila-mysql": ("category", "category_id", "name", "a new one"),
    "pagila-postgres": ("category", "category_id", "name", "a new one"),
    "adventureworks-postgres": ("scrapreason", "scrapreasonid", "name", "a new one"),
}


Dataset = Callable[[str], moves.End]


@pytest.fixture
def dataset(request: pytest.FixtureRequest) -> Callable[[Direction], moves.End]:
    """A fresh source."""

    def load(way: Direction) -> moves.End:
        name = {"postgres": "pg_dataset", "sqlite": "sqlite_dataset", "mysql": "mysql_dataset"}[way.source]
        made: Dataset = request.getfixturevalue(name)
        return made(way.data)

    return load


@pytest.mark.parametrize("way", DIRECTIONS, ids=str)
def test_a_sample_database_arrives_whole_comes_home_whole_and_goes_back_whole(
    sensei: fix_sensei.Sensei, dataset: Callable[[Direction], moves.End], maker: ends.Maker, way: Direction
) -> None:
    source, target, home = dataset(way), maker(way.target)(), maker(way.source)()
    ends.run(target, OWN)
    before = [_everything(source), _everything(target)]
    options = {"parallelism": 2, "chunk_rows": 5000}
    move = moves.plan_move(sensei, source, target, schemas=way.schemas, schema=way.schema, options=options)
    assert [_everything(source), _everything(target)] == before
    move.start()
    kora = sensei("validations", "run", move.id, json=True, expect=None).data
    worse = [f for f in kora["failures"] if f["cause"] != "missing_stored_procedure" or f["severity"] != "warning"]
    assert (kora["status"], worse) == ("validated", [])

    names = schema_facts.tables(source, way.schemas)
    stayed = _not_carried_tables(move)
    _everything_left_is_named(move, source, way.schemas)
    for table in names:
        if table in stayed:
            assert not schema_facts.is_everyday(source, table), f"{table}: {stayed[table]}"
            continue
        differences = reader.compare_tables(source, table, target, way.there(table))
        assert differences == [], f"{table}: {differences}"
    carried = [t for t in names if t not in stayed]
    assert carried
    if way.source != way.target or way.data in ("chinook", "sakila"):
        assert not stayed
    if way.source == way.target == "postgres":
        assert _strict_differences(source, target, carried, move) == []
    else:
        found = [shape_compare.arrival(move, source, t, target, way.there(t)) for t in carried]
        assert [line for lines in found for line in lines] == []
    if way.source != way.target:
        _comes_home(sensei, way, move, home, carried)
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


def _comes_home(
    sensei: fix_sensei.Sensei, way: Direction, there: moves.Move, home: moves.End, carried: list[Table]
) -> None:
    """Migrate what arrived into a fresh database of the source's engine: all is as it was, or a plan said otherwise."""
    apart = way.target == "mysql" and way.schemas is not None  # each schema became a database of its own
    back = moves.plan_move(
        sensei,
        there.target,
        home,
        name="home",
        schemas=way.schemas if apart else None,
        schema="public" if way.source == "postgres" and not way.schemas else None,
        source_options={} if apart else {"exclude_tables": ["theirs"]},
    )
    back.start()
    found = []
    for table in carried:
        inside = (table[0] if apart else "public", table[1])
        at_home = ("" if way.source == "mysql" else inside[0], table[1])
        found += [f"{table}: {d}" for d in reader.compare_tables(there.source, table, home, at_home)]
        a, c = schema_facts.shape(there.source, table), schema_facts.shape(home, at_home)
        found += [f"{table}: {d}" for d in shape_compare.homecoming(there, back, table, a, c)]
    assert found == [], "\n".join(found)
    assert back.rollback("--verify").data["rollback_verification"] == moves.LINES


def _everything(end: moves.End) -> reader_snapshot.Snapshot:
    return reader.snapshot(end, file_bytes=isinstance(end, Path))


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
    listed += Counter(("view", i["object"].replace('"', "")) for i in move.plan["inventory"] if _is_carried_view(i))
    owed = Counter(schema_facts.not_tables(source, schemas))
    assert owed - listed == Counter()
    kinds = {kind for kind, _ in owed}
    # Nor is anything there that is not in the source.
    assert Counter({k: n for k, n in listed.items() if k[0] in kinds}) - owed == Counter()


def _is_carried_view(item: dict[str, str]) -> bool:
    return item["kind"] == "view" and item["verdict"] != "not migrated"


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


def _new_rows_get_fresh_numbers(way: Direction, target: moves.End) -> None:
    table, key, column, value = ONE_MORE[f"{way.data}-{way.source}"]
    where = way.there(("production" if way.data == "adventureworks" else "", table))
    full = ".".join(ends.quote(target, part) for part in where if part)
    k, c = ends.quote(target, key), ends.quote(target, column)
    highest = ends.ask(target, f"SELECT max({k}) FROM {full}")[0][0]
    ends.run(target, f"INSERT INTO {full} ({c}) VALUES ('{value}')")
    new = ends.ask(target, f"SELECT {k} FROM {full} WHERE {c} = '{value}'")[0][0]
    ends.run(target, f"DELETE FROM {full} WHERE {k} = {new}")
    if isinstance(target, servers.Database):
        for sequence, owner, owned in schema_facts.owned_sequences(target):
            most = target.value(f"SELECT max({owned}) FROM {owner}")
            after = target.value(f"SELECT nextval('{sequence}')")
            assert most is None or after > most, (sequence, after, most)
    assert new > highest
