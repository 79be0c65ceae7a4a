"""Stored definitions under other names: what `ALTER TABLE … RENAME` would write, for tables that are set aside."""

from __future__ import annotations

from collections.abc import Mapping

from sensei import errors
from sensei.engines.sqlite import names, tokens

AUTO = "sqlite_autoindex_"


def renamed(kind: str, sql: str, own: str, tables: Mapping[str, str]) -> str:
    """Return a definition with a new name of its own, and with the new names of tables (folded -> new).

    Tables are renamed where a definition names one: after REFERENCES, as what an index or a trigger is ON, and before
    the point of a qualified column. A trigger's body stays: it does not fire for a table that nobody writes to.
    """
    found = tokens.tokenize(sql)
    at = next((n + 1 for n, t in enumerate(found) if t.is_word("TABLE", "INDEX", "TRIGGER")), len(found))
    if at >= len(found):
        raise errors.Fault(f"a stored definition that is none: {sql[:80]!r}")
    changes = {at: own}
    end = len(found)
    if kind in ("index", "trigger"):
        on = next(n for n, t in enumerate(found) if n > at and t.is_word("ON")) + 1
        while on + 2 < len(found) and found[on + 1].text == ".":  # a schema before it
            on += 2
        changes[on] = tables[names.fold(found[on].name)]
        end = on if kind == "trigger" else end
    for n in range(at + 1, end):
        new = tables.get(names.fold(found[n].name)) if found[n].kind in ("word", "quoted", "string") else None
        if new is None or n in changes:
            continue
        qualifies = n + 1 < len(found) and found[n + 1].text == "." and found[n].kind != "string"
        if found[n - 1].is_word("REFERENCES") or qualifies:
            changes[n] = new
    return _replaced(sql, found, changes)


def _replaced(sql: str, found: list[tokens.Token], changes: Mapping[int, str]) -> str:
    parts, last = [], 0
    for n in sorted(changes):
        parts += [sql[last : found[n].start], names.quote(changes[n])]
        last = found[n].end
    return "".join([*parts, sql[last:]])


def auto_name(name: str, old: str, new: str) -> str:
    """Return the name of an automatic index under its table's new name."""
    return AUTO + new + name[len(AUTO) + len(old) :]
