"""What the MariaDB and MySQL engine promises about definitions: read whole, written again the same, made to fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

import fix_mysql
import servers
from sensei import catalog, engines, errors
from sensei.catalog import diff, types
from sensei.catalog.types import Kind, LogicalType, Verdict
from sensei.config import connections
from sensei.engines import base
from sensei.engines.mysql import page, typemap

ENGINE = engines.for_url("mysql://host/database")
SOURCE, TARGET = base.Purpose.SOURCE, base.Purpose.TARGET
HOSTILE = "T`; DROP TABLE x; --\n? %s %% ' \" \\ $1 :a é.b"

#: Every clause that a definition of this engine can have and Sensei carries.
EVERYTHING = r"""
SET NAMES utf8mb4; SET sql_mode = 'STRICT_ALL_TABLES', time_zone = '+00:00';
CREATE TABLE parent (id int unsigned PRIMARY KEY AUTO_INCREMENT, code char(3) NOT NULL UNIQUE)
  ENGINE=InnoDB AUTO_INCREMENT=41;
CREATE TABLE child (
  a bigint NOT NULL, b varchar(10) COLLATE utf8mb4_unicode_ci DEFAULT '😀?', c enum('x','y''s') DEFAULT 'x',
  d set('p','q'), e datetime(3) DEFAULT current_timestamp(3) ON UPDATE current_timestamp(3), f int DEFAULT (1 + 2),
  g date DEFAULT curdate(), h varchar(40) DEFAULT uuid(), i bit(3) DEFAULT b'101', j varbinary(4) DEFAULT x'00ff',
  k timestamp NULL DEFAULT '2020-01-01 00:00:00', l double DEFAULT 1e10, m int INVISIBLE DEFAULT 5,
  n int AS (f + 1) VIRTUAL, o int AS (f + 2) STORED, p json DEFAULT '{"a":1}', q tinyint(1) CHECK (q in (0,1)),
  r int CHECK (r > 0), s int zerofill, t datetime DEFAULT (utc_timestamp()), v year DEFAULT 2020,
  w date DEFAULT '2020-01-01', x tinyint(1) NOT NULL DEFAULT 1, y decimal(5,2) unsigned DEFAULT 1.5,
  z text COMMENT 'it''s \\ a comment', parent int unsigned, ch char(5) CHARACTER SET latin1, gg point, u uuid,
  fl float, ti time(2), num int NOT NULL AUTO_INCREMENT, ml mediumint, tt tinytext, lb longblob,
  PRIMARY KEY (a, w), UNIQUE KEY uk (b, r), UNIQUE KEY pre (z(20)), KEY num (num), KEY down (r DESC, a),
  FULLTEXT KEY ft (z), CONSTRAINT cc CHECK (f < 10 and b <> 'b\\'),
  CONSTRAINT fk FOREIGN KEY (parent) REFERENCES parent (id) ON DELETE SET NULL ON UPDATE CASCADE
) ENGINE=InnoDB COMMENT 'a table''s' COLLATE utf8mb4_general_ci;
CREATE SEQUENCE numbers START WITH 5 INCREMENT BY 2 CACHE 0;
"""


def _connect(db: servers.MysqlDatabase, purpose: base.Purpose = TARGET, user: str = servers.USER) -> base.Session:
    url = connections.expand(db.server.url(db.name, user), {servers.PASSWORD_ENV: servers.password()})
    return ENGINE.connect(url, purpose)


@pytest.fixture
def connect() -> Iterator[Any]:
    opened: list[base.Session] = []

    def one(db: servers.MysqlDatabase, purpose: base.Purpose = TARGET, user: str = servers.USER) -> base.Session:
        opened.append(_connect(db, purpose, user))
        return opened[-1]

    yield one
    for each in opened:
        each.close()


def _table(found: catalog.Catalog, name: str) -> catalog.Table:
    return next(t for t in found.tables if t.name.name == name)


def _column(name: str, kind: Kind, native: str, **more: Any) -> catalog.Column:
    limits = {k: more.pop(k) for k in ("bits", "length", "precision", "scale", "unsigned") if k in more}
    return catalog.Column(name, LogicalType(kind, **limits), native, **more)


# -- reading


def test_every_clause_of_a_definition_is_read(mysql_db: servers.MysqlDatabase, connect: Any) -> None:
    mysql_db.mariadb(EVERYTHING)
    found = ENGINE.introspect.catalog(connect(mysql_db, SOURCE), None)
    assert found.schemas == (mysql_db.name,) and found.home == mysql_db.name and found.case_sensitive is True
    child = _table(found, "child")
    assert child.primary is not None and child.primary.columns == ("a", "w")
    assert [(k.name, k.columns) for k in child.uniques] == [("uk", ("b", "r"))]
    indexes = {i.name: i for i in child.indexes}
    assert [(c.name, c.descending) for c in indexes["down"].columns] == [("r", True), ("a", False)]
    assert (indexes["pre"].unique, indexes["pre"].columns[0].prefix) == (True, 20)
    assert indexes["ft"].method == "fulltext"
    (key,) = child.foreign_keys
    assert (key.name, key.columns, key.table.name, key.references) == ("fk", ("parent",), "parent", ("id",))
    assert (key.on_delete, key.on_update) == ("SET NULL", "CASCADE")
    assert {(c.name, c.sql) for c in child.checks} == {("cc", r"`f` < 10 and `b` <> 'b\\'"), ("r", "`r` > 0")}
    assert child.comment == "a table's" and child.column("z").comment == r"it's \ a comment"
    kinds = {c.name: c.type.kind for c in child.columns}
    assert (kinds["p"], kinds["q"], kinds["x"], kinds["u"]) == (Kind.JSON, Kind.BOOLEAN, Kind.INTEGER, Kind.UUID)
    assert (kinds["k"], kinds["e"], kinds["gg"]) == (Kind.TIMESTAMPTZ, Kind.TIMESTAMP, Kind.NATIVE)
    assert child.column("c").type.labels == ("x", "y's")
    assert child.column("ml").type.bits == 24 and child.column("parent").type.unsigned
    assert (child.column("n").generated, child.column("n").virtual) == ("`f` + 1", True)
    assert (child.column("o").generated, child.column("o").virtual) == ("`f` + 2", False)
    assert child.column("e").extra == "on update current_timestamp(3)" and child.column("m").extra == "INVISIBLE"
    defaults = {c.name: (c.default.kind, c.default.value) for c in child.columns if c.default}
    assert defaults == {
        "b": ("literal", "😀?"),
        "c": ("literal", "x"),
        "e": ("current_timestamp", None),
        "f": ("other", None),
        "g": ("current_date", None),
        "h": ("random_uuid", None),
        "i": ("literal", "5"),
        "j": ("literal", "\\x00ff"),
        "k": ("literal", "2020-01-01 00:00:00+00"),
        "l": ("literal", "10000000000"),
        "m": ("literal", "5"),
        "p": ("literal", '{"a":1}'),
        "t": ("current_timestamp", "utc"),
        "v": ("literal", "2020"),
        "w": ("literal", "2020-01-01"),
        "x": ("literal", "1"),
        "y": ("literal", "1.50"),
    }
    numbers = {s.name.name: s for s in found.sequences}
    assert numbers["parent"].last_value == 40 and numbers["child"].owner == (child.name, "num")
    assert (numbers["numbers"].start, numbers["numbers"].increment, numbers["numbers"].last_value) == (5, 2, None)


def test_views_triggers_routines_events_and_partitions_are_listed_with_their_definitions(
    mysql_db: servers.MysqlDatabase, connect: Any
) -> None:
    mysql_db.mariadb(
        "CREATE TABLE t (a int) ENGINE=InnoDB PARTITION BY RANGE (a) (PARTITION low VALUES LESS THAN (5),"
        " PARTITION high VALUES LESS THAN MAXVALUE); CREATE TABLE v (a int) WITH SYSTEM VERSIONING;"
        " CREATE VIEW seen AS SELECT a FROM t;"
        " CREATE TRIGGER fired BEFORE INSERT ON t FOR EACH ROW SET NEW.a = 1;"
        " CREATE FUNCTION one() RETURNS int DETERMINISTIC RETURN 1; CREATE PROCEDURE two() SELECT 2;"
        " CREATE EVENT later ON SCHEDULE EVERY 1 DAY DO SELECT 1;"
    )
    found = ENGINE.introspect.catalog(connect(mysql_db, SOURCE), None)
    others = {(o.kind, o.name.removeprefix(mysql_db.name + ".")): o for o in found.others}
    assert set(others) == {
        ("partitioning", "t"), ("system versioning", "v"), ("view", "seen"), ("trigger", "fired"),
        ("function", "one"), ("procedure", "two"), ("event", "later"),
    }  # fmt: skip
    assert all(o.definition for o in others.values())
    assert _table(found, "t").kind == "partitioned"
    assert [c.name for c in _table(found, "v").columns] == ["a"]


def test_one_statement_a_question_however_many_tables_there_are(
    mysql_db: servers.MysqlDatabase, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = connect(mysql_db, SOURCE)
    asked: list[str] = []
    rows = session.rows

    def counted(sql: str, params: Any = ()) -> list[base.Row]:
        asked.append(sql)
        return list(rows(sql, params))

    monkeypatch.setattr(session, "rows", counted)
    counts = []
    for start in (0, 10, 40):
        mysql_db.mariadb("".join(f"CREATE TABLE t{n} (id int PRIMARY KEY, b text);" for n in range(start, start + 10)))
        asked.clear()
        ENGINE.introspect.catalog(session, None)
        counts.append(len(asked))
    assert counts[0] == counts[1] == counts[2]


def test_names_that_differ_in_case_alone_are_two_tables(mysql_db: servers.MysqlDatabase, connect: Any) -> None:
    mysql_db.mariadb("CREATE TABLE Twin (a int); CREATE TABLE twin (b int, c int);")
    session = connect(mysql_db, SOURCE)
    found = {t.name.name: t for t in ENGINE.introspect.catalog(session, None)}
    assert [c.name for c in found["Twin"].columns] == ["a"] and [c.name for c in found["twin"].columns] == ["b", "c"]
    for table in found.values():
        identity = ENGINE.introspect.object_identity(session, "table", table.name)
        assert identity is not None and identity.endswith(" " + table.identity)


# -- writing


def test_a_definition_written_again_is_read_as_the_same(
    make_mysql_db: fix_mysql.MakeMysqlDatabase, connect: Any
) -> None:
    one, other = make_mysql_db("first_one"), make_mysql_db("then_another")
    one.mariadb(EVERYTHING)
    session = connect(other)
    found = ENGINE.introspect.catalog(connect(one, SOURCE), None)

    def moved(thing: Any) -> Any:
        """The same in the other database."""
        return _replaced(thing, one.name, other.name)

    tables = [moved(t) for t in found.tables]
    for table in tables:
        for statement in ENGINE.ddl.create(table):
            session.run(statement)
    finishes = [f for t in tables for f in ENGINE.ddl.finish(t)]
    for finish in sorted(finishes, key=lambda f: f.kind == "foreign_key"):
        for statement in finish.statements:
            session.run(statement)
        if finish.proof:
            assert session.rows(finish.proof) == []
    sequences = [moved(s) for s in found.sequences]
    for table in tables:
        for statement in ENGINE.ddl.prime(table, sequences):
            session.run(statement)
    for sequence in sequences:
        if sequence.owner is None:
            for statement in ENGINE.ddl.create(sequence):
                session.run(statement)
    again = ENGINE.introspect.catalog(session, None)
    before = {k.replace(one.name, other.name): v.replace(one.name, other.name) for k, v in diff.facts(found).items()}
    assert [str(d) for d in diff.compare(before, diff.facts(again))] == []


def _replaced(thing: Any, old: str, new: str) -> Any:
    if isinstance(thing, catalog.TableName):
        return catalog.TableName(new if thing.schema == old else thing.schema, thing.name)
    if isinstance(thing, tuple):
        return tuple(_replaced(t, old, new) for t in thing)
    if isinstance(thing, (catalog.Table, catalog.ForeignKey, catalog.Sequence)):
        fields = {f.name: _replaced(getattr(thing, f.name), old, new) for f in dataclasses.fields(thing)}
        return dataclasses.replace(thing, **fields)
    return thing


def test_any_text_is_safe_as_a_name_a_default_a_comment_and_a_label(
    mysql_db: servers.MysqlDatabase, connect: Any
) -> None:
    session = connect(mysql_db)
    name = catalog.TableName(mysql_db.name, HOSTILE)
    enum = ENGINE.ddl.map_type(LogicalType(Kind.TEXT, labels=(HOSTILE, "b")), "postgres", None).native
    sql = ENGINE.ddl.translate_default(catalog.Default("literal", "", HOSTILE), LogicalType(Kind.TEXT))
    assert sql is not None
    table = catalog.Table(
        name,
        (
            _column(HOSTILE, Kind.INTEGER, "bigint", bits=64, nullable=False, comment=HOSTILE),
            _column("t", Kind.TEXT, "varchar(80)", default=catalog.Default("literal", sql, HOSTILE)),
            _column("e", Kind.TEXT, enum),
        ),
        primary=catalog.Key("", (HOSTILE,)),
        uniques=(catalog.Key(HOSTILE + "u", ("t",)),),
        checks=(catalog.Check(HOSTILE + "c", f"{ENGINE.ddl.quote(HOSTILE)} > 0"),),
        comment=HOSTILE,
    )
    for statement in [*ENGINE.ddl.create(table), *(s for f in ENGINE.ddl.finish(table) for s in f.statements)]:
        session.run(statement)
    found = _table(ENGINE.introspect.catalog(session, None), HOSTILE)
    assert found.comment == HOSTILE and found.column(HOSTILE).comment == HOSTILE
    assert found.column("t").default is not None and found.column("t").default.value == HOSTILE
    assert [k.name for k in found.uniques] == [HOSTILE + "u"] and found.checks[0].name == HOSTILE + "c"
    assert found.column("e").native.lower().count("drop table") == 1


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 65, "blank ", "😀"])
def test_a_name_that_the_server_can_not_hold_is_refused(name: str) -> None:
    with pytest.raises(errors.BadInput):
        ENGINE.ddl.quote(name)
    assert ENGINE.ddl.quote("é" * 64) == "`" + "é" * 64 + "`"


def test_what_a_column_means_beyond_its_type_is_kept_by_a_check_and_read_back(
    mysql_db: servers.MysqlDatabase, connect: Any
) -> None:
    session = connect(mysql_db)
    given = {
        "yes": LogicalType(Kind.BOOLEAN),
        "doc": LogicalType(Kind.JSON),
        "val": LogicalType(Kind.JSONB),
        "num": LogicalType(Kind.DECIMAL),
        "big": LogicalType(Kind.DECIMAL, precision=80, scale=40),
        "who": LogicalType(Kind.UUID),
    }
    columns = tuple(catalog.Column(n, of, ENGINE.ddl.map_type(of, "postgres", None).native) for n, of in given.items())
    name = catalog.TableName(mysql_db.name, "t")
    for statement in ENGINE.ddl.create(catalog.Table(name, columns)):
        session.run(statement)
    found = _table(ENGINE.introspect.catalog(session, None), "t")
    kinds = {c.name: (c.type.kind, c.type.precision) for c in found.columns}
    assert kinds == {
        "yes": (Kind.BOOLEAN, None), "doc": (Kind.JSON, None), "val": (Kind.JSON, None),
        "num": (Kind.DECIMAL, None), "big": (Kind.DECIMAL, None), "who": (Kind.UUID, None),
    }  # fmt: skip
    assert found.checks == ()
    for column, value in (("yes", "2"), ("doc", "'{'"), ("num", "'1e5'"), ("who", "'no'")):
        with pytest.raises(errors.DataRejected):
            session.run(f"INSERT INTO t ({column}) VALUES ({value})")
    session.run(
        "INSERT INTO t (yes, doc, num) VALUES (1, '[1]', '-12345678901234567890.1234567890123456789012345678901')"
    )


def test_texts_are_told_apart_by_their_bytes(mysql_db: servers.MysqlDatabase, connect: Any) -> None:
    session = connect(mysql_db)
    table = catalog.Table(
        catalog.TableName(mysql_db.name, "t"),
        (_column("a", Kind.TEXT, "varchar(10)"),),
        uniques=(catalog.Key("once", ("a",)),),
    )
    for statement in [*ENGINE.ddl.create(table), *(s for f in ENGINE.ddl.finish(table) for s in f.statements)]:
        session.run(statement)
    session.run("INSERT INTO t VALUES ('a'), ('A'), ('a '), ('ä'), ('')")
    with pytest.raises(errors.DataRejected):
        session.run("INSERT INTO t VALUES ('a')")
    assert _table(ENGINE.introspect.catalog(session, None), "t").column("a").type.folds is False


def test_numbering_goes_on_where_the_source_stands_and_never_behind_the_data(
    mysql_db: servers.MysqlDatabase, connect: Any
) -> None:
    session = connect(mysql_db)
    name = catalog.TableName(mysql_db.name, "t")
    table = catalog.Table(
        name,
        (_column("k", Kind.TEXT, "varchar(5)", nullable=False), _column("id", Kind.INTEGER, "int", bits=32,
                                                                       nullable=False, identity="by default")),
        primary=catalog.Key("", ("k",)),
    )  # fmt: skip
    for statement in ENGINE.ddl.create(table):
        session.run(statement)
    for last, expected in ((41, 42), (3, 42), (99, 100)):
        sequence = catalog.Sequence(name, last_value=last, owner=(name, "id"))
        for statement in ENGINE.ddl.prime(table, [sequence]):
            session.run(statement)
        session.run("INSERT INTO t (k) VALUES (?)", [str(last)])
        assert session.rows("SELECT max(id) FROM t")[0][0] >= expected


# -- fitting


def _mapped(name: str, columns: dict[str, LogicalType], **more: Any) -> catalog.Table:
    return catalog.Table(
        catalog.TableName("d", name),
        tuple(catalog.Column(c, of, ENGINE.ddl.map_type(of, "postgres", None).native) for c, of in columns.items()),
        **more,
    )


TEXT, INT, LONG = LogicalType(Kind.TEXT), LogicalType(Kind.INTEGER, bits=32), LogicalType(Kind.INTEGER, bits=64)


def test_texts_in_unique_keys_get_an_end_that_is_told_and_no_key_gets_a_prefix() -> None:
    table = _mapped(
        "t", {"a": TEXT, "b": TEXT, "n": LONG, "free": TEXT},
        primary=catalog.Key("", ("a",)), uniques=(catalog.Key("u", ("a", "b", "n")),),
    )  # fmt: skip
    fit = ENGINE.ddl.fit(table, {})
    assert set(fit.types) == {"a", "b"} and not fit.indexes
    sizes = {c: int(m.native.removeprefix("varchar(").rstrip(")")) for c, m in fit.types.items()}
    assert sum(sizes.values()) * 4 + 8 <= 3072 and min(sizes.values()) > 300
    assert all(m.there is Verdict.WIDENING and "quarantine" in m.reason for m in fit.types.values())


def test_an_index_that_only_speeds_up_covers_the_beginning_of_long_texts() -> None:
    index = catalog.Index("i", (catalog.IndexColumn("a"), catalog.IndexColumn("n")))
    fit = ENGINE.ddl.fit(_mapped("t", {"a": TEXT, "n": LONG}, indexes=(index,)), {})
    assert fit.types == {}
    assert [c.prefix for c in fit.indexes["i"].columns] == [766, None] and "first 766 characters" in fit.notes[0]


def test_a_row_that_is_too_wide_moves_its_longest_columns_out(mysql_db: servers.MysqlDatabase, connect: Any) -> None:
    columns = {f"c{n}": LogicalType(Kind.TEXT, length=200 + n) for n in range(100)}
    table = _mapped("t", columns, primary=catalog.Key("", ("c99",)))
    fit = ENGINE.ddl.fit(table, {})
    assert fit.types and "c99" not in fit.types and {m.native for m in fit.types.values()} == {"longtext"}
    shaped = catalog.Table(
        catalog.TableName(mysql_db.name, "t"),
        tuple(
            dataclasses.replace(c, native=fit.types.get(c.name, c).native, nullable=c.name != "c99")
            for c in table.columns
        ),
        primary=table.primary,
    )  # fmt: skip
    for statement in ENGINE.ddl.create(shaped):
        connect(mysql_db).run(statement)


@pytest.mark.parametrize(
    ("natives", "nullable"),
    [
        (["bigint"], True), (["bigint"], False), (["decimal(65,30)"], True), (["decimal(18,2)", "double"], True),
        (["datetime(6)", "bigint", "bigint"], True), (["varchar(10)"], True), (["varchar(63)", "date"], True),
        (["char(30)"], False), (["binary(100)", "varbinary(255)"], True), (["longtext", "longblob"], True),
        (["uuid", "inet6"], True), (["bit(64)", "bit(60)", "double"], True), (["varchar(70)", "decimal(65,0)"], True),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_a_row_fits_into_the_page_up_to_the_very_column_where_the_server_refuses_it(
    mysql_db: servers.MysqlDatabase, connect: Any, natives: list[str], nullable: bool
) -> None:
    session = connect(mysql_db)

    def table(count: int) -> catalog.Table:
        columns = [catalog.Column("id", INT, "int", nullable=False)]
        columns += [
            catalog.Column(f"c{n}", TEXT, natives[n % len(natives)], nullable=nullable) for n in range(1, count)
        ]
        return catalog.Table(
            catalog.TableName(mysql_db.name, f"t{count}"), tuple(columns), primary=catalog.Key("", ("id",))
        )

    def fits(count: int) -> bool:
        made = table(count)
        natives = {c.name: c.native for c in made.columns}
        return not page.hinders(made, natives, dict.fromkeys(natives, 4))

    most = next(n for n in range(1, 1018) if not fits(n + 1))
    session.run(ENGINE.ddl.create(table(most))[0])
    with pytest.raises(errors.SenseiError, match="Row size too large"):
        session.run(ENGINE.ddl.create(table(most + 1))[0])


def test_short_texts_that_are_too_many_for_a_page_move_out_of_it_and_numbers_are_refused() -> None:
    shorts = {f"c{n}": LogicalType(Kind.TEXT, length=50) for n in range(60)}
    fit = ENGINE.ddl.fit(_mapped("t", shorts, primary=catalog.Key("", ("c7",))), {})
    assert fit.hinders == "" and "c7" not in fit.types and "page of InnoDB" in next(iter(fit.types.values())).reason
    assert 0 < len(fit.types) < 59, "no more than has to"
    fit = ENGINE.ddl.fit(_mapped("t", {f"c{n}": LONG for n in range(1017)}), {})
    assert "1,017 columns take up to 8,2" in fit.hinders
    assert "1,017 at most" in ENGINE.ddl.fit(_mapped("t", {f"c{n}": INT for n in range(1018)}), {}).hinders


def test_foreign_keys_get_equal_types_or_are_refused_by_name() -> None:
    parent = _mapped("p", {"id": LONG, "code": TEXT, "name": TEXT}, primary=catalog.Key("", ("id",)))
    keys = (
        catalog.ForeignKey("good", ("a",), parent.name, ("id",)),
        catalog.ForeignKey("odd", ("b",), parent.name, ("id",)),
        catalog.ForeignKey("loose", ("c",), parent.name, ("code",)),
    )
    child = _mapped("c", {"a": INT, "b": LogicalType(Kind.DATE), "c": TEXT}, foreign_keys=keys)
    fit = ENGINE.ddl.fit(child, {parent.name: parent})
    assert fit.types["a"].native == "bigint" and set(fit.refused) == {"odd", "loose"}
    assert any("add an index for each of good" in n for n in fit.notes)


# -- identity, privileges, checksums, dependants


def test_two_databases_are_never_taken_for_one(make_mysql_db: fix_mysql.MakeMysqlDatabase, connect: Any) -> None:
    one, other = make_mysql_db(), make_mysql_db()
    first = ENGINE.introspect.identity(connect(one))
    assert first == ENGINE.introspect.identity(connect(one, SOURCE)) != ENGINE.introspect.identity(connect(other))


def test_a_table_made_anew_is_another_one_and_rows_change_nothing(
    mysql_db: servers.MysqlDatabase, connect: Any
) -> None:
    session = connect(mysql_db)
    name = catalog.TableName(mysql_db.name, "t")
    look = ENGINE.introspect.object_identity
    assert look(session, "table", name) is None
    session.run("CREATE TABLE t (a int)")
    first = look(session, "table", name)
    session.run("INSERT INTO t VALUES (1)")
    session.run("ANALYZE TABLE t")
    assert look(session, "table", name) == first
    session.run("SELECT SLEEP(1.1)")
    session.run("CREATE OR REPLACE TABLE t (a int)")
    second = look(session, "table", name)
    assert first is not None and second is not None and first != second and first.split()[1] == second.split()[1]
    session.run("ALTER TABLE t ADD COLUMN b int")
    third = look(session, "table", name)
    assert third is not None and third.split()[1] != second.split()[1]
    assert look(session, "schema", catalog.TableName("", mysql_db.name)) == mysql_db.name


def test_what_an_account_lacks_comes_with_the_statement_that_grants_it(
    make_mysql_db: fix_mysql.MakeMysqlDatabase, connect: Any
) -> None:
    db, more = make_mysql_db(), make_mysql_db()
    user = db.server.create_user()
    db.mariadb(
        f"CREATE TABLE seen (a int, b int); CREATE TABLE half (a int, b int); CREATE TABLE hidden (a int);"
        f" GRANT SELECT ON seen TO {user}@'%'; GRANT SELECT (a) ON half TO {user}@'%';"
        f" GRANT INSERT ON hidden TO {user}@'%';"
    )
    tables = [catalog.TableName(db.name, n) for n in ("seen", "half", "hidden")]
    session = connect(db, TARGET, user)
    missing = ENGINE.introspect.missing_privileges(session, SOURCE, tables, [db.name])
    assert [m.what for m in missing] == [f"SELECT on table {db.name}.half", f"SELECT on table {db.name}.hidden"]
    missing += ENGINE.introspect.missing_privileges(session, TARGET, [], [db.name, more.name])
    assert len(missing) == 5
    for each in missing:
        db.execute(each.grant)
    session = connect(db, TARGET, user)
    assert ENGINE.introspect.missing_privileges(session, SOURCE, tables, [db.name]) == []
    assert ENGINE.introspect.missing_privileges(session, TARGET, [], [db.name, more.name]) == []
    # The grants are enough, and no more than enough.
    session.run("CREATE DATABASE sensei_evidence_mig_12345678")
    session.run(f"RENAME TABLE {ENGINE.ddl.qualified(tables[0])} TO sensei_evidence_mig_12345678.seen")
    with pytest.raises(errors.MissingPrivilege):
        session.run("CREATE DATABASE sensei_another")


def test_any_changed_bit_changes_the_checksum_and_order_does_not(mysql_db: servers.MysqlDatabase, connect: Any) -> None:
    session = connect(mysql_db)
    name = catalog.TableName(mysql_db.name, "t")
    session.run(
        "CREATE TABLE t (a varchar(10), b double, c float, d longblob, e decimal(5,2), f time(3), g bit(5), h json)"
    )

    def checksum(*rows: str) -> tuple[int, str]:
        session.run("TRUNCATE t")
        for row in rows:
            session.run(f"INSERT INTO t VALUES {row}")
        return ENGINE.introspect.content(session, name)

    plain = "('a', 1.5, 0.1, x'00', 1.50, '-100:00:00.5', b'101', '[1]')"
    other = "('b', 2, 2, x'01', 2, '1:00', b'1', '1')"
    assert checksum(plain, other) == checksum(other, plain)
    found = {checksum(plain)}
    for old, new in (
        ("'a'", "'a '"), ("'a'", "''"), ("'a'", "NULL"), ("1.5,", "1.5000000000000002,"), ("0.1", "0.10000001"),
        ("x'00'", "x'0000'"), ("1.50", "1.51"), (".5'", ".501'"), ("b'101'", "b'100'"), ("[1]", "[1 ]"),
    ):  # fmt: skip
        found.add(checksum(plain.replace(old, new, 1)))
    assert len(found) == 11
    assert checksum()[0] == 0 and checksum(plain, plain)[1] not in {c for _, c in found}


def test_what_hangs_on_a_table_is_named_wherever_it_is(
    make_mysql_db: fix_mysql.MakeMysqlDatabase, connect: Any
) -> None:
    db, other = make_mysql_db(), make_mysql_db()
    db.mariadb(
        "SET default_storage_engine = InnoDB; CREATE TABLE p (id int PRIMARY KEY);"
        " CREATE TABLE c (p int, CONSTRAINT inside FOREIGN KEY (p) REFERENCES p (id));"
        " CREATE TABLE lone (a int); CREATE VIEW no AS SELECT a FROM lone;"
        f" CREATE TRIGGER fired BEFORE INSERT ON p FOR EACH ROW SET @x = 1; CREATE VIEW `v``w` AS SELECT * FROM p;"
        f" SET sql_quote_show_create = 1; CREATE VIEW quoted AS SELECT * FROM p;"
        f" CREATE TABLE {other.name}.x (p int, CONSTRAINT outside FOREIGN KEY (p) REFERENCES {db.name}.p (id));"
        f" CREATE VIEW {other.name}.far AS SELECT * FROM {db.name}.c;"
    )
    moved = [catalog.TableName(db.name, n) for n in ("p", "c")]
    assert set(ENGINE.introspect.dependents(connect(db), moved)) == {
        f"foreign key outside of table {other.name}.x",
        f"view {db.name}.v`w",
        f"view {db.name}.quoted",
        f"view {other.name}.far",
        f"trigger fired on table {db.name}.p",
    }
    other.execute("DROP VIEW far; DROP TABLE x")


# -- types


@pytest.mark.parametrize(
    ("of", "native", "there"),
    [
        (LogicalType(Kind.INTEGER, bits=16), "smallint", Verdict.EXACT),
        (LogicalType(Kind.INTEGER, bits=64), "bigint", Verdict.EXACT),
        (LogicalType(Kind.DECIMAL, precision=12, scale=2), "decimal(12,2)", Verdict.WIDENING),
        (LogicalType(Kind.DECIMAL), "longtext", Verdict.WIDENING),
        (LogicalType(Kind.DECIMAL, precision=3, scale=5), "longtext", Verdict.WIDENING),
        (LogicalType(Kind.FLOAT, bits=32), "float", Verdict.WIDENING),
        (LogicalType(Kind.BOOLEAN), "tinyint(1)", Verdict.EXACT),
        (LogicalType(Kind.TEXT), "longtext", Verdict.EXACT),
        (LogicalType(Kind.TEXT, length=80), "varchar(80)", Verdict.EXACT),
        (LogicalType(Kind.TEXT, length=20000), "longtext", Verdict.WIDENING),
        (LogicalType(Kind.TEXT, length=3, fixed=True), "varchar(3)", Verdict.WIDENING),
        (LogicalType(Kind.TEXT, labels=("a", "it's")), "enum('a','it''s')", Verdict.EXACT),
        (LogicalType(Kind.TEXT, labels=("a ", "b")), "varchar(2)", Verdict.WIDENING),
        (LogicalType(Kind.BYTES), "longblob", Verdict.EXACT),
        (LogicalType(Kind.DATE), "date", Verdict.WIDENING),
        (LogicalType(Kind.TIME), "time(6)", Verdict.WIDENING),
        (LogicalType(Kind.TIMESTAMP, precision=3), "datetime(3)", Verdict.WIDENING),
        (LogicalType(Kind.TIMESTAMPTZ), "timestamp(6)", Verdict.WIDENING),
        (LogicalType(Kind.UUID), "uuid", Verdict.EXACT),
        (LogicalType(Kind.JSONB), "longtext", Verdict.EXACT),
        (LogicalType(Kind.NATIVE, native="inet"), "", Verdict.NONE),
    ],
)
def test_a_type_of_another_engine_gets_the_nearest_one_and_the_server_takes_it(
    mysql_db: servers.MysqlDatabase, connect: Any, of: LogicalType, native: str, there: Verdict
) -> None:
    mapped = ENGINE.ddl.map_type(of, "postgres", None)
    assert (mapped.native, mapped.there) == (native, there)
    assert bool(mapped.reason) or there is Verdict.EXACT
    if native:
        table = catalog.Table(catalog.TableName(mysql_db.name, "t"), (catalog.Column("c", of, native),))
        for statement in ENGINE.ddl.create(table):
            connect(mysql_db).run(statement)


@pytest.mark.parametrize(
    ("declared", "postgres", "sqlite"),
    [
        ("tinyint(1)", "smallint", "TINYINT"),
        ("tinyint(3) unsigned", "smallint", "TINYINT UNSIGNED"),
        ("smallint unsigned", "integer", "SMALLINT UNSIGNED"),
        ("mediumint", "integer", "MEDIUMINT"),
        ("int unsigned", "bigint", "INTEGER UNSIGNED"),
        ("bigint unsigned", "numeric(20,0)", "NUMERIC TEXT(20,0)"),
        ("year", "smallint", "SMALLINT"),
        ("bit(1)", "boolean", "BOOLEAN"),
        ("bit(9)", "smallint", "SMALLINT UNSIGNED"),
        ("decimal(30,10)", "numeric(30,10)", "NUMERIC TEXT(30,10)"),
        ("float", "real", "FLOAT"),
        ("char(3)", "character varying(3)", "VARCHAR(3)"),
        ("tinytext", "text", "TEXT"),
        ("enum('a','b')", "text", "TEXT"),
        ("set('a','b')", "character varying(4)", "VARCHAR(4)"),
        ("binary(16)", "bytea", "BLOB"),
        ("time(3)", "time(3) without time zone", "TIME"),
        ("datetime", "timestamp(0) without time zone", "TIMESTAMP"),
        ("timestamp(6) null", "timestamp(6) with time zone", "TIMESTAMPTZ"),
        ("json", "json", "JSON TEXT"),
        ("uuid", "uuid", "UUID"),
    ],
)
def test_a_type_of_this_engine_has_a_home_in_both_others(
    mysql_db: servers.MysqlDatabase, connect: Any, declared: str, postgres: str, sqlite: str
) -> None:
    mysql_db.execute(f"CREATE TABLE t (c {declared})")
    (column,) = _table(ENGINE.introspect.catalog(connect(mysql_db, SOURCE), None), "t").columns
    for url, native in (("postgresql://", postgres), ("sqlite:///f", sqlite)):
        mapped = engines.for_url(url).ddl.map_type(column.type, "mysql", None)
        assert mapped.native == native and mapped.there in (Verdict.EXACT, Verdict.WIDENING)
        assert mapped.there is Verdict.EXACT or mapped.reason


def test_numbers_without_a_sign_become_bigint_where_no_larger_one_is_there() -> None:
    of = LogicalType(Kind.INTEGER, bits=64, unsigned=True)
    for url, native in (("postgresql://", "bigint"), ("sqlite:///f", "BIGINT UNSIGNED")):
        ddl = engines.for_url(url).ddl
        assert ddl.map_type(of, "mysql", base.ColumnFacts(0, 0, 0, highest=2**63 - 1)).native == native
        assert ddl.map_type(of, "mysql", base.ColumnFacts(0, 0, 0, highest=2**63)).native != native


def test_worse_verdicts_win() -> None:
    assert types.worse(Verdict.EXACT, Verdict.LOSSY) is types.worse(Verdict.LOSSY, Verdict.WIDENING) is Verdict.LOSSY


@pytest.mark.parametrize(
    ("printed", "word", "kind"),
    [
        ("json_valid(`c`)", "longtext", Kind.JSON),
        ("(json_valid(`c`))", "text", Kind.JSON),
        ("`c` in (0,1)", "tinyint", Kind.BOOLEAN),
        ("(`c` in (0,1))", "tinyint", Kind.BOOLEAN),
        ("`c` in (0,1,2)", "tinyint", None),
        ("`c` in (0,1)", "int", None),
        (r"regexp_like(`c`,_utf8mb4\'^(-?[0-9]+([.][0-9]+)?|NaN|-?Infinity)$\')", "longtext", Kind.DECIMAL),
        ("`c` regexp '^[0-9]+$'", "longtext", None),
    ],
)
def test_only_the_very_check_makes_a_column_mean_more_as_either_flavour_prints_it(
    printed: str, word: str, kind: Kind | None
) -> None:
    assert typemap.marked("c", word, printed) is kind


@pytest.mark.parametrize(
    ("printed", "of", "expression", "kind", "value"),
    [
        ("b'101'", LogicalType(Kind.INTEGER, bits=3, native="bit", unsigned=True), False, "literal", "5"),
        ("abc", TEXT, False, "literal", "abc"),
        ("CURRENT_TIMESTAMP(3)", LogicalType(Kind.TIMESTAMP), True, "current_timestamp", None),
        ("uuid()", TEXT, True, "random_uuid", None),
        ("(1 + 2)", INT, True, "other", None),
        ("0000-00-00", LogicalType(Kind.DATE), False, "other", None),
    ],
)
def test_a_default_is_read_as_mysql_prints_it(
    printed: str, of: LogicalType, expression: bool, kind: str, value: str | None
) -> None:
    found = typemap.default(printed, of, expression=expression)
    assert (found.kind, found.value) == (kind, value)


def test_a_foreign_key_is_built_in_a_moment_and_asked_for_its_orphans_afterwards(
    mysql_db: servers.MysqlDatabase, connect: Any
) -> None:
    session = connect(mysql_db)
    p, c = catalog.TableName(mysql_db.name, "p"), catalog.TableName(mysql_db.name, "c")
    number = _column("id", Kind.INTEGER, "int", bits=32, nullable=False)
    key = catalog.ForeignKey("fk", ("p",), p, ("id",))
    tables = [
        catalog.Table(p, (number,), primary=catalog.Key("", ("id",))),
        catalog.Table(c, (_column("p", Kind.INTEGER, "int", bits=32),), foreign_keys=(key,)),
    ]
    for table in tables:
        for statement in ENGINE.ddl.create(table):
            session.run(statement)
    session.run("INSERT INTO p VALUES (1)")
    session.run("INSERT INTO c VALUES (1), (NULL), (2)")
    (finish,) = ENGINE.ddl.finish(tables[1])
    assert finish.trusting and not session.rows(f"SELECT {finish.there}")[0][0]
    for statement in finish.statements:
        session.run(statement)
    assert session.rows(f"SELECT {finish.there}")[0][0] and session.rows(finish.proof) == [(2,)]
    with pytest.raises(errors.DataRejected):
        session.run("INSERT INTO c VALUES (3)")  # of whoever comes later it takes nothing on trust
    for statement in finish.removal:
        session.run(statement)
    assert not session.rows(f"SELECT {finish.there}")[0][0]
