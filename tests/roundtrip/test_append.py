"""`on_existing: append`: rows join the target's own and leave it again, and nothing else of it moves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ends
import existing_shop
import fix_sensei
import moves
import reader
import servers
import small_shop

ENGINES = ["postgres", "sqlite", "mysql"]
APPEND = {"on_existing": "append", "chunk_rows": 2}
OTHER = {"postgres": "sqlite", "sqlite": "postgres", "mysql": "postgres"}
PAIRS = [*OTHER.items(), ("mysql", "sqlite"), ("mysql", "mysql")]

MakeMove = Callable[..., moves.Move]


@pytest.fixture
def make_move(warm_sensei: fix_sensei.Sensei, maker: ends.Maker, tmp_path: Path) -> MakeMove:
    """A planned move onto tables that are there: of the small shop, or of a source of the test's own."""
    made: dict[str, moves.End] = {}

    def end(engine: str, what: str, sql: str) -> moves.End:
        if what not in made:
            made[what] = tmp_path / f"{what}.db" if engine == "sqlite" else maker(engine)()
            small_shop.run(made[what], sql)
        return made[what]

    def make(
        engine: str, *, origin: str = "", source: str = "", own: str = "", name: str = "move", **more: Any
    ) -> moves.Move:
        origin = origin or OTHER[engine]
        if source:
            a = end(origin, "source", source)
        else:
            a = made.get("source") or small_shop.source(origin, maker(origin), tmp_path)
            made["source"] = a
        b = end(engine, "target", own or existing_shop.own(engine, "append", origin))
        options = {**APPEND, **more.pop("options", {})}
        return moves.plan_move(warm_sensei, a, b, name=name, options=options, **more)

    return make


@pytest.mark.parametrize(("engine", "origin"), PAIRS)
def test_rows_join_those_that_are_there_and_leave_them_as_they_were(
    make_move: MakeMove, engine: str, origin: str, warm_sensei: fix_sensei.Sensei
) -> None:
    move = make_move(engine, origin=origin)
    before = reader.snapshot(move.target)
    told = " ".join(r["reason"] for r in move.plan["risks"])
    assert "per row" in told and "MB" in told and "level" in told
    assert ("trigger loud" in told) is (engine != "mysql")
    assert move.plan["estimate"]["rollback_seconds"] >= 0.5

    started = move.start()
    assert "2 rows added to" not in started.stderr and "0 rows added to" in started.stderr
    assert small_shop.ask(move.target, "SELECT id, name, level, twice FROM customers ORDER BY id") == [
        (1, "ann", 1, 2), (2, "bob ", 2, 4), (3, "çem", 3, 6), (50, "fifty", 7, 14),
    ]  # fmt: skip
    assert small_shop.ask(move.target, "SELECT id, customer FROM orders ORDER BY id") == [
        (1, 1),
        (2, 1),
        (3, 3),
        (4, 2),
    ]
    assert small_shop.ask(move.target, "SELECT id, customer FROM notes ORDER BY id") == [(1, 1), (2, 50)]
    assert [t["status"] for t in move.status()["progress"]["tables"]] == ["done"] * 3

    shown = warm_sensei("migrations", "rollback", move.id, "--full", "--dry-run").stdout
    assert shown.count("take the added rows out of the target's own table") == 2
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES
    assert reader.diff_snapshots(before, reader.snapshot(move.target)) == []
    kinds = {e["object"].rpartition(".")[2]: e["kind"] for e in move.verify()["evidence"]}
    assert kinds == {"customers": "rows", "orders": "rows", "tags": "table"}
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES
    assert reader.diff_snapshots(before, reader.snapshot(move.target)) == []

    # A second migration beside that evidence, and then all evidence goes: nothing of the target's own goes with it.
    again = make_move(engine, origin=origin, name="again")
    again.start()
    again.rollback("--verify")
    for one in (move, again):
        warm_sensei("evidence", "purge", one.id, "--yes")
    assert reader.diff_snapshots(before, reader.snapshot(move.target)) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_the_script_alone_takes_the_rows_out_also_from_the_middle(make_move: MakeMove, engine: str) -> None:
    move = make_move(engine)
    before = reader.snapshot(move.target)
    move.start(crash_at="step:merge:commit:after")
    ends.client(move.target, move.script("middle.sql").read_text())
    assert reader.diff_snapshots(before, reader.snapshot(move.target)) == []

    move = make_move(engine, name="again")
    move.start()
    script = move.script("end.sql").read_text()
    for _ in range(2):
        ends.client(move.target, script)
        assert reader.diff_snapshots(before, reader.snapshot(move.target)) == []
    assert move.verify()["rollback_verification"] == moves.LINES


PEOPLE = """
CREATE TABLE people (id integer PRIMARY KEY, mail varchar(20), boss integer, born varchar(10), team integer);
INSERT INTO people VALUES (1, 'b', 2, 'x', 1), (2, 'a', NULL, 'x', 1), (3, 'c', 9, 'x', 1), (4, 'taken', NULL, 'x', 1),
  (5, 'd', NULL, NULL, 1), (6, 'e', NULL, 'x', 8), (7, 'f', 6, 'x', 1), (8, 'g', NULL, 'x', NULL), (9, 'h', 3, 'x', 1);
"""
OWN_PEOPLE = """
CREATE TABLE teams (id integer PRIMARY KEY, v integer);
CREATE TABLE people (id integer PRIMARY KEY, mail varchar(20), boss integer, born varchar(10) NOT NULL, team integer,
  mark varchar(10) DEFAULT 'new', CONSTRAINT mails UNIQUE (mail),
  CONSTRAINT bosses FOREIGN KEY (boss) REFERENCES people (id), CONSTRAINT teams_of FOREIGN KEY (team)
  REFERENCES teams (id));
INSERT INTO teams VALUES (1, 1);
INSERT INTO people VALUES
  (1, 'a', 20, 'o', 1, 'old'), (2, 'b', 1, 'o', 1, 'old'), (20, 'taken', NULL, 'o', NULL, 'old');
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_rows_that_the_table_would_not_take_are_in_quarantine_each_with_its_reason(
    make_move: MakeMove, engine: str
) -> None:
    own = OWN_PEOPLE.replace("CONSTRAINT bosses FOREIGN KEY (boss) REFERENCES people (id),", "")
    assert own != OWN_PEOPLE
    move = make_move(engine, source=PEOPLE.replace("(1, 'b', 2", "(1, 'b', 3"), own=own)
    before = reader.snapshot(move.target)
    move.start()
    found = {q["key"]["id"]: q["reason"] for q in move.quarantine()}
    assert set(found) == {"4", "5", "6"}, found
    assert "mails" in found["4"] and "teams_of" in found["6"]
    # 1 and 2 exchange what is unique: neither of them is turned away.
    assert small_shop.ask(move.target, "SELECT id, mail, mark FROM people ORDER BY id") == [
        (1, "b", "old"), (2, "a", "old"), (3, "c", "new"), (7, "f", "new"), (8, "g", "new"), (9, "h", "new"),
        (20, "taken", "old"),
    ]  # fmt: skip
    assert move.status()["errors"]["total"] == 3
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES
    assert reader.diff_snapshots(before, reader.snapshot(move.target)) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_a_table_may_point_at_itself_and_what_hangs_on_a_turned_away_row_goes_with_it(
    make_move: MakeMove, engine: str
) -> None:
    source = PEOPLE.replace("(1, 'b', 2", "(1, 'z', 9").replace("(2, 'a', NULL", "(2, 'y', 4")
    own = ("SET foreign_key_checks = 0;" if engine == "mysql" else "") + OWN_PEOPLE  # looked at row by row there
    move = make_move(engine, source=source, own=own)
    before = reader.snapshot(move.target)
    move.start()
    # 4's mail is taken; 2 has 4 for a boss, 7 has 6, whose team nobody knows. 3 and 9 have each other.
    assert {q["key"]["id"] for q in move.quarantine()} == {"2", "4", "5", "6", "7"}
    assert small_shop.ask(move.target, "SELECT id, mail, boss FROM people ORDER BY id") == [
        (1, "z", 9), (2, "b", 1), (3, "c", 9), (8, "g", None), (9, "h", 3), (20, "taken", None),
    ]  # fmt: skip
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES
    assert reader.diff_snapshots(before, reader.snapshot(move.target)) == []


def test_values_that_go_round_under_a_unique_key_stop_where_others_point_at_the_rows(make_move: MakeMove) -> None:
    source = "CREATE TABLE p (id integer PRIMARY KEY, m integer); INSERT INTO p VALUES (1, 2), (2, 1), (3, 4);"
    own = """CREATE TABLE p (id integer PRIMARY KEY, m integer UNIQUE); CREATE TABLE x (p integer REFERENCES p);
        INSERT INTO p VALUES (1, 1), (2, 2), (3, 3); INSERT INTO x VALUES (1)"""
    move = make_move("postgres", source=source, own=own)
    before = reader.snapshot(move.target)
    error = move.start(json=True, expect=6).data["error"]
    assert "exchange values of a unique key" in error["message"] and "x_p_fkey" in error["message"]
    assert reader.diff_snapshots(before, reader.snapshot(move.target)) == []
    small_shop.run(move.target, "ALTER TABLE x DROP CONSTRAINT x_p_fkey")
    # The plan knows of the key: what it says about the rows still holds for nobody, so they are let pass by hand.
    move.rollback()
    small_shop.run(move.target, "ALTER TABLE x ADD CONSTRAINT x_p_fkey FOREIGN KEY (p) REFERENCES p")
    assert reader.diff_snapshots(before, reader.snapshot(move.target)) == []


def test_values_that_move_along_a_chain_arrive_and_go_back_although_others_point_at_the_rows(
    make_move: MakeMove,
) -> None:
    rows = ", ".join(f"({n}, {n + 1})" for n in range(1, 9))
    old = ", ".join(f"({n}, {n})" for n in range(1, 9))
    source = f"CREATE TABLE p (id integer PRIMARY KEY, m integer); INSERT INTO p VALUES {rows}"
    own = f"""CREATE TABLE p (id integer PRIMARY KEY, m integer UNIQUE);
        CREATE TABLE x (p integer REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE);
        INSERT INTO p VALUES {old}; INSERT INTO x VALUES (1), (8)"""
    move = make_move("postgres", source=source, own=own)
    before = reader.snapshot(move.target)
    move.start()
    assert small_shop.ask(move.target, "SELECT id, m FROM p ORDER BY 1") == [(n, n + 1) for n in range(1, 9)]
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES
    assert reader.diff_snapshots(before, reader.snapshot(move.target)) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_rows_of_others_that_point_at_added_rows_stop_the_way_back_and_are_not_taken_along(
    make_move: MakeMove, engine: str
) -> None:
    source = "CREATE TABLE p (id integer PRIMARY KEY, v integer); INSERT INTO p VALUES (1, 10), (2, 20);"
    own = """CREATE TABLE p (id integer PRIMARY KEY, v integer); INSERT INTO p VALUES (1, 1);
        CREATE TABLE x (p integer REFERENCES p (id) ON DELETE CASCADE);"""
    move = make_move(engine, source=source, own=own)
    before = reader.snapshot(move.target)
    move.start()
    small_shop.run(move.target, "INSERT INTO x VALUES (2), (1)")
    halfway = reader.snapshot(move.target)
    assert "points at" in move.rollback(expect=3).data["error"]["message"]
    with pytest.raises(servers.ServerError, match="points at rows that were added"):
        ends.client(move.target, move.script().read_text())
    assert reader.diff_snapshots(halfway, reader.snapshot(move.target)) == []
    small_shop.run(move.target, "DELETE FROM x WHERE p = 2")
    move.rollback()
    assert small_shop.ask(move.target, "SELECT * FROM x") == [(1,)]
    small_shop.run(move.target, "DELETE FROM x")
    assert reader.diff_snapshots(before, reader.snapshot(move.target)) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_what_the_owner_did_meanwhile_is_evidence_or_stays(make_move: MakeMove, engine: str) -> None:
    own = """CREATE TABLE p ({}, v integer); INSERT INTO p (v) VALUES (1), (2);""".format(
        "id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"
        if engine == "postgres"
        else f"id INTEGER PRIMARY KEY {'AUTOINCREMENT' if engine == 'sqlite' else 'AUTO_INCREMENT'}"
    )
    source = "CREATE TABLE p (id integer PRIMARY KEY, v integer); INSERT INTO p VALUES (2, 20), (10, 100), (11, 110);"
    move = make_move(engine, source=source, own=own)
    move.start()
    small_shop.run(
        move.target,
        "INSERT INTO p (v) VALUES (5); UPDATE p SET v = 101 WHERE id = 10; DELETE FROM p WHERE id IN (2, 11);",
    )
    assert small_shop.ask(move.target, "SELECT * FROM p ORDER BY id") == [(1, 1), (10, 101), (12, 5)]
    found = move.rollback("--verify", expect=4).data
    assert found["rollback_verification"]["source_data_integrity"] == "verified"
    assert any("had 2 rows, has 3" in d for d in found["differences"])
    assert small_shop.ask(move.target, "SELECT * FROM p ORDER BY id") == [(1, 1), (2, 2), (12, 5)]
    aside = f"sensei_evidence_{move.id}_p" if engine == "sqlite" else f"sensei_evidence_{move.id}.p"
    assert small_shop.ask(move.target, f"SELECT * FROM {aside}") == [(10, 101)]
    # Numbers that were given out since are not given out again.
    small_shop.run(move.target, "INSERT INTO p (v) VALUES (6)")
    assert small_shop.ask(move.target, "SELECT id FROM p WHERE v = 6") == [(13,)]


#: Target engine, columns of the source, definition of the target's own table {0}, what is said of it.
REFUSED = [
    ("postgres", "id integer PRIMARY KEY, v integer", "id integer PRIMARY KEY", "no column v"),
    ("postgres", "id integer PRIMARY KEY, v integer", "id integer PRIMARY KEY, v text", "another kind of value"),
    ("postgres", "id integer PRIMARY KEY, v numeric(9,4)", "id integer PRIMARY KEY, v numeric(9,2)", "would round"),
    ("postgres", "id integer PRIMARY KEY, v varchar(9)", "id integer PRIMARY KEY, v varchar(8)", "cut blanks"),
    ("postgres", "id integer PRIMARY KEY, v varchar(9)", "id integer PRIMARY KEY, v char(9)", "would pad"),
    ("postgres", "id integer PRIMARY KEY, v timestamp", "id integer PRIMARY KEY, v timestamp(3)", "would round"),
    ("postgres", "id integer PRIMARY KEY", "id integer PRIMARY KEY, v integer NOT NULL", "must have a value"),
    ("postgres", "id integer PRIMARY KEY, v integer",
     "id integer PRIMARY KEY, v integer GENERATED ALWAYS AS (id) STORED", "computes"),
    ("postgres", "id integer, v integer", "id integer PRIMARY KEY, v integer", "share no unique key"),
    ("postgres", "id integer PRIMARY KEY, v integer", "id integer, v integer UNIQUE", "share no unique key"),
    ("postgres", "id integer PRIMARY KEY", "id integer PRIMARY KEY); CREATE TABLE c () INHERITS ({0}", "inherits"),
    ("postgres", "id integer PRIMARY KEY",
     "id integer PRIMARY KEY); CREATE RULE r AS ON INSERT TO {0} DO INSTEAD (SELECT 1", "rule r"),
    ("postgres", "id integer PRIMARY KEY", "id integer PRIMARY KEY, CONSTRAINT e EXCLUDE (id WITH =)", "constraint e"),
    ("postgres", "id integer PRIMARY KEY, v integer",
     "id integer PRIMARY KEY, v integer UNIQUE); CREATE TABLE x (v integer REFERENCES {0} (v)", "other columns"),
    ("postgres", "id integer PRIMARY KEY", "id integer PRIMARY KEY) PARTITION BY RANGE (id", "no plain table"),
    ("mysql", "id integer PRIMARY KEY",
     "id integer PRIMARY KEY); CREATE TRIGGER loud BEFORE INSERT ON {0} FOR EACH ROW SET NEW.id = (1", "trigger loud"),
    ("mysql", "id integer PRIMARY KEY", "id integer PRIMARY KEY) ENGINE = MyISAM; CREATE TABLE {0}_x (id int",
     "engine MyISAM"),
    ("mysql", "id integer PRIMARY KEY, v varchar(9)", "id integer PRIMARY KEY, v char(9)", "cut blanks"),
    ("mysql", "id integer PRIMARY KEY, v varchar(9)", "id integer PRIMARY KEY, v enum('a')", "takes for its own"),
    ("mysql", "id integer PRIMARY KEY, v integer", "id integer PRIMARY KEY, v year", "takes for its own"),
    ("mysql", "id integer PRIMARY KEY, v numeric(9,4)", "id integer PRIMARY KEY, v numeric(9,2)", "would round"),
    ("mysql", "id integer PRIMARY KEY, v timestamp", "id integer PRIMARY KEY, v datetime(3)", "would round"),
    ("mysql", "id varchar(9) PRIMARY KEY", "id varchar(9) PRIMARY KEY", "share no unique key"),
    ("mysql", "id integer PRIMARY KEY, v integer",
     "id integer PRIMARY KEY, v integer UNIQUE); CREATE TABLE x (v integer, FOREIGN KEY (v) REFERENCES {0} (v)",
     "other columns"),
    ("sqlite", "id varchar(9) PRIMARY KEY", "id TEXT COLLATE NOCASE NOT NULL PRIMARY KEY", "share no unique key"),
    ("sqlite", "id integer PRIMARY KEY, v date", "id INTEGER PRIMARY KEY, v integer", "another kind of value"),
]  # fmt: skip
CIRCLE = "id integer PRIMARY KEY); CREATE TABLE q (id integer PRIMARY KEY"


@pytest.mark.parametrize("engine", ENGINES)
def test_what_could_not_be_taken_out_again_is_refused_with_the_reason(
    warm_sensei: fix_sensei.Sensei, maker: ends.Maker, tmp_path: Path, engine: str
) -> None:
    cases = [(f"p{n}", theirs, ours, said) for n, (e, theirs, ours, said) in enumerate(REFUSED) if e == engine]

    def refusal(theirs: str, ours: str) -> list[str]:
        # Types are the source's own where it knows them all: always a PostgreSQL here.
        source = maker("postgres")()
        target: moves.End = tmp_path / "target.db" if engine == "sqlite" else maker(engine)()
        small_shop.run(source, theirs)
        small_shop.run(target, ours)
        before = reader.snapshot(target)
        config = {
            "name": "refused",
            "connections": {"from": moves.url(source), "to": moves.url(target)},
            "source": {"connection": "from"},
            "target": {"connection": "to"},
            "options": APPEND,
        }
        path = warm_sensei.write("refused.yaml", config)
        error = warm_sensei("migrations", "create", "--config", path, json=True, expect=3).data["error"]
        assert reader.snapshot(target) == before
        return list(error["details"]["reasons"])

    reasons = refusal(
        "".join(f"CREATE TABLE {name} ({theirs});" for name, theirs, _, _ in cases),
        "".join(f"CREATE TABLE {name} ({ours.format(name)});" for name, _, ours, _ in cases),
    )
    missing = [(n, said) for n, _, _, said in cases if not any(f"{n}: " in r and said in r for r in reasons)]
    assert missing == [], reasons
    if engine == "postgres":
        round_about = (
            "ALTER TABLE p ADD FOREIGN KEY (id) REFERENCES q; ALTER TABLE q ADD FOREIGN KEY (id) REFERENCES p;"
        )
        (reason,) = refusal(f"CREATE TABLE p ({CIRCLE})", f"CREATE TABLE p ({CIRCLE}); {round_about}")
        assert "circle: public.p, public.q" in reason


@pytest.mark.parametrize("engine", ENGINES)
def test_a_table_that_changed_since_the_plan_is_not_added_to(make_move: MakeMove, engine: str) -> None:
    move = make_move(engine)
    small_shop.run(move.target, "ALTER TABLE orders ADD COLUMN more int")
    before = reader.snapshot(move.target)
    error = move.start(json=True, expect=3).data["error"]
    assert error["code"] == "world_changed" and "more" in json.dumps(error)
    assert reader.diff_snapshots(before, reader.snapshot(move.target)) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_one_table_is_taken_out_and_added_again_while_the_others_stay(
    make_move: MakeMove, warm_sensei: fix_sensei.Sensei, engine: str
) -> None:
    move = make_move(engine)
    before = reader.snapshot(move.target)
    move.start()
    full = reader.snapshot(move.target)
    words = ("migrations", "rollback", move.id, "--yes", "--keep-progress", "--tables")
    warm_sensei(*words, "orders")
    assert small_shop.ask(move.target, "SELECT id, customer FROM orders ORDER BY id") == [
        (1, 1),
        (2, 2),
        (3, 50),
        (4, 2),
    ]
    move.resume()
    lasting = [d for d in reader.diff_snapshots(full, reader.snapshot(move.target)) if "sqlite_stat" not in d]
    assert lasting == []
    warm_sensei(*words, "customers")  # and orders, which point at it
    assert small_shop.ask(move.target, "SELECT id, name FROM customers ORDER BY id") == [
        (1, "Bob "), (2, "zoe"), (3, "own"), (50, "fifty"),
    ]  # fmt: skip
    move.rollback("--verify")
    assert reader.diff_snapshots(before, reader.snapshot(move.target)) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_numbers_go_on_where_they_stood_when_nobody_used_them_meanwhile(make_move: MakeMove, engine: str) -> None:
    key = {
        "postgres": "bigint GENERATED BY DEFAULT AS IDENTITY",
        "sqlite": "INTEGER",
        "mysql": "bigint AUTO_INCREMENT",
    }[engine]
    auto = " AUTOINCREMENT" if engine == "sqlite" else ""
    own = f"CREATE TABLE p (id {key} PRIMARY KEY{auto}, v integer); INSERT INTO p (v) VALUES (1), (2);"
    source = "CREATE TABLE p (id integer PRIMARY KEY, v integer); INSERT INTO p VALUES (2, 20), (90, 1);"
    move = make_move(engine, source=source, own=own)
    before = reader.snapshot(move.target)
    move.start()
    assert reader.diff_snapshots(before, reader.snapshot(move.target)) != []
    move.rollback("--verify")
    assert reader.diff_snapshots(before, reader.snapshot(move.target)) == []
    small_shop.run(move.target, "INSERT INTO p (v) VALUES (3)")
    assert small_shop.ask(move.target, "SELECT id FROM p WHERE v = 3") == [(3,)]


@pytest.mark.parametrize(("engine", "number", "kept"), [("mysql", "int", False), ("mysql", "bigint", True)])
def test_a_key_to_a_table_of_another_type_is_left_out_by_the_plan_and_not_found_at_the_end(
    make_move: MakeMove, engine: str, number: str, kept: bool
) -> None:
    source = """CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
        CREATE TABLE visits (id INTEGER PRIMARY KEY, customer INTEGER REFERENCES customers);
        INSERT INTO customers VALUES (7, 'Ada'); INSERT INTO visits VALUES (1, 7);"""
    own = f"CREATE TABLE customers (id {number} PRIMARY KEY, name longtext NOT NULL)"
    move = make_move(engine, origin="sqlite", source=source, own=own)
    left = [(n["kind"], n["object"]) for n in move.plan["not_migrated"] if n["kind"] == "foreign key"]
    assert len(left) == (0 if kept else 1), move.plan["not_migrated"]
    move.start()
    assert small_shop.ask(move.target, "SELECT customer FROM visits") == [(7,)]
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES


def test_a_foreign_key_between_types_that_do_not_compare_is_left_out_by_the_plan(make_move: MakeMove) -> None:
    source = """CREATE TABLE parents (id INTEGER PRIMARY KEY);
        CREATE TABLE children (id INTEGER PRIMARY KEY, parent TEXT REFERENCES parents (id));
        INSERT INTO parents VALUES (1); INSERT INTO children VALUES (1, '1');"""
    move = make_move("postgres", origin="sqlite", source=source, own="SELECT 1")
    reasons = [n["reason"] for n in move.plan["not_migrated"] if n["kind"] == "foreign key"]
    assert len(reasons) == 1 and "parent is text and points to id, which is bigint" in reasons[0]
    move.start()
    assert small_shop.ask(move.target, "SELECT parent FROM children") == [("1",)]
