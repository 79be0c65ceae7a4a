"""Sets an SQLite file's own tables aside under other names, and keeps what hangs on them bound by name."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

from sensei import catalog, errors
from sensei.engines import base, keeping
from sensei.engines.sqlite import dependents, introspect, keep_text, names, parse_table, tokens, undo

# Stored definitions are edited rather than tables renamed: ALTER TABLE would come back with other quotes than the
# owner's, would move the references of other tables along, and leaves indexes in the way, which would have to be built
# again, row by row. SQLite documents the procedure (Making Other Kinds Of Table Schema Changes).
_OPEN = "PRAGMA writable_schema = ON"
_CLOSE = "PRAGMA writable_schema = RESET"
# Any definition made and dropped tells other connections that what they know is old.
_TELL = 'CREATE TABLE main."sensei_changed" (x)', 'DROP TABLE main."sensei_changed"'


def _lit(text: str | None) -> str:
    return "NULL" if text is None else names.literal(text)


class Keep:
    """Fills the port `keeping.Keep`: the keeping place is a prefix of names."""

    def look(
        self, session: base.Session, tables: Sequence[catalog.TableName], sequences: Sequence[catalog.TableName]
    ) -> keeping.Holdings:
        """Return what these tables are, what hangs on them, and what hinders their move."""
        kinds = {
            names.fold(str(n)): str(k)
            for n, k in session.rows("SELECT name, type FROM pragma_table_list WHERE schema = 'main'")
        }
        objects = session.rows("SELECT type, name, tbl_name, sql FROM main.sqlite_schema ORDER BY rowid")
        parts: dict[str, list[keeping.Part]] = defaultdict(list)
        for kind, name, on, sql in objects:
            parts[names.fold(on)].append(keeping.Part(kind, name, sql))
        own = {names.fold(p.name): p for listed in parts.values() for p in listed if p.kind == "table"}
        wanted = [f for f in (names.fold(t.name) for t in tables) if kinds.get(f) == "table" and f in own]
        chosen = set(wanted)
        hinders = [
            f"{t} is {_article(kinds.get(f, 'index'))}" for t in tables if (f := names.fold(t.name)) not in chosen
        ]
        held = []
        for folded in wanted:
            mine, table = tuple(parts[folded]), own[folded]
            named = {names.fold(n) for p in mine for n in tokens.mentioned(p.sql or "")} | {folded}
            beside = tuple(catalog.TableName("", own[n].name) for n in sorted(named) if n in chosen)
            name = catalog.TableName("", table.name)
            held.append(keeping.Held("table", name, table.sql or "", parts=mine, beside=beside))
        there_names = [h.name for h in held]
        hanging = [_hanging(d, there_names, session) for d in _outside(session, there_names)]
        return keeping.Holdings(tuple(held), tuple(hanging), tuple(hinders))

    def place(self, migration: str, slot: int, word: str = "kept") -> str:
        """Return nothing: the place is a prefix and needs no making."""
        return ""

    def placed(self, migration: str, slot: int, word: str, name: catalog.TableName) -> catalog.TableName:
        """Return the table's name with the place's before it."""
        return catalog.TableName("", f"{keeping.place_name(word, migration)}_{name.name}")

    def kept_name(self, migration: str, held: keeping.Held) -> catalog.TableName:
        """Return the name that a table has while it is held."""
        return catalog.TableName("", _prefixed(migration, held.name.name))

    def is_as_planned(self, session: base.Session, held: keeping.Held) -> bool:
        """Compare the stored definition."""
        return introspect.Introspect().object_identity(session, held.kind, held.name) == held.identity

    def still_held(self, migration: str, held: keeping.Held) -> str:
        """Return the condition that a table of the prefixed name is there."""
        kept = self.kept_name(migration, held).name
        return f"EXISTS (SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND name = {_lit(kept)})"

    def aside(self, session: base.Session, migration: str, held: keeping.Held) -> list[str]:
        """Return the statements that rename a table, its indexes and triggers, and its lines in SQLite's own tables."""
        kept = self.kept_name(migration, held).name
        now = session.rows(
            "SELECT type, name, sql FROM main.sqlite_schema WHERE tbl_name = ? ORDER BY rowid", [held.name.name]
        )
        if {keeping.Part(*row) for row in now} != set(held.parts):
            raise errors.WorldChanged(
                f"the indexes or triggers of the target's own table {held.name} are not those that were planned on",
                hint=f"sensei migrations rollback {migration} --full, then create anew",
            )
        statements = [_OPEN]
        for part, moved in zip(held.parts, _moved(migration, held), strict=True):
            statements.append(_update(part, moved, kept))
        statements += [_CLOSE, *_TELL]
        there = {
            str(n)
            for (n,) in session.rows("SELECT name FROM main.sqlite_schema WHERE name LIKE 'sqlite\\_%' ESCAPE '\\'")
        }
        if "sqlite_sequence" in there:
            statements.append(_counted(held.name.name, kept))
        for table in ("sqlite_stat1", "sqlite_stat4"):
            if table in there:
                statements.append(_statistics(table, held.name.name, kept, _index_names(migration, held)))
        return statements

    def bring_back(self, migration: str, step: str, held: keeping.Held, evidence: str) -> list[base.Guarded]:
        """Return the statements that give a table its name back; stops where that is taken or the table was changed."""
        kept, name = self.kept_name(migration, held).name, held.name.name
        moved = _moved(migration, held)
        there = self.still_held(migration, held)
        taken = (
            "EXISTS (SELECT 1 FROM main.sqlite_schema AS t WHERE t.type IN ('table', 'view', 'index')"
            f" AND t.name = {_lit(name)} COLLATE NOCASE AND NOT {undo.made_by(migration, 't', evidence)})"
        )
        whole = " AND ".join(
            "EXISTS (SELECT 1 FROM main.sqlite_schema"
            f" WHERE type = {_lit(m.kind)} AND name = {_lit(m.name)} AND tbl_name = {_lit(kept)}"
            # The body of a trigger may have followed a table that it names.
            + (f" AND sql IS {_lit(m.sql)})" if m.kind != "trigger" else ")")
            for m in moved
        )
        counted = f"(SELECT count(*) FROM main.sqlite_schema WHERE tbl_name = {_lit(kept)}) = {len(moved)}"
        found = [
            base.Guarded(
                f"{there} AND {taken}",
                "",
                f"the target's own table {name} can't come back from {kept}: something that this migration did not make"
                " has its name by now; rename that, then roll back again",
                stops=True,
            ),
            base.Guarded(
                f"{there} AND NOT ({whole} AND {counted})",
                "",
                f"the target's own table {name} was changed while it was held as {kept}: its definition there is not"
                " the one that was set aside; take that change back, then roll back again",
                stops=True,
            ),
        ]
        indexes = {new: old for old, new in _index_names(migration, held).items()}
        for table in ("sqlite_stat1", "sqlite_stat4"):
            has = f"EXISTS (SELECT 1 FROM main.sqlite_schema WHERE name = '{table}')"
            found.append(
                base.Guarded(
                    f"{there} AND {has}",
                    _statistics(table, kept, name, indexes),
                    f"give the table {name} its statistics in {table} back",
                )
            )
        statements = [_OPEN, *(_update(m, p, name) for p, m in zip(held.parts, moved, strict=True)), _CLOSE, *_TELL]
        if _is_counted(held):
            statements.append(_counted(kept, name))
        says = f"bring the target's own table {name} back from {kept}"
        return [*found, base.Guarded(there, "; ".join(statements), says)]


class Bind:
    """Fills the port `keeping.Bind`: SQLite binds by name, so a dependant only has to stay as it is."""

    def rebind(self, hanging: keeping.Hanging) -> list[str]:
        """Return nothing: the new table has the old one's name."""
        return []

    def settle(self, hanging: keeping.Hanging) -> tuple[str, list[str]]:
        """Return the query that counts rows without a partner."""
        if hanging.kind != "foreign_key":
            return "", []
        parents = ", ".join(_lit(names.fold(t.name)) for t, _ in hanging.uses)
        return (
            f"SELECT count(*) FROM pragma_foreign_key_check({_lit(hanging.name.name)}, 'main')"
            f' WHERE lower("parent") IN ({parents})',
            [],
        )

    def mark(self, session: base.Session, hanging: keeping.Hanging) -> str | None:
        """Return a hash of the definition; None where it is gone."""
        found = session.rows(f"SELECT sql FROM main.sqlite_schema WHERE {_row(hanging)}")
        return _hash(str(found[0][0])) if found else None

    def unbind(
        self, migration: str, step: str, hanging: keeping.Hanging, made: Mapping[catalog.TableName, str]
    ) -> list[base.Guarded]:
        """Return nothing: what hangs on a table by its name hangs on whatever has that name."""
        return []

    def put_back(
        self, migration: str, hanging: keeping.Hanging, made: Mapping[catalog.TableName, str], evidence: str
    ) -> list[base.Guarded]:
        """Return the statement that gives a dependant its text again, where names in it followed the tables."""
        prefix = evidence + "_"
        planned = f"{_plain('sql', prefix)} = {_plain(_lit(hanging.definition), prefix)}"
        # Somebody may have changed it since: then only the names go back, in SQLite's own quotes.
        text = (
            f"CASE WHEN {planned} THEN {_lit(hanging.definition)}"
            f" ELSE replace(sql, {_lit(chr(34) + prefix)}, {_lit(chr(34))}) END"
        )
        update = f"UPDATE main.sqlite_schema SET sql = {text} WHERE {_row(hanging)}"
        return [
            base.Guarded(
                f"EXISTS (SELECT 1 FROM main.sqlite_schema WHERE {_row(hanging)} AND instr(sql, {_lit(prefix)}) > 0)",
                "; ".join([_OPEN, update, _CLOSE, *_TELL]),
                f"bind {hanging.words} to the old table again",
            )
        ]


def _plain(sql: str, prefix: str) -> str:
    """Write a definition without quotes and without the names that a renaming put into it."""
    for mark in "\"[]`'":
        sql = f"replace({sql}, {_lit(mark)}, '')"
    return f"replace({sql}, {_lit(prefix)}, '')"


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}{' table' if kind in ('virtual', 'shadow') else ''}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _prefixed(migration: str, name: str) -> str:
    return f"{keeping.place_name('kept', migration)}_{name}"


def _moved(migration: str, held: keeping.Held) -> list[keeping.Part]:
    """Return a held table's parts as they are stored while it is held."""
    tables = {names.fold(t.name): _prefixed(migration, t.name) for t in held.beside}
    own, kept = held.name.name, _prefixed(migration, held.name.name)
    found = []
    for part in held.parts:
        if part.sql is None:
            found.append(keeping.Part(part.kind, keep_text.auto_name(part.name, own, kept), None))
            continue
        name = _prefixed(migration, part.name)
        found.append(keeping.Part(part.kind, name, keep_text.renamed(part.kind, part.sql, name, tables)))
    return found


def _index_names(migration: str, held: keeping.Held) -> dict[str, str]:
    moved = _moved(migration, held)
    return {p.name: m.name for p, m in zip(held.parts, moved, strict=True) if p.kind in ("index", "table")}


def _update(old: keeping.Part, new: keeping.Part, table: str) -> str:
    return (
        f"UPDATE main.sqlite_schema SET name = {_lit(new.name)}, tbl_name = {_lit(table)}, sql = {_lit(new.sql)}"
        f" WHERE type = {_lit(old.kind)} AND name = {_lit(old.name)}"
    )


def _is_counted(held: keeping.Held) -> bool:
    return any(c.autoincrement for c in parse_table.parse(held.identity).columns.values())


def _counted(old: str, new: str) -> str:
    return f"UPDATE main.sqlite_sequence SET name = {_lit(new)} WHERE name = {_lit(old)}"


def _statistics(table: str, old: str, new: str, indexes: Mapping[str, str]) -> str:
    # Statistics of a WITHOUT ROWID table bear the table's own name in the place of its key's index.
    cases = " ".join(f"WHEN {_lit(a)} THEN {_lit(b)}" for a, b in indexes.items())
    return f"UPDATE main.{table} SET tbl = {_lit(new)}, idx = CASE idx {cases} ELSE idx END WHERE tbl = {_lit(old)}"


def _row(hanging: keeping.Hanging) -> str:
    kind = "table" if hanging.kind == "foreign_key" else hanging.kind
    return f"type = {_lit(kind)} AND name = {_lit(hanging.object or hanging.name.name)}"


def _outside(session: base.Session, held: Sequence[catalog.TableName]) -> list[dependents.Dependant]:
    own = {names.fold(t.name) for t in held}
    return [
        d for d in dependents.found(session, held) if not (d.kind == "trigger" and names.fold(d.on) in own)
    ]  # a table's own triggers go with it


def _hanging(found: dependents.Dependant, held: Sequence[catalog.TableName], session: base.Session) -> keeping.Hanging:
    by_fold = {names.fold(t.name): t for t in held}
    uses = tuple(
        (by_fold[table], tuple(sorted(c for c in columns if c not in ("rowid", "_rowid_", "oid"))))
        for table, columns in sorted(found.touches.items())
    )
    if found.reference is None:
        name = catalog.TableName("", found.on)
        trigger = found.name if found.kind == "trigger" else ""
        return keeping.Hanging(found.kind, found.words, name, trigger, found.sql, uses, mark=_hash(found.sql))
    parent = by_fold[names.fold(found.reference.table)]
    references = found.reference.references
    if not references:
        references = dependents.primary(session, parent.name)
    return keeping.Hanging(
        "foreign_key", found.words, catalog.TableName("", found.name), "", found.sql,
        ((parent, references),), ((parent, references),), found.reference.columns, mark=_hash(found.sql),
    )  # fmt: skip
