"""MariaDB's and MySQL's identifiers and string literals, quoted so that any text is safe."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sensei import catalog, errors

#: Characters of the longest name of a database, table, column, index or constraint.
MAX_NAME = 64

#: Sensei's own tables in a target, and the databases that keep evidence.
OWN_PREFIX = "sensei_"
EVIDENCE_PREFIX = "sensei_evidence_"

SYSTEM = ("information_schema", "mysql", "performance_schema", "sys")

# Line breaks too: a statement in a script stays on its line, in comments as well.
_ESCAPES = {"\\": "\\\\", "'": "''", "\0": "\\0", "\x1a": "\\Z", "\n": "\\n", "\r": "\\r"}
_SPECIAL = re.compile(r"[\\'\0\x1a\n\r]")


def quote(name: str) -> str:
    """Quote one identifier; raises BadInput for one that the server can't hold."""
    if (
        not name
        or "\0" in name
        or name.endswith(" ")
        or any(ord(c) > 0xFFFF or 0xD800 <= ord(c) < 0xE000 for c in name)
    ):
        raise errors.BadInput(
            f"MariaDB and MySQL can't hold the name {name!r}",
            hint="names there are not empty, don't end in a blank and have no characters beyond U+FFFF:"
            " rename it in the migration file under tables: (target:)",
            name=name,
        )
    if len(name) > MAX_NAME:
        raise errors.BadInput(
            f"the name {name!r} is longer than the {MAX_NAME} characters that MariaDB and MySQL take",
            hint="rename it in the migration file under tables: (target:)",
            name=name,
        )
    return "`" + name.replace("`", "``") + "`"


def qualified(name: catalog.TableName) -> str:
    """Quote a full table name; without a database it is one of the session's."""
    return f"{quote(name.schema)}.{quote(name.name)}" if name.schema else quote(name.name)


def literal(text: str) -> str:
    r"""Write text as a string literal, for sessions and scripts in which `\` escapes (both pin that)."""
    return "'" + _SPECIAL.sub(lambda m: _ESCAPES[m[0]], text) + "'"


def names(columns: Sequence[str]) -> str:
    """Quote a list of columns."""
    return ", ".join(map(quote, columns))


def is_own(name: str) -> bool:
    """Tell whether a table is Sensei's and not the user's."""
    return name.lower().startswith(OWN_PREFIX)


_QUOTED = re.compile(r"`((?:[^`]|``)*)`")


def quoted_names(sql: str) -> list[str]:
    """Return every name that stands in backticks in a definition that the server printed."""
    return [m[1].replace("``", "`") for m in _QUOTED.finditer(sql)]
