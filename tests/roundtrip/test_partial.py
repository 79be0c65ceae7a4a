"""Single tables taken back while the others stay: alone or with what depends on them, and taken up again."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ends
import fix_sensei
import mid_copy
import moves
import reader
import servers
import small_shop

ENGINES = ["postgres", "sqlite", "mysql"]
PAIRS = list(itertools.product(ENGINES, repeat=2))
#: The source from which a test over targets comes: never the engine of its target.
FROM = {"postgres": "sqlite", "sqlite": "postgres", "mysql": "postgres"}

MakeMove = Callable[..., moves.Move]


@pytest.fixture
def make_move(warm_sensei: fix_sensei.Sensei, maker: ends.Maker, tmp_path: Path) -> MakeMove:
    """A planned migration of the small shop into a target of that engine, from another one if none is named."""

    def make(engine: str, source: str = "", *, own: bool = True, extra: str = "", **options: Any) -> moves.Move:
        source = source or FROM[engine]
        a = small_shop.source(source, maker(source), tmp_path)
        if extra:
            small_shop.run(a, extra)
        b = small_shop.target(engine, maker(engine), tmp_path, own=own)
        # MariaDB's schema is a database, whose name nobody would want on the target.
        schema = "public" if (source, engine) == ("mysql", "postgres") else None
        return moves.plan_move(warm_sensei, a, b, schema=schema, options={"chunk_rows": 2, **options})

    return make


def back(move: moves.Move, tables: str, *words: str, **how: Any) -> fix_sensei.Result:
    return move.sensei("migrations", "rollback", move.id, "--tables", tables, *words, **{"json": True, **how})


def tables(move: moves.Move) -> dict[str, tuple[str, int]]:
    """Each table's status and rows, by the name without a schema."""
    return {t["name"].rpartition(".")[2]: (t["status"], t["rows_copied"]) for t in move.status()["progress"]["tables"]}


def evidence(move: moves.Move) -> list[tuple[str, str]]:
    """(object, place) of all that is kept, without the migration's id and the schema."""
    found = move.sensei("evidence", "list", move.id, json=True).data["evidence"]
    return [(e["object"].rpartition(".")[2], e["place"].partition(move.id)[2]) for e in found]


def rows_aside(move: moves.Move, place: str, table: str) -> int:
    name = f"sensei_evidence_{move.id}{place}"
    full = [f"{name}_{table}"] if isinstance(move.target, Path) else [name, table]
    quoted = ".".join(ends.quote(move.target, n) for n in full)
    return int(small_shop.ask(move.target, f"SELECT count(*) FROM {quoted}")[0][0])


def same(move: moves.Move) -> None:
    assert reader.compare_databases(move.source, move.target) == []


def lasting(end: moves.End) -> Any:
    # SQLite makes this table of its own with the first AUTOINCREMENT, and nobody can drop it.
    return {k: v for k, v in reader.snapshot(end).items() if k != "table sqlite_sequence"}


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_tables_are_done_taken_back_done_again_and_everything_taken_back(
    make_move: MakeMove, source: str, target: str
) -> None:
    move = make_move(target, source)
    empty = lasting(move.target)
    move.start()
    whole = lasting(move.target)

    # customers have to take their orders along; the tags stay.
    done = back(move, "customers", "--yes", "--verify").data
    assert (done["status"], done["passed"], done["rollback_verification"]) == ("paused", True, moves.LINES)
    assert [t.rpartition(".")[2] for t in done["tables"]] == ["customers", "orders"]
    assert tables(move) == {"customers": ("rolled_back", 0), "orders": ("rolled_back", 0), "tags": ("done", 3)}
    gone = reader.diff_snapshots(whole, lasting(move.target))
    assert gone and all("customers" in d or "orders" in d or " sqlite_" in d for d in gone)
    assert evidence(move) == [("customers", ""), ("orders", "")]
    assert (rows_aside(move, "", "customers"), rows_aside(move, "", "orders")) == (3, 3)

    assert move.resume(json=True).data["rows_copied"] == small_shop.ROWS
    assert tables(move) == {"customers": ("done", 3), "orders": ("done", 3), "tags": ("done", 3)}
    same(move)
    assert reader.diff_snapshots(whole, lasting(move.target)) == []

    # Once more, alone, to a place of its own; what is set aside no longer holds on to what stays.
    back(move, "orders", "--keep-progress")
    assert evidence(move) == [("customers", ""), ("orders", ""), ("orders", "-2")]
    checked = "PRAGMA foreign_keys = ON;" if target == "sqlite" else ""
    small_shop.run(move.target, f"{checked} DELETE FROM customers WHERE id = 3")
    assert rows_aside(move, "-2", "orders") == 3

    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES
    assert reader.diff_snapshots(empty, lasting(move.target)) == []
    assert evidence(move)[3:] == [("tags", "-3"), ("customers", "-3")]
    move.sensei("evidence", "purge", move.id, "--yes")
    found = reader.snapshot(move.target, ignore_prefixes=())
    assert not [name for name in found if "sensei_evidence" in name]


# What comes along, and what is refused


def test_without_consent_nothing_is_done_and_on_a_terminal_it_is_asked(make_move: MakeMove) -> None:
    move = make_move("sqlite")
    move.start()
    whole = reader.snapshot(move.target)
    refused = back(move, "customers", expect=3).data["error"]
    assert "public.orders (its foreign key orders_customer_fkey points at public.customers)" in refused["message"]
    assert refused["details"]["hint"].endswith(f"sensei migrations rollback {move.id} --tables public.customers --yes")
    due = back(move, "customers", "--dry-run").data
    assert [a["table"] for a in due["along"]] == ["public.orders"]
    assert any(s.startswith("set table orders aside") for s in due["statements"])
    words = ["migrations", "rollback", move.id, "--tables", "customers"]
    assert "Take them back, too? [y/N]" in move.sensei.on_terminal(*words, answers="n", expect=3).stdout
    assert reader.diff_snapshots(whole, reader.snapshot(move.target)) == []
    assert move.status()["status"] == "completed"
    move.sensei.on_terminal(*words, answers="y")
    assert tables(move)["orders"] == ("rolled_back", 0)


def test_what_others_hung_on_a_table_is_named_and_nothing_is_done(make_move: MakeMove) -> None:
    move = make_move("postgres")
    move.start()
    small_shop.run(move.target, "CREATE VIEW seen AS SELECT * FROM orders")
    refused = back(move, "orders", expect=3).data["error"]
    assert "view seen" in refused["message"] or "view public.seen" in refused["message"]
    assert move.status()["status"] == "completed"
    back(move, "tags")
    small_shop.run(move.target, "DROP VIEW seen")
    back(move, "orders")
    move.resume()
    same(move)


def test_a_table_that_draws_from_anothers_sequence_comes_along(make_move: MakeMove) -> None:
    move = make_move(
        "postgres",
        "postgres",
        extra="CREATE TABLE a (id serial PRIMARY KEY, v text); INSERT INTO a (v) VALUES ('one'), ('two');"
        "CREATE TABLE b (id integer DEFAULT nextval('a_id_seq') PRIMARY KEY); INSERT INTO b DEFAULT VALUES;"
        "CREATE SEQUENCE alone; CREATE TABLE c (id integer DEFAULT nextval('alone') PRIMARY KEY);"
        "INSERT INTO c DEFAULT VALUES",
    )
    move.start()
    refused = back(move, "a", expect=3).data["error"]
    assert "draws numbers from the sequence public.a_id_seq" in refused["message"]
    whole = reader.snapshot(move.target)
    assert back(move, "a,c", "--yes").data["tables"] == ["public.a", "public.b", "public.c"]
    # A sequence that is nobody's stays, and stands where it stood.
    assert small_shop.ask(move.target, "SELECT last_value FROM alone") == [(1,)]
    move.resume()
    assert reader.diff_snapshots(whole, reader.snapshot(move.target)) == []
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES


@pytest.mark.parametrize("state", ["planned", "cancelled", "rolled_back"])
def test_single_tables_are_taken_back_only_where_there_is_something_to_keep(make_move: MakeMove, state: str) -> None:
    move = make_move("sqlite")
    if state == "cancelled":
        move.sensei("migrations", "cancel", move.id, "--reason", "no")
    if state == "rolled_back":
        move.start()
        move.rollback()
    for words in ([], ["--dry-run"]):
        refused = back(move, "orders", *words, expect=3).data["error"]
        assert refused["code"] == "wrong_state" and state.replace("_", " ") in refused["message"]
    assert move.status()["status"] == state


def test_a_verdict_from_before_is_void(make_move: MakeMove) -> None:
    move = make_move("postgres")
    move.start()
    run = ("validations", "run", move.id)
    assert move.sensei(*run, json=True).data["status"] == "validated"
    assert move.status()["status"] == "validated"
    back(move, "orders")
    assert move.status()["status"] == "paused"
    assert [v["void"] for v in move.sensei("validations", "list", move.id, json=True).data["runs"]] == [True]
    move.resume()
    assert move.status()["status"] == "completed"
    assert move.sensei(*run, json=True).data["status"] == "validated"


# The way there again


@pytest.mark.parametrize("engine", ENGINES)
def test_a_resume_finds_what_became_of_the_other_tables_unless_they_are_trusted(
    make_move: MakeMove, engine: str
) -> None:
    move = make_move(engine)
    move.start()
    small_shop.run(move.target, "UPDATE tags SET tag = 'b ' WHERE tag = 'b'")
    back(move, "orders")
    found = move.resume(json=True, expect=4).data["error"]
    # The tag is a part of the key: one row is gone, and another one is there.
    assert re.search(r"tags, of 3 rows that were copied: 1 missing, 1 there besides", found["message"])
    table = found["details"]["tables"][0]
    assert f"rollback {move.id} --tables {table}" in found["details"]["hint"] and table.endswith("tags")
    assert move.status()["status"] == "failed"
    # As the hint says: it comes along, and arrives as it is on the source.
    back(move, "tags")
    small_shop.run(move.target, "DELETE FROM customers WHERE id = 2")
    found = move.resume(json=True, expect=4).data["error"]
    assert 'customers, of 3 rows that were copied: 1 missing; such as {"id": "2"}' in found["message"]
    small_shop.run(move.target, "INSERT INTO customers (id, name) VALUES (2, 'bob ')")
    move.resume()
    same(move)

    # Of what is trusted no row is read: only the counts of the end would tell.
    small_shop.run(move.target, "UPDATE tags SET tag = 'b ' WHERE tag = 'b'")
    back(move, "orders", "--keep-progress")
    move.resume()
    assert reader.compare_databases(move.source, move.target) != []
    # Asked for anew without trust, though it is away already, it is checked.
    back(move, "orders", "--keep-progress")
    back(move, "orders")
    move.resume(expect=4)


@pytest.mark.parametrize("engine", ENGINES)
def test_rows_put_right_on_the_source_arrive_with_the_next_attempt(make_move: MakeMove, engine: str) -> None:
    move = make_move(engine)
    move.start()
    back(move, "orders")
    small_shop.run(
        move.source, "UPDATE orders SET total = 7 WHERE id = 2; INSERT INTO orders (id, customer) VALUES (9, 2)"
    )
    assert move.resume(json=True).data["rows_copied"] == small_shop.ROWS + 1
    same(move)
    assert tables(move)["orders"] == ("done", 4)
    # What Sensei saw last is what a later proof measures by.
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES


@pytest.mark.parametrize("engine", ENGINES)
def test_a_source_that_changed_elsewhere_is_found_before_anything_is_taken_up(make_move: MakeMove, engine: str) -> None:
    move = make_move(engine)
    move.start()
    back(move, "orders")
    small_shop.run(move.source, "UPDATE customers SET name = 'zoe' WHERE id = 2")
    found = move.resume(json=True, expect=4).data["error"]
    assert found["message"].count("customers") >= 1 and "not what was copied" in found["message"]
    assert tables(move)["orders"][0] == "rolled_back"
    small_shop.run(move.source, "UPDATE customers SET name = 'bob ' WHERE id = 2")
    move.resume()
    same(move)


@pytest.mark.parametrize("engine", ENGINES)
def test_rows_in_quarantine_are_those_of_the_last_attempt(make_move: MakeMove, engine: str) -> None:
    bad = (
        "PRAGMA foreign_keys = OFF; INSERT INTO orders (id, customer) VALUES (7, 99); INSERT INTO orders VALUES"
        " (8, 1, 'much', NULL, NULL);"
        if engine == "postgres"
        else "SET session_replication_role = replica; INSERT INTO orders (id, customer) VALUES (7, 99);"
    )
    move = make_move(engine, extra=bad)
    move.start()
    count = len(move.quarantine())
    assert count == (2 if engine == "postgres" else 1)
    carried = reader.compare_databases(move.source, move.target)
    # The other tables are compared though rows of theirs are in quarantine.
    back(move, "tags")
    move.resume()
    back(move, "orders", "--keep-progress")
    assert move.quarantine() == []
    move.resume()
    assert len(move.quarantine()) == count
    assert reader.compare_databases(move.source, move.target) == carried
    ledger = ends.ledger_table(move.target, "quarantine")
    assert small_shop.ask(move.target, f"SELECT count(*) FROM {ledger}") == [(2 * count,)]
    status = move.status()
    assert status["errors"]["total"] == count
    assert move.rollback("--verify").data["passed"]


# A corrected configuration


def config_of(move: moves.Move, **changes: Any) -> Path:
    """The migration's file with some keys of it changed, as a file of its own."""
    told = json.loads((move.sensei.folder / "move.yaml").read_text())
    return move.sensei.write("corrected.yaml", {**told, **changes})


def resume_with(move: moves.Move, path: Path, expect: int = 0) -> dict[str, Any]:
    found = move.sensei("migrations", "resume", move.id, "--config", path, json=True, expect=expect).data
    return dict(found if expect == 0 else found["error"])


@pytest.mark.parametrize("engine", ENGINES)
def test_only_what_is_rolled_back_is_configured_anew(make_move: MakeMove, engine: str) -> None:
    move = make_move(engine)
    name = "orders" if engine == "postgres" else "public.orders"
    mapped = {"orders": {"target": "purchases", "columns": {"note": {"target": "remark"}}}}
    move.start()
    refused = resume_with(move, config_of(move, tables=mapped), expect=3)
    assert refused["code"] == "wrong_state"
    back(move, "orders")
    for changes, told in (
        ({"options": {"parallelism": 1, "chunk_rows": 3}}, "options.chunk_rows"),
        ({"tables": {**mapped, "tags": {"target": "labels"}}}, "tables.tags"),
        ({"name": "other"}, "name"),
    ):
        refused = resume_with(move, config_of(move, **changes), expect=3)
        assert refused["code"] == "world_changed" and f"differs in {told}" in refused["message"]
    assert move.status()["status"] == "paused"
    untouched = json.loads(move.sensei("migrations", "plan", move.id, "--json").stdout)

    assert resume_with(move, config_of(move, tables=mapped))["rows_copied"] == small_shop.ROWS
    columns = small_shop.ask(move.target, "SELECT remark FROM purchases ORDER BY id")
    assert columns == [(" none ",)] * 3
    assert tables(move) == {"customers": ("done", 3), "orders": ("done", 3), "tags": ("done", 3)}
    amended = move.sensei("migrations", "plan", move.id, json=True).data
    assert amended["steps"] != untouched["steps"]
    assert [c for c in amended["columns"] if c["table"] != name] == [
        c for c in untouched["columns"] if c["table"] != name
    ]
    events = move.sensei("migrations", "logs", move.id, json=True).data["events"]
    assert sum(e["kind"] == "replanned" for e in events) == 1
    # The old file is no longer what it was planned with; the way back knows the new names.
    move.sensei("migrations", "rollback", move.id, "--tables", "purchases")
    assert evidence(move) == [("orders", ""), ("purchases", "-2")]
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES


def test_a_configuration_that_would_change_other_tables_plans_is_refused(
    make_move: MakeMove, warm_sensei: fix_sensei.Sensei
) -> None:
    move = make_move("postgres")
    # Cut off before any foreign key was there: nothing depends on customers yet.
    move.start(crash_at="step:primary_key:commit:before", expect=-9)
    assert back(move, "customers").data["tables"] == ["customers"]
    refused = resume_with(move, config_of(move, tables={"customers": {"target": "clients"}}), expect=3)
    assert "the plan of other tables would change, too: orders" in refused["message"]
    assert f"rollback {move.id} --tables orders" in refused["details"]["hint"]
    back(move, "orders")
    resume_with(move, config_of(move, tables={"customers": {"target": "clients"}}))
    assert small_shop.ask(move.target, "SELECT count(*) FROM clients") == [(3,)]
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES


def test_a_lossy_type_needs_consent_before_the_plan_is_amended(make_move: MakeMove) -> None:
    move = make_move("postgres")
    move.start()
    back(move, "orders")
    mapped = {"orders": {"columns": {"total": {"type": "double precision"}}}}
    refused = resume_with(move, config_of(move, tables=mapped), expect=3)
    assert "accept_lossy: [orders.total]" in refused["message"]
    agreed = {"parallelism": 1, "chunk_rows": 2, "accept_lossy": ["orders.total"]}
    resume_with(move, config_of(move, tables=mapped, options=agreed))
    assert small_shop.ask(move.target, "SELECT total FROM orders WHERE id = 2") == [(19.99,)]


# Evidence, script, a lost home


@pytest.mark.parametrize("engine", ENGINES)
def test_tables_are_removed_where_no_evidence_is_wanted(make_move: MakeMove, engine: str) -> None:
    move = make_move(engine, own=False, evidence="drop")
    empty = lasting(move.target)
    move.start()
    back(move, "customers", "--yes", "--verify")
    assert evidence(move) == []
    assert not [n for n in reader.snapshot(move.target, ignore_prefixes=()) if "sensei_evidence" in n]
    move.resume()
    same(move)
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES
    assert reader.diff_snapshots(empty, lasting(move.target)) == []


def test_each_rollback_exports_to_files_of_its_own(make_move: MakeMove) -> None:
    move = make_move("postgres", own=False, evidence="export")
    move.start()
    for _ in range(2):
        back(move, "orders")
        move.resume()
    move.rollback("--verify")
    kept = move.sensei("evidence", "list", move.id, json=True).data["evidence"]
    places = [Path(e["place"]) for e in kept]
    assert [p.parent.name for p in places] == ["evidence", "evidence-2", *["evidence-3"] * 3]
    assert all(p.is_file() for p in places) and len(set(places)) == 5


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("resumed", [False, True])
def test_the_script_alone_takes_the_rest_back(
    make_move: MakeMove, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, resumed: bool
) -> None:
    move = make_move(engine)
    before = lasting(move.target)
    move.start()
    back(move, "orders", "--keep-progress")
    if resumed:
        move.resume()
    script = move.script().read_text()
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        ends.client(move.target, script)
        assert reader.diff_snapshots(before, lasting(move.target)) == []
    assert move.verify()["rollback_verification"] == moves.LINES
    # What stands commented out at its end drops the evidence of both.
    tail = itertools.takewhile(lambda line: line.startswith("-- "), reversed(script.splitlines()))
    ends.client(move.target, "\n".join(line.removeprefix("-- ") for line in reversed(list(tail))))
    found = reader.snapshot(move.target, ignore_prefixes=())
    assert not [name for name in found if "sensei_evidence" in name]


@pytest.mark.parametrize("resumed", [False, True])
def test_a_lost_home_is_made_anew_with_what_was_taken_back(make_move: MakeMove, tmp_path: Path, resumed: bool) -> None:
    move = make_move("postgres")
    before = lasting(move.target)
    move.start()
    back(move, "orders")
    resume_with(move, config_of(move, tables={"orders": {"target": "purchases"}}))
    back(move, "tags")
    if resumed:
        move.resume()
    connections = {"from": moves.url(move.source), "to": moves.url(move.target)}
    move.sensei.home = tmp_path / "new-home"
    for name, url in connections.items():
        move.sensei("connections", "add", name, url)
    assert move.sensei("migrations", "recover", "to", json=True).data["recovered"][0]["status"] == "paused"
    assert tables(move)["tags"][0] == ("copied" if resumed else "rolled_back")
    assert evidence(move) == [("orders", ""), ("tags", "-2")]
    move.resume()
    assert tables(move)["tags"] == ("done", 3)
    assert small_shop.ask(move.target, "SELECT count(*) FROM purchases") == [(3,)]
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES
    assert {place for _, place in evidence(move)} == {"", "-2", "-3"}
    assert reader.diff_snapshots(before, lasting(move.target)) == []


# Cut off


def test_one_that_was_cut_off_is_finished_or_becomes_one_of_everything(make_move: MakeMove) -> None:
    move = make_move("postgres")
    before = lasting(move.target)
    move.start()
    back(move, "orders", crash_at="partial:commit:before")
    assert move.status()["status"] == "rolling_back"
    hint = back(move, "tags", expect=3).data["error"]["details"]["hint"]
    assert hint == f"sensei migrations rollback {move.id} --tables orders"
    assert move.status()["next"].startswith(f"sensei migrations rollback {move.id} --tables orders")
    back(move, "orders")
    move.resume()
    same(move)

    back(move, "customers", "--yes", crash_at="partial:commit:after")
    move.sensei("migrations", "rollback", move.id, "--full", crash_at="rollback:commit:before")
    refused = back(move, "customers", "--yes", expect=3).data["error"]
    assert "--full" in refused["details"]["hint"]
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES
    assert reader.diff_snapshots(before, lasting(move.target)) == []
    # Nothing that was set aside is forgotten.
    assert sorted(evidence(move)) == [("customers", "-2"), ("orders", ""), ("orders", "-2"), ("tags", "-3")]


def test_a_run_under_way_is_stopped_first_and_goes_on_without_copying_the_rest_again(
    sensei: fix_sensei.Sensei, pg_db: servers.Database, tmp_path: Path
) -> None:
    source = tmp_path / "source.db"
    mid_copy.fill(source)
    migration = mid_copy.plan(sensei, source, pg_db)
    running = sensei.spawn("migrations", "start", migration, "--json")
    with mid_copy.held_still(sensei, pg_db):
        taking = sensei.spawn("migrations", "rollback", migration, "--tables", "shops", "--json")
        fix_sensei.wait_until(
            lambda: "pausing at the next chunk boundary" in running.so_far().stderr, what="the request to pause"
        )
    taking.wait(expect=0)
    assert running.wait(expect=0).returncode == 0
    found = mid_copy.status(sensei, migration)
    assert found["status"] == "paused"
    done = {t["name"]: t for t in found["progress"]["tables"]}
    assert (done["shops"]["status"], done["shops"]["rows_copied"]) == ("rolled_back", 0)
    assert done["items"]["rows_copied"] > 0
    sensei("migrations", "resume", migration)
    assert pg_db.value("SELECT max(attempt) FROM sensei_.chunks WHERE table_name = 'items'") == 1
    assert pg_db.value("SELECT max(attempt) FROM sensei_.chunks WHERE table_name = 'shops'") == 2
    mid_copy.check_finished(sensei, migration, source, pg_db)
