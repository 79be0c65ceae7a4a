"""Reads what a PostgreSQL database holds: the catalog, identities, privileges, checksums, dependants."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sensei import catalog, errors
from sensei.engines import base
from sensei.engines.postgres import ddl, inventory, queries, rows, session, typemap

_ACTIONS = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}
_KINDS = {"r": "table", "p": "partitioned", "f": "foreign"}
_IDENTITY = {"a": "always", "d": "by default"}
_RELKINDS = {"table": "rpf", "sequence": "S", "view": "v"}


class Introspect:
    """The catalog's reader."""

    def catalog(self, session: base.Session, schemas: Sequence[str] | None, also: Sequence[str] = ()) -> base.Catalog:
        there = {str(name): int(oid) for oid, name in session.rows(queries.SCHEMAS)}
        if schemas is not None:
            there = {name: oid for name, oid in there.items() if name in set(schemas)}
        encoding, collate, ctype, version = session.rows(queries.EXTRAS)[0]
        namespaces = list(there.values())
        number = _version(session)
        known = {int(r[0]): _type_row(r) for r in session.rows(queries.TYPES)}
        columns: dict[int, list[catalog.Column]] = defaultdict(list)
        for r in session.rows(queries.COLUMNS, [namespaces]):
            columns[int(r[0])].append(_column(known, r))
        constraints = _grouped(session.rows(queries.constraints(number), [namespaces]))
        indexes = _grouped(session.rows(queries.indexes(number), [namespaces]), at=1)
        tables = tuple(
            _table(r, columns[int(r[0])], constraints[int(r[0])], indexes[int(r[0])])
            for r in session.rows(queries.TABLES, [namespaces])
        )
        return catalog.Catalog(
            engine="postgres",
            version=str(version),
            schemas=tuple(there),
            tables=tables,
            sequences=tuple(_sequence(r) for r in session.rows(queries.SEQUENCES, [namespaces])),
            others=(
                *(_other(r) for r in session.rows(inventory.others(namespaces))),
                *_temporal(tables, constraints),
            ),
            extras={"server_encoding": str(encoding), "datcollate": str(collate), "datctype": str(ctype)},
            names=frozenset(str(r[0]) for r in session.rows(queries.NAMES)),
        )

    def identity(self, session: base.Session) -> str:
        oid, name, allowed = session.rows(queries.IDENTITY)[0]
        system = str(session.rows("SELECT system_identifier FROM pg_control_system()")[0][0]) if allowed else None
        return json.dumps({"system": system, "database": int(oid), "name": str(name)}, ensure_ascii=False)

    def missing_privileges(
        self,
        session: base.Session,
        purpose: base.Purpose,
        tables: Sequence[base.TableName],
        schemas: Sequence[str],
    ) -> list[base.Missing]:
        role = str(session.rows("SELECT quote_ident(current_user)")[0][0])
        if purpose is base.Purpose.TARGET:
            return _missing_to_create(session, role, schemas) + _missing_to_move(session, role, tables)
        return _missing_to_read(session, role, tables, schemas)

    def content(self, session: base.Session, table: base.TableName) -> tuple[int, str]:
        # Sums, not XOR: two equal changes would cancel each other out. `t.*`, as a column may be called t.
        found = session.rows(
            "SELECT count(*), coalesce(sum(('x' || left(m, 16))::bit(64)::bigint), 0)::text,"
            " coalesce(sum(('x' || right(m, 16))::bit(64)::bigint), 0)::text"
            f" FROM (SELECT md5((t.*)::text) AS m FROM {rows.whole_of(session, table)} AS t OFFSET 0) AS x"
        )[0]
        return int(found[0]), f"{found[1]}:{found[2]}"

    def object_identity(self, session: base.Session, kind: str, name: base.TableName) -> str | None:
        if kind not in ("schema", *_RELKINDS):
            return None  # statistics go with their tables
        if kind == "schema":
            found = session.rows("SELECT oid::text FROM pg_namespace WHERE nspname = ?", [name.name or name.schema])
        else:
            found = session.rows(
                "SELECT c.oid::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                ' WHERE n.nspname = ? AND c.relname = ? AND c.relkind = ANY(?::"char"[])',
                [name.schema, name.name, list(_RELKINDS[kind])],
            )
        return str(found[0][0]) if found else None

    def dependents(self, session: base.Session, tables: Sequence[base.TableName], own: Sequence[str] = ()) -> list[str]:
        found = _oids(session, tables)
        return [str(r[0]) for r in session.rows(queries.DEPENDENTS, [list(found.values()), list(map(int, own))])]


def _version(found: base.Session) -> int:
    if not isinstance(found, session.PostgresSession):
        raise errors.Fault("a session of another engine was handed to PostgreSQL's reader")
    return found.version


def _oids(session: base.Session, tables: Sequence[catalog.TableName]) -> dict[catalog.TableName, int]:
    found = session.rows(
        "SELECT n.nspname, c.relname, c.oid::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " JOIN unnest(?::text[], ?::text[]) w(s, t) ON w.s = n.nspname AND w.t = c.relname"
        " WHERE c.relkind IN ('r', 'p', 'f', 'v')",
        [[t.schema for t in tables], [t.name for t in tables]],
    )
    return {catalog.TableName(str(s), str(t)): int(oid) for s, t, oid in found}


def _grouped(found: list[base.Row], at: int = 0) -> dict[int, list[base.Row]]:
    groups: dict[int, list[base.Row]] = defaultdict(list)
    for row in found:
        groups[int(row[at])].append(row)
    return groups


def _type_row(r: base.Row) -> typemap.TypeRow:
    oid, name, native, builtin, kind, of, modifier, base_native, not_null, default, labels = r
    return typemap.TypeRow(
        int(oid), name, native, builtin, kind, int(of), modifier, base_native, not_null, default, tuple(labels)
    )


def _column(known: dict[int, typemap.TypeRow], r: base.Row) -> catalog.Column:
    _, name, oid, modifier, native, not_null, expression, identity, generated, collation, comment = r
    logical = typemap.logical(known, int(oid), modifier, native)
    default = None if generated else expression
    if default is None and not generated and not identity:
        default = typemap.domain_default(known, int(oid))
    return catalog.Column(
        name=name,
        type=logical,
        native=native,
        nullable=not (not_null or typemap.not_null(known, int(oid))),
        default=typemap.default(default, logical) if default is not None else None,
        identity=_IDENTITY.get(identity),
        generated=expression if generated else None,
        collation=collation,
        comment=comment,
    )


def _is_temporal(definition: str) -> bool:
    """Tell whether a key is of PostgreSQL 18's kind that excludes overlaps."""
    return definition.rstrip().endswith("WITHOUT OVERLAPS)") or ", PERIOD " in definition


def _table(
    r: base.Row, columns: list[catalog.Column], constraints: list[base.Row], indexes: list[base.Row]
) -> catalog.Table:
    oid, schema, name, relkind, estimate, size, comment = r
    primary: catalog.Key | None = None
    uniques: list[catalog.Key] = []
    foreign: list[catalog.ForeignKey] = []
    checks: list[catalog.Check] = []
    for c in constraints:
        (_, cname, kind, own, to_schema, to_table, to_columns, on_delete, on_update, match,
         deferrable, deferred, validated, distinct, expression, definition, set_columns) = c  # fmt: skip
        if kind == "c":
            checks.append(catalog.Check(cname, expression, validated))
        elif kind == "x" or _is_temporal(definition):
            continue
        elif kind == "f":
            action = _ACTIONS[on_delete] + (f" ({ddl.names(set_columns)})" if set_columns else "")
            foreign.append(
                catalog.ForeignKey(
                    cname, tuple(own), catalog.TableName(to_schema, to_table), tuple(to_columns),
                    action, _ACTIONS[on_update], "FULL" if match == "f" else "SIMPLE",
                    deferrable, deferred, validated, definition,
                )
            )  # fmt: skip
        else:
            key = catalog.Key(cname, tuple(own), deferrable, deferred, distinct, definition)
            if kind == "p":
                primary = key
            else:
                uniques.append(key)
    size = int(size or 0)
    return catalog.Table(
        name=catalog.TableName(schema, name),
        columns=tuple(columns),
        primary=primary,
        uniques=tuple(uniques),
        foreign_keys=tuple(foreign),
        checks=tuple(checks),
        indexes=tuple(_index(list(g)) for _, g in itertools.groupby(indexes, key=lambda i: int(i[0]))),
        comment=comment,
        kind=_KINDS[relkind],
        identity=str(oid),
        # Never analysed: a guess by size is better than nothing for a bar of progress.
        rows_estimate=int(estimate) if estimate is not None and estimate >= 0 else size // 100,
        bytes_estimate=size,
    )


def _index(elements: list[base.Row]) -> catalog.Index:
    columns: list[catalog.IndexColumn] = []
    include: list[str] = []
    for e in elements:
        position, keys, name, expression, options, collation, opclass = e[3:10]
        if position > keys:
            include.append(name)
            continue
        descending, first = bool(options & 1), bool(options & 2)
        columns.append(
            catalog.IndexColumn(
                name, expression, descending, None if first == descending else first, collation, opclass
            )
        )
    e = elements[0]
    return catalog.Index(
        name=e[2],
        columns=tuple(columns),
        unique=e[10],
        where=e[11],
        method=e[12],
        include=tuple(include),
        nulls_distinct=e[13],
        valid=e[14],
        definition=e[15],
    )


def _sequence(r: base.Row) -> catalog.Sequence:
    (schema, name, data_type, start, increment, minimum, maximum, cycle, cache, last,
     to_schema, to_table, to_column) = r  # fmt: skip
    return catalog.Sequence(
        name=catalog.TableName(schema, name),
        start=start,
        increment=increment,
        minimum=minimum,
        maximum=maximum,
        cycle=cycle,
        cache=cache,
        last_value=last,
        data_type=data_type,
        owner=(catalog.TableName(to_schema, to_table), to_column) if to_column else None,
    )


def _other(r: base.Row) -> catalog.Other:
    kind, name, definition, schema, table = r
    return catalog.Other(
        str(kind), str(name), str(definition or ""), catalog.TableName(schema, table) if table else None
    )


def _temporal(tables: Sequence[catalog.Table], constraints: dict[int, list[Any]]) -> tuple[catalog.Other, ...]:
    return tuple(
        catalog.Other("temporal constraint", c[1], c[15], t.name)
        for t in tables
        for c in constraints[int(t.identity)]
        if c[2] in ("p", "u", "f") and _is_temporal(c[15])
    )


def _missing_to_read(
    session: base.Session, role: str, tables: Sequence[catalog.TableName], schemas: Sequence[str]
) -> list[base.Missing]:
    found: list[base.Missing] = []
    wanted = sorted({*schemas, *(t.schema for t in tables)})
    for (schema,) in session.rows(
        "SELECT nspname FROM pg_namespace WHERE nspname = ANY(?::text[]) AND NOT has_schema_privilege(oid, 'USAGE')"
        " ORDER BY 1",
        [wanted],
    ):
        q = ddl.quote(str(schema))
        found.append(base.Missing(f"USAGE on schema {schema}", f"GRANT USAGE ON SCHEMA {q} TO {role}"))
    oids = _oids(session, tables)
    unreadable = {
        int(r[0])
        for r in session.rows(
            "SELECT oid::bigint FROM unnest(?::oid[]) u(oid) WHERE NOT has_table_privilege(oid, 'SELECT')",
            [list(oids.values())],
        )
    }
    for table, oid in sorted(oids.items()):
        if oid in unreadable:
            found.append(base.Missing(f"SELECT on table {table}", f"GRANT SELECT ON {ddl.qualified(table)} TO {role}"))
    for schema, name in session.rows(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = ANY(?::text[])"
        # In a CASE: conditions are tried in any order, and the question fails for a table.
        " AND CASE WHEN c.relkind = 'S' THEN NOT has_sequence_privilege(c.oid, 'SELECT, USAGE') END"
        f" AND {queries.no_extension('pg_class', 'c.oid')}"
        " AND (NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid"
        "  AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0) OR EXISTS (SELECT 1 FROM pg_depend d"
        "  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')"
        "  AND d.refobjsubid > 0 AND d.refobjid = ANY(?::oid[]))) ORDER BY 1, 2",
        [wanted, list(oids.values())],
    ):
        q = ddl.qualified(catalog.TableName(str(schema), str(name)))
        found.append(base.Missing(f"SELECT on sequence {schema}.{name}", f"GRANT SELECT ON SEQUENCE {q} TO {role}"))
    for table, hidden in session.rows(
        "SELECT oid::regclass::text, row_security_active(oid) FROM unnest(?::oid[]) u(oid)"
        " WHERE row_security_active(oid)",
        [list(oids.values())],
    ):
        if hidden:
            found.append(
                base.Missing(f"sight of every row of {table} past its policies", f"ALTER ROLE {role} BYPASSRLS")
            )
    return found


def _missing_to_create(session: base.Session, role: str, schemas: Sequence[str]) -> list[base.Missing]:
    found: list[base.Missing] = []
    may_create, database = session.rows(
        "SELECT has_database_privilege(current_database(), 'CREATE'), quote_ident(current_database())"
    )[0]
    there = {
        str(name): bool(ok)
        for name, ok in session.rows(
            "SELECT nspname, has_schema_privilege(oid, 'CREATE') AND has_schema_privilege(oid, 'USAGE')"
            " FROM pg_namespace WHERE nspname = ANY(?::text[])",
            [list(schemas)],
        )
    }
    if not may_create:
        # Sensei's own schema, evidence, and any schema that is missing.
        found.append(base.Missing(f"CREATE on database {database}", f"GRANT CREATE ON DATABASE {database} TO {role}"))
    for schema, allowed in sorted(there.items()):
        if not allowed:
            found.append(
                base.Missing(
                    f"CREATE on schema {schema}", f"GRANT CREATE, USAGE ON SCHEMA {ddl.quote(schema)} TO {role}"
                )
            )
    return found


def _missing_to_move(session: base.Session, role: str, tables: Sequence[catalog.TableName]) -> list[base.Missing]:
    """Only the owner of a table or a view may move it or give it another definition."""
    return [
        base.Missing(f"ownership of {schema}.{name}", f"GRANT {owner} TO {role}")
        for schema, name, owner in session.rows(
            "SELECT DISTINCT n.nspname, c.relname, quote_ident(pg_get_userbyid(c.relowner)) FROM pg_class c"
            " JOIN pg_namespace n ON n.oid = c.relnamespace"
            " JOIN unnest(?::text[], ?::text[]) w(s, t) ON w.s = n.nspname AND w.t = c.relname"
            " WHERE NOT pg_has_role(c.relowner, 'USAGE') ORDER BY 1, 2",
            [[t.schema for t in tables], [t.name for t in tables]],
        )
    ]
