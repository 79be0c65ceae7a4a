"""What a view's stored text uses of tables: information_schema names a view's tables nowhere, and no columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from sensei import catalog

_NAME = r"(?:`(?:[^`]|``)*`|[\w$\x80-\uffff]+)"
#: Text of a literal, or names with points between them and, behind those of a table, another name.
_WORDS = re.compile(rf"'(?:[^'\\]|\\.|'')*'|(?P<names>{_NAME}(?:\.{_NAME})+)(?:\s+(?P<alias>{_NAME}))?", re.DOTALL)
_EACH = re.compile(_NAME)
_WORD = re.compile(rf"'(?:[^'\\]|\\.|'')*'|(?P<name>{_NAME})", re.DOTALL)
#: What can stand behind a table and is no name for it: one that is a word of the language is printed in backticks.
_CLAUSES = frozenset(
    {
        "join", "left", "right", "straight_join", "on", "where", "group", "order", "having", "limit", "union",
        "except", "intersect", "partition", "use", "force", "ignore", "for", "and", "or", "xor", "as", "in", "is",
        "like", "between", "not", "then", "else", "when", "end", "desc", "asc", "separator", "div", "mod", "collate",
        "regexp", "rlike", "using", "over", "window", "procedure", "lock", "into", "offset", "rows", "fetch",
    }
)  # fmt: skip


def uses(definition: str, tables: Mapping[tuple[str, str], Sequence[str]]) -> dict[catalog.TableName, tuple[str, ...]]:
    """Return the columns that a view may use of each of these tables (database, name -> columns).

    The server prints each table with its database, each column with its table or the name that the view gives it. Two
    tables under one name, in two parts of the view, count as one that has both: never too few columns, perhaps more.
    """
    found: dict[tuple[str, str], set[str]] = {}
    called: dict[str, list[tuple[str, str]]] = {}
    pairs: list[tuple[str, str]] = []
    for match in _WORDS.finditer(definition):
        if match["names"] is None:
            continue
        parts = [_bare(n) for n in _EACH.findall(match["names"])]
        if len(parts) == 3 and (parts[0], parts[1]) in tables:
            found.setdefault((parts[0], parts[1]), set()).add(parts[2])
        elif len(parts) == 2 and (parts[0], parts[1]) in tables:
            table = (parts[0], parts[1])
            found.setdefault(table, set())
            alias = match["alias"]
            if alias is not None and (alias.startswith("`") or alias.lower() not in _CLAUSES):
                called.setdefault(_bare(alias), []).append(table)
        if len(parts) == 2:
            pairs.append((parts[0], parts[1]))
    for alias, column in pairs:
        for table in called.get(alias, ()):
            found[table].add(column)
    return {
        catalog.TableName(*table): tuple(c for c in tables[table] if c in columns)
        for table, columns in sorted(found.items())
    }


def mentioned(statement: str) -> set[str]:
    """Return, in lower case, every word of a statement that may be a name."""
    return {_bare(n).lower() for m in _WORD.finditer(statement) for n in _EACH.findall(m["name"] or "")}


def _bare(name: str) -> str:
    return name[1:-1].replace("``", "`") if name.startswith("`") else name
