"""The sections `source` and `target`: which databases, and what of them."""

from __future__ import annotations

import fnmatch
import functools
from typing import Annotated

import pydantic

from sensei.config.fields import Name, Section, Words


@functools.lru_cache(maxsize=8)
def _sorted_out(patterns: tuple[str, ...]) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the plain names among globs, and the rest: thousands of names are looked up, not tried one by one."""
    globs = tuple(p for p in patterns if set(p) & set("*?["))
    return frozenset(patterns) - frozenset(globs), globs


class Source(Section):
    """Where rows come from."""

    connection: Name
    #: Schemas to read; empty means the connection's own one.
    schemas: tuple[Words, ...] = ()
    #: Globs over `table` or `schema.table`, capitals matter; a table is taken where one matches ...
    include_tables: Annotated[tuple[Words, ...], pydantic.Field(min_length=1)] = ("*",)
    #: ... and none of these does.
    exclude_tables: tuple[Words, ...] = ()

    def selects(self, schema: str, table: str) -> bool:
        """Tell whether a table is migrated, by the globs alone."""

        def matches(patterns: tuple[str, ...]) -> bool:
            names = (table, f"{schema}.{table}")
            plain, globs = _sorted_out(patterns)
            return not plain.isdisjoint(names) or any(
                fnmatch.fnmatchcase(name, pattern) for pattern in globs for name in names
            )

        return matches(self.include_tables) and not matches(self.exclude_tables)


class Target(Section):
    """Where rows go to."""

    connection: Name
    #: Schema that receives the tables; None means the connection's own one. Written `schema` in the file,
    #: which pydantic's models keep for themselves.
    schema_name: Words | None = pydantic.Field(default=None, alias="schema")
