"""Reads what a MariaDB or MySQL server holds: the catalog, identities, privileges, checksums, dependants."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from sensei import catalog, errors
from sensei.engines import base
from sensei.engines.mysql import database as databases
from sensei.engines.mysql import names, privileges, queries


class Introspect:
    """The catalog's reader."""

    def catalog(self, session: base.Session, schemas: Sequence[str] | None, also: Sequence[str] = ()) -> base.Catalog:
        version, database, lower, charset, collation = session.rows(
            "SELECT VERSION(), DATABASE(), @@lower_case_table_names, @@character_set_database, @@collation_database"
        )[0]
        home = str(database or "")
        there = [str(n) for (n,) in session.rows(queries.SCHEMAS) if str(n).lower() not in names.SYSTEM]
        wanted = {home, *also} if schemas is None else set(schemas)
        chosen = [n for n in there if n in wanted and not n.startswith(names.EVIDENCE_PREFIX)]
        mariadb = "mariadb" in str(version).lower()
        read = [databases.Database(session, name, mariadb) for name in chosen]
        return catalog.Catalog(
            engine="mysql",
            version=str(version),
            schemas=tuple(chosen),
            tables=tuple(t for s in read for t in s.tables()),
            sequences=tuple(q for s in read for q in s.sequences()),
            others=tuple(o for s in read for o in s.others()),
            extras={
                "character_set_database": str(charset),
                "collation_database": str(collation),
                "lower_case_table_names": str(lower),
            },
            home=home,
            case_sensitive=str(lower) == "0",
        )

    def identity(self, session: base.Session) -> str:
        """Return the server's own mark where it has one, and where it lives; the URL's database by name."""
        known = {
            str(name).lower(): str(value)
            for name, value in session.rows(
                "SHOW GLOBAL VARIABLES WHERE Variable_name IN"
                " ('server_uuid', 'server_uid', 'datadir', 'port', 'hostname')"
            )
        }
        own = known.get("server_uuid") or known.get("server_uid")
        server = own or f"{known.get('hostname')}:{known.get('port')}"
        (database,) = session.rows("SELECT DATABASE()")[0]
        return json.dumps(
            {"server": server, "folder": known.get("datadir"), "database": str(database)}, ensure_ascii=False
        )

    def missing_privileges(
        self,
        session: base.Session,
        purpose: base.Purpose,
        tables: Sequence[base.TableName],
        schemas: Sequence[str],
    ) -> list[base.Missing]:
        if purpose is base.Purpose.TARGET:
            return privileges.missing_to_create(session, schemas, tables)
        return privileges.missing_to_read(session, tables)

    def content(self, session: base.Session, table: base.TableName) -> tuple[int, str]:
        columns = session.rows(
            "SELECT COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?"
            " ORDER BY ORDINAL_POSITION",
            [table.schema, table.name],
        )
        if not columns:
            raise errors.UnknownName(f"there is no table {table}")
        # Sums, not XOR: two equal changes would cancel each other out.
        row = f"MD5(CONCAT_WS(CHAR(0), {', '.join(_hashable(str(n), str(t)) for n, t in columns)}))"
        count, hashed, first, second = session.rows(
            "SELECT COUNT(*), COUNT(x.m), COALESCE(SUM(CAST(CONV(LEFT(x.m, 16), 16, 10) AS UNSIGNED)), 0),"
            " COALESCE(SUM(CAST(CONV(RIGHT(x.m, 16), 16, 10) AS UNSIGNED)), 0)"
            f" FROM (SELECT {row} AS m FROM {names.qualified(table)}) x"
        )[0]
        if count != hashed:
            raise errors.Fault(f"{table}: {count - hashed} rows are too large for a checksum")
        return int(count), f"{first}:{second}"

    def object_identity(self, session: base.Session, kind: str, name: base.TableName) -> str | None:
        """Return when a table or sequence was made, and its shape (see `queries.identity`); of a view what it says."""
        if kind == "schema":
            found = session.rows(
                "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?", [name.name or name.schema]
            )
            return str(found[0][0]) if found else None
        if kind not in ("table", "sequence", "view"):
            return None  # statistics and indexes go with their tables
        schema, table = names.literal(name.schema), names.literal(name.name)
        how = queries.view_identity if kind == "view" else queries.identity
        identity = session.rows(f"SELECT {how(schema, table)}")[0][0]
        return None if identity is None else str(identity)

    def dependents(self, session: base.Session, tables: Sequence[base.TableName], own: Sequence[str] = ()) -> list[str]:
        """Name foreign keys of other tables, in any database, views that name a table, and triggers on one."""
        moved = {(t.schema, t.name) for t in tables}
        schemas = sorted({t.schema for t in tables})
        found = []
        for schema in schemas:
            for parent, of, table, key in session.rows(queries.POINTING, [schema]):
                if (schema, str(parent)) in moved and (str(of), str(table)) not in moved:
                    found.append(f"foreign key {key} of table {of}.{table}")
        for of, view, definition in session.rows(queries.VIEWS):
            if _touches(str(definition or ""), moved):
                found.append(f"view {of}.{view}")
        for schema in schemas:
            for table, trigger in session.rows(queries.TRIGGERS, [schema]):
                if (schema, str(table)) in moved:
                    found.append(f"trigger {trigger} on table {schema}.{table}")
        return found


def _touches(definition: str, tables: set[tuple[str, str]]) -> bool:
    """Tell whether a view's definition names one of the tables.

    The server writes each with its database, in quotes or without, as it was set when the view was made.
    """
    pairs = _PAIR.findall(definition)
    return any((_bare(a), _bare(b)) in tables for a, b in pairs)


_NAME = r"`(?:[^`]|``)*`|[\w$\x80-\uffff]+"
_PAIR = re.compile(rf"({_NAME})\.({_NAME})")


def _bare(name: str) -> str:
    return name[1:-1].replace("``", "`") if name.startswith("`") else name


def _hashable(column: str, word: str) -> str:
    """Write a column's value so that a checksum sees every bit of it, in few bytes however large it is."""
    x = names.quote(column)
    if word.lower().endswith(("text", "blob")) or word.lower() in ("json", "geometry", "geometrycollection", "polygon",
            "linestring", "multipoint", "multilinestring", "multipolygon", "vector"):  # fmt: skip
        shown = f"MD5({x})"
    elif word.lower() == "float":
        shown = f"CAST({x} AS DOUBLE)"  # a float is printed with six digits only
    elif word.lower() == "bit":
        shown = f"{x} + 0"
    else:
        shown = x
    # Length before text: no two rows look alike when their fields are put one behind the other.
    return f"IFNULL(CONCAT(LENGTH({shown}), ':', CAST({shown} AS BINARY)), 'N')"
