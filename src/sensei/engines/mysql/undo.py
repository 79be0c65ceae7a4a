"""The way back on MariaDB and MySQL: guarded statements, run one by one or printed as a script for their client.

DDL commits by itself here, so that each statement looks for itself whether it is still to be done, and whether what it
touches is what the migration made: when it was made, and its shape, are kept in the ledger.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from sensei import catalog
from sensei.engines import base
from sensei.engines.mysql import names as naming
from sensei.engines.mysql import queries

_MIGRATIONS = f"{naming.OWN_PREFIX}migrations"
_OBJECTS = f"{naming.OWN_PREFIX}objects"
_STEPS = f"{naming.OWN_PREFIX}steps"
#: The moment as the ledger writes it.
_NOW = "DATE_FORMAT(UTC_TIMESTAMP(6), '%Y-%m-%dT%H:%i:%s.%f+00:00')"
#: Tables, in hex, that foreign keys of tables which the migration did not make point at.
_HELD = "@sensei_held"
#: As sessions pin them: what strings mean, and which zone times are printed in.
_SETTINGS = (
    "SET NAMES utf8mb4 COLLATE utf8mb4_bin;",
    "/*!80000 SET SESSION information_schema_stats_expiry = 0 */;",  # MySQL may tell when a table was made from memory
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00',"
    " autocommit = 1, completion_type = 0, lock_wait_timeout = 30, foreign_key_checks = 1, unique_checks = 1,"
    " sql_safe_updates = 0, sql_big_selects = 1, group_concat_max_len = 1073741824;",
)


def _lit(text: str) -> str:
    return naming.literal(text)


def running(migration: str) -> str:
    """Write the condition that the ledger has the migration as running."""
    return f"EXISTS (SELECT 1 FROM {_MIGRATIONS} m WHERE m.id = {_lit(migration)} AND m.state = 'running')"


def same(one: str, other: str) -> str:
    """Compare byte by byte: the two may come in different character sets and collations."""
    return f"CAST({one} AS BINARY) = CAST({other} AS BINARY)"


def _ours(migration: str, step: str, name: catalog.TableName, *, certain: bool) -> str:
    """Write the condition that the table or sequence of this name is what the step created.

    `certain`: both when it was made and its shape are as recorded. Else one of them is enough: an index that somebody
    added moves the time, a column that somebody added the shape, and neither must strand the table.
    """
    schema, table = _lit(name.schema), _lit(name.name)
    return (
        f"EXISTS (SELECT 1 FROM {_OBJECTS} o JOIN information_schema.TABLES t"
        f" ON t.TABLE_SCHEMA = {schema} AND t.TABLE_NAME = {table}"
        f" AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED', 'SEQUENCE')"
        f" WHERE o.migration = {_lit(migration)} AND o.step = {_lit(step)}"
        f" AND ({same_object(name, certain=certain)}))"
    )


def same_object(name: catalog.TableName, *, certain: bool = False) -> str:
    """Write the condition that the ledger's object `o` is the table `t` of that name in information_schema.TABLES."""
    made = same("SUBSTRING_INDEX(o.identity, ' ', 1)", queries.MADE)
    shape = same("SUBSTRING_INDEX(o.identity, ' ', -1)", queries.shape(_lit(name.schema), _lit(name.name)))
    return f"{made} {'AND' if certain else 'OR'} {shape}"


def _there(name: catalog.TableName) -> str:
    return (
        "EXISTS (SELECT 1 FROM information_schema.TABLES x"
        f" WHERE x.TABLE_SCHEMA = {_lit(name.schema)} AND x.TABLE_NAME = {_lit(name.name)})"
    )


def _empty_schema(schema: str) -> str:
    s = _lit(schema)
    return (
        f"NOT EXISTS (SELECT 1 FROM information_schema.TABLES x WHERE x.TABLE_SCHEMA = {s})"
        f" AND NOT EXISTS (SELECT 1 FROM information_schema.ROUTINES x WHERE x.ROUTINE_SCHEMA = {s})"
        f" AND NOT EXISTS (SELECT 1 FROM information_schema.EVENTS x WHERE x.EVENT_SCHEMA = {s})"
    )


def _note(migration: str, step: str, kind: str, name: catalog.TableName) -> base.Guarded:
    """Note what a step made that was cut off before it could: nothing of that name was there when it was begun.

    A table that has rows is somebody else's. `rollback` has noted it before; a script comes without anybody who would.
    """
    if kind == "schema":
        schema = name.name or name.schema
        there = f"EXISTS (SELECT 1 FROM information_schema.SCHEMATA x WHERE x.SCHEMA_NAME = {_lit(schema)})"
        identity, empty = _lit(""), ""
    else:
        how = queries.view_identity if kind == "view" else queries.identity
        there, identity = _there(name), how(_lit(name.schema), _lit(name.name))
        empty = f" WHERE NOT EXISTS (SELECT 1 FROM {naming.qualified(name)})" if kind == "table" else ""
    mine = f"migration = {_lit(migration)} AND step = {_lit(step)}"
    values = ", ".join(_lit(v) for v in (migration, step, kind, name.schema, name.name))
    # A stage is several objects of one step, each noted under the step's name and a word.
    staged = f"step LIKE 'create\\_stage:%' AND LEFT({_lit(step)}, CHAR_LENGTH(step) + 1) = CONCAT(step, ':')"
    return base.Guarded(
        f"EXISTS (SELECT 1 FROM {_STEPS} WHERE migration = {_lit(migration)} AND state = 'begun'"
        f" AND (step = {_lit(step)} OR {staged}))"
        f" AND NOT EXISTS (SELECT 1 FROM {_OBJECTS} WHERE {mine}) AND {there}",
        f"INSERT INTO {_OBJECTS} SELECT {values}, {identity}, {_NOW} FROM DUAL{empty}",
        f"note {kind} {name}, which a step made before it was cut off",
    )


def _note_again(migration: str, step: str, name: catalog.TableName) -> base.Guarded:
    """Note a table's identity anew where a step on it was cut off: building an index moves when it was made."""
    of = _lit(f":{step.partition(':')[2]}:")
    begun = (
        f"EXISTS (SELECT 1 FROM {_STEPS} s WHERE s.migration = {_lit(migration)} AND s.state = 'begun'"
        f" AND LOCATE({of}, CONCAT(s.step, ':')) > 0)"
    )
    one, both = (_ours(migration, step, name, certain=certain) for certain in (False, True))
    return base.Guarded(
        f"{begun} AND {one} AND NOT {both}",
        f"UPDATE {_OBJECTS} SET identity = {queries.identity(_lit(name.schema), _lit(name.name))}"
        f" WHERE migration = {_lit(migration)} AND step = {_lit(step)}",
        f"note how the table {name} is now, as a step on it was cut off",
    )


class Undo:
    """Undo by moving into the evidence database, or by dropping."""

    def ours(self, migration: str, step: str, kind: str, name: catalog.TableName) -> str:
        return _ours(migration, step, name, certain=False)

    def set_aside(
        self, migration: str, step: str, kind: str, name: catalog.TableName, evidence: str
    ) -> list[base.Guarded]:
        if kind == "schema":
            return self.drop(migration, step, kind, name)
        ours = _ours(migration, step, name, certain=False)
        aside, other = catalog.TableName(evidence, name.name), fresh(name, evidence)
        # Two databases may share names: the second to come gets one of its own.
        return [
            _note(migration, step, kind, name),
            base.Guarded(
                f"{ours} AND NOT {_there(aside)}",
                f"RENAME TABLE {naming.qualified(name)} TO {naming.qualified(aside)}",
                f"set {kind} {name} aside in {evidence}",
            ),
            base.Guarded(
                f"{ours} AND {_there(aside)} AND NOT {_there(other)}",
                f"RENAME TABLE {naming.qualified(name)} TO {naming.qualified(other)}",
                f"set {kind} {name} aside as {other}",
            ),
        ]

    def drop(self, migration: str, step: str, kind: str, name: catalog.TableName) -> list[base.Guarded]:
        if kind == "schema":
            schema = name.name or name.schema
            recorded = (
                f"EXISTS (SELECT 1 FROM {_OBJECTS} o JOIN information_schema.SCHEMATA s"
                f" ON s.SCHEMA_NAME = {_lit(schema)}"
                f" WHERE o.migration = {_lit(migration)} AND o.step = {_lit(step)})"
            )
            when = f"{recorded} AND {_empty_schema(schema)}"
            drop = base.Guarded(when, f"DROP DATABASE {naming.quote(schema)}", f"drop the empty database {schema}")
            return [_note(migration, step, kind, name), drop]
        if kind == "view":
            now = queries.view_identity(_lit(name.schema), _lit(name.name))
            when = (
                f"EXISTS (SELECT 1 FROM {_OBJECTS} o WHERE o.migration = {_lit(migration)} AND o.step = {_lit(step)}"
                f" AND {same('o.identity', now)})"
            )
            drop = base.Guarded(when, f"DROP VIEW {naming.qualified(name)}", f"drop view {name}")
            return [_note(migration, step, kind, name), drop]
        # What others hung on the table stops the undo before it begins; here it only keeps the table.
        held = f"COALESCE(FIND_IN_SET(HEX({_lit(str(name))}), {_HELD}), 0)"
        when = f"{_ours(migration, step, name, certain=True)} AND NOT {held}"
        word = "SEQUENCE" if kind == "sequence" else "TABLE"
        drop = base.Guarded(when, f"DROP {word} {naming.qualified(name)}", f"drop {kind} {name}")
        again = [_note_again(migration, step, name)] if kind == "table" else []
        return [_note(migration, step, kind, name), *again, drop]

    def forget_statistics(self, migration: str, step: str, tables: Sequence[catalog.TableName]) -> list[base.Guarded]:
        return []  # they go with the tables

    def prepare(self, migration: str, evidence: str | None) -> list[base.Guarded]:
        alive = running(migration)
        raised = f"UPDATE {_MIGRATIONS} SET epoch = epoch + {base.SCRIPT_EPOCH} WHERE id = {_lit(migration)}"
        fence = base.Guarded(alive, raised, f"stop every runner of {migration} from writing")
        return [fence, *self.place(migration, evidence)]

    def place(self, migration: str, evidence: str | None) -> list[base.Guarded]:
        if evidence is None:
            # Looked up once for all tables: to find who points at one of them the server looks at all that it has.
            mine = f"SELECT 1 FROM {_OBJECTS} o WHERE o.migration = {_lit(migration)} AND o.kind = 'table'"
            parent = f"{same('o.schema_name', 'r.UNIQUE_CONSTRAINT_SCHEMA')}"
            parent += f" AND {same('o.object_name', 'r.REFERENCED_TABLE_NAME')}"
            child = f"{same('o.schema_name', 'r.CONSTRAINT_SCHEMA')} AND {same('o.object_name', 'r.TABLE_NAME')}"
            held = (
                "SELECT GROUP_CONCAT(DISTINCT HEX(CONCAT(r.UNIQUE_CONSTRAINT_SCHEMA, '.', r.REFERENCED_TABLE_NAME)))"
                " FROM information_schema.REFERENTIAL_CONSTRAINTS r"
                f" WHERE EXISTS ({mine} AND {parent}) AND NOT EXISTS ({mine} AND {child})"
            )
            # Migrated tables may point at each other in a circle, so that none of them could be dropped first.
            return [
                base.Guarded(
                    running(migration), f"SET {_HELD} = ({held})", "see which tables others hold by foreign keys"
                ),
                base.Guarded(
                    f"@@SESSION.foreign_key_checks = 1 AND {running(migration)}",
                    "SET SESSION foreign_key_checks = 0",
                    "let tables that point at each other be dropped in any order",
                ),
            ]
        missing = (
            "NOT EXISTS (SELECT 1 FROM information_schema.SCHEMATA s"
            f" WHERE s.SCHEMA_NAME = {_lit(evidence)}) AND {running(migration)}"
        )
        make = f"CREATE DATABASE {naming.quote(evidence)} CHARACTER SET utf8mb4"
        return [base.Guarded(missing, make, f"make the evidence database {evidence}")]

    def detach(
        self, migration: str, step: str, table: catalog.Table, keys: Sequence[catalog.ForeignKey]
    ) -> list[base.Guarded]:
        name = table.name
        return [
            base.Guarded(
                # What is about to be set aside, and that moves the time at which it was made: the shape has to do.
                f"{_ours(migration, step, name, certain=False)} AND EXISTS (SELECT 1 FROM"
                " information_schema.REFERENTIAL_CONSTRAINTS r"
                f" WHERE r.CONSTRAINT_SCHEMA = {_lit(name.schema)} AND r.TABLE_NAME = {_lit(name.name)}"
                f" AND r.CONSTRAINT_NAME = {_lit(key.name)})",
                f"ALTER TABLE {naming.qualified(name)} DROP FOREIGN KEY {naming.quote(key.name)}",
                f"take the foreign key {key.name} off {name}: it points at {key.table}, which stays",
            )
            for key in keys
        ]

    def discard(self, evidence: str, names: Sequence[catalog.TableName]) -> list[str]:
        plain = [n.name for n in names]
        # Of tables that shared a name, all but the first that came were renamed: only the server knows which.
        shared = [fresh(n, evidence).name for n in names if plain.count(n.name) > 1]
        there = [catalog.TableName(evidence, n) for n in dict.fromkeys([*plain, *shared])]
        pointed = (
            "EXISTS (SELECT 1 FROM information_schema.REFERENTIAL_CONSTRAINTS r WHERE"
            f" r.UNIQUE_CONSTRAINT_SCHEMA = {_lit(evidence)} AND r.CONSTRAINT_SCHEMA <> {_lit(evidence)})"
        )
        drop = f"DROP TABLE IF EXISTS {', '.join(map(naming.qualified, there))}"
        stop = "SELECT `foreign keys of other tables point at this evidence`"
        # They may point at each other. Some may never have come to be, and a purge that was cut off may have dropped
        # them already. What others hung on them stops it.
        tables = [
            "SET SESSION foreign_key_checks = 0",
            *_either(pointed, stop, drop),
            "SET SESSION foreign_key_checks = 1",
        ]
        database = _either(_empty_schema(evidence), f"DROP DATABASE IF EXISTS {naming.quote(evidence)}", "DO 0")
        return [*(tables if there else []), *database]

    def script(
        self, migration: str, token: str, head: Sequence[str], body: Sequence[base.Guarded], tail: Sequence[str]
    ) -> str:
        """Print an undo for `mariadb DATABASE < script` or `mysql DATABASE < script`; safe to run twice.

        Without a transaction there is none to fail as a whole: each statement looks for itself, and the client stops at
        the first that fails.
        """
        ledger = (
            "EXISTS (SELECT 1 FROM information_schema.TABLES x WHERE x.TABLE_SCHEMA = DATABASE()"
            f" AND x.TABLE_NAME = {_lit(_MIGRATIONS)})"
        )
        here = f"id = {_lit(migration)} AND token = {_lit(token)}"
        known = f"SELECT COUNT(*) INTO @sensei_known FROM {_MIGRATIONS} WHERE {here}"
        # An unknown column is the only way for plain SQL to stop the client, and its name is what it says.
        wrong = f"SELECT `wrong database: {migration.replace('`', '')} was not carried out here`"
        mark = base.Guarded(
            f"EXISTS (SELECT 1 FROM {_MIGRATIONS} m WHERE m.id = {_lit(migration)} AND m.state <> 'rolled_back')",
            f"UPDATE {_MIGRATIONS} SET state = 'rolled_back' WHERE id = {_lit(migration)}",
            f"mark {migration} as rolled back",
        )
        lines = [
            *_comments(head),
            *_comments(["", "Run it with the database of the migration's URL: mariadb DATABASE < this file"]),
            *_SETTINGS,
            "SET @sensei_known = 0;",
            *(f"{s};" for s in _either(ledger, known, "DO 0")),
            *(f"{s};" for s in _either("@sensei_known = 1", "DO 0", wrong)),
            "",
        ]
        for guarded in [*body, mark]:
            lines += [
                *_comments([guarded.says]),
                f"SET @sensei_due = ({guarded.when});",
                f"SELECT {_lit(_one_line(guarded.says))} AS `done` FROM DUAL WHERE @sensei_due;",
                *(f"{s};" for s in _either("@sensei_due", guarded.run, "DO 0")),
                "",
            ]
        return "\n".join([*lines, *_comments(tail)]) + "\n"


def _either(condition: str, then: str, otherwise: str) -> list[str]:
    """Write statements that run one of two: without stored programs there is no other IF."""
    return [
        f"SET @sensei_run = IF({condition}, {_lit(then)}, {_lit(otherwise)})",
        "PREPARE sensei_step FROM @sensei_run",
        "EXECUTE sensei_step",
        "DEALLOCATE PREPARE sensei_step",
    ]


def fresh(name: catalog.TableName, evidence: str) -> catalog.TableName:
    """Return the name in the evidence database of a table whose own name is taken there."""
    mark = hashlib.sha256(str(name).encode()).hexdigest()[:12]
    return catalog.TableName(evidence, f"{name.name[: naming.MAX_NAME - 13]}_{mark}")


def _comments(texts: Iterable[str]) -> list[str]:
    # A line break in a name must not end the comment that it stands in.
    return [f"-- {_one_line(text)}".rstrip() for text in texts]


def _one_line(text: str) -> str:
    return "".join("?" if ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u2028\u2029" else c for c in text)
