"""SQLite's identifiers and string literals, quoted so that any text is safe."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sensei import catalog, errors

#: Sensei's own tables in a target, evidence included; SQLite's own start with sqlite_.
OWN_PREFIX = "sensei_"

_TYPE = re.compile(r"[A-Za-z_][\w ]*(\(\s*[+-]?\d+\s*(,\s*[+-]?\d+\s*)?\))?", re.ASCII)
# Words that would end a type and begin something else.
_NOT_TYPE = frozenset(
    word
    for words in (
        "ALWAYS AS CHECK COLLATE CONSTRAINT DEFAULT DEFERRABLE FOREIGN GENERATED NOT",
        "NULL ON PRIMARY REFERENCES UNIQUE",
    )
    for word in words.split()
)


def quote(name: str) -> str:
    """Quote one identifier; raises BadInput for NUL or an empty name."""
    if not name or "\0" in name:
        raise errors.BadInput("a name in SQLite can't be empty or hold a NUL")
    return '"' + name.replace('"', '""') + '"'


def qualified(name: catalog.TableName) -> str:
    """Quote a table's name in the main database; SQLite has no schemas."""
    return "main." + quote(name.name)


def literal(text: str) -> str:
    """Write text as a string literal; a NUL, which no literal can hold, goes through hex."""
    if "\0" in text:
        return f"CAST(x'{text.encode().hex()}' AS TEXT)"
    return "'" + text.replace("'", "''") + "'"


def type_name(native: str) -> str:
    """Write a declared type; SQLite takes any text for one, so what is not plain words is quoted."""
    if not native:
        return ""
    if _TYPE.fullmatch(native) and not _NOT_TYPE & set(re.findall(r"\w+", native.upper())):
        return native
    return quote(native)


def fold(name: str) -> str:
    """Return the form in which SQLite compares names: ASCII letters without case, all others as they are."""
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in name)


def is_own(name: str) -> bool:
    """Tell whether a table is Sensei's or SQLite's and not the user's."""
    folded = fold(name)
    return folded.startswith((OWN_PREFIX, "sqlite_"))


def rowid_alias(columns: Iterable[str]) -> str | None:
    """Return a name for the rowid that no column hides."""
    taken = {fold(c) for c in columns}
    return next((alias for alias in ("rowid", "_rowid_", "oid") if alias not in taken), None)
