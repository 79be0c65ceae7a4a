"""`on_existing: replace`: the target's own tables make way whole and come back whole, and nothing follows them."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ends
import existing_shop
import fix_postgres
import fix_sensei
import moves
import reader
import servers
import small_shop

ENGINES = ["postgres", "sqlite", "mysql"]
REPLACE = {"on_existing": "replace", "chunk_rows": 2}
OTHER = {"postgres": "sqlite", "sqlite": "postgres", "mysql": "postgres"}
#: (target's engine, source's): each target is met by another engine, and MariaDB's by all.
PAIRS = [*OTHER.items(), ("mysql", "sqlite"), ("mysql", "mysql")]


@pytest.fixture
def make_move(warm_sensei: fix_sensei.Sensei, maker: ends.Maker, tmp_path: Path) -> Callable[..., moves.Move]:
    """A planned move of the small shop, from the other engine, onto tables that are there."""

    sources: dict[str, moves.End] = {}

    def make(engine: str, target: moves.End | None = None, *, origin: str = "", **more: Any) -> moves.Move:
        origin = origin or OTHER[engine]
        source = sources.get(origin) or small_shop.source(origin, maker(origin), tmp_path)
        sources[origin] = source
        target = target or existing_shop.target(engine, maker(engine), tmp_path, origin)
        return moves.plan_move(warm_sensei, source, target, options=REPLACE, **more)

    return make


MakeMove = Callable[..., moves.Move]


def prefix(end: moves.End) -> str:
    """What stands before the name of a target's table."""
    return "" if isinstance(end, Path) else "public." if isinstance(end, servers.Database) else f"{end.name}."


@pytest.mark.parametrize(("engine", "origin"), PAIRS)
def test_tables_that_are_there_make_way_and_come_back_with_everything_on_them(
    make_move: MakeMove, engine: str, origin: str, warm_sensei: fix_sensei.Sensei
) -> None:
    move = make_move(engine, origin=origin)
    before = existing_shop.seen(move.target)
    kinds = [s["kind"] for s in move.plan["steps"]]
    assert kinds.count("set_aside_existing") == 2
    assert kinds.index("set_aside_existing") < kinds.index("create_table")
    told = " ".join(r["reason"] for r in move.plan["risks"])
    assert re.search(r"trigger \S*loud", told) and "names: bound to the new table" in told
    move.start()
    assert reader.compare_databases(move.source, move.target) == []

    shown = warm_sensei("migrations", "rollback", move.id, "--full", "--dry-run").stdout
    for name in ("orders", "customers"):
        assert f"bring the target's own table {prefix(move.target)}{name} back" in shown
    assert reader.compare_databases(move.source, move.target) == []

    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES
    assert reader.diff_snapshots(before, existing_shop.seen(move.target)) == []
    again = move.rollback("--verify").data
    assert again["rollback_verification"] == moves.LINES
    assert reader.diff_snapshots(before, existing_shop.seen(move.target)) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_the_script_alone_brings_them_back_also_from_the_middle(make_move: MakeMove, engine: str) -> None:
    move = make_move(engine)
    before = existing_shop.seen(move.target)
    move.start(crash_at="step:set_aside_existing:commit:after")
    ends.client(move.target, move.script("middle.sql").read_text())
    assert reader.diff_snapshots(before, existing_shop.seen(move.target)) == []

    move = make_move(engine, move.target, name="again")
    move.start()
    script = move.script("end.sql").read_text()
    for _ in range(2):
        ends.client(move.target, script)
        assert reader.diff_snapshots(before, existing_shop.seen(move.target)) == []
    assert move.verify()["rollback_verification"] == moves.LINES


def test_views_and_foreign_keys_are_bound_to_the_new_table_and_back_to_the_old_one(make_move: MakeMove) -> None:
    move = make_move("postgres")
    db = move.target
    assert isinstance(db, servers.Database)
    where = (
        "SELECT confrelid::regclass::text, convalidated, (SELECT count(*)::int FROM names),"
        " (SELECT count(*)::int FROM totals) FROM pg_constraint WHERE conname = 'notes_customer'"
    )
    oid = "SELECT 'customers'::regclass::oid::int, 'names'::regclass::oid::int"
    old = db.query(oid)
    db.execute("UPDATE notes SET customer = NULL")
    assert db.query(where) == [("customers", True, 2, 2)]
    move.start()
    assert db.query(where) == [("customers", True, 3, 3)], "bound to the new table, and proven"
    assert db.query(oid)[0][0] != old[0][0] and db.query(oid)[0][1] == old[0][1]
    with pytest.raises(Exception, match="notes_customer"):
        db.execute("BEGIN; INSERT INTO notes VALUES (9, 100, 'of the old one'); COMMIT")
    move.rollback("--verify")
    assert db.query(where) == [("customers", True, 2, 2)]
    assert db.query(oid) == old
    db.execute("INSERT INTO notes VALUES (9, 100, 'of the old one')")


def test_a_key_that_rows_violate_meanwhile_comes_back_unchecked_and_the_proof_says_so(make_move: MakeMove) -> None:
    move = make_move("postgres")
    db = move.target
    assert isinstance(db, servers.Database)
    move.start()
    db.execute("INSERT INTO notes VALUES (3, 1, 'of the new one')")
    found = move.rollback("--verify", expect=4).data
    assert found["rollback_verification"]["target_cleaned"] is False
    assert any("notes_customer" in d and "NOT VALID" in d for d in found["differences"])
    db.execute("DELETE FROM notes WHERE id = 3; ALTER TABLE notes VALIDATE CONSTRAINT notes_customer")
    assert move.verify()["rollback_verification"] == moves.LINES


def test_deleting_from_the_new_table_does_not_reach_the_rows_of_the_old_ones(make_move: MakeMove) -> None:
    move = make_move("sqlite")
    before = existing_shop.seen(move.target)
    move.start()
    assert isinstance(move.target, Path)
    small_shop.run(move.target, "DROP TRIGGER noted")
    with sqlite3.connect(move.target) as db:
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA recursive_triggers = ON")
        db.execute("INSERT INTO customers (id, name) VALUES (100, 'new'), (101, 'new too')")
        db.execute("DELETE FROM customers WHERE id >= 100")  # ON DELETE CASCADE in the table that is kept
    db.close()
    kept = small_shop.ask(move.target, f'SELECT count(*) FROM "sensei_kept_{move.id}_orders"')
    assert kept == [(3,)]
    small_shop.run(move.target, str(before["trigger noted"]["definition"]))
    small_shop.run(move.target, "UPDATE notes SET customer = 100 WHERE id = 1")  # as ON DELETE SET NULL left it
    move.rollback()
    assert reader.diff_snapshots(before, existing_shop.seen(move.target)) == []


HINDERED_POSTGRES = """
CREATE MATERIALIZED VIEW mat AS SELECT count(*) FROM customers;
CREATE PUBLICATION pub FOR TABLE customers;
CREATE TABLE child () INHERITS (customers);
CREATE TABLE typed (c customers);
CREATE FUNCTION uses(c customers) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TABLE policed (id bigint);
CREATE POLICY looks ON policed USING (id IN (SELECT id FROM customers));
CREATE RULE also AS ON INSERT TO policed DO ALSO DELETE FROM customers;
CREATE TABLE draws (id bigint DEFAULT nextval('orders_id_seq'));
CREATE VIEW wide AS SELECT extra FROM customers;
CREATE TABLE points (name varchar(60) REFERENCES customers (name), v bigint);
CREATE VIEW ruled AS SELECT 1 AS one;
CREATE RULE inside AS ON INSERT TO ruled DO INSTEAD DELETE FROM customers;
"""
HINDRANCES_POSTGRES = [
    "materialized view public.mat", "publication pub", "child table public.child", "typed uses its row type",
    "function public.uses", "policy looks", "rule of table public.policed", "default of public.draws",
    "view public.wide (it uses the column extra, which the new public.customers does not have)",
]  # fmt: skip


def refused(sensei: fix_sensei.Sensei, source: moves.End, target: moves.End, **more: Any) -> dict[str, Any]:
    config = {
        "name": "refused",
        "connections": {"from": moves.url(source), "to": moves.url(target)},
        "source": {"connection": "from"},
        "target": {"connection": "to"},
        "options": REPLACE,
        **more,
    }
    path = sensei.write("refused.yaml", config)
    error: dict[str, Any] = sensei("migrations", "create", "--config", path, json=True, expect=3).data["error"]
    return error


def test_what_can_neither_be_moved_nor_bound_anew_is_refused_by_name(
    warm_sensei: fix_sensei.Sensei, make_pg_db: fix_postgres.MakeDatabase, tmp_path: Path
) -> None:
    source = small_shop.source("sqlite", make_pg_db, tmp_path)
    target = existing_shop.target("postgres", make_pg_db, tmp_path, "sqlite")
    assert isinstance(target, servers.Database)
    target.execute(HINDERED_POSTGRES)
    before = existing_shop.seen(target)
    found = refused(warm_sensei, source, target)
    for hindrance in HINDRANCES_POSTGRES:
        assert any(hindrance in d for d in found["details"]["dependents"]), (hindrance, found)
    assert any("also" in d or "inside" in d for d in found["details"]["dependents"])
    assert existing_shop.seen(target) == before

    for name, sql, said in (
        ("partitioned", "CREATE TABLE {0} (id bigint) PARTITION BY RANGE (id)", "partitioned"),
        ("parent", "CREATE TABLE up (id bigint); CREATE TABLE {0} () INHERITS (up)", "inherits from"),
        ("view", "CREATE VIEW {0} AS SELECT 1 AS id", "view"),
    ):
        other = make_pg_db()
        other.execute(sql.format("customers"))
        assert said in refused(warm_sensei, source, other)["message"], name


def test_what_sqlite_can_not_move_is_refused_by_name(
    warm_sensei: fix_sensei.Sensei, make_pg_db: fix_postgres.MakeDatabase, tmp_path: Path
) -> None:
    source = small_shop.source("postgres", make_pg_db, tmp_path)
    for name, sql, said in (
        ("virtual", "CREATE VIRTUAL TABLE customers USING fts5(name)", "virtual table"),
        ("view", "CREATE VIEW customers AS SELECT 1", "view customers"),
        ("column", 'CREATE TABLE customers (id, "Extra"); CREATE VIEW v AS SELECT extra FROM customers', "view v"),
        ("key", "CREATE TABLE customers (code UNIQUE); CREATE TABLE x (y REFERENCES customers (code))", "of table x"),
        ("dangling", "CREATE TABLE theirs (y REFERENCES tags (tag))", "theirs"),
    ):
        target = tmp_path / f"{name}.db"
        small_shop.run(target, sql)
        before = target.read_bytes()
        assert said in refused(warm_sensei, source, target)["message"], name
        assert target.read_bytes() == before


@pytest.mark.parametrize(
    ("engine", "change", "said"),
    [
        ("postgres", "CREATE VIEW fresh AS SELECT id FROM customers", "fresh"),
        ("mysql", "CREATE VIEW fresh AS SELECT id FROM customers", "fresh"),
        ("mysql", "ALTER TABLE notes ADD CONSTRAINT fresh FOREIGN KEY (customer) REFERENCES customers (id)", "fresh"),
        ("mysql", "ALTER TABLE notes DROP FOREIGN KEY notes_customer", "notes_customer"),
        ("mysql", "DROP TRIGGER third", "orders"),
        ("mysql", "ALTER TABLE orders ADD KEY fresh (parent, total)", "orders"),
        ("postgres", "ALTER VIEW names SET (security_barrier = false)", "names"),
        ("postgres", "ALTER TABLE orders RENAME TO was; CREATE TABLE orders (id int)", "orders"),
        ("sqlite", "CREATE VIEW fresh AS SELECT id FROM customers", "fresh"),
        ("sqlite", "CREATE INDEX fresh ON customers (extra)", "customers"),
        ("sqlite", "ALTER TABLE notes ADD COLUMN z", "notes"),
        ("sqlite", "ALTER TABLE orders ADD COLUMN z", "orders"),
    ],
)
def test_what_changed_since_the_plan_is_found_before_anything_is_moved(
    make_move: MakeMove, engine: str, change: str, said: str
) -> None:
    move = make_move(engine)
    small_shop.run(move.target, change)
    before = existing_shop.seen(move.target)
    assert said in move.start(json=True, expect=3).data["error"]["message"]
    if move.status()["status"] == "planned":  # found before the run began
        return
    move.rollback("--verify")
    assert reader.diff_snapshots(before, existing_shop.seen(move.target)) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_a_table_whose_name_is_taken_by_then_is_named_and_nothing_is_done(make_move: MakeMove, engine: str) -> None:
    move = make_move(engine)
    before = existing_shop.seen(move.target)
    move.start()
    if engine == "mysql":
        time.sleep(1.1)  # a table is recognised by the second in which it was made
    small_shop.run(move.target, "DROP VIEW IF EXISTS totals; DROP TABLE orders; CREATE TABLE orders (mine int)")
    halfway = existing_shop.seen(move.target)
    assert "can't come back" in move.rollback(expect=3).data["error"]["message"]
    assert reader.diff_snapshots(halfway, existing_shop.seen(move.target)) == []
    with pytest.raises(servers.ServerError, match="can't come back"):
        ends.client(move.target, move.script().read_text())
    assert reader.diff_snapshots(halfway, existing_shop.seen(move.target)) == []
    small_shop.run(move.target, "DROP TABLE orders")
    move.rollback()
    left = reader.diff_snapshots(before, existing_shop.seen(move.target))
    assert [d for d in left if "totals" not in d] == []  # that view, the test itself has dropped


def test_a_view_that_somebody_changed_since_is_not_overwritten(make_move: MakeMove) -> None:
    move = make_move("postgres")
    move.start()
    db = move.target
    assert isinstance(db, servers.Database)
    db.execute("CREATE OR REPLACE VIEW names AS SELECT id, upper(name)::varchar(60) AS name FROM customers")
    changed = existing_shop.seen(db)
    assert "names was changed since" in move.rollback(expect=3).data["error"]["message"]
    with pytest.raises(servers.ServerError, match="names was changed since"):
        db.psql(move.script().read_text())
    assert reader.diff_snapshots(changed, existing_shop.seen(db)) == []


def test_what_binds_by_name_keeps_changes_that_somebody_made_since(make_move: MakeMove) -> None:
    move = make_move("sqlite")
    move.start()
    change = "DROP TRIGGER noted; DROP VIEW names; ALTER TABLE [notes] RENAME COLUMN note TO said;"
    small_shop.run(move.target, "DROP VIEW broken;" + change + "CREATE VIEW names AS SELECT id AS n FROM [customers] c")
    before = small_shop.ask(move.target, "SELECT sql FROM sqlite_schema WHERE name = 'notes'")
    move.rollback()
    assert small_shop.ask(move.target, "SELECT n FROM names ORDER BY 1") == [(100,), (101,)]
    after = small_shop.ask(move.target, "SELECT sql FROM sqlite_schema WHERE name = 'notes'")
    assert after[0][0].replace('"', "") == before[0][0].replace('"', "")
    assert small_shop.ask(move.target, "SELECT \"table\" FROM pragma_foreign_key_list('notes')") == [("customers",)]


@pytest.mark.parametrize("engine", ENGINES)
def test_migrations_can_be_stacked_and_taken_back_in_turn(
    warm_sensei: fix_sensei.Sensei, maker: ends.Maker, tmp_path: Path, engine: str
) -> None:
    source = small_shop.source(OTHER[engine], maker(OTHER[engine]), tmp_path)
    target = small_shop.target(engine, maker(engine), tmp_path)
    seen, moved = [existing_shop.seen(target)], []
    for n in range(3):
        move = moves.plan_move(warm_sensei, source, target, name=f"move{n}", options=REPLACE)
        move.start()
        assert reader.compare_databases(source, target) == []
        moved.append(move)
        seen.append(existing_shop.seen(target))
        small_shop.run(target, f"INSERT INTO tags VALUES ({n}, 'later')")
        seen[-1] = existing_shop.seen(target)
    for move in reversed(moved):
        seen.pop()
        move.rollback("--verify")
        after = existing_shop.seen(target)
        for found in (after, seen[-1]):
            found.pop("table sqlite_sequence", None)
        assert reader.diff_snapshots(seen[-1], after) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_one_table_is_brought_back_alone_and_makes_way_again(
    make_move: MakeMove, warm_sensei: fix_sensei.Sensei, maker: ends.Maker, tmp_path: Path, engine: str
) -> None:
    target: moves.End = tmp_path / "target.db" if engine == "sqlite" else maker(engine)()
    own = """CREATE TABLE tags (order_id integer, tag varchar(60), mine integer, PRIMARY KEY (order_id, tag));
        INSERT INTO tags VALUES (1, 'own', 7);"""
    if engine != "postgres":
        stop = "SIGNAL SQLSTATE '45000'" if engine == "mysql" else "BEGIN SELECT RAISE(ABORT, 'fired'); END"
        own += f"CREATE TRIGGER loud BEFORE INSERT ON tags FOR EACH ROW {stop};"
    small_shop.run(target, own)
    move = make_move(engine, target)
    before = existing_shop.seen(target)
    move.start()
    whole = existing_shop.seen(target)
    words = ("migrations", "rollback", move.id, "--yes", "--keep-progress", "--tables")
    for _ in range(2):
        warm_sensei(*words, "tags")
        assert small_shop.ask(target, "SELECT * FROM tags") == [(1, "own", 7)]
        move.resume()
        assert [d for d in reader.diff_snapshots(whole, existing_shop.seen(target)) if "sqlite_" not in d] == []
    warm_sensei(*words, "tags")
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES
    left = reader.diff_snapshots(before, existing_shop.seen(target))
    assert [d for d in left if "sqlite_sequence" not in d] == []


def test_sequences_that_stand_alone_make_way_too(
    warm_sensei: fix_sensei.Sensei, make_pg_db: fix_postgres.MakeDatabase
) -> None:
    source, target = make_pg_db(), make_pg_db()
    shape = """CREATE SCHEMA a; CREATE SCHEMA b; CREATE SEQUENCE a.counter; CREATE TABLE a.t (id bigserial PRIMARY KEY);
        CREATE TABLE b.t (id bigint DEFAULT nextval('a.counter') PRIMARY KEY);"""
    source.execute(shape + "SELECT nextval('a.counter'); INSERT INTO a.t VALUES (7), (8); INSERT INTO b.t VALUES (1)")
    target.execute(shape + "SELECT setval('a.counter', 41); INSERT INTO a.t VALUES (1); INSERT INTO b.t VALUES (2)")
    before = existing_shop.seen(target)
    move = moves.plan_move(warm_sensei, source, target, schemas=["a", "b"], options=REPLACE)
    move.start()
    assert target.query("SELECT last_value FROM a.counter") == [(1,)]
    assert reader.compare_databases(source, target, schema_a="a", schema_b="a") == []
    places = target.query("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'sensei%kept%' ORDER BY 1")
    assert len(places) == 2, "tables of one name from two schemas do not meet"
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES
    assert reader.diff_snapshots(before, existing_shop.seen(target)) == []


@pytest.mark.parametrize("engine", ["postgres", "mysql"])
def test_tables_of_one_name_in_two_schemas_make_way_each_for_its_own_and_come_back(
    warm_sensei: fix_sensei.Sensei, maker: ends.Maker, engine: str
) -> None:
    names = [f"two_{word}_{time.time_ns()}" for word in ("a", "b")]
    source, target = maker("postgres")(), maker(engine)()
    word = "SCHEMA" if engine == "postgres" else "DATABASE"
    for name in names:
        small_shop.run(source, f"CREATE SCHEMA {name}; CREATE TABLE {name}.items (id bigint PRIMARY KEY, what text)")
        small_shop.run(source, f"INSERT INTO {name}.items VALUES (1, 'new of {name}')")
        small_shop.run(target, f"CREATE {word} {name}; CREATE TABLE {name}.items (id bigint PRIMARY KEY, mine int)")
        small_shop.run(target, f"INSERT INTO {name}.items VALUES ({names.index(name) + 5}, 7)")
    try:
        move = moves.plan_move(warm_sensei, source, target, schemas=names, options=REPLACE)
        old = [small_shop.ask(target, f"SELECT * FROM {name}.items") for name in names]
        move.start()
        for name in names:
            assert small_shop.ask(target, f"SELECT * FROM {name}.items") == [(1, f"new of {name}")]
        warm_sensei("migrations", "rollback", move.id, "--yes", "--tables", f"{names[1]}.items")
        assert small_shop.ask(target, f"SELECT * FROM {names[0]}.items") == [(1, f"new of {names[0]}")]
        assert small_shop.ask(target, f"SELECT * FROM {names[1]}.items") == old[1]
        move.resume()
        assert small_shop.ask(target, f"SELECT * FROM {names[1]}.items") == [(1, f"new of {names[1]}")]
        assert move.rollback("--verify").data["rollback_verification"] == moves.LINES
        assert [small_shop.ask(target, f"SELECT * FROM {name}.items") for name in names] == old
    finally:
        for name in names:
            small_shop.run(target, f"DROP {word} {name}" + (" CASCADE" if engine == "postgres" else ""))
