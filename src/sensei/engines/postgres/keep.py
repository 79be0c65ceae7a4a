"""Sets PostgreSQL's own tables aside in a schema of the migration, and binds what hangs on them anew."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sensei import catalog
from sensei.engines import base, keeping
from sensei.engines.postgres import ddl, introspect, keep_queries

_LEDGER = '"sensei_"'
_WORDS = {"table": "TABLE", "sequence": "SEQUENCE"}


def _lit(text: str) -> str:
    return ddl.literal(text)


def _lies(oid: str, schema: str) -> str:
    """Write the condition that an object, whatever its name, lies in a schema."""
    return (
        "EXISTS (SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE c.oid = {int(oid)} AND n.nspname = {_lit(schema)})"
    )


def _made_by(migration: str, steps: Iterable[str]) -> str:
    """Write the subquery for what steps of a migration made, as oids in text."""
    listed = ", ".join(map(_lit, steps)) or "NULL"
    return (
        f"(SELECT o.identity FROM {_LEDGER}.objects o WHERE o.migration = {_lit(migration)} AND o.step IN ({listed}))"
    )


class Keep:
    """Fills the port `keeping.Keep`: one schema for each schema that tables come from, so that no two names meet."""

    def look(
        self, session: base.Session, tables: Sequence[catalog.TableName], sequences: Sequence[catalog.TableName]
    ) -> keeping.Holdings:
        """Return what these objects are, what hangs on them, and what hinders their move."""
        slots = {schema: n for n, schema in enumerate(sorted({t.schema for t in [*tables, *sequences]}), 1)}
        found = session.rows(
            keep_queries.HELD,
            [[t.schema for t in [*tables, *sequences]], [t.name for t in [*tables, *sequences]]],
        )
        held, hinders = [], []
        for schema, name, relkind, oid in found:
            if relkind == "r":
                kind = "table"
            elif relkind == "S" and catalog.TableName(schema, name) in set(sequences):
                kind = "sequence"
            else:
                hinders.append(f"{schema}.{name} is {keep_queries.RELKINDS.get(relkind, 'no plain table')}")
                continue
            held.append(keeping.Held(kind, catalog.TableName(schema, name), str(oid), slots[schema]))
        oids = [int(h.identity) for h in held]
        by_oid = {int(h.identity): h.name for h in held}
        hinders += [str(w) for (w,) in session.rows(keep_queries.HINDERS, [oids])]
        hanging = [*_views(session, by_oid), *_foreign_keys(session, by_oid)]
        return keeping.Holdings(tuple(held), tuple(hanging), tuple(hinders))

    def place(self, migration: str, slot: int, word: str = "kept") -> str:
        """Return the name of the schema that keeps the objects of one schema."""
        return keeping.place_name(word, migration) + (f"_{slot}" if slot > 1 else "")

    def placed(self, migration: str, slot: int, word: str, name: catalog.TableName) -> catalog.TableName:
        """Return the table of that name in a place."""
        return catalog.TableName(self.place(migration, slot, word), name.name)

    def kept_name(self, migration: str, held: keeping.Held) -> catalog.TableName:
        """Return where an object lies while it is held: under its own name, in the keeping schema."""
        return self.placed(migration, held.slot, "kept", held.name)

    def is_as_planned(self, session: base.Session, held: keeping.Held) -> bool:
        """Compare the oid: whatever happened to the object since, it is the same one."""
        return introspect.Introspect().object_identity(session, held.kind, held.name) == held.identity

    def still_held(self, migration: str, held: keeping.Held) -> str:
        """Return the condition that the object lies in the schema that keeps it."""
        return _lies(held.identity, self.kept_name(migration, held).schema)

    def aside(self, session: base.Session, migration: str, held: keeping.Held) -> list[str]:
        """Return the statement that moves an object; indexes, keys, triggers, owned sequences go with it."""
        place = ddl.quote(self.place(migration, held.slot))
        return [f"ALTER {_WORDS[held.kind]} {ddl.qualified(held.name)} SET SCHEMA {place}"]

    def bring_back(self, migration: str, step: str, held: keeping.Held, evidence: str) -> list[base.Guarded]:
        """Return the statement that moves an object back; stops where another has its name by now."""
        kept, name = self.kept_name(migration, held), held.name
        there = self.still_held(migration, held)
        taken = (
            "EXISTS (SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
            f" WHERE n.nspname = {_lit(name.schema)} AND c.relname = {_lit(name.name)} AND c.oid::text NOT IN"
            f" (SELECT o.identity FROM {_LEDGER}.objects o WHERE o.migration = {_lit(migration)}))"
        )
        run = f"ALTER {_WORDS[held.kind]} {ddl.qualified(kept)} SET SCHEMA {ddl.quote(name.schema)}"
        return [
            base.Guarded(
                f"{there} AND {taken}",
                "",
                f"the target's own {held.kind} {name} can't come back from {kept}: another object, which this migration"
                " did not make, has its name by now; rename that one, then roll back again",
                stops=True,
            ),
            base.Guarded(there, run, f"bring the target's own {held.kind} {name} back from {kept.schema}"),
        ]


class Bind:
    """Fills the port `keeping.Bind`: PostgreSQL binds by identity, so views and foreign keys have to be moved over."""

    def rebind(self, hanging: keeping.Hanging) -> list[str]:
        """Return the statements that bind a dependant to the tables that bear the old ones' names now."""
        if hanging.kind == "view":
            return [hanging.definition]
        table = ddl.qualified(hanging.name)
        return [f"ALTER TABLE {table} DROP CONSTRAINT {ddl.quote(hanging.object)}", *_add(hanging)]

    def settle(self, hanging: keeping.Hanging) -> tuple[str, list[str]]:
        """Return (query that counts rows without a partner, the statement that checks the key for good)."""
        if hanging.kind != "foreign_key" or not hanging.validated:
            return "", []
        table = ddl.qualified(hanging.name)
        validate = f"ALTER TABLE {table} VALIDATE CONSTRAINT {ddl.quote(hanging.object)}"
        return f"SELECT count(*) FROM {table} c WHERE {keeping.orphan(hanging, ddl.quote, ddl.qualified)}", [validate]

    def mark(self, session: base.Session, hanging: keeping.Hanging) -> str | None:
        """Return what changes with a view's text or a foreign key's definition; None where it is gone."""
        if hanging.kind == "view":
            found = session.rows(f"SELECT {_view_mark(hanging)}")
        else:
            found = session.rows(keep_queries.KEY_NOW, [hanging.name.schema, hanging.name.name, hanging.object])
        return str(found[0][0]) if found and found[0][0] is not None else None

    def unbind(
        self, migration: str, step: str, hanging: keeping.Hanging, made: Mapping[catalog.TableName, str]
    ) -> list[base.Guarded]:
        """Return the statements that take a foreign key off the new tables; of a view, the look at its definition."""
        new = _made_by(migration, [made[t] for t, _ in hanging.uses if t in made])
        if hanging.kind == "view":
            recorded = (
                f"(SELECT s.facts::json ->> 'mark' FROM {_LEDGER}.steps s"
                f" WHERE s.migration = {_lit(migration)} AND s.step = {_lit(step)} AND s.state = 'done')"
            )
            return [
                base.Guarded(
                    f"{_view_on(hanging, new)} AND {_view_mark(hanging)} <> {recorded}",
                    "",
                    f"{hanging.words} was changed since this migration bound it to its tables: taking it back would"
                    " lose that; keep its new text elsewhere and drop the view, then roll back again",
                    stops=True,
                )
            ]
        table = ddl.qualified(hanging.name)
        return [
            base.Guarded(
                f"{_key_on(hanging, f'k.confrelid::text IN {new}')}",
                f"ALTER TABLE {table} DROP CONSTRAINT {ddl.quote(hanging.object)}",
                f"take {hanging.words} off the migrated table",
            )
        ]

    def put_back(
        self, migration: str, hanging: keeping.Hanging, made: Mapping[catalog.TableName, str], evidence: str
    ) -> list[base.Guarded]:
        """Return the statements that bind a dependant to the old tables again."""
        new = _made_by(migration, [made[t] for t, _ in hanging.uses if t in made])
        if hanging.kind == "view":
            return [
                base.Guarded(_view_on(hanging, new), hanging.definition, f"bind {hanging.words} to the old table again")
            ]
        table, (held, oid) = ddl.qualified(hanging.name), hanging.held[0]
        old = f"k.confrelid = {int(oid)}"
        there = (
            f"pg_catalog.to_regclass({_lit(table)}) IS NOT NULL"
            f" AND EXISTS (SELECT 1 FROM pg_catalog.pg_class h WHERE h.oid = {int(oid)})"
        )
        found = [
            base.Guarded(
                f"{there} AND NOT {_key_on(hanging, old)}",
                "; ".join(_add(hanging)),
                f"put {hanging.words} back on the old table",
            )
        ]
        if hanging.validated:
            running = (
                f"EXISTS (SELECT 1 FROM {_LEDGER}.migrations m WHERE m.id = {_lit(migration)} AND m.state = 'running')"
            )
            warning = _lit(
                f"{hanging.words} is back but not validated: rows of {hanging.name} have no partner in {held};"
                f" mend them, then: ALTER TABLE {table} VALIDATE CONSTRAINT {ddl.quote(hanging.object)}"
            )
            orphan = keeping.orphan(hanging, ddl.quote, ddl.qualified)
            block = (
                f"BEGIN IF EXISTS (SELECT 1 FROM {table} c WHERE {orphan}) THEN"
                f" RAISE WARNING USING MESSAGE = {warning};"
                f" ELSE ALTER TABLE {table} VALIDATE CONSTRAINT {ddl.quote(hanging.object)}; END IF; END"
            )
            found.append(
                base.Guarded(
                    f"{running} AND {_key_on(hanging, old + ' AND NOT k.convalidated')}",
                    f"DO {ddl.dollar(block)}",
                    f"check {hanging.words} on every row again",
                )
            )
        return found


def _add(hanging: keeping.Hanging) -> list[str]:
    table, name = ddl.qualified(hanging.name), ddl.quote(hanging.object)
    found = [f"ALTER TABLE {table} ADD CONSTRAINT {name} {hanging.definition} NOT VALID"]
    if hanging.comment:
        found.append(f"COMMENT ON CONSTRAINT {name} ON {table} IS {_lit(hanging.comment)}")
    return found


def _key_on(hanging: keeping.Hanging, condition: str) -> str:
    return (
        "EXISTS (SELECT 1 FROM pg_catalog.pg_constraint k WHERE k.contype = 'f'"
        f" AND k.conrelid = pg_catalog.to_regclass({_lit(ddl.qualified(hanging.name))})"
        f" AND k.conname = {_lit(hanging.object)} AND {condition})"
    )


def _view_on(hanging: keeping.Hanging, new: str) -> str:
    return (
        "EXISTS (SELECT 1 FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid"
        " AND d.classid = 'pg_catalog.pg_rewrite'::regclass JOIN pg_catalog.pg_class v ON v.oid = r.ev_class"
        " AND v.relkind = 'v' JOIN pg_catalog.pg_namespace n ON n.oid = v.relnamespace"
        " WHERE d.refclassid = 'pg_catalog.pg_class'::regclass"
        f" AND n.nspname = {_lit(hanging.name.schema)} AND v.relname = {_lit(hanging.name.name)}"
        f" AND d.refobjid::text IN {new})"
    )


def _view_mark(hanging: keeping.Hanging) -> str:
    return (
        "(SELECT md5(pg_catalog.pg_get_viewdef(c.oid) || coalesce(c.reloptions::text, ''))"
        " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE c.relkind = 'v' AND n.nspname = {_lit(hanging.name.schema)}"
        f" AND c.relname = {_lit(hanging.name.name)})"
    )


def _view_statement(name: catalog.TableName, select: str, options: Sequence[str] | None) -> str:
    """Write the statement that gives a view its text again, keeping its identity, grants and what hangs on it."""
    settings = ", ".join(f"{key}={_lit(value)}" for key, _, value in (o.partition("=") for o in options or ()))
    clause = f" WITH ({settings})" if settings else ""
    return f"CREATE OR REPLACE VIEW {ddl.qualified(name)}{clause} AS\n{select.rstrip().rstrip(';')}"


def _bare(definition: str) -> str:
    return definition.removesuffix(" NOT VALID")


def _views(session: base.Session, by_oid: Mapping[int, catalog.TableName]) -> list[keeping.Hanging]:
    uses: dict[int, dict[catalog.TableName, list[str]]] = defaultdict(lambda: defaultdict(list))
    for view, table, column in session.rows(keep_queries.VIEW_COLUMNS, [list(by_oid)]):
        listed = uses[int(view)][by_oid[int(table)]]
        if column is not None:
            listed.append(str(column))
    needs: dict[int, list[tuple[catalog.TableName, tuple[str, ...]]]] = defaultdict(list)
    for view, table, columns in session.rows(keep_queries.VIEW_KEYS, [list(by_oid)]):
        needs[int(view)].append((by_oid[int(table)], tuple(columns)))
    found: list[keeping.Hanging] = []
    for oid, schema, view_name, words, select, options, mark in session.rows(keep_queries.VIEWS, [list(uses)]):
        name = catalog.TableName(str(schema), str(view_name))
        mine = uses[int(oid)]
        found.append(
            keeping.Hanging(
                "view",
                str(words),
                name,
                "",
                _view_statement(name, str(select), options),
                tuple((t, tuple(c)) for t, c in sorted(mine.items())),
                tuple(needs[int(oid)]),
                mark=str(mark),
                held=tuple((t, str(o)) for o, t in by_oid.items() if t in mine),
            )
        )
    return found


def _foreign_keys(session: base.Session, by_oid: Mapping[int, catalog.TableName]) -> list[keeping.Hanging]:
    found: list[keeping.Hanging] = []
    rows: list[tuple[Any, ...]] = session.rows(keep_queries.FOREIGN_KEYS, [list(by_oid)])
    for to, schema, name, constraint, words, definition, own, references, validated, comment, mark in rows:
        held = by_oid[int(to)]
        found.append(
            keeping.Hanging(
                "foreign_key",
                str(words),
                catalog.TableName(str(schema), str(name)),
                str(constraint),
                _bare(str(definition)),
                ((held, tuple(references)),),
                ((held, tuple(references)),),
                tuple(own),
                bool(validated),
                str(comment or ""),
                str(mark),
                ((held, str(to)),),
            )
        )
    return found
