"""Checks and computed columns come along where both servers give the same answer, else they are listed with a case."""

from __future__ import annotations

from typing import Any

import pytest

import ends
import fix_sensei
import moves

PAIRS = [(s, t) for s in ends.ENGINES for t in ends.ENGINES if s != t]
#: Each engine as a target that is done, taken back, done again and taken back again.
_TWICE = [("sqlite", "postgres"), ("postgres", "mysql"), ("mysql", "sqlite")]

_TABLES = """
CREATE TABLE items (
  id INTEGER PRIMARY KEY,
  code {text} NOT NULL,
  label {text},
  price DECIMAL(10,2) NOT NULL,
  qty INTEGER NOT NULL,
  part INTEGER NOT NULL,
  doubled INTEGER GENERATED ALWAYS AS (qty * 2) STORED,
  half INTEGER GENERATED ALWAYS AS (qty / 2) STORED,
  shout {text} GENERATED ALWAYS AS (upper(code)) STORED,
  sized INTEGER GENERATED ALWAYS AS (CASE WHEN qty > 9 THEN 1 ELSE 0 END) STORED,
  CONSTRAINT long_code CHECK (length(code) > 2),
  CONSTRAINT some_label CHECK (coalesce(label, 'none') <> ''),
  CONSTRAINT parted CHECK (CASE WHEN part > 0 THEN qty > 0 ELSE qty < 1000 END),
  CONSTRAINT ratio CHECK (qty / 3 < 400),
  CONSTRAINT begun CHECK (code LIKE 'a%'),
  CONSTRAINT low CHECK (abs(qty) < 5000)
);
INSERT INTO items (id, code, label, price, qty, part) VALUES
  (1, 'abc', NULL, 1.10, 7, 1), (2, 'abcd', 'x', 2.25, 10, 0), (3, 'axé', 'y', 0.30, 0, 0);
"""


def _made(maker: ends.Maker, engine: str) -> ends.End:
    end = maker(engine)()
    text = {"sqlite": "TEXT", "postgres": "text", "mysql": "varchar(50) COLLATE utf8mb4_nopad_bin"}[engine]
    ends.run(end, _TABLES.format(text=text))
    return end


def _planned(sensei: fix_sensei.Sensei, source: ends.End, target: ends.End, **more: Any) -> moves.Move:
    schema = "public" if ends.engine(target) == "postgres" else None
    return moves.plan_move(sensei, source, target, schema=schema, **more)


#: What stays behind between two engines, and a word of the reason.
_LEFT: dict[tuple[str, str], dict[str, str]] = {
    ("sqlite", "postgres"): {"shout": "'é'", "begun": "code = 'A'"},
    ("sqlite", "mysql"): {"shout": "'é'", "begun": "code = 'A'"},
    ("postgres", "sqlite"): {"shout": "'é'", "begun": "code = 'A'"},
    ("postgres", "mysql"): {},
    ("mysql", "sqlite"): {"half": "qty = 1 ", "shout": "'é'", "begun": "code = 'A'", "long_code": "octet_length"},
    ("mysql", "postgres"): {"half": "qty = 1 "},
}
_COMPUTED = ("doubled", "half", "shout", "sized")
_CHECKS = ("long_code", "some_label", "parted", "ratio", "begun", "low")
#: Rows that the source refuses, by the check that does.
_REFUSED = {
    "long_code": "(9, 'ab', NULL, 1, 1, 1)",
    "some_label": "(9, 'abc', '', 1, 1, 1)",
    "parted": "(9, 'abc', NULL, 1, 0, 1)",
    "ratio": "(9, 'abc', NULL, 1, 1203, 1)",
    "low": "(9, 'abc', NULL, 1, -5000, 0)",
    "begun": "(9, 'bcd', NULL, 1, 1, 1)",
}


def _reasons(move: moves.Move) -> dict[str, str]:
    found = {name.rpartition(".")[2]: reason for kind, name, reason in move.left() if kind == "check"}
    plain = "arrives as a plain column"
    found |= {r["column"]: r["reason"] for r in move.plan["risks"] if plain in r["reason"]}
    return found


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_expressions_come_along_where_both_servers_agree_and_one_that_differs_is_named_with_a_case(
    source: str, target: str, sensei: fix_sensei.Sensei, maker: ends.Maker
) -> None:
    here, there = _made(maker, source), maker(target)()
    before = _rows(here)
    for name in ("first", "again") if (source, target) in _TWICE else ("first",):
        move = _planned(sensei, here, there, name=name)
        reasons, expected = _reasons(move), _LEFT[source, target]
        assert set(reasons) == set(expected)
        assert all(word in reasons[of] for of, word in expected.items()), reasons
        told = " ".join(r["reason"] for r in move.plan["risks"] if r["severity"] == "info")
        assert all(f"check {c} arrives as" in told for c in _CHECKS if c not in expected)
        move.start()
        assert _rows(there) == before
        assert sensei("validations", "run", move.id, json=True).data["status"] == "validated"
        for check in _CHECKS:
            if check not in expected:
                with pytest.raises(Exception, match=r"(?i)check|constraint"):
                    ends.run(there, f"INSERT INTO items (id, code, label, price, qty, part) VALUES {_REFUSED[check]}")
        if name == "first":
            ends.run(there, "INSERT INTO items (id, code, label, price, qty, part) VALUES (5, 'abcd', 'z', 1, 9, 1)")
            ((*computed,),) = ends.ask(there, f"SELECT {', '.join(_COMPUTED)} FROM items WHERE id = 5")
            wanted = {"doubled": 18, "half": 4, "shout": "ABCD", "sized": 0}
            assert dict(zip(_COMPUTED, computed, strict=True)) == {
                c: None if c in expected else v for c, v in wanted.items()
            }
        assert move.rollback("--verify").data["rollback_verification"] == moves.LINES


def _rows(end: ends.End) -> list[tuple[str, ...]]:
    columns = "id, code, label, qty, part, doubled, half, shout, sized"
    return [tuple(str(v) for v in row) for row in ends.ask(end, f"SELECT {columns} FROM items ORDER BY id")]


def test_a_computed_column_that_gives_something_else_on_the_target_is_a_difference(
    sensei: fix_sensei.Sensei, maker: ends.Maker
) -> None:
    here, there = _made(maker, "postgres"), maker("mysql")()
    move = _planned(sensei, here, there)
    move.start()
    ends.run(there, "ALTER TABLE items MODIFY doubled int GENERATED ALWAYS AS (qty * 3) STORED")
    found = sensei("validations", "run", move.id, json=True, expect=4).data
    assert "doubled" in str(found)


_OVER = (
    "CREATE INDEX lowered ON items (lower(code)); CREATE INDEX sums ON items ((qty + part));"
    " CREATE INDEX few ON items (qty) WHERE abs(part) > 0;"
    " CREATE UNIQUE INDEX labelled ON items (coalesce(label, code))"
)
_INDEXES = {
    "sqlite": _OVER,
    "postgres": _OVER,
    "mysql": "CREATE INDEX begins ON items (code(3)); CREATE UNIQUE INDEX onlyfirst ON items (code(4))",
}


@pytest.mark.parametrize(
    ("source", "target", "expected", "left"),
    [
        ("sqlite", "postgres", {"few", "labelled"}, {"lowered": "'É'", "sums": "out of range"}),
        ("postgres", "sqlite", {"sums", "few", "labelled"}, {"lowered": "'É'"}),
        ("postgres", "mysql", set(), dict.fromkeys(("lowered", "sums", "few", "labelled"), "no such indexes")),
        ("mysql", "postgres", {"begins"}, {"onlyfirst": "unique"}),
        ("mysql", "sqlite", {"begins"}, {"onlyfirst": "unique"}),
    ],
)
def test_indexes_over_expressions_prefixes_and_conditions_come_along_or_are_listed(
    source: str, target: str, expected: set[str], left: dict[str, str], sensei: fix_sensei.Sensei, maker: ends.Maker
) -> None:
    here, there = _made(maker, source), maker(target)()
    for statement in _INDEXES[source].split(";"):
        ends.run(here, statement)
    move = _planned(sensei, here, there)
    found = {name.rpartition(".")[2]: reason for kind, name, reason in move.left() if kind == "index"}
    assert set(found) == set(left) and all(word in found[of] for of, word in left.items()), found
    move.start()
    assert _index_names(there) & {"lowered", "sums", "few", "labelled", "begins", "onlyfirst"} == expected
    if "labelled" in expected:
        with pytest.raises(Exception, match=r"(?i)unique"):
            ends.run(there, "INSERT INTO items (id, code, label, price, qty, part) VALUES (9, 'abcz', 'x', 1, 1, 1)")
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES


def _index_names(end: ends.End) -> set[str]:
    sql = {
        "sqlite": "SELECT name FROM sqlite_schema WHERE type = 'index'",
        "postgres": "SELECT indexname FROM pg_indexes WHERE tablename = 'items'",
        "mysql": "SELECT INDEX_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = database()",
    }[ends.engine(end)]
    return {str(name) for (name,) in ends.ask(end, sql)}


_DEFAULTS = {
    "sqlite": "n INTEGER DEFAULT (6 * 7), t TEXT DEFAULT ('a' || 'b'), half INTEGER DEFAULT (7 / 2),"
    " u TEXT DEFAULT (upper('é')), later TEXT DEFAULT (date('now', '+1 day'))",
    "postgres": "n integer DEFAULT (6 * 7), t text DEFAULT ('a' || 'b'), half integer DEFAULT (7 / 2),"
    " u text DEFAULT upper('é'), later date DEFAULT (CURRENT_DATE + 1)",
    "mysql": "n int DEFAULT (6 * 7), t text COLLATE utf8mb4_nopad_bin DEFAULT (concat('a', 'b')),"
    " half int DEFAULT (7 / 2), u text COLLATE utf8mb4_nopad_bin DEFAULT (upper('é')),"
    " later date DEFAULT (CURRENT_DATE + INTERVAL 1 DAY)",
}


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_default_that_is_an_expression_comes_along_where_both_servers_make_the_same_of_it(
    source: str, target: str, sensei: fix_sensei.Sensei, maker: ends.Maker
) -> None:
    here, there = maker(source)(), maker(target)()
    ends.run(here, f"CREATE TABLE d (id INTEGER PRIMARY KEY, {_DEFAULTS[source]})")
    move = _planned(sensei, here, there)
    left = {name.rpartition(".")[2]: reason for kind, name, reason in move.left() if kind == "default"}
    expected = {"later"} | ({"u"} if "sqlite" in (source, target) else set())
    expected |= {"half"} if (source, target) == ("mysql", "sqlite") else set()
    assert set(left) == expected, left
    move.start()
    for end in (here, there):
        ends.run(end, "INSERT INTO d (id) VALUES (1)")
    columns = [c for c in ("n", "t", "half", "u") if c not in expected]
    asked = f"SELECT {', '.join(columns)} FROM d"
    assert [tuple(map(str, r)) for r in ends.ask(there, asked)] == [tuple(map(str, r)) for r in ends.ask(here, asked)]


@pytest.mark.parametrize("loads", ["LOAD DATA", "INSERT"])
def test_a_computed_column_that_rounds_what_it_computes_keeps_no_row_from_mariadb(
    loads: str, sensei: fix_sensei.Sensei, maker: ends.Maker
) -> None:
    here, there = maker("mysql")(), maker("mysql")()
    ends.run(
        here,
        "CREATE TABLE r (id int PRIMARY KEY, c decimal(10,2), `it's` decimal(10,2) AS (c / 7) STORED,"
        " v decimal(10,1) AS (c / 3) VIRTUAL) ENGINE=InnoDB; INSERT INTO r (id, c) VALUES (1, 1), (2, 10), (3, NULL)",
    )
    ends.run(there, f"SET GLOBAL local_infile = {int(loads == 'LOAD DATA')}")
    try:
        move = _planned(sensei, here, there)
        move.start()
    finally:
        ends.run(there, "SET GLOBAL local_infile = 1")
    assert not move.quarantine()
    asked = "SELECT * FROM r ORDER BY id"
    assert ends.ask(there, asked) == ends.ask(here, asked) != []


def test_what_a_foreign_key_writes_is_not_computed_from_on_mariadb(
    sensei: fix_sensei.Sensei, maker: ends.Maker
) -> None:
    here, there = maker("postgres")(), maker("mysql")()
    ends.run(
        here,
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE k (id int PRIMARY KEY,"
        " p int REFERENCES p ON DELETE SET NULL ON UPDATE CASCADE, g int GENERATED ALWAYS AS (p + 1) STORED);"
        " INSERT INTO p VALUES (1); INSERT INTO k (id, p) VALUES (1, 1)",
    )
    move = _planned(sensei, here, there)
    assert "a foreign key changes p" in next(r["reason"] for r in move.plan["risks"] if r["column"] == "g")
    move.start()
    assert ends.ask(there, "SELECT id, p, g FROM k") == [(1, 1, 2)]
