"""The rows of an SQLite file: what tables are cut along, counts, and whether somebody wrote in between."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from sensei import catalog
from sensei.engines import base
from sensei.engines.sqlite import declared, load, parse_table, profile, read


class Rows:
    """Fills the port `base.Rows`."""

    def key(self, table: catalog.Table) -> base.ChunkKey:
        """Choose the rowid where there is one, else the primary key of a WITHOUT ROWID table."""
        if table.kind != "table":
            return base.ChunkKey("whole")
        if table.rowid is not None:
            return base.ChunkKey("rowid", (table.rowid,), ("INTEGER",))
        if table.primary is None:
            return base.ChunkKey("whole")
        natives = tuple(table.column(c).native for c in table.primary.columns)
        if parse_table.parse(table.definition).without_rowid:
            return base.ChunkKey("columns", table.primary.columns, natives)
        if [declared.affinity(n) for n in natives] == ["integer"] and natives[0].upper() == "INTEGER":
            return base.ChunkKey("rowid", table.primary.columns, natives)
        return base.ChunkKey("whole")  # columns named rowid, _rowid_ and oid hide the real one

    def boundary(
        self,
        session: base.Session,
        table: catalog.TableName,
        key: base.ChunkKey,
        after: base.KeyValue | None,
        rows: int,
    ) -> base.KeyValue | None:
        """Return the key of the rows-th row after `after`, or None where fewer are left."""
        columns = read.key_columns(key)
        if not columns:
            return None
        spec = base.ReadSpec(table, (), key, lower=after)
        tail, params = read.range_sql(session, spec)
        found = session.rows(f"SELECT {', '.join(columns)}{tail} LIMIT 1 OFFSET ?", [*params, rows - 1])
        return tuple(found[0]) if found else None

    def read(self, session: base.Session, spec: base.ReadSpec, form: base.Form) -> Iterator[base.Block]:
        """Yield the chunk's rows in key order; memory is bounded by a block, or by the largest row."""
        return read.read(session, spec, form)

    def load(self, session: base.Session, spec: base.LoadSpec, form: base.Form, blocks: Iterable[base.Block]) -> int:
        """Write rows inside the caller's transaction; return how many. Raises DataRejected."""
        return load.load(session, spec, form, blocks)

    def count(self, session: base.Session, table: catalog.TableName) -> int:
        """Count rows exactly."""
        return int(session.rows(f"SELECT count(*){read.source(session, table)}")[0][0])

    def marker(self, session: base.Session) -> str:
        """Return the file's change counter, size and time, and those of its write-ahead log, as JSON."""
        path = read.own(session).path.resolve()
        return json.dumps([_state(path, header=True), _state(path.with_name(path.name + "-wal"), header=False)])

    def recount(
        self, session: base.Session, marker: str, tables: Sequence[catalog.TableName]
    ) -> dict[catalog.TableName, base.Recount]:
        """Count tables; all of them are suspect where anybody wrote to the file."""
        counted = {t: self.count(session, t) for t in tables}
        written = bool(self.suspects(session, marker, tables))
        return {t: base.Recount(rows, written) for t, rows in counted.items()}

    def suspects(
        self, session: base.Session, marker: str, tables: Sequence[catalog.TableName]
    ) -> list[catalog.TableName]:
        """Return no table where nobody wrote to the file since, else all of them: SQLite keeps no time per table."""
        return [] if self.marker(session) == marker else list(tables)

    def written(
        self, session: base.Session, marker: str, tables: Sequence[catalog.TableName]
    ) -> list[catalog.TableName]:
        """Return all tables where somebody wrote to the file since; none while it could be a mere checkpoint."""
        _, log_before = json.loads(marker)
        return [] if log_before else self.suspects(session, marker, tables)

    def profile(self, session: base.Session, table: catalog.Table) -> dict[str, base.ColumnFacts]:
        """Scan a table once for values that do not conform to their column's type."""
        return profile.profile(session, table)


def _state(path: Path, *, header: bool) -> list[object]:
    try:
        found = path.stat()
    except OSError:
        return []
    # A reader of a file in WAL mode leaves an empty log behind.
    if found.st_size == 0 and not header:
        return []
    state: list[object] = [found.st_size, found.st_mtime_ns]
    with path.open("rb") as file:
        # File change counter of the database header; of a log, its salts, which change with each restart.
        start, length = (24, 4) if header else (16, 8)
        file.seek(start)
        state.append(file.read(length).hex())
    return state
