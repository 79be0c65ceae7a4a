"""What the PostgreSQL engine alone promises: pinned sessions, its catalog, its chunks, its errors."""

from __future__ import annotations

import dataclasses
import itertools
import os
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import reader
import servers
from sensei import catalog, engines, errors
from sensei.config import connections
from sensei.engines import base

ENGINE = engines.for_url("postgresql://")
SOURCE, TARGET = base.Purpose.SOURCE, base.Purpose.TARGET
HOSTILE = "T\"; DROP TABLE x; --\n? %s %% ' $1 :a é.b"


def _url(db: servers.Database, **query: str) -> str:
    url = connections.expand(db.url, {servers.PASSWORD_ENV: servers.password()})
    return url + ("?" + "&".join(f"{k}={v}" for k, v in query.items()) if query else "")


@pytest.fixture
def connect() -> Iterator[Any]:
    opened: list[base.Session] = []

    def open_one(db: servers.Database, purpose: base.Purpose = TARGET, **query: str) -> base.Session:
        opened.append(ENGINE.connect(_url(db, **query), purpose))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


def _chunks(
    session: base.Session, table: catalog.Table, rows: int
) -> list[tuple[base.KeyValue | None, base.KeyValue | None]]:
    key = ENGINE.rows.key(table)
    bounds: list[base.KeyValue | None] = [None]
    while (bound := ENGINE.rows.boundary(session, table.name, key, bounds[-1], rows)) is not None:
        # A boundary goes through the ledger as text.
        bounds.append(base.key_value(base.key_text(bound)))
    return list(itertools.pairwise([*bounds, None]))


def _spec(
    table: catalog.Table, lower: base.KeyValue | None = None, upper: base.KeyValue | None = None
) -> base.ReadSpec:
    columns = tuple(base.ReadColumn(c.name, c.type) for c in table.columns if c.generated is None)
    return base.ReadSpec(table.name, columns, ENGINE.rows.key(table), lower, upper)


def _copy(source: base.Session, target: base.Session, table: catalog.Table, form: base.Form, rows: int) -> int:
    load = base.LoadSpec(table.name, tuple((c.name, c.type) for c in table.columns if c.generated is None))
    done = 0
    for lower, upper in _chunks(source, table, rows):
        with base.transaction(target):
            done += ENGINE.rows.load(target, load, form, ENGINE.rows.read(source, _spec(table, lower, upper), form))
    return done


def _only(found: catalog.Catalog, name: str) -> catalog.Table:
    return next(t for t in found.tables if t.name.name == name)


# -- sessions


def test_settings_are_pinned_whatever_the_database_says(pg_db: servers.Database, connect: Any) -> None:
    pg_db.set_defaults(servers.AWKWARD_DEFAULTS)
    session = connect(pg_db, SOURCE)
    found = session.rows(
        "SELECT '2026-11-22 10:00+05:45'::timestamptz::text, '1 day'::interval::text, '\\x00ff'::bytea::text,"
        " (1::float8 / 3)::text, current_setting('search_path'), current_setting('row_security')"
    )
    expected = ("2026-11-22 04:15:00+00", "P1D", "\\x00ff", "0.3333333333333333", "pg_catalog, pg_temp", "off")
    assert found == [expected]


def test_a_source_session_can_not_write(pg_db: servers.Database, connect: Any) -> None:
    session = connect(pg_db, SOURCE)
    with pytest.raises(errors.ServerFailed, match="read-only"):
        session.run("CREATE TABLE public.t (a int)")
    session.begin()
    with pytest.raises(errors.ServerFailed, match="read-only"):
        session.run("CREATE TABLE public.t (a int)")
    session.rollback()
    assert pg_db.query("SELECT 1 FROM pg_class WHERE relname = 't'") == []


def test_a_question_mark_is_a_placeholder_only_outside_of_quotes(pg_db: servers.Database, connect: Any) -> None:
    session = connect(pg_db)
    name = ENGINE.ddl.quote(HOSTILE)
    session.run(f"CREATE TABLE public.{name} ({name} text)")
    session.run(f"INSERT INTO public.{name} /* ? % */ VALUES (? || '?%' || $q$?%$q$) -- ?", ["%s'\\"])
    assert session.rows(f"SELECT {name} FROM public.{name} WHERE {name} LIKE ? AND 5 % 3 = ?", ["%", 2]) == [
        ("%s'\\?%?%",)
    ]
    assert session.rows("SELECT '?%'") == [("?%",)]


def test_no_failure_to_connect_shows_a_password(pg_db: servers.Database) -> None:
    secret = "hunter2-%-secret"
    wrong = [
        f"postgresql://{servers.USER}:hunter2-%25-secret@127.0.0.1:{pg_db.server.port}/{pg_db.name}",
        f"postgresql://{servers.USER}:hunter2-%25-secret@127.0.0.1:1/{pg_db.name}",
        f"postgresql://{servers.USER}@127.0.0.1:{pg_db.server.port}/nowhere?password=hunter2-%25-secret",
        "postgresql://u:hunter2-%-secret@127.0.0.1:1/x",
        "postgresql://u:hunter2-%25-secret@127.0.0.1:port/x",
    ]
    for url in wrong:
        with pytest.raises((errors.ConnectFailed, errors.BadInput)) as caught:
            ENGINE.connect(url, SOURCE)
        chain = f"{caught.value} {caught.value.hint} {caught.value.details} {caught.value.__cause__}"
        assert secret not in chain and "hunter2" not in chain


def test_an_unknown_parameter_of_a_url_is_left_out_and_a_time_out_is_taken(
    pg_db: servers.Database, connect: Any
) -> None:
    session = connect(pg_db, SOURCE, speed="fast", lock_timeout="3s", sslmode="prefer")
    assert session.rows("SHOW lock_timeout") == [("3s",)]


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("SELECT 1 FROM public.missing", errors.UnknownName),
        ("CREATE TABLE missing.t (a int)", errors.UnknownName),
        ("SELECT 1 / 0", errors.DataRejected),
        ("SELECT 'x'::int", errors.DataRejected),
        ("INSERT INTO public.t VALUES (NULL)", errors.DataRejected),
        ("SELECT pg_read_file('/etc/passwd')", errors.MissingPrivilege),
        ("SET LOCAL statement_timeout = 1; SELECT pg_sleep(1)", errors.Transient),
        ("SELEC 1", errors.ServerFailed),
        ("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40P01'; END $$", errors.Transient),
        ("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '53100'; END $$", errors.OutOfSpace),
        ("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '53300'; END $$", errors.Transient),
    ],
)
def test_each_refusal_of_the_server_has_its_own_error(
    pg_db: servers.Database, sql: str, error: type[errors.SenseiError]
) -> None:
    role = pg_db.server.create_role()
    pg_db.execute(f"CREATE TABLE public.t (a int NOT NULL); GRANT ALL ON public.t TO {role}")
    url = connections.expand(pg_db.server.url(pg_db.name, role), {servers.PASSWORD_ENV: servers.password()})
    session = ENGINE.connect(url, TARGET)
    with pytest.raises(errors.SenseiError) as caught:
        session.run(sql)
    assert type(caught.value) is error
    assert caught.value.details["sqlstate"]
    session.close()


def test_a_duplicate_is_told_apart_with_its_constraint(pg_db: servers.Database, connect: Any) -> None:
    pg_db.execute("CREATE TABLE public.t (a int CONSTRAINT one UNIQUE, CHECK (a > 0)); INSERT INTO public.t VALUES (1)")
    session = connect(pg_db)
    with pytest.raises(errors.DataRejected) as caught:
        session.run("INSERT INTO public.t VALUES (1)")
    assert caught.value.duplicate
    assert caught.value.details["constraint_name"] == "one"
    with pytest.raises(errors.DataRejected) as caught:
        session.run("INSERT INTO public.t VALUES (-1)")
    assert not caught.value.duplicate
    with pytest.raises(errors.DataRejected):
        session.run("INSERT INTO public.t SELECT length(?)", ["a\0b"])


def test_a_connection_lost_in_commit_leaves_the_outcome_unknown(pg_db: servers.Database, connect: Any) -> None:
    for statement, error in (("SELECT 1", errors.Transient), ("", errors.CommitUnknown)):
        session = connect(pg_db)
        session.begin()
        pid = session.rows("SELECT pg_backend_pid()")[0][0]
        pg_db.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        with pytest.raises(errors.Transient) as caught:
            if statement:
                session.run(statement)
            else:
                session.commit()
        assert type(caught.value) is error
        assert caught.value.side == "target"
        session.rollback()
        with pytest.raises(errors.Transient):
            session.rows("SELECT 1")


def test_a_failed_transaction_is_never_taken_for_committed(pg_db: servers.Database, connect: Any) -> None:
    session = connect(pg_db)
    session.begin()
    with pytest.raises(errors.UnknownName):
        session.run("SELECT 1 FROM public.missing")
    with pytest.raises(errors.Fault):
        session.commit()
    assert session.rows("SELECT 1") == [(1,)]


class _Pooler:
    """A pooler on a port of its own: transactions of its clients share server connections, last freed first."""

    def __init__(self, port: int, shared: bool) -> None:
        self.upstream, self.shared = port, shared
        self.free: list[socket.socket] = []
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open: list[socket.socket] = [self.listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        try:
            while True:
                client, _ = self.listener.accept()
                self.open.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()
        except OSError:
            return

    @staticmethod
    def _exactly(sock: socket.socket, size: int) -> bytes:
        found = b""
        while len(found) < size:
            more = sock.recv(size - len(found))
            if not more:
                raise ConnectionError
            found += more
        return found

    def _message(self, sock: socket.socket) -> bytes:
        head = self._exactly(sock, 5)
        return head + self._exactly(sock, struct.unpack("!I", head[1:])[0] - 4)

    def _until_ready(self, server: socket.socket, client: socket.socket) -> bytes:
        """Pass answers on until one needs the client; return the last message."""
        while True:
            answer = self._message(server)
            if answer[:1] == b"K":
                answer = answer[:5] + os.urandom(8)
            client.sendall(answer)
            if answer[:1] in b"ZE" or (answer[:1] == b"R" and answer[5:9] not in (b"\0\0\0\0", b"\0\0\0\x0c")):
                return answer

    def _serve(self, client: socket.socket) -> None:
        try:
            while True:  # the start-up packet, after a refusal of encryption
                size = self._exactly(client, 4)
                body = self._exactly(client, struct.unpack("!I", size)[0] - 4)
                if body[:4] not in (struct.pack("!I", 80877103), struct.pack("!I", 80877104)):
                    break
                client.sendall(b"N")
            server: socket.socket | None = socket.create_connection(("127.0.0.1", self.upstream))
            assert server is not None
            self.open.append(server)
            server.sendall(size + body)
            while self._until_ready(server, client)[:1] != b"Z":
                server.sendall(self._message(client))
            while True:
                if self.shared and server is not None:
                    self.free.append(server)
                    server = None
                message = self._message(client)
                if message[:1] == b"X":
                    return
                while True:
                    if server is None:
                        with self.lock:
                            server = self.free.pop()
                    server.sendall(message)
                    while (answer := self._until_ready(server, client))[:1] == b"E":
                        pass
                    if answer[5:6] == b"I":
                        break
                    message = self._message(client)
        except (ConnectionError, OSError, IndexError):
            client.close()

    def close(self) -> None:
        for sock in self.open:
            sock.close()


@pytest.mark.parametrize("shared", [True, False])
def test_a_pooler_that_shares_sessions_between_transactions_is_refused(pg_db: servers.Database, shared: bool) -> None:
    pooler = _Pooler(pg_db.server.port, shared)
    url = _url(pg_db, gssencmode="disable", sslmode="disable").replace(f":{pg_db.server.port}/", f":{pooler.port}/")
    try:
        if shared:
            with pytest.raises(errors.Refused, match="pooler"):
                ENGINE.connect(url, TARGET)
        else:
            session = ENGINE.connect(url, TARGET)
            session.confirm_pinned()
            session.close()
    finally:
        pooler.close()


def test_a_session_whose_settings_were_reset_is_no_longer_pinned(pg_db: servers.Database, connect: Any) -> None:
    session = connect(pg_db)
    session.confirm_pinned()
    session.run("DISCARD ALL")
    with pytest.raises(errors.Refused):
        session.confirm_pinned()


# -- the catalog

EVERYTHING = """
CREATE SCHEMA shop; CREATE SCHEMA "sensei_other"; CREATE TABLE "sensei_other".ledger (a int);
CREATE DOMAIN shop.name AS varchar(20) NOT NULL DEFAULT 'x' CHECK (value <> '');
CREATE TYPE shop.mood AS ENUM ('sad', 'it''s ok');
CREATE COLLATION shop.by_c (provider = libc, locale = 'C');
CREATE SEQUENCE shop.alone AS smallint INCREMENT -2 MAXVALUE 100 MINVALUE -100 START 50 CACHE 3 CYCLE;
SELECT nextval('shop.alone');
CREATE TABLE shop.parent (
  id bigint GENERATED ALWAYS AS IDENTITY (START 10 INCREMENT 5 MAXVALUE 9000) PRIMARY KEY,
  code char(5) COLLATE shop.by_c NOT NULL, part int NOT NULL,
  CONSTRAINT code_part UNIQUE NULLS DISTINCT (code, part) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE shop.kinds (
  s serial, i2 smallint DEFAULT '-1'::integer, i4 integer DEFAULT 7, i8 bigint, n numeric,
  n2 numeric(10,2) DEFAULT 1.50,
  n3 numeric(3,-2), n4 numeric(2,5), r real, d double precision DEFAULT '-Infinity', b boolean DEFAULT true,
  t text DEFAULT 'it''s', v varchar(9), v0 varchar, c char(4), c0 bpchar, nm name, ch "char",
  y bytea DEFAULT '\\xff00', dt date DEFAULT CURRENT_DATE, tm time(3), ts timestamp(2), tz timestamptz DEFAULT now(),
  u uuid DEFAULT gen_random_uuid(),
  j json, jb jsonb DEFAULT '{}', iv interval, net inet, arr int[], tt timetz, m money, bits bit(3), x xml,
  rng int4range, ts_v tsvector, g int GENERATED ALWAYS AS (i4 * 2) STORED, nothing text DEFAULT NULL,
  pid bigint REFERENCES shop.parent ON DELETE SET NULL ON UPDATE CASCADE DEFERRABLE,
  CONSTRAINT positive CHECK (i4 > 0 OR t LIKE '%?%'));
COMMENT ON TABLE shop.kinds IS 'all; -- ''kinds'''; COMMENT ON COLUMN shop.kinds.t IS 'a "text"';
ALTER TABLE shop.kinds ADD CONSTRAINT late CHECK (i8 > 0) NOT VALID;
CREATE UNIQUE INDEX expr ON shop.kinds (lower(t) text_pattern_ops DESC NULLS LAST, i2) INCLUDE (i8) WHERE i4 > 3;
CREATE INDEX gin ON shop.kinds USING gin (jb jsonb_path_ops);
INSERT INTO shop.parent (code, part) SELECT 'c' || i % 7, i FROM generate_series(1, 50) i;
INSERT INTO shop.kinds (i2, i4, i8, n, n2, n3, n4, r, d, b, t, v, v0, c, c0, nm, ch, y, dt, tm, ts, tz, j, jb, iv, net,
                        arr, tt, m, bits, x, rng, ts_v, pid)
SELECT i, i + 1, 9223372036854775807 - i, 1e-20 * i, i, i * 100, 0.00001, 0.1::real * i, 1 / 3.0 * i, i % 2 = 0,
  E'tab\\there\\nline \\\\N \\\\. \\r\\v' || i, 'é€😀', '  pad  ', 'a', 'b ', 'n', 'q',
  decode('00ff5c0a', 'hex'), 'infinity', '23:59:59.999',
  '4713-01-01 BC', '2026-03-29 01:30:00.000001+01', '{"b":1, "a" : 1.0}', '{"b":1,"a":1.0}', '-1 mon 3 days', '::1',
  '{1,NULL}', '12:00+05:45', 1.5, B'101', NULL, '[1,3)', 'a fat cat', 10 + 5 * i
FROM generate_series(1, 40) i;
INSERT INTO shop.kinds (i4, d, r, n) VALUES (1, 'NaN', '-0', 'NaN'), (2, '-0', 'Infinity', '-Infinity');
ALTER TABLE shop.kinds ADD CONSTRAINT late_fk FOREIGN KEY (i8) REFERENCES shop.parent NOT VALID;
"""


def _move(source: base.Session, target: base.Session, form: base.Form) -> tuple[catalog.Catalog, catalog.Catalog]:
    ddl = ENGINE.ddl
    found = ENGINE.introspect.catalog(source, None)
    identities = {(t.name, c.name) for t in found.tables for c in t.columns if c.identity}
    for sequence in found.sequences:
        if sequence.owner not in identities:
            for statement in [*ddl.create(sequence), *(ddl.prime_alone(sequence) if not sequence.owner else [])]:
                target.run(statement)
    for table in found.tables:
        for statement in ddl.create(table):
            target.run(statement)
        assert _copy(source, target, table, form, 7) == ENGINE.rows.count(source, table.name)
    finishes = [(t, f) for t in found.tables for f in ddl.finish(t)]
    for table, finish in sorted(finishes, key=lambda f: f[1].kind == "foreign_key"):
        for statement in finish.statements:
            target.run(statement)
        if finish.proof:
            assert target.rows(finish.proof) == []
        if finish.violators:
            name = ddl.qualified(table.name)
            assert target.rows(f"SELECT 1 FROM {name} c WHERE {finish.violators}") == []
    for table in found.tables:
        for statement in ddl.prime(table, found.sequences):
            target.run(statement)
    return found, ENGINE.introspect.catalog(target, None)


def _same(a: catalog.Table, b: catalog.Table) -> None:
    blank = {"identity": "", "rows_estimate": 0, "bytes_estimate": 0}
    assert dataclasses.replace(a, **blank) == dataclasses.replace(b, **blank)


@pytest.mark.parametrize("form", [base.Form.BINARY, base.Form.TEXT])
def test_everything_that_is_carried_arrives_the_same(
    pg_db: servers.Database, pg_db2: servers.Database, connect: Any, form: base.Form
) -> None:
    pg_db.psql(EVERYTHING)
    pg_db.execute(f"CREATE TABLE shop.{servers.quote(HOSTILE)} ({servers.quote(HOSTILE)} text PRIMARY KEY)")
    pg_db.execute(
        f"INSERT INTO shop.{servers.quote(HOSTILE).replace('%', '%%')} SELECT %s || i FROM generate_series(1, 30) i",
        [HOSTILE],
    )
    pg_db2.execute("CREATE SCHEMA shop; CREATE COLLATION shop.by_c (provider = libc, locale = 'C')")
    source, target = connect(pg_db, SOURCE), connect(pg_db2)
    before, after = _move(source, target, form)
    assert before.schemas == after.schemas == ("public", "shop")
    for a, b in zip(before.tables, after.tables, strict=True):
        _same(a, b)
        assert ENGINE.introspect.content(source, a.name) == ENGINE.introspect.content(target, b.name)
    assert before.sequences == after.sequences
    assert {o.kind for o in before.others} >= {"domain", "type"}
    for name in ("kinds", "parent"):
        assert reader.compare_tables(pg_db, ("shop", name), pg_db2, ("shop", name)) == []
