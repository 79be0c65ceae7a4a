"""What a plan decides where MariaDB or MySQL is one end: places, names, numbers, keys, checks, comments."""

from __future__ import annotations

from typing import Any

import pytest

from sensei import catalog, engines, errors, plan
from sensei.catalog.types import Kind, LogicalType, Verdict
from sensei.config import migration
from sensei.plan import model

INT = LogicalType(Kind.INTEGER, bits=32)
TEXT = LogicalType(Kind.TEXT)
WIDE = LogicalType(Kind.INTEGER, bits=64, unsigned=True)


def _catalog(engine: str, *tables: catalog.Table, schemas: tuple[str, ...] = ("s",), **more: Any) -> catalog.Catalog:
    return catalog.Catalog(engine, "1", schemas, tables, **more)


def _table(name: str, *columns: catalog.Column, schema: str = "s", **more: Any) -> catalog.Table:
    return catalog.Table(catalog.TableName(schema, name), columns, **more)


def _plan(source: catalog.Catalog, target: catalog.Catalog, **config: Any) -> model.Plan:
    asked = migration.MigrationConfig.model_validate(
        {"name": "x", "source": {"connection": "a"}, "target": {"connection": "b", **config}}
    )
    ends = [plan.Found(engines.by_name(c.engine), f"{n} {c.engine}", c) for n, c in enumerate((source, target))]
    return plan.make(asked, *ends)


def _there(engine: str, **more: Any) -> catalog.Catalog:
    home = {"home": "shop", "case_sensitive": True} if engine == "mysql" else {}
    return _catalog(engine, schemas=("shop",) if engine == "mysql" else (), **{**home, **more})


ID = catalog.Column("id", INT, "integer", nullable=False)


@pytest.mark.parametrize(
    ("schemas", "asked", "expected"),
    [
        (("public",), {}, ["shop"]),
        (("",), {}, ["shop"]),
        (("a", "b"), {}, ["a", "b"]),
        (("a", "b"), {"schema": "one"}, ["one"]),
    ],
)
def test_tables_go_to_the_url_s_database_or_to_one_for_each_schema(
    schemas: tuple[str, ...], asked: dict[str, str], expected: list[str]
) -> None:
    tables = [_table(f"t{n}", ID, schema=s) for n, s in enumerate(schemas)]
    engine = "postgres" if schemas != ("",) else "sqlite"
    made = _plan(_catalog(engine, *tables, schemas=schemas), _there("mysql"), **asked)
    assert sorted({t.target.name.schema for t in made.tables}) == expected
    made_here = {s.object for s in made.steps if s.kind == "create_schema"}
    assert made_here == set(expected) - {"shop"}


def test_a_postgres_target_keeps_the_source_database_s_name_as_its_schema() -> None:
    made = _plan(_catalog("mysql", _table("t", ID, schema="shop"), schemas=("shop",)), _there("postgres"))
    assert made.tables[0].target.name == catalog.TableName("shop", "t")


def test_indexes_keep_their_names_where_they_count_within_a_table_and_foreign_keys_never_collide() -> None:
    parent = _table("p", ID, primary=catalog.Key("", ("id",)))
    index = catalog.Index("same", (catalog.IndexColumn("id"),))
    reserved = catalog.Index("primary", (catalog.IndexColumn("id"),))
    keys = (catalog.ForeignKey("fk", ("id",), parent.name, ("id",)),)
    one = _table("a", ID, indexes=(index, reserved), foreign_keys=keys)
    other = _table("b", ID, indexes=(index,), foreign_keys=keys)
    own = _table("own", ID, schema="shop", foreign_keys=(catalog.ForeignKey("fk", ("id",), parent.name, ("id",)),))
    there = _catalog("mysql", own, schemas=("shop",), home="shop")
    made = _plan(_catalog("postgres", parent, one, other), there)
    a, b = made.table("s.a").target, made.table("s.b").target
    assert [i.name for i in (*a.indexes, *b.indexes)] == ["same", "primary_key", "same"]
    assert (a.foreign_keys[0].name, b.foreign_keys[0].name) == ("fk_2", "fk_3")


def test_names_are_measured_in_characters_and_columns_fold_their_case() -> None:
    made = _plan(_catalog("postgres", _table("é" * 60, ID)), _there("mysql"))
    assert made.tables[0].target.name.name == "é" * 60
    with pytest.raises(errors.Refused, match="64 characters"):
        _plan(_catalog("sqlite", _table("x" * 65, ID, schema=""), schemas=("",)), _there("mysql"))
    twins = _table("t", catalog.Column("a", INT, "integer"), catalog.Column("A", INT, "integer"))
    with pytest.raises(errors.Refused, match="would both become"):
        _plan(_catalog("postgres", twins), _there("mysql"))
    tables = _table("t", ID), _table("T", ID)
    assert len(_plan(_catalog("postgres", *tables), _there("mysql")).tables) == 2
    with pytest.raises(errors.Refused, match="would both become"):
        _plan(_catalog("postgres", *tables), _there("mysql", case_sensitive=False))


def test_numbers_without_a_sign_fit_bigint_while_their_numbering_does_and_so_do_those_that_point_to_them() -> None:
    number = catalog.Column("id", WIDE, "bigint unsigned", nullable=False, identity="by default")
    parent = _table("p", number, primary=catalog.Key("", ("id",)))
    child = _table(
        "c", catalog.Column("p", WIDE, "bigint unsigned"), catalog.Column("free", WIDE, "bigint unsigned"),
        foreign_keys=(catalog.ForeignKey("fk", ("p",), parent.name, ("id",)),),
    )  # fmt: skip
    for last, expected in ((41, "bigint"), (2**63, "numeric(20,0)")):
        sequence = catalog.Sequence(parent.name, last_value=last, owner=(parent.name, "id"))
        made = _plan(_catalog("mysql", parent, child, sequences=(sequence,)), _there("postgres"))
        natives = {f"{t.source.name.name}.{c.name}": c.native for t in made.tables for c in t.target.columns}
        assert natives == {"p.id": expected, "c.p": expected, "c.free": "numeric(20,0)"}
        assert (made.table("s.p").target.columns[0].identity is None) == (expected != "bigint")
    assert any(n.kind == "identity" for n in made.not_migrated)


def test_an_enumeration_is_one_or_is_kept_to_by_a_check() -> None:
    of = LogicalType(Kind.TEXT, length=3, labels=("a'b", "c"))
    table = _table("t", catalog.Column("e", of, "s.mood", default=catalog.Default("literal", "'c'::s.mood", "c")))
    made = _plan(_catalog("postgres", table), _there("mysql"))
    assert made.tables[0].target.columns[0].native == "enum('a''b','c')" and made.tables[0].target.checks == ()
    made = _plan(_catalog("postgres", table), _there("sqlite"))
    (check,) = made.tables[0].target.checks
    assert check.sql == "\"e\" IN ('a''b', 'c')" and made.tables[0].columns[0].there is Verdict.WIDENING
    # Another PostgreSQL keeps the type only where it has one of that name.
    for known, native in ((frozenset({"s.mood"}), "s.mood"), (frozenset(), "text")):
        made = _plan(_catalog("postgres", table, names=frozenset()), _there("postgres", names=known))
        assert made.tables[0].target.columns[0].native == native
        assert made.tables[0].target.columns[0].default is not None


def test_what_the_target_has_no_word_for_is_listed_with_its_definition() -> None:
    stamp = catalog.Column(
        "t", LogicalType(Kind.TIMESTAMPTZ, precision=0), "timestamp", extra="on update current_timestamp()"
    )
    folding = catalog.Column("f", LogicalType(Kind.TEXT, folds=True), "text", collation="utf8mb4_general_ci")
    binary = catalog.Column("b", LogicalType(Kind.TEXT, folds=False), "text", collation="utf8mb4_nopad_bin")
    prefix = catalog.Index("i", (catalog.IndexColumn("f", prefix=9),))
    words = catalog.Index("w", (catalog.IndexColumn("f"),), method="fulltext")
    check = catalog.Check("equal", "`f` = 'A'")
    table = _table("t", stamp, folding, binary, indexes=(prefix, words), checks=(check,))
    made = _plan(_catalog("mysql", table), _there("postgres"))
    left = {(n.kind, n.object): n for n in made.not_migrated}
    assert set(left) == {("clause", "s.t.t"), ("index", "s.t.i"), ("index", "s.t.w"), ("check", "s.t.equal")}
    assert left["clause", "s.t.t"].definition == "on update current_timestamp()"
    (told,) = [r.reason for r in made.risks if "collation" in r.reason]
    assert told.startswith("f: collation utf8mb4_general_ci")


def test_comments_that_are_too_long_and_second_numbered_columns_stay_behind_by_name() -> None:
    columns = [
        catalog.Column(n, INT, "integer", nullable=False, identity="always", comment="x" * 1025) for n in ("a", "b")
    ]
    table = _table("t", *columns, comment="y" * 1024, checks=(catalog.Check("c", "(a > 0)"),))
    made = _plan(_catalog("postgres", table), _there("mysql"))
    left = [(n.kind, n.object) for n in made.not_migrated]
    assert left == [("comment", "column s.t.a"), ("identity", "s.t.b"), ("comment", "column s.t.b"), ("check", "s.t.c")]
    assert made.tables[0].target.comment == "y" * 1024
    assert any("one is added for a" in r.reason for r in made.risks)


def test_checks_travel_in_the_target_s_quotes() -> None:
    table = _table("t", catalog.Column('a"`b', INT, "integer"), checks=(catalog.Check("c", '("a""`b" > 0)'),))
    made = _plan(_catalog("postgres", table), _there("mysql"))
    assert made.tables[0].target.checks[0].sql == '(`a"``b` > 0)'
    back = _table("t", catalog.Column("a`b", INT, "int"), checks=(catalog.Check("c", "`a``b` > 0"),))
    made = _plan(_catalog("mysql", back), _there("sqlite"))
    assert made.tables[0].target.checks[0].sql == '"a`b" > 0'


def test_actions_that_the_target_does_not_have_are_weakened_aloud() -> None:
    parent = _table("p", ID, primary=catalog.Key("", ("id",)))
    keys = (
        catalog.ForeignKey("d", ("id",), parent.name, ("id",), on_delete="SET DEFAULT", deferrable=True, deferred=True),
        catalog.ForeignKey("n", ("id",), parent.name, ("id",), on_delete="SET NULL"),
    )
    made = _plan(_catalog("postgres", parent, _table("c", ID, foreign_keys=keys)), _there("mysql"))
    (key,) = made.table("s.c").target.foreign_keys
    assert (key.name, key.on_delete, key.deferrable) == ("d", "NO ACTION", False)
    reasons = [r.reason for r in made.risks if r.table == "s.c"]
    assert any("SET DEFAULT becomes NO ACTION" in r for r in reasons) and any("deferrable" in r for r in reasons)
    assert [n.object for n in made.not_migrated if n.kind == "foreign key"] == ["s.c.n"]


def test_a_key_on_texts_says_in_the_plan_how_much_it_holds() -> None:
    table = _table("t", catalog.Column("a", TEXT, "text", nullable=False), primary=catalog.Key("t_pkey", ("a",)))
    made = _plan(_catalog("postgres", table), _there("mysql"))
    column = made.tables[0].columns[0]
    assert column.target_native == "varchar(768)" == made.tables[0].target.columns[0].native
    assert column.there is Verdict.WIDENING and "768 characters" in column.reason
    assert any(r.column == "a" and "768 characters" in r.reason for r in made.risks)


def _and_home(table: catalog.Table, through: str, natives: dict[str, str]) -> model.Plan:
    """A plan there, and the plan back from what arrived; `natives` is how the server there prints some types."""
    schema = {"mysql": "shop", "postgres": "s", "sqlite": ""}
    engine = "mysql" if table.name.schema == "shop" else "postgres"
    there = _plan(_catalog(engine, table, schemas=(table.name.schema,)), _there(through))
    target = there.tables[0].target
    types_there = {c.target: c.source_type for c in there.tables[0].columns}
    arrived = catalog.Table(
        target.name,
        tuple(
            catalog.Column(c.name, _read_back(types_there[c.name]), natives.get(c.name, c.native), c.nullable)
            for c in target.columns
        ),
        checks=target.checks,
    )
    source = _catalog(through, arrived, schemas=(schema[through],))
    asked = migration.MigrationConfig.model_validate(
        {"name": "x", "source": {"connection": "a"}, "target": {"connection": "b"}}
    )
    return plan.make(
        asked,
        plan.Found(engines.by_name(through), "there", source, plans=(there,)),
        plan.Found(engines.by_name(engine), "home", _there(engine)),
    )


def _read_back(of: LogicalType) -> LogicalType:
    """What another engine makes of a type: the kind, and nothing of what only the first one knew."""
    return LogicalType(of.kind, bits=64 if of.kind is Kind.INTEGER else of.bits, precision=of.precision, scale=of.scale)


@pytest.mark.parametrize("through", ["postgres", "sqlite"])
def test_columns_go_home_into_the_types_that_they_came_from(through: str) -> None:
    labels = LogicalType(Kind.TEXT, length=1, labels=("a", "b"), folds=True)
    columns = (
        catalog.Column("u", LogicalType(Kind.INTEGER, bits=16, unsigned=True), "smallint(5) unsigned"),
        catalog.Column("y", LogicalType(Kind.INTEGER, bits=16, native="year"), "year(4)"),
        catalog.Column("e", labels, "enum('a','b')", collation="utf8mb3_general_ci"),
        catalog.Column(
            "t", LogicalType(Kind.TIMESTAMPTZ, precision=0), "timestamp", extra="on update current_timestamp()"
        ),
        catalog.Column("b", LogicalType(Kind.BYTES, length=16, fixed=True), "binary(16)"),
        catalog.Column("big", WIDE, "bigint(20) unsigned"),
    )
    table = _table("t", *columns, schema="shop", definition="ENGINE=InnoDB COLLATE=utf8mb3_general_ci")
    back = _and_home(table, through, {})
    home = back.tables[0].target
    assert [c.native for c in home.columns] == [c.native for c in columns]
    assert [(c.collation, c.extra) for c in home.columns] == [(c.collation, c.extra) for c in columns]
    assert home.checks == () and home.definition == table.definition
    assert all("as it was where it came from" in c.reason for c in back.tables[0].columns if c.there != Verdict.EXACT)


def test_a_column_that_was_changed_since_goes_where_its_new_type_goes() -> None:
    table = _table("t", catalog.Column("u", LogicalType(Kind.INTEGER, bits=16, unsigned=True), "smallint unsigned"),
                   schema="shop")  # fmt: skip
    assert _and_home(table, "postgres", {"u": "bigint"}).tables[0].target.columns[0].native == "bigint"


def test_postgres_columns_come_home_from_mysql_whatever_widths_the_server_prints() -> None:
    columns = (
        catalog.Column("i", INT, "integer"),
        catalog.Column("c", LogicalType(Kind.TEXT, length=3, fixed=True), "character(3)"),
        catalog.Column("j", LogicalType(Kind.JSONB), "jsonb"),
        catalog.Column("t", LogicalType(Kind.TIMESTAMP), "timestamp without time zone"),
    )
    back = _and_home(_table("t", *columns), "mysql", {"i": "int(11)"})
    assert [c.native for c in back.tables[0].target.columns] == [c.native for c in columns]
