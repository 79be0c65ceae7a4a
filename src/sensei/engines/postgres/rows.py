"""Reads and loads rows with COPY, cut along a key or along blocks of the table's file."""

from __future__ import annotations

import contextlib
import io
import json
import os
import queue
import socket
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import psycopg2

from sensei import catalog, errors
from sensei.catalog import types
from sensei.engines import base, seeing
from sensei.engines.postgres import ddl, session

#: Bytes of a block that leaves `read`, and of one request to the driver in `load`.
BLOCK = 256 * 1024
LOAD_BLOCK = 1024 * 1024
#: Blocks that may wait between the server and the consumer: bounds memory, hides unevenness.
WAITING = 8

_ORDERED = frozenset(
    {
        types.Kind.INTEGER, types.Kind.DECIMAL, types.Kind.FLOAT, types.Kind.BOOLEAN, types.Kind.TEXT,
        types.Kind.BYTES, types.Kind.DATE, types.Kind.TIME, types.Kind.TIMESTAMP, types.Kind.TIMESTAMPTZ,
        types.Kind.UUID,
    }
)  # fmt: skip
_INTEGERS = frozenset({"smallint", "integer", "bigint"})
#: Block ranges of a table's file are read without passing the whole file from version 14 on.
_TID_RANGES = 140000
_LAST_OFFSET = 65535
#: Ages below zero are of transactions younger than this session's own, or aliases of frozen ones.
_YOUNGEST = -(10**6)


def own(found: base.Session) -> session.PostgresSession:
    """Return the session as PostgreSQL's own; raises Fault for another engine's."""
    if not isinstance(found, session.PostgresSession):
        raise errors.Fault("a session of another engine was handed to PostgreSQL")
    return found


def source_of(found: base.Session, table: catalog.TableName, alias: str = "seen") -> str:
    """Return what to write after FROM for a table's rows, as the migration sees them."""
    whole, view = whole_of(found, table), found.seen.get(table)
    if view is not None:
        return f"{seeing.derived(view, whole, ddl.quote, ('ctid', 'xmin'))} AS {alias}"
    return whole if alias == "seen" else f"{whole} AS {alias}"


def whole_of(found: base.Session, table: catalog.TableName) -> str:
    """Return what to write after FROM: a partitioned table holds its partitions' rows, any other only its own."""
    pg = own(found)
    if table not in pg.partitioned:
        kind = pg.rows(
            "SELECT c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = ? AND c.relname = ?",
            [table.schema, table.name],
        )
        if not kind:
            raise errors.UnknownName(f"there is no table {table}")
        pg.partitioned[table] = kind[0][0] == "p"
    return ddl.qualified(table) if pg.partitioned[table] else f"ONLY {ddl.qualified(table)}"


class Rows:
    """Chunks by COPY."""

    def key(self, table: catalog.Table) -> base.ChunkKey:
        for columns in _candidates(table):
            found = [table.column(c) for c in columns]
            if all(_orderable(c) for c in found):
                return base.ChunkKey("columns", tuple(columns), tuple(c.native for c in found))
        return base.ChunkKey("ctid" if table.kind == "table" else "whole")

    def boundary(
        self,
        session: base.Session,
        table: catalog.TableName,
        key: base.ChunkKey,
        after: base.KeyValue | None,
        rows: int,
    ) -> base.KeyValue | None:
        if key.kind == "whole":
            return None
        if key.kind == "ctid":
            return _block_boundary(own(session), table, after, rows)
        where, params = range_sql(key, after, None)
        listed = ddl.names(key.columns)
        texts = ", ".join(f"k.{ddl.quote(c)}::text" for c in key.columns)
        found = session.rows(
            f"SELECT {texts} FROM (SELECT {listed} FROM {source_of(session, table)}{where}"
            f" ORDER BY {listed} OFFSET {int(rows) - 1} LIMIT 1) k",
            params,
        )
        if not found:
            return None
        return tuple(
            int(value) if native in _INTEGERS else value for value, native in zip(found[0], key.natives, strict=True)
        )

    def read(self, session: base.Session, spec: base.ReadSpec, form: base.Form) -> Iterator[base.Block]:
        pg = own(session)
        where, params = range_sql(spec.key, spec.lower, spec.upper)
        order = f" ORDER BY {ddl.names(spec.key.columns)}" if spec.key.kind == "columns" else ""
        select = f"SELECT {ddl.names([c.name for c in spec.columns])} FROM {source_of(pg, spec.table)}{where}{order}"
        with pg.cursor() as cursor:
            copy = f"COPY ({_bound(cursor, select, params)}) TO STDOUT{_format(form)}"
        return _copy_out(pg, copy)

    def load(self, session: base.Session, spec: base.LoadSpec, form: base.Form, blocks: Iterable[base.Block]) -> int:
        pg = own(session)
        columns = ddl.names([name for name, _ in spec.columns])
        feed = _Feed(blocks)
        with pg.cursor() as cursor:
            try:
                cursor.copy_expert(
                    f"COPY {ddl.qualified(spec.table)} ({columns}) FROM STDIN{_format(form)}", feed, LOAD_BLOCK
                )
            except (psycopg2.Error, ValueError) as exc:
                if feed.failed is not None:
                    # The source's error ended the COPY; the server's echo of it says less.
                    raise feed.failed from exc
                raise _translated(exc, pg) from exc
            return int(cursor.rowcount)

    def count(self, session: base.Session, table: catalog.TableName) -> int:
        return int(session.rows(f"SELECT count(*) FROM {source_of(session, table)}")[0][0])

    def marker(self, session: base.Session) -> str:
        ((snapshot,),) = session.rows("SELECT pg_current_snapshot()::text")
        files = session.rows(
            "SELECT c.oid::text, c.relfilenode::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
            " AND n.nspname !~ '^sensei_'"
        )
        return json.dumps({"snapshot": snapshot, "files": {oid: int(node) for oid, node in files}})

    def recount(
        self, session: base.Session, marker: str, tables: Sequence[catalog.TableName]
    ) -> dict[catalog.TableName, base.Recount]:
        mark = json.loads(marker)
        found = {}
        for table in tables:
            ((rows, newer),) = session.rows(
                f"SELECT count(*), count(*) FILTER (WHERE {_NEWER.format(bound='pg_snapshot_xmin')})"
                f" FROM {source_of(session, table, 't')}",
                [_YOUNGEST, mark["snapshot"]],
            )
            found[table] = base.Recount(int(rows), bool(newer) or _rewritten(session, mark["files"], table))
        return found

    def suspects(
        self, session: base.Session, marker: str, tables: Sequence[catalog.TableName]
    ) -> list[catalog.TableName]:
        mark = json.loads(marker)
        return [t for t in tables if _written(session, mark["snapshot"], mark["files"], t)]

    def written(
        self, session: base.Session, marker: str, tables: Sequence[catalog.TableName]
    ) -> list[catalog.TableName]:
        snapshot = json.loads(marker)["snapshot"]
        return [t for t in tables if _newer(session, "pg_snapshot_xmax", snapshot, t)]

    def profile(self, session: base.Session, table: catalog.Table) -> dict[str, base.ColumnFacts]:
        return {}


def _candidates(table: catalog.Table) -> Iterator[Sequence[str]]:
    """Yield the column lists that are unique and never null, best first."""
    if table.primary is not None:
        yield table.primary.columns
    for key in table.uniques:
        if not key.deferrable:
            yield key.columns
    for index in table.indexes:
        plain = [
            c.name
            for c in index.columns
            if c.name and not c.descending and c.nulls_first is None and not c.collation and not c.opclass
        ]
        whole = len(plain) == len(index.columns)
        if index.unique and index.valid and not index.where and index.method == "btree" and whole:
            yield plain


def _orderable(column: catalog.Column) -> bool:
    return column.type.kind in _ORDERED and not column.nullable and not column.collation


def range_sql(key: base.ChunkKey, lower: base.KeyValue | None, upper: base.KeyValue | None) -> tuple[str, list[Any]]:
    """Write the condition lower < key <= upper, with its parameters."""
    parts: list[str] = []
    params: list[Any] = []
    for operator, bound in ((">", lower), ("<=", upper)):
        if bound is None or key.kind == "whole":
            continue
        if key.kind == "ctid":
            parts.append(f"ctid {operator} '({int(bound[0])},{_LAST_OFFSET})'::tid")
            continue
        casts = ", ".join(f"?::{native}" for native in key.natives)
        parts.append(f"({ddl.names(key.columns)}) {operator} ({casts})")
        params += [f"\\x{v.hex()}" if isinstance(v, bytes) else str(v) for v in bound]
    return (" WHERE " + " AND ".join(parts) if parts else ""), params


def _block_boundary(
    pg: session.PostgresSession, table: catalog.TableName, after: base.KeyValue | None, rows: int
) -> base.KeyValue | None:
    """Return the last block of the next chunk, as many blocks as hold about so many rows."""
    found = pg.rows(
        "SELECT pg_relation_size(c.oid) / current_setting('block_size')::bigint, c.reltuples::float8,"
        " c.relpages::float8, a.amname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " LEFT JOIN pg_am a ON a.oid = c.relam WHERE n.nspname = ? AND c.relname = ?",
        [table.schema, table.name],
    )
    if not found or pg.version < _TID_RANGES or found[0][3] != "heap":
        return None
    blocks, tuples, pages, _ = found[0]
    dense = tuples / pages if tuples > 0 and pages > 0 else 50.0
    last = (int(after[0]) if after else -1) + max(1, int(rows / dense))
    return (last,) if last < int(blocks) - 1 else None


def _format(form: base.Form) -> str:
    if form is base.Form.VALUES:
        raise errors.Fault("PostgreSQL neither gives nor takes rows as values")
    return " WITH (FORMAT binary)" if form is base.Form.BINARY else ""


def _bound(cursor: Any, sql: str, params: Sequence[Any]) -> str:
    """Write parameters into a statement: COPY takes none."""
    if not params:
        return sql
    text: str = cursor.mogrify(session.placeholders(sql), tuple(params)).decode()
    return text


def _translated(exc: BaseException, pg: session.PostgresSession) -> errors.SenseiError:
    return session.translate(exc, pg.side)


class _Sink(io.RawIOBase):
    """What COPY's rows are written to, behind a buffer that turns rows into blocks."""

    def __init__(self) -> None:
        self.blocks: queue.Queue[bytes | None] = queue.Queue(WAITING)
        self.unwanted = False

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        # In pieces: one that waits for its consumer holds the server up; a whole large row would lie here twice.
        for at in range(0, len(data), LOAD_BLOCK):
            if not self.unwanted:
                self.blocks.put(bytes(data[at : at + LOAD_BLOCK]))
        return len(data)


def _copy_out(pg: session.PostgresSession, copy: str) -> Iterator[bytes]:
    """Yield what a COPY TO STDOUT writes; a thread drains the server while the consumer works."""
    sink = _Sink()
    failed: list[BaseException] = []

    def drain() -> None:
        writer = io.BufferedWriter(sink, BLOCK)
        try:
            with pg.cursor() as cursor:
                cursor.copy_expert(copy, writer)
            writer.flush()
        except BaseException as exc:  # raised again in the consumer's thread
            failed.append(exc)
        finally:
            sink.unwanted = True  # the buffer's own farewell must not wait for a consumer
            sink.blocks.put(None)

    thread = threading.Thread(target=drain, name="copy", daemon=True)
    thread.start()
    ended = False
    try:
        while (block := sink.blocks.get()) is not None:
            yield block
        ended = True
    finally:
        if not ended:
            sink.unwanted = True
            _interrupt(pg)
            while sink.blocks.get() is not None:
                pass
        thread.join()
    if failed:
        exc = failed[0]
        raise (exc if isinstance(exc, errors.SenseiError) else _translated(exc, pg)) from exc


def _interrupt(pg: session.PostgresSession) -> None:
    """End the statement that another thread runs, by asking the server, else by cutting the connection."""
    try:
        pg.connection.cancel()
    except (psycopg2.Error, OSError):
        with contextlib.suppress(psycopg2.Error, OSError), socket.socket(fileno=os.dup(pg.connection.fileno())) as s:
            s.shutdown(socket.SHUT_RDWR)


class _Feed:
    """Blocks as a file for the driver, keeping the error that ended them."""

    def __init__(self, blocks: Iterable[base.Block]) -> None:
        self.blocks = iter(blocks)
        self.failed: BaseException | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            for block in self.blocks:
                if not isinstance(block, bytes):
                    raise errors.Fault("PostgreSQL was handed rows as values")
                if block:
                    return block
        except BaseException as exc:
            self.failed = exc
            raise
        return b""


def _written(found: base.Session, snapshot: str, files: dict[str, int], table: catalog.TableName) -> bool:
    """Tell whether a table may have been written by a transaction that the snapshot does not show.

    Every transaction from the snapshot's oldest running one on counts: the snapshot does not tell which of
    those are sub-transactions that were still open. Rows older than that are told apart by age, which copes
    with the wrap-around of 32-bit numbers; of those whose age could be an alias, too many are taken.
    """
    return _rewritten(found, files, table) or _newer(found, "pg_snapshot_xmin", snapshot, table)


def _rewritten(found: base.Session, files: dict[str, int], table: catalog.TableName) -> bool:
    """Tell whether a table, or a partition of it, was truncated, rewritten, made or dropped since the mark."""
    now = found.rows(
        "SELECT l.oid::text, l.relfilenode::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " CROSS JOIN LATERAL (SELECT c.oid UNION SELECT t.relid FROM pg_partition_tree(c.oid) t"
        "  WHERE c.relkind = 'p' AND t.relid IS NOT NULL) m(oid) JOIN pg_class l ON l.oid = m.oid"
        " WHERE n.nspname = ? AND c.relname = ?",
        [table.schema, table.name],
    )
    return not now or any(files.get(str(oid)) != int(node) for oid, node in now)


#: The condition of a row of a transaction from one bound of a snapshot on. The bound's age stands in a query of its
#: own, so that it is taken once and not for each row.
_NEWER = "age(t.xmin) BETWEEN ? AND (SELECT age({bound}(?::pg_snapshot)::xid))"


def _newer(found: base.Session, bound: str, snapshot: str, table: catalog.TableName) -> bool:
    """Tell whether a table has rows of transactions from one bound of a snapshot on."""
    rows = found.rows(
        f"SELECT EXISTS (SELECT 1 FROM {source_of(found, table, 't')} WHERE {_NEWER.format(bound=bound)})",
        [_YOUNGEST, snapshot],
    )
    return bool(rows[0][0])
