"""The sections `source` and `target`: which databases, and what of them."""

from __future__ import annotations

import fnmatch
from typing import Annotated

import pydantic

from sensei.config.fields import Name, Section, Words


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
            return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns for name in names)

        return matches(self.include_tables) and not matches(self.exclude_tables)


class Target(Section):
    """Where rows go to."""

    connection: Name
    #: Schema that receives the tables; None means the connection's own one. Written `schema` in the file,
    #: which pydantic's models keep for themselves.
    schema_name: Words | None = pydantic.Field(default=None, alias="schema")
