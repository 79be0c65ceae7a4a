"""What the PostgreSQL engine alone promises of chunks, marks, privileges and definitions."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import servers
from fix_postgres import MakeDatabase
from sensei import catalog, engines, errors
from sensei.catalog import types
from sensei.config import connections
from sensei.engines import base
from sensei.engines.postgres import typemap

ENGINE = engines.for_url("postgresql://")
SOURCE, TARGET = base.Purpose.SOURCE, base.Purpose.TARGET
TEXT = types.LogicalType(types.Kind.TEXT)


@pytest.fixture
def connect() -> Iterator[Any]:
    opened: list[base.Session] = []

    def open_one(db: servers.Database, purpose: base.Purpose = TARGET, user: str = servers.USER) -> base.Session:
        url = connections.expand(db.server.url(db.name, user), {servers.PASSWORD_ENV: servers.password()})
        opened.append(ENGINE.connect(url, purpose))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


def _table(session: base.Session, name: str) -> catalog.Table:
    return next(t for t in ENGINE.introspect.catalog(session, None).tables if t.name.name == name)


def _bounds(session: base.Session, table: catalog.Table, rows: int) -> list[base.KeyValue | None]:
    key = ENGINE.rows.key(table)
    bounds: list[base.KeyValue | None] = [None]
    while (bound := ENGINE.rows.boundary(session, table.name, key, bounds[-1], rows)) is not None:
        bounds.append(base.key_value(base.key_text(bound)))  # as it goes through the ledger
    return [*bounds, None]


def _spec(
    table: catalog.Table, lower: base.KeyValue | None = None, upper: base.KeyValue | None = None
) -> base.ReadSpec:
    columns = tuple(base.ReadColumn(c.name, c.type) for c in table.columns)
    return base.ReadSpec(table.name, columns, ENGINE.rows.key(table), lower, upper)


def _lines(session: base.Session, spec: base.ReadSpec) -> list[bytes]:
    blocks = list(ENGINE.rows.read(session, spec, base.Form.TEXT))
    assert all(isinstance(b, bytes) for b in blocks)
    return b"".join(b for b in blocks if isinstance(b, bytes)).splitlines()


# -- chunks


@pytest.mark.parametrize(
    ("definition", "insert", "kind"),
    [
        ("a int PRIMARY KEY", "i", "columns"),
        ("a numeric PRIMARY KEY", "i / 7.0", "columns"),
        ("a float8 PRIMARY KEY", "CASE i WHEN 3 THEN 'NaN' WHEN 4 THEN '-Infinity' ELSE sqrt(i) END", "columns"),
        ("a text PRIMARY KEY", "E'\\\\a\\t''%?é' || i", "columns"),
        ("a char(9) UNIQUE NOT NULL", "i::text", "columns"),
        ("a bytea PRIMARY KEY", "sha256(i::text::bytea)", "columns"),
        ("a uuid PRIMARY KEY", "md5(i::text)::uuid", "columns"),
        ("a timestamptz PRIMARY KEY", "CASE i WHEN 9 THEN 'infinity' ELSE now() + i * '1 us'::interval END", "columns"),
        ("a date PRIMARY KEY", "CASE i WHEN 9 THEN '4713-01-01 BC' ELSE date '0001-01-01' + i END", "columns"),
        ("a name PRIMARY KEY", "'n' || i", "columns"),
        ("a text, b int NOT NULL, c date NOT NULL, UNIQUE (b, c)", "i, i % 5, date '2026-01-01' + i", "columns"),
        ("a int NOT NULL", "i", "ctid"),
        ("a int UNIQUE", "nullif(i, 3)", "ctid"),
        ("a jsonb PRIMARY KEY", "to_jsonb(i)", "ctid"),
    ],
)
def test_chunks_hold_every_row_once_along_every_kind_of_key(
    pg_db: servers.Database, connect: Any, definition: str, insert: str, kind: str
) -> None:
    pg_db.execute(f"CREATE TABLE public.t ({definition}, filler text DEFAULT repeat('x', 900))")
    pg_db.execute(f"INSERT INTO public.t SELECT {insert} FROM generate_series(1, 100) i")
    session = connect(pg_db, SOURCE)
    table = _table(session, "t")
    assert ENGINE.rows.key(table).kind == kind
    bounds = _bounds(session, table, 9)
    assert len(bounds) > 5
    parts = [_lines(session, _spec(table, a, b)) for a, b in itertools.pairwise(bounds)]
    whole = _lines(session, _spec(table))
    assert [line for part in parts for line in part] == whole
    assert len(whole) == 100


def test_a_partitioned_table_is_read_whole_and_an_inherited_one_only_once(
    pg_db: servers.Database, connect: Any
) -> None:
    pg_db.psql("""
        CREATE TABLE public.p (a int PRIMARY KEY) PARTITION BY RANGE (a);
        CREATE TABLE public.p1 PARTITION OF public.p FOR VALUES FROM (0) TO (50);
        CREATE TABLE public.p2 PARTITION OF public.p FOR VALUES FROM (50) TO (200);
        CREATE TABLE public.mother (a int PRIMARY KEY); CREATE TABLE public.child () INHERITS (public.mother);
        INSERT INTO public.p SELECT generate_series(1, 100); INSERT INTO public.mother VALUES (1);
        INSERT INTO public.child VALUES (1), (2);""")
    session = connect(pg_db, SOURCE)
    found = {t.name.name: t for t in ENGINE.introspect.catalog(session, None).tables}
    assert {n: t.kind for n, t in found.items()} == {"p": "partitioned", "mother": "table", "child": "table"}
    for name, rows in {"p": 100, "mother": 1, "child": 2}.items():
        assert ENGINE.rows.count(session, found[name].name) == rows
        assert len(_lines(session, _spec(found[name]))) == rows
        assert ENGINE.introspect.content(session, found[name].name)[0] == rows


def test_a_reader_that_is_left_early_leaves_the_session_usable(pg_db: servers.Database, connect: Any) -> None:
    pg_db.execute("CREATE TABLE public.t AS SELECT i, repeat('x', 1000) FROM generate_series(1, 30000) i")
    session = connect(pg_db, SOURCE)
    table = _table(session, "t")
    threads = threading.active_count()
    for _ in range(3):
        blocks = ENGINE.rows.read(session, _spec(table), base.Form.BINARY)
        next(blocks)
        blocks.close()  # type: ignore[attr-defined]
        assert session.rows("SELECT 1") == [(1,)]
    assert threading.active_count() == threads


def test_an_error_of_the_server_while_reading_reaches_the_reader(pg_db: servers.Database, connect: Any) -> None:
    pg_db.execute("CREATE TABLE public.t AS SELECT repeat('x', 500) FROM generate_series(1, 100000) i")
    session = connect(pg_db, SOURCE)
    blocks = ENGINE.rows.read(session, _spec(_table(session, "t")), base.Form.TEXT)
    next(blocks)
    pid = session.backend
    pg_db.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    with pytest.raises(errors.Transient):
        for _ in blocks:
            pass


def test_an_error_of_the_source_ends_a_load_as_it_is(pg_db: servers.Database, connect: Any) -> None:
    pg_db.execute("CREATE TABLE public.t (a int)")
    session = connect(pg_db)

    def blocks() -> Iterator[base.Block]:
        yield b"1\n"
        raise errors.SourceWritten("the source was written")

    load = base.LoadSpec(catalog.TableName("public", "t"), (("a", types.LogicalType(types.Kind.INTEGER, bits=32)),))
    with pytest.raises(errors.SourceWritten), base.transaction(session):
        ENGINE.rows.load(session, load, base.Form.TEXT, blocks())
    assert pg_db.value("SELECT count(*) FROM public.t") == 0
    with base.transaction(session):
        assert ENGINE.rows.load(session, load, base.Form.TEXT, [b"", b"1\n2", b"", b"\n\\N\n"]) == 3
    assert pg_db.query("SELECT a FROM public.t") == [(1,), (2,), (None,)]


@pytest.mark.parametrize("line", [b"x\n", b"1\t2\n", b"99999999999\n", b"-1\n", b"1\n1\n", b"\xff\n", b"a\0b\n"])
def test_a_row_that_the_server_refuses_is_rejected_data(pg_db: servers.Database, connect: Any, line: bytes) -> None:
    pg_db.execute("CREATE TABLE public.t (a int UNIQUE CHECK (a > 0))")
    session = connect(pg_db)
    load = base.LoadSpec(catalog.TableName("public", "t"), (("a", types.LogicalType(types.Kind.INTEGER, bits=32)),))
    with pytest.raises(errors.DataRejected) as caught, base.transaction(session):
        ENGINE.rows.load(session, load, base.Form.TEXT, [b"7\n", line])
    assert caught.value.duplicate is (line == b"1\n1\n")
    assert pg_db.value("SELECT count(*) FROM public.t") == 0


def test_a_value_of_many_megabytes_passes(pg_db: servers.Database, pg_db2: servers.Database, connect: Any) -> None:
    pg_db.execute("CREATE TABLE public.t AS SELECT 1 AS a, repeat('0123456789\t', 3000000) AS b")
    pg_db2.execute("CREATE TABLE public.t (a int, b text)")
    source, target = connect(pg_db, SOURCE), connect(pg_db2)
    table = _table(source, "t")
    for form in (base.Form.TEXT, base.Form.BINARY):
        with base.transaction(target):
            target.run("TRUNCATE public.t")
            blocks = ENGINE.rows.read(source, _spec(table), form)
            load = base.LoadSpec(table.name, tuple((c.name, c.type) for c in table.columns))
            assert ENGINE.rows.load(target, load, form, blocks) == 1
        assert ENGINE.introspect.content(source, table.name) == ENGINE.introspect.content(target, table.name)


# -- marks and checksums


def test_only_tables_that_were_written_since_a_mark_are_suspects(pg_db: servers.Database, connect: Any) -> None:
    names = ("read", "inserted", "updated", "truncated", "open", "vacuumed", "parted")
    for name in names[:-1]:
        pg_db.execute(f"CREATE TABLE public.{name} AS SELECT generate_series(1, 3) AS a")
    pg_db.execute("CREATE TABLE public.parted (a int) PARTITION BY RANGE (a)")
    pg_db.execute("CREATE TABLE public.leaf PARTITION OF public.parted FOR VALUES FROM (0) TO (9)")
    tables = [catalog.TableName("public", n) for n in names]
    session = connect(pg_db, SOURCE)
    writer = pg_db.connect(autocommit=False)
    with writer.cursor() as cursor:
        # A sub-transaction that is open at the mark and commits after it.
        cursor.execute("SAVEPOINT s; INSERT INTO public.open VALUES (4); RELEASE s")
        mark = ENGINE.rows.marker(session)
        assert ENGINE.rows.suspects(session, mark, tables) == []
        writer.commit()
    writer.close()
    pg_db.query("SELECT * FROM public.read")
    pg_db.execute("INSERT INTO public.inserted VALUES (4)")
    pg_db.execute("UPDATE public.updated SET a = a WHERE a = 2")
    pg_db.execute("TRUNCATE public.truncated")
    pg_db.execute("VACUUM (FREEZE, ANALYZE) public.vacuumed")
    pg_db.execute("TRUNCATE public.leaf")
    found = [t.name for t in ENGINE.rows.suspects(connect(pg_db, SOURCE), mark, tables)]
    assert found == ["inserted", "updated", "truncated", "open", "parted"]


def test_any_change_of_a_row_changes_the_checksum(pg_db: servers.Database, connect: Any) -> None:
    pg_db.execute(
        "CREATE TABLE public.t (t float8, b text, c int); INSERT INTO public.t VALUES (0, '', 1), (1, 'x', 2)"
    )
    session = connect(pg_db, SOURCE)
    name = catalog.TableName("public", "t")
    seen = [ENGINE.introspect.content(session, name)]
    for change in (
        "UPDATE public.t SET t = '-0' WHERE c = 1",
        "UPDATE public.t SET b = NULL WHERE c = 1",
        "UPDATE public.t SET b = 'x ' WHERE c = 2",
        "UPDATE public.t SET t = 1.0000000000000002 WHERE c = 2",
        "INSERT INTO public.t VALUES (5, 'twin', 5), (5, 'twin', 5)",
        "UPDATE public.t SET b = 'niwt' WHERE c = 5",
    ):
        pg_db.execute(change)
        seen.append(ENGINE.introspect.content(session, name))
    assert len(set(seen)) == len(seen)
    pg_db.execute("CREATE TABLE public.copy AS SELECT * FROM public.t ORDER BY c DESC")
    assert ENGINE.introspect.content(session, catalog.TableName("public", "copy")) == seen[-1]


# -- the catalog


def test_the_number_of_questions_does_not_grow_with_the_tables(
    pg_db: servers.Database, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = connect(pg_db, SOURCE)
    asked: list[str] = []
    rows = session.rows
    monkeypatch.setattr(session, "rows", lambda sql, params=(): asked.append(sql) or rows(sql, params))
    ENGINE.introspect.catalog(session, None)
    before = len(asked)
    pg_db.execute(
        "DO $$ BEGIN FOR i IN 1..200 LOOP EXECUTE format('CREATE TABLE public.t%s (a serial PRIMARY KEY, b int UNIQUE"
        " CHECK (b > 0) REFERENCES public.t%s)', i, i); END LOOP; END $$"
    )
    asked.clear()
    assert len(ENGINE.introspect.catalog(session, None).tables) == 200
    assert len(asked) == before <= 12


def test_two_databases_made_from_one_template_differ(make_pg_db: MakeDatabase, connect: Any) -> None:
    first = make_pg_db()
    second = make_pg_db(template=first.name)
    identities = [ENGINE.introspect.identity(connect(db)) for db in (first, second, first)]
    assert identities[0] == identities[2] != identities[1]


def test_what_an_account_lacks_is_granted_by_the_statements_shown(pg_db: servers.Database, connect: Any) -> None:
    role = pg_db.server.create_role()
    pg_db.psql(
        """
        REVOKE ALL ON SCHEMA public FROM public; CREATE SCHEMA "S"; CREATE TABLE "S"."T"""
        + '"" "'
        + """ (a serial);
        CREATE TABLE "S".hidden (a int); ALTER TABLE "S".hidden ENABLE ROW LEVEL SECURITY;"""
    )
    names = [t.name for t in ENGINE.introspect.catalog(connect(pg_db, SOURCE), ["S"]).tables]
    assert len(names) == 2
    for purpose in (SOURCE, TARGET):
        session = connect(pg_db, SOURCE, role)
        for _ in range(2):  # the sight past policies is only asked for once the table may be read at all
            for missing in ENGINE.introspect.missing_privileges(session, purpose, names, ["S"]):
                pg_db.execute(missing.grant)
        assert ENGINE.introspect.missing_privileges(session, purpose, names, ["S"]) == []
    reader = connect(pg_db, SOURCE, role)
    assert [ENGINE.rows.count(reader, n) for n in names] == [0, 0]
    connect(pg_db, TARGET, role).run('CREATE TABLE "S".made (a int)')


def test_rows_hidden_by_a_policy_are_an_error_and_not_missing(pg_db: servers.Database, connect: Any) -> None:
    role = pg_db.server.create_role()
    pg_db.execute("CREATE TABLE public.t (a int); INSERT INTO public.t VALUES (1), (2)")
    pg_db.execute("ALTER TABLE public.t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON public.t USING (a = 1)")
    pg_db.execute(f"GRANT SELECT ON public.t TO {role}")
    with pytest.raises(errors.MissingPrivilege, match="policy"):
        ENGINE.rows.count(connect(pg_db, SOURCE, role), catalog.TableName("public", "t"))


def test_everything_that_hangs_on_a_table_is_named(pg_db: servers.Database, connect: Any) -> None:
    pg_db.psql("""
        CREATE TABLE public.t (id serial PRIMARY KEY); CREATE TABLE public.own (id int REFERENCES public.t);
        CREATE TABLE public.other (id int REFERENCES public.t, d int DEFAULT nextval('public.t_id_seq'));
        CREATE VIEW public.v AS SELECT * FROM public.t; CREATE MATERIALIZED VIEW public.m AS SELECT * FROM public.v;
        CREATE PUBLICATION pub FOR TABLE public.t; CREATE TABLE public.child () INHERITS (public.t);
        CREATE FUNCTION public.f(public.t) RETURNS int LANGUAGE sql AS 'SELECT 1';""")
    tables = [catalog.TableName("public", n) for n in ("t", "own")]
    found = "\n".join(ENGINE.introspect.dependents(connect(pg_db, SOURCE), tables))
    for word in ("view public.v", "other", "publication pub", "child", "function public.f", "default of public.other"):
        assert word in found
    assert "own" not in found.replace("owns", "")
    assert ENGINE.introspect.dependents(connect(pg_db, SOURCE), [catalog.TableName("public", "child")]) == []


@pytest.mark.parametrize(
    ("sql", "of", "kind", "value"),
    [
        ("'it''s'::text", TEXT, "literal", "it's"),
        ("'a'::character varying(3)", TEXT, "literal", "a"),
        ("0", types.LogicalType(types.Kind.INTEGER, bits=32), "literal", "0"),
        ("'-1'::integer", types.LogicalType(types.Kind.INTEGER, bits=32), "literal", "-1"),
        ("(-1.5)", types.LogicalType(types.Kind.DECIMAL), "literal", "-1.5"),
        ("0.6", types.LogicalType(types.Kind.INTEGER, bits=32), "other", None),
        ("true", types.LogicalType(types.Kind.BOOLEAN), "literal", "t"),
        ("NULL::character varying", TEXT, "null", None),
        ("now()", types.LogicalType(types.Kind.TIMESTAMPTZ), "current_timestamp", None),
        ("CURRENT_TIMESTAMP", types.LogicalType(types.Kind.TIMESTAMPTZ), "current_timestamp", None),
        ("CURRENT_DATE", types.LogicalType(types.Kind.DATE), "current_date", None),
        ("gen_random_uuid()", types.LogicalType(types.Kind.UUID), "random_uuid", None),
        ("public.uuid_generate_v4()", types.LogicalType(types.Kind.UUID), "random_uuid", None),
        ("nextval('public.\"T''s_seq\"'::regclass)", TEXT, "nextval", "public.T's_seq"),
        ("('a'::text || 'b'::text)", TEXT, "other", None),
        ("(1 + 1)", types.LogicalType(types.Kind.INTEGER, bits=32), "other", None),
        ("'G'::public.mood", types.LogicalType(types.Kind.UNSUPPORTED, native="public.mood"), "other", None),
        ("(now() + '01:00:00'::interval)", types.LogicalType(types.Kind.TIMESTAMPTZ), "other", None),
    ],
)
def test_a_default_is_portable_only_where_its_meaning_is_known(
    sql: str, of: types.LogicalType, kind: str, value: str | None
) -> None:
    assert typemap.default(sql, of) == catalog.Default(kind, sql, value)


# -- definitions


def test_a_name_that_would_be_cut_short_is_refused(pg_db: servers.Database, connect: Any) -> None:
    fits, long = "é" * 31 + "x", "é" * 32
    for name in (long, "a\0b", ""):
        with pytest.raises(errors.BadInput):
            ENGINE.ddl.quote(name)
    connect(pg_db).run(f"CREATE TABLE public.{ENGINE.ddl.quote(fits)} (a int)")
    assert pg_db.value("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace") == fits


def test_a_sequence_is_never_primed_behind_the_data(pg_db: servers.Database, connect: Any) -> None:
    name = catalog.TableName("public", "t")
    integer = types.LogicalType(types.Kind.INTEGER, bits=32)
    column = catalog.Column("id", integer, "integer", nullable=False, identity="autoincrement")
    table = catalog.Table(name, (column,))
    session = connect(pg_db)
    for statement in ENGINE.ddl.create(table):
        session.run(statement)

    def next_after(*sequences: catalog.Sequence) -> int:
        for statement in ENGINE.ddl.prime(table, sequences):
            session.run(statement)
        return int(session.rows("INSERT INTO public.t DEFAULT VALUES RETURNING id")[0][0])

    assert next_after() == 1
    session.run("INSERT INTO public.t VALUES (40)")
    assert next_after() == 41
    assert next_after(catalog.Sequence(name, last_value=20, owner=(name, "id"))) == 42
    assert next_after(catalog.Sequence(name, last_value=70, owner=(name, "id"))) == 71


@pytest.mark.parametrize(
    ("of", "engine", "facts", "native", "there"),
    [
        (types.LogicalType(types.Kind.TEXT, length=5), "sqlite", None, "character varying(5)", "exact"),
        (types.LogicalType(types.Kind.TEXT, length=5, fixed=True), "sqlite", None, "character varying(5)", "exact"),
        (types.LogicalType(types.Kind.TEXT, length=5, fixed=True), "postgres", None, "character(5)", "exact"),
        (types.LogicalType(types.Kind.TEXT, length=5), "sqlite", base.ColumnFacts(9, 0, 0, "", 6), "text", "widening"),
        (
            types.LogicalType(types.Kind.ANY),
            "sqlite",
            base.ColumnFacts(9, 0, 0, "", 6, classes={"integer": 9}),
            "bigint",
            "exact",
        ),
        (
            types.LogicalType(types.Kind.ANY),
            "sqlite",
            base.ColumnFacts(9, 0, 0, "", 6, classes={"text": 8, "real": 1}),
            "text",
            "lossy",
        ),
        (types.LogicalType(types.Kind.DECIMAL, precision=12, scale=2), "sqlite", None, "numeric(12,2)", "exact"),
        (types.LogicalType(types.Kind.NATIVE, native="inet"), "postgres", None, "inet", "exact"),
        (types.LogicalType(types.Kind.NATIVE, native="inet"), "mysql", None, "", "none"),
        (types.LogicalType(types.Kind.UNSUPPORTED, native="public.mood"), "postgres", None, "", "none"),
    ],
)
def test_a_type_holds_what_the_source_holds(
    of: types.LogicalType, engine: str, facts: base.ColumnFacts | None, native: str, there: str
) -> None:
    mapped = ENGINE.ddl.map_type(of, engine, facts)
    assert (mapped.native, str(mapped.there)) == (native, there)
    assert bool(mapped.reason) is (there != "exact")


def test_rows_that_keep_a_key_from_being_built_are_found_and_one_of_each_is_spared(
    pg_db: servers.Database, connect: Any
) -> None:
    pg_db.execute("CREATE TABLE public.p (a int); INSERT INTO public.p VALUES (1), (1), (2), (NULL)")
    pg_db.execute("CREATE TABLE public.c (b int); INSERT INTO public.c VALUES (1), (3), (NULL)")
    session = connect(pg_db)
    parent, child = catalog.TableName("public", "p"), catalog.TableName("public", "c")
    integer = types.LogicalType(types.Kind.INTEGER, bits=32)
    tables = (
        catalog.Table(parent, (catalog.Column("a", integer, "integer"),), primary=catalog.Key("p_pkey", ("a",))),
        catalog.Table(
            child,
            (catalog.Column("b", integer, "integer"),),
            foreign_keys=(catalog.ForeignKey("c_fk", ("b",), parent, ("a",)),),
        ),
    )
    for table in tables:
        for finish in ENGINE.ddl.finish(table):
            assert session.rows(finish.proof)
            session.run(f"DELETE FROM {ENGINE.ddl.qualified(table.name)} c WHERE {finish.violators}")
            for statement in finish.statements:
                session.run(statement)
            assert session.rows(finish.proof) == []
    assert pg_db.query("SELECT a FROM public.p ORDER BY a") == [(1,), (2,)]
    assert pg_db.query("SELECT b FROM public.c ORDER BY b") == [(1,), (None,)]
    for table in reversed(tables):
        for finish in ENGINE.ddl.finish(table):
            for statement in finish.removal:
                session.run(statement)
    assert (
        pg_db.value("SELECT count(*) FROM pg_constraint WHERE contype = 'p' AND conrelid = 'public.p'::regclass") == 0
    )
