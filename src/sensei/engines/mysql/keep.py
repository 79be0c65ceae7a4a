"""Sets MariaDB's own tables aside in a database of the migration, and binds what hangs on them anew."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from sensei import catalog
from sensei.engines import base, keeping
from sensei.engines.mysql import keep_queries, names, privileges, triggers, undo, view_uses
from sensei.engines.mysql.facts import own

#: From here on a statement of definition happens or does not, whatever becomes of the server, and a client's script
#: can carry out every statement under a condition.
OLDEST = (10, 6, 2)

_KINDS = {"BASE TABLE": "table", "SYSTEM VERSIONED": "table", "SEQUENCE": "sequence"}
#: Storage engines whose tables are only doors to rows elsewhere.
_DOORS = frozenset({"federated", "spider", "connect", "mrg_myisam", "oqgraph", "s3"})
_COUNTER = re.compile(r" AUTO_INCREMENT=\d+")
_STEPS = f"{names.OWN_PREFIX}steps"
_OBJECTS = f"{names.OWN_PREFIX}objects"


def too_old(session: base.Session) -> str | None:
    """Return why this server's own tables are left alone, in words; None where they can be set aside or added to."""
    mine = own(session)
    if mine.flavour == "mariadb" and mine.version >= OLDEST:
        return None
    wanted = ".".join(map(str, OLDEST))
    return (
        f"the server is {mine.flavour} {'.'.join(map(str, mine.version))}: on_existing replace and append are carried"
        f" out on MariaDB {wanted} and later"
    )


def _lit(text: str) -> str:
    return names.literal(text)


def is_there(name: catalog.TableName) -> str:
    """Write the condition that a table or a view of that name is there."""
    return (
        "EXISTS (SELECT 1 FROM information_schema.TABLES x"
        f" WHERE x.TABLE_SCHEMA = {_lit(name.schema)} AND x.TABLE_NAME = {_lit(name.name)})"
    )


class Keep:
    """Fills the port `keeping.Keep`: one database for each that tables come from, so that no two names meet."""

    def look(
        self, session: base.Session, tables: Sequence[catalog.TableName], sequences: Sequence[catalog.TableName]
    ) -> keeping.Holdings:
        """Return what these objects are, what hangs on them, and what hinders their move."""
        wanted = sorted({*tables, *sequences})
        schemas = sorted({t.schema for t in wanted})
        slots = {schema: n for n, schema in enumerate(schemas, 1)}
        reason = too_old(session)
        if reason is not None:
            return keeping.Holdings((), (), (reason,))
        privileges.require_own(session, wanted)  # else triggers and views would not be seen
        held: list[keeping.Held] = []
        hinders: list[str] = []
        for schema in schemas:
            heads = {str(n): (str(t), str(e or "")) for n, t, e in session.rows(keep_queries.HEADS, [schema])}
            mine = [t for t in wanted if t.schema == schema and t.name in heads]
            parts = triggers.of_tables(session, schema, {t.name for t in mine})
            for name in mine:
                kind, engine = heads[name.name]
                if kind not in _KINDS or engine.lower() in _DOORS:
                    hinders.append(f"{name} is {_what(kind, engine)}")
                    continue
                own_parts = tuple(parts.get(name.name, ()))
                held.append(
                    keeping.Held(
                        _KINDS[kind],
                        name,
                        _identity(session, name),
                        slots[schema],
                        own_parts,
                        goes=tuple(f"trigger {p.name} on table {name}" for p in own_parts),
                    )
                )
            hinders += triggers.hinders(session, schema, [t.name for t in mine])
        moved = {h.name: h for h in held if h.kind == "table"}
        hanging = [*_views(session, moved), *_foreign_keys(session, moved), *_triggers(session, moved)]
        return keeping.Holdings(tuple(held), tuple(hanging), tuple(hinders))

    def place(self, migration: str, slot: int, word: str = "kept") -> str:
        """Return the name of the database that keeps the objects of one database."""
        return _place(migration, slot, word)

    def placed(self, migration: str, slot: int, word: str, name: catalog.TableName) -> catalog.TableName:
        """Return the table of that name in a place."""
        return catalog.TableName(_place(migration, slot, word), name.name)

    def kept_name(self, migration: str, held: keeping.Held) -> catalog.TableName:
        """Return where an object lies while it is held: under its own name, in the keeping database."""
        return self.placed(migration, held.slot, "kept", held.name)

    def is_as_planned(self, session: base.Session, held: keeping.Held) -> bool:
        """Compare the definition and the triggers: an object of the owner's that is alike serves as well."""
        schema, name = held.name.schema, held.name.name
        if session.rows(f"SELECT {is_there(held.name)}")[0][0] != 1:
            return False
        parts = tuple(triggers.of_tables(session, schema, [name]).get(name, ()))
        return _identity(session, held.name) == held.identity and parts == held.parts

    def still_held(self, migration: str, held: keeping.Held) -> str:
        """Return the condition that the keeping database has an object of that name."""
        return is_there(self.kept_name(migration, held))

    def aside(self, session: base.Session, migration: str, held: keeping.Held) -> list[str]:
        """Return the statements that drop a table's triggers and move it; foreign keys of others follow it."""
        kept = self.kept_name(migration, held)
        # The last first: those that are left when a run is cut off still fire before those that are made again.
        dropped = [triggers.drop(held.name.schema, p) for p in reversed(held.parts)]
        return [*dropped, f"RENAME TABLE {names.qualified(held.name)} TO {names.qualified(kept)}"]

    def bring_back(self, migration: str, step: str, held: keeping.Held, evidence: str) -> list[base.Guarded]:
        """Return the statements that move an object back and make its triggers; stops where another has its name."""
        kept, name = self.kept_name(migration, held), held.name
        there = self.still_held(migration, held)
        found = [
            base.Guarded(
                f"{there} AND {is_there(name)} AND NOT {_made(migration, name)} AND NOT {_unnoted(migration)}",
                "",
                f"the target's own {held.kind} {name} can't come back from {kept}: another object, which this migration"
                " did not make, has its name by now; rename that one, then roll back again",
                stops=True,
            ),
            base.Guarded(
                # What the migration made goes before this one's turn comes; a dry run is asked while it is there.
                f"{there} AND (NOT {is_there(name)} OR {_made(migration, name)})",
                f"RENAME TABLE {names.qualified(kept)} TO {names.qualified(name)}",
                f"bring the target's own {held.kind} {name} back from {kept.schema}",
            ),
        ]
        begun = (
            f"EXISTS (SELECT 1 FROM {_STEPS} s WHERE s.migration = {_lit(migration)} AND s.step = {_lit(step)}"
            f" AND s.state IN ('begun', 'done')) AND {undo.running(migration)}"
        )
        for part in held.parts:
            missing = f"NOT {triggers.there(name.schema, part.name)}"
            found.append(
                base.Guarded(f"{begun} AND {missing}", part.sql or "", f"make the trigger {part.name} of {name} again")
            )
        return found


class Bind:
    """Fills the port `keeping.Bind`: foreign keys follow a table that is moved, views find theirs by name."""

    def rebind(self, hanging: keeping.Hanging) -> list[str]:
        """Return the statements that bind a foreign key to the table that bears the old one's name now."""
        if hanging.kind != "foreign_key":
            return []
        return [_drop(hanging, "IF EXISTS "), _add(hanging)]  # again and again, if need be

    def settle(self, hanging: keeping.Hanging) -> tuple[str, list[str]]:
        """Return the query that counts rows without a partner."""
        if hanging.kind != "foreign_key":
            return "", []
        orphan = keeping.orphan(hanging, names.quote, names.qualified)
        return f"SELECT COUNT(*) FROM {names.qualified(hanging.name)} AS c WHERE {orphan}", []

    def mark(self, session: base.Session, hanging: keeping.Hanging) -> str | None:
        """Return what changes with a view's text or a foreign key's definition; None where it is gone."""
        if hanging.kind == "view":
            found = session.rows(keep_queries.VIEW_MARK, [hanging.name.schema, hanging.name.name])
            return str(found[0][0]) if found else None
        if hanging.kind == "trigger":
            found = session.rows(keep_queries.BODY, [hanging.name.schema, hanging.object])
            return str(found[0][0]) if found else None
        return _keys_of(session, hanging.name).get(hanging.object)

    def unbind(
        self, migration: str, step: str, hanging: keeping.Hanging, made: Mapping[catalog.TableName, str]
    ) -> list[base.Guarded]:
        """Return the statement that takes a foreign key off the new table."""
        if hanging.kind != "foreign_key":
            return []
        table, kept = _held_by(migration, hanging)
        return [
            base.Guarded(
                f"{is_there(kept)} AND {_key_there(hanging, table)}",
                _drop(hanging),
                f"take {hanging.words} off the migrated table",
            )
        ]

    def put_back(
        self, migration: str, hanging: keeping.Hanging, made: Mapping[catalog.TableName, str], evidence: str
    ) -> list[base.Guarded]:
        """Return the statement that binds a foreign key to the old table again, taking its rows on trust."""
        if hanging.kind != "foreign_key":
            return []
        table, kept = _held_by(migration, hanging)
        # It only came off in the step that binds it to the new table: who dropped it before that was its owner.
        begun = (
            f"EXISTS (SELECT 1 FROM {_STEPS} s WHERE s.migration = {_lit(migration)} AND s.step LIKE 'rebind:%'"
            f" AND {undo.same(f'RIGHT(s.step, {len(hanging.words)})', _lit(hanging.words))}"
            " AND s.state IN ('begun', 'done'))"
        )
        there = f"{is_there(hanging.name)} AND {is_there(table)} AND {begun} AND {undo.running(migration)}"
        bound = f"IF({is_there(kept)}, {_key_there(hanging, kept)}, {_key_there(hanging, table)})"
        return [
            base.Guarded(f"{there} AND NOT {bound}", _add(hanging), f"put {hanging.words} back on the old table"),
        ]


def _place(migration: str, slot: int, word: str) -> str:
    return keeping.place_name(word, migration) + (f"_{slot}" if slot > 1 else "")


def _what(kind: str, engine: str) -> str:
    return f"a table of the engine {engine}" if kind in _KINDS else f"a {kind.lower()}"


def _made(migration: str, name: catalog.TableName) -> str:
    """Write the condition that what bears this name is something that the migration made."""
    schema, table = _lit(name.schema), _lit(name.name)
    return (
        f"EXISTS (SELECT 1 FROM {_OBJECTS} o JOIN information_schema.TABLES t ON t.TABLE_SCHEMA = {schema}"
        f" AND t.TABLE_NAME = {table} WHERE o.migration = {_lit(migration)}"
        f" AND {undo.same('o.schema_name', schema)} AND {undo.same('o.object_name', table)}"
        f" AND ({undo.same_object(name)}))"
    )


def _unnoted(migration: str) -> str:
    """Write the condition that something was being made when a run was cut off, and is not noted yet: it may be that
    which bears the name. If it is not, the name stays taken, and the statement that needs it fails."""
    return (
        f"EXISTS (SELECT 1 FROM {_STEPS} s WHERE s.migration = {_lit(migration)} AND s.state = 'begun'"
        " AND s.step LIKE 'create%' AND NOT EXISTS"
        f" (SELECT 1 FROM {_OBJECTS} o WHERE o.migration = s.migration AND o.step = s.step))"
    )


def _identity(session: base.Session, name: catalog.TableName) -> str:
    """Return a hash of an object's definition; of foreign keys what does not move with the table that they point at."""
    printed = str(session.rows(f"SHOW CREATE TABLE {names.qualified(name)}")[0][1])
    lines = [line for line in printed.split("\n") if not re.match(r"\s+CONSTRAINT .* FOREIGN KEY ", line)]
    lines[-1] = _COUNTER.sub("", lines[-1])
    lines = [line.rstrip(",") for line in lines]
    keys = [f"{key} {text}" for key, text in sorted(_keys_of(session, name).items())]
    return hashlib.sha256("\n".join([*lines, *keys]).encode("utf-8", "surrogatepass")).hexdigest()


def _keys_of(session: base.Session, name: catalog.TableName) -> dict[str, str]:
    """Return what each foreign key of a table says, by its name."""
    rows = session.rows(keep_queries.KEYS_OF, [name.schema, name.name])
    return {
        key: "; ".join(" ".join(map(str, r[1:])) for r in group)
        for key, group in itertools.groupby(rows, key=lambda r: str(r[0]))
    }


def _views(session: base.Session, moved: Mapping[catalog.TableName, keeping.Held]) -> list[keeping.Hanging]:
    columns = {
        (t.schema, t.name): [str(c) for (c,) in session.rows(keep_queries.COLUMNS, [t.schema, t.name])] for t in moved
    }
    found = []
    for schema, name, definition, mark in session.rows(keep_queries.VIEWS) if moved else ():
        uses = view_uses.uses(str(definition or ""), columns)
        if uses:
            found.append(
                keeping.Hanging(
                    "view", f"view {schema}.{name}", catalog.TableName(str(schema), str(name)), "",
                    str(definition), tuple(uses.items()), mark=str(mark),
                )
            )  # fmt: skip
    return found


def _foreign_keys(session: base.Session, moved: Mapping[catalog.TableName, keeping.Held]) -> list[keeping.Hanging]:
    found = []
    known: dict[catalog.TableName, dict[str, list[base.Row]]] = defaultdict(dict)
    for schema in sorted({t.schema for t in moved}):
        for parent, of, table, key, on_update, on_delete in session.rows(keep_queries.POINTING, [schema]):
            to, child = catalog.TableName(schema, str(parent)), catalog.TableName(str(of), str(table))
            if to not in moved or child in moved:
                continue
            if child not in known:
                rows = session.rows(keep_queries.KEYS_OF, [child.schema, child.name])
                known[child] = {k: list(g) for k, g in itertools.groupby(rows, key=lambda r: str(r[0]))}
            listed = known[child][str(key)]
            columns, references = tuple(str(r[1]) for r in listed), tuple(str(r[3]) for r in listed)
            definition = (
                f"FOREIGN KEY ({names.names(columns)}) REFERENCES {names.qualified(to)} ({names.names(references)})"
                # Said of a table that is there the server notes RESTRICT as NO ACTION; unsaid it stays what it was.
                + (f" ON DELETE {on_delete}" if on_delete != "RESTRICT" else "")
                + (f" ON UPDATE {on_update}" if on_update != "RESTRICT" else "")
            )
            found.append(
                keeping.Hanging(
                    "foreign_key", f"foreign key {key} of table {child}", child, str(key), definition,
                    ((to, references),), ((to, references),), columns,
                    mark="; ".join(" ".join(map(str, r[1:])) for r in listed),
                    held=((to, str(moved[to].slot)),),
                )
            )  # fmt: skip
    return found


def _triggers(session: base.Session, moved: Mapping[catalog.TableName, keeping.Held]) -> list[keeping.Hanging]:
    """Return the triggers of other tables whose words name one of these: they find it by its name when they fire.

    What they use of it can't be told from their words for certain.
    """
    found = []
    for schema, name, of, table, body in session.rows(keep_queries.BODIES) if moved else ():
        child = catalog.TableName(str(of), str(table))
        said = view_uses.mentioned(str(body))
        uses = [
            t
            for t in moved
            if (t.name.lower() in said if t.schema == schema else {t.schema.lower(), t.name.lower()} <= said)
        ]
        if child not in moved and uses:
            found.append(
                keeping.Hanging(
                    "trigger", f"trigger {name} on table {child}", child, str(name), str(body),
                    tuple((t, ()) for t in uses),
                    mark=hashlib.md5(str(body).encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest(),
                )
            )  # fmt: skip
    return found


def _held_by(migration: str, hanging: keeping.Hanging) -> tuple[catalog.TableName, catalog.TableName]:
    """Return the table that a foreign key points at, and its name while it is held."""
    table, slot = hanging.held[0]
    return table, catalog.TableName(_place(migration, int(slot), "kept"), table.name)


def _key_there(hanging: keeping.Hanging, to: catalog.TableName | None = None) -> str:
    """Write the condition that the referring table has the foreign key, towards one table or any."""
    where = (
        f" AND r.UNIQUE_CONSTRAINT_SCHEMA = {_lit(to.schema)} AND r.REFERENCED_TABLE_NAME = {_lit(to.name)}"
        if to is not None
        else ""
    )
    return (
        "EXISTS (SELECT 1 FROM information_schema.REFERENTIAL_CONSTRAINTS r"
        f" WHERE r.CONSTRAINT_SCHEMA = {_lit(hanging.name.schema)} AND r.TABLE_NAME = {_lit(hanging.name.name)}"
        f" AND r.CONSTRAINT_NAME = {_lit(hanging.object)}{where})"
    )


def _drop(hanging: keeping.Hanging, where: str = "") -> str:
    return f"ALTER TABLE {names.qualified(hanging.name)} DROP FOREIGN KEY {where}{names.quote(hanging.object)}"


def _add(hanging: keeping.Hanging) -> str:
    """Write the block that adds the key without a look at the rows, which would make the whole table anew."""
    on = "SET SESSION foreign_key_checks = 1;"
    return (
        f"BEGIN NOT ATOMIC DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN {on} RESIGNAL; END;"
        " SET SESSION foreign_key_checks = 0;"
        f" ALTER TABLE {names.qualified(hanging.name)} ADD CONSTRAINT {names.quote(hanging.object)}"
        f" {hanging.definition}; {on} END"
    )
