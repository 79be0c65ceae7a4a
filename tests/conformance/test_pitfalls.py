"""Values that broke other tools go to both other engines and home: the same, or announced with what becomes of them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

import ends
import fidelity
import fix_sensei
import fuzz_schemas
import moves
import schema_facts


@dataclasses.dataclass(frozen=True)
class Pitfall:
    """A database of one engine, and the tables of it that the plan has to announce on the way to another."""

    name: str
    engine: str
    sql: str  #: statements, each on lines of its own and with a semicolon at its end but for the last
    announced: dict[str, set[str]] = dataclasses.field(default_factory=dict)  #: target's engine -> tables
    #: A part of a risk's reason that each plan there has to have.
    says: str = ""


PITFALLS = [
    Pitfall(
        "zero and partial dates, as defaults too",
        "mysql",
        r"""
SET SESSION sql_mode = '';
CREATE TABLE z (id int PRIMARY KEY, d date DEFAULT '0000-00-00',
  t datetime DEFAULT '0000-00-00 00:00:00') ENGINE=InnoDB;
INSERT INTO z VALUES (1, '2026-00-10', NULL), (2, '2026-01-01', '2026-01-01'), (3, '0000-00-00', NULL)
""",
        announced={"postgres": {"z"}, "sqlite": {"z"}},
        says="rows hold zero and partial dates",
    ),
    Pitfall(
        "a bit is no NUL",
        "mysql",
        r"""
CREATE TABLE b (id int PRIMARY KEY, one bit(1), nine bit(9)) ENGINE=InnoDB;
INSERT INTO b VALUES (1, b'0', b'0'), (2, b'1', b'101010101'), (3, NULL, NULL)
""",
    ),
    Pitfall(
        "a NUL within a text",
        "mysql",
        r"""
CREATE TABLE n (id int PRIMARY KEY, t text) ENGINE=InnoDB;
INSERT INTO n VALUES (1, 'a\0b'), (2, 'plain')
""",
        announced={"postgres": {"n"}},
    ),
    Pitfall(
        "unsigned numbers up to 2^64-1, and keys that point at them",
        "mysql",
        r"""
CREATE TABLE p (id bigint unsigned PRIMARY KEY) ENGINE=InnoDB;
CREATE TABLE c (id int PRIMARY KEY, p bigint unsigned, FOREIGN KEY (p) REFERENCES p (id)) ENGINE=InnoDB;
INSERT INTO p VALUES (0), (9223372036854775808), (18446744073709551615);
INSERT INTO c VALUES (1, 18446744073709551615)
""",
    ),
    Pitfall(
        "bytes of a fixed length keep their zeros",
        "mysql",
        r"""
CREATE TABLE f (k binary(4) PRIMARY KEY, v varbinary(9)) ENGINE=InnoDB;
INSERT INTO f VALUES (x'61000000', x'6100'), (x'00000000', x''), (x'61622020', x'6120')
""",
    ),
    Pitfall(
        "documents keep their numbers and the order of their keys",
        "mysql",
        r"""
CREATE TABLE j (id int PRIMARY KEY, d json) ENGINE=InnoDB;
INSERT INTO j VALUES (1, '{"b": 1.10, "a": 12345678901234567890123.5, "c": [1e400, -0]}'), (2, '"it\'s"')
""",
    ),
    Pitfall(
        "documents of PostgreSQL keep their text",
        "postgres",
        r"""
CREATE TABLE j (id int PRIMARY KEY, d json, b jsonb);
INSERT INTO j VALUES (1, '{"b": 1.10,  "a": 1, "a": 2}', '{"n": 12345678901234567890123.50}')
""",
    ),
    Pitfall(
        "NaN and infinity",
        "postgres",
        r"""
CREATE TABLE i (id int PRIMARY KEY, n numeric(9,2), f float8, t timestamp);
INSERT INTO i VALUES
  (1, 'NaN', 1, NULL),
  (2, 1, 'infinity', NULL),
  (3, 1, 1, '-infinity'),
  (4, 1.5, 0.1, '2026-01-01')
""",
        announced={"mysql": {"i"}, "sqlite": {"i"}},
    ),
    Pitfall(
        "days before the calendar's change stay where they are",
        "postgres",
        r"""
CREATE TABLE e (id int PRIMARY KEY, d date, t timestamp);
INSERT INTO e VALUES (1, '0001-01-01', '0001-01-01 00:00:00'), (2, '1582-10-10', '1500-02-28 23:59:59.999999')
""",
    ),
    Pitfall(
        "instants do not drift with a session's zone",
        "mysql",
        r"""
SET SESSION time_zone = '+05:45';
CREATE TABLE s (id int PRIMARY KEY, t timestamp(6) NULL, d datetime(6)) ENGINE=InnoDB;
INSERT INTO s VALUES (1, '2026-03-29 02:30:00.123456', '2026-03-29 02:30:00.123456')
""",
    ),
    Pitfall(
        "bytes that look like escapes",
        "postgres",
        r"""
CREATE TABLE y (id int PRIMARY KEY, b bytea);
INSERT INTO y VALUES (1, '\x5c7836'), (2, '\x5c4e'), (3, '\x')
""",
    ),
    Pitfall(
        "numbers without a scale keep their zeros",
        "postgres",
        r"""
CREATE TABLE d (id int PRIMARY KEY, n numeric);
INSERT INTO d VALUES (1, 1.500), (2, 0.000), (3, 1e40)
""",
    ),
    Pitfall(
        "what the source computes is not written",
        "postgres",
        r"""
CREATE TABLE g (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED);
INSERT INTO g (id, a) VALUES (1, 21), (2, NULL)
""",
        says="computed on the target, too",
    ),
    Pitfall(
        "what MariaDB computes is not written",
        "mysql",
        r"""
CREATE TABLE g (id int PRIMARY KEY, a int, twice int AS (a * 2) STORED,
  seen int AS (a + 1) VIRTUAL) ENGINE=InnoDB;
INSERT INTO g (id, a) VALUES (1, 21), (2, NULL)
""",
        says="computed on the target, too",
    ),
    Pitfall(
        "a setting for printing floats does not round them",
        "postgres",
        r"""
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET extra_float_digits = -10', current_database()); END $$;
CREATE TABLE r (id int PRIMARY KEY, f float8, g float4);
INSERT INTO r VALUES (1, 0.1::float8 + 0.2, 16777217), (2, 5e-324, 0.1)
""",
    ),
    Pitfall(
        "texts that the source takes for equal",
        "mysql",
        r"""
CREATE TABLE l (id int PRIMARY KEY, login varchar(20) COLLATE utf8mb4_general_ci) ENGINE=InnoDB;
INSERT INTO l VALUES (1, 'Ann'), (2, 'ann'), (3, 'änn'), (4, 'ann ')
""",
        says="texts are equal only where every letter",
    ),
    Pitfall(
        "SQLite's odd tables",
        "sqlite",
        r"""
CREATE TABLE a (id INTEGER PRIMARY KEY AUTOINCREMENT, b BOOLEAN DEFAULT false, n NUMERIC(9,2) DEFAULT false);
CREATE TABLE u (id INTEGER PRIMARY KEY, v);
INSERT INTO u VALUES (1, 'text'), (2, 'more');
CREATE TABLE k (c TEXT PRIMARY KEY);
INSERT INTO k VALUES ('a'), (NULL), (NULL)
""",
        announced={"postgres": {"k"}, "mysql": {"k"}},
    ),
]
ENGINES = ("postgres", "mysql", "sqlite")
WAYS = [(engine, to) for engine in ENGINES for to in ENGINES if to != engine]


@pytest.mark.parametrize(("engine", "to"), WAYS, ids=[f"{a}-{b}" for a, b in WAYS])
def test_what_broke_other_tools_is_the_same_there_and_at_home_or_announced(
    sensei: fix_sensei.Sensei, maker: ends.Maker, engine: str, to: str
) -> None:
    """All of one engine stand in one database: each has tables of its own."""
    pitfalls = [p for p in PITFALLS if p.engine == engine]
    source, away, home = maker(engine)(), maker(to)(), maker(engine)()
    fuzz_schemas.make(source, [s for p in pitfalls for s in p.sql.strip().split(";\n")])
    tables = schema_facts.tables(source, None)
    there, back = fidelity.Ended(), fidelity.Ended()
    how: dict[str, Any] = {"schema": "public"} if (engine, to) == ("mysql", "postgres") else {}
    move = fidelity.plan(sensei, source, away, "there", **how)
    fidelity.run(source, move, there, tables)
    assert (there.silent, there.refused) == ({}, {})
    expected = {table for p in pitfalls for table in p.announced.get(to, set())}
    assert {name.rpartition(".")[2] for name in there.announced} == expected
    for pitfall in pitfalls:
        assert any(pitfall.says in r["reason"] for r in move.plan["risks"]) or not pitfall.says, pitfall.name
    way: dict[str, Any] = {"schema": "public"} if engine == "postgres" else {}
    left = fidelity.plan(sensei, away, home, "home", **way)
    at_home = [(t, (t[0] if engine == "postgres" else "", t[1])) for t in tables]
    fidelity.go_home(move, left, there, back, at_home)
    assert (back.silent, back.refused) == ({}, {})
    assert set(back.announced) <= set(there.announced)
    for one in (left, move):
        assert one.rollback("--verify").data["rollback_verification"] == moves.LINES
