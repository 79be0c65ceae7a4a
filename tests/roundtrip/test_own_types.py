"""Values of types that only one engine has arrive in others as its text or bytes, and go home as what they were."""

from __future__ import annotations

import pytest

import ends
import fix_sensei
import moves
import reader
import servers

TYPES = """
CREATE EXTENSION IF NOT EXISTS hstore;
CREATE TYPE pair AS (a int, b text);
CREATE TYPE mood AS ENUM ('sad', 'it''s ok', 'happy, really');
"""
OWN = """
CREATE DOMAIN tags AS text[] CHECK (array_length(VALUE, 1) < 9);
CREATE TABLE own (
  id int PRIMARY KEY, words text[] NOT NULL DEFAULT '{}', grid float8[][], flags boolean[], moods mood[], raw bytea[],
  days daterange, nums int4range, many nummultirange, span interval, net inet, block cidr, mac macaddr, cash money,
  bits bit(5), vary bit varying(9), doc xml, words_in tsvector, ask tsquery, spot point, shape polygon, pairs pair,
  kv hstore, path jsonpath, at timetz, labelled tags, lsn pg_lsn, kind regtype, many_pairs pair[]
);
INSERT INTO own VALUES
 (1, '{}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
  NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
 (2, ARRAY['a', NULL, 'NULL', '', 'quo"te', E'back\\\\slash', E'tab\\tnew\\nline', 'Ünï 😀'],
  '{{1.1,NaN},{-0,1e300}}', '{t,NULL,f}', ARRAY['sad', 'it''s ok', 'happy, really']::mood[],
  ARRAY['\\x00ff'::bytea, ''::bytea], '[2024-02-29,infinity)', 'empty', '{[1.5,2.5),(7,)}',
  '1 year -2 mons +3 days -04:05:06.789', '192.168.1.1', '10.0.0.0/8', '08:00:2b:01:02:03', -1234.56, B'10101', B'',
  '<a x="1">é &amp; ü</a>', 'a fat cat:3 rat:4A', 'fat & (rat | !cat)', '(0.1,-1e-300)', '((0,0),(1,1),(1,0))',
  ROW(1, 'x,"y'), 'a=>1, b=>NULL, "c d"=>"e\\"f"', '$.a[*] ? (@ > 1)', '23:59:59.123456+05:30', ARRAY['p','q'],
  '16/B374D848', 'integer', ARRAY[ROW(1,'a')::pair, NULL]),
 (3, ARRAY[['x','y'],['z','w']], '[0:1]={1,2}', '{}', '{}', '{}', '(,)', '[1,10)', '{}', '00:00:00', 'fe80::1/64',
  '::/0', 'ff:ff:ff:ff:ff:ff', 0, B'00000', B'111111111', '', '', '''a b''', '(NaN,Infinity)', '((1,2))',
  ROW(NULL, ''), '', '$', '00:00:00-12', NULL, '0/0', 'text[]', '{}');
"""
EVERYDAY = {"id"}


@pytest.fixture
def own(maker: ends.Maker) -> servers.Database:
    database = maker("postgres")()
    assert isinstance(database, servers.Database)
    database.execute(TYPES + OWN)
    return database


def _types(database: servers.Database) -> dict[str, str]:
    return dict(
        database.query(
            "SELECT attname, format_type(coalesce(nullif(typbasetype, 0), atttypid),"
            " CASE WHEN typbasetype = 0 THEN atttypmod ELSE -1 END)"
            " FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid"
            " WHERE attrelid = 'own'::regclass AND attnum > 0"
        )
    )


@pytest.mark.parametrize("engine", ["sqlite", "mysql"])
def test_values_of_postgres_own_types_go_there_and_home_unchanged(
    sensei: fix_sensei.Sensei, maker: ends.Maker, own: servers.Database, engine: str
) -> None:
    away, home = maker(engine)(), maker("postgres")()
    assert isinstance(home, servers.Database)
    there = moves.plan_move(sensei, own, away)
    assert ("table", "public.own") not in {(kind, name) for kind, name, _ in there.left()}
    said = {c["column"]: (c["there"], c["back"]) for c in there.plan["columns"]}
    assert {v for c, v in said.items() if c not in EVERYDAY} == {("widening", "exact")}
    there.start()
    found = sensei("validations", "run", there.id, json=True, expect=None).data
    assert found["failures"] == [], str(found["failures"])
    place = ("" if engine == "sqlite" else "public", "own")
    assert reader.compare_tables(own, ("public", "own"), away, place) == []

    home.execute(TYPES)
    back = moves.plan_move(sensei, away, home, name="home", schema="public")
    back.start()
    assert reader.compare_tables(own, ("public", "own"), home, ("public", "own")) == []
    assert _types(home) == _types(own)
    found = sensei("validations", "run", back.id, json=True, expect=None).data
    assert found["failures"] == [], str(found["failures"])
    for move in (back, there):
        assert move.rollback("--verify").data["rollback_verification"] == moves.LINES


@pytest.mark.parametrize("engine", ["sqlite", "mysql"])
def test_a_text_that_is_no_value_of_its_old_type_any_more_is_kept_in_quarantine(
    sensei: fix_sensei.Sensei, maker: ends.Maker, own: servers.Database, engine: str
) -> None:
    away, home = maker(engine)(), maker("postgres")()
    moves.plan_move(sensei, own, away).start()
    ends.run(away, "UPDATE own SET span = 'a while' WHERE id = 2")
    home_move = moves.plan_move(sensei, away, home, name="home", schema="public")
    home_move.start()
    (row,) = home_move.quarantine()
    assert (row["key"], row["row"]["span"]) == ({"id": "2"}, "a while")
    assert ends.ask(home, "SELECT id FROM own ORDER BY id") == [(1,), (3,)]


def test_types_that_a_database_defines_itself_go_to_another_postgres_that_has_them(
    sensei: fix_sensei.Sensei, maker: ends.Maker, own: servers.Database
) -> None:
    ready, bare = maker("postgres")(), maker("postgres")()
    assert isinstance(ready, servers.Database)
    ready.execute(TYPES)
    move = moves.plan_move(sensei, own, ready, name="ready")
    move.start()
    assert reader.compare_tables(own, ("public", "own"), ready, ("public", "own")) == []
    assert _types(ready) == _types(own)
    found = sensei("validations", "run", move.id, json=True, expect=None).data
    assert found["failures"] == [], str(found["failures"])
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES

    refused = sensei.write(
        "bare.yaml",
        {
            "name": "bare",
            "connections": {"from": moves.url(own), "to": moves.url(bare)},
            "source": {"connection": "from"},
            "target": {"connection": "to"},
        },
    )
    left = sensei("migrations", "create", "--config", refused, expect=None)
    assert (
        "column moods is of type public.mood[]: it uses public.mood, which the target does not have"
        in left.stdout + left.stderr
    )


SHAPES = """
CREATE TABLE shapes (
  id int PRIMARY KEY, spot point NOT NULL, way linestring, area polygon, any_one geometry, several multipoint,
  four inet4, six inet6 NOT NULL
);
INSERT INTO shapes VALUES
 (1, ST_PointFromText('POINT(1.5 -2)', 4326), NULL, NULL, NULL, NULL, NULL, '::'),
 (2, POINT(0.1, 1e300), ST_LineFromText('LINESTRING(0 0,1 1)'), ST_PolyFromText('POLYGON((0 0,1 1,1 0,0 0))'),
  ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1))', 3857), ST_MPointFromText('MULTIPOINT(0 0,1 1)'), '192.168.0.1',
  'fe80::1:ffff'),
 (3, POINT(-0, 0), NULL, NULL, POINT(3, 4), NULL, '0.0.0.0', '::ffff:1.2.3.4');
"""


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_values_of_mariadb_s_own_types_go_there_and_home_unchanged(
    sensei: fix_sensei.Sensei, maker: ends.Maker, engine: str
) -> None:
    source, away, home = maker("mysql")(), maker(engine)(), maker("mysql")()
    ends.run(source, SHAPES)
    there = moves.plan_move(sensei, source, away, **({"schema": "public"} if engine == "postgres" else {}))
    assert there.left() == []
    said = {c["column"]: (c["there"], c["back"]) for c in there.plan["columns"]}
    assert {v for c, v in said.items() if c not in EVERYDAY} == {("widening", "exact")}
    there.start()
    place = ("" if engine == "sqlite" else "public", "shapes")
    assert reader.compare_tables(source, ("", "shapes"), away, place) == []
    back = moves.plan_move(sensei, away, home, name="home")
    back.start()
    assert reader.compare_tables(source, ("", "shapes"), home, ("", "shapes")) == []
    columns = (
        "SELECT COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE FROM information_schema.COLUMNS"
        " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'shapes' ORDER BY ORDINAL_POSITION"
    )
    assert ends.ask(home, columns) == ends.ask(source, columns)
    for move in (there, back):
        found = sensei("validations", "run", move.id, json=True, expect=None).data
        assert found["failures"] == [], str(found["failures"])
    for move in (back, there):
        assert move.rollback("--verify").data["rollback_verification"] == moves.LINES
