"""Names on the target: within its limits, never two things of one name, and every change of a name is told."""

from __future__ import annotations

import hashlib

from sensei import catalog, errors
from sensei.engines import base


class Names:
    """Hands out names of constraints and indexes that are free on the target."""

    def __init__(self, engine: base.Engine, case_sensitive: bool | None = None) -> None:
        self.engine, self.capabilities = engine, engine.capabilities
        self.case_sensitive = self.capabilities.case_sensitive_names if case_sensitive is None else case_sensitive
        self.taken: set[tuple[str, str]] = set()
        self._counted: dict[tuple[str, str], int] = {}

    def fold(self, name: str) -> str:
        """Return what the target compares names of tables by."""
        return name if self.case_sensitive else name.lower()

    def fold_column(self, name: str) -> str:
        """Return what the target compares names of columns by."""
        own = self.capabilities.case_sensitive_columns
        return name if (self.capabilities.case_sensitive_names if own is None else own) else name.lower()

    def fits(self, name: str) -> bool:
        """Tell whether a name is within the target's limit."""
        size, characters = self.capabilities.max_identifier_bytes, self.capabilities.max_identifier_characters
        return (size is None or len(name.encode()) <= size) and (characters is None or len(name) <= characters)

    def limit(self) -> str:
        """Return the limit in words."""
        if self.capabilities.max_identifier_characters is not None:
            return f"{self.capabilities.max_identifier_characters} characters"
        return f"{self.capabilities.max_identifier_bytes} bytes"

    def take(self, schema: str, name: str) -> None:
        """Mark a name as used."""
        self.taken.add((schema, self.fold(name)))

    def free_index(self, table: catalog.TableName, wish: str) -> str:
        """Return a free name for an index or a key: free within its table, or within the schema."""
        if self.capabilities.index_names_per_table:
            # To the engines of which this is true that name means the primary key.
            return self.free(f"{table}\0index", f"{wish}_key" if wish.upper() == "PRIMARY" else wish)
        return self.free(table.schema, wish)

    def free_foreign_key(self, wish: str) -> str:
        """Return a name for a foreign key; free in all the schemas where those of two tables would collide."""
        return self.shorten(wish) if self.capabilities.foreign_key_names_per_table else self.free("\0foreign key", wish)

    def take_foreign_key(self, name: str) -> None:
        """Mark a foreign key's name as used by a table that is not migrated."""
        self.take("\0foreign key", name)

    def free(self, schema: str, wish: str) -> str:
        """Return the wished name, or one derived from it that fits and is free; marks it as used."""
        name = self.shorten(wish)
        # Counted on from where the last one of this name left off: thousands of tables may share an index's name.
        n = self._counted.get((schema, wish), 1)
        while (schema, self.fold(name)) in self.taken:
            n += 1
            name = self.shorten(f"{wish}_{n}")
        self._counted[schema, wish] = n
        self.take(schema, name)
        return name

    def holds(self, name: str) -> bool:
        """Tell whether the target can hold a name, whatever is in it."""
        try:
            return bool(self.engine.ddl.quote(name))
        except errors.BadInput:
            return False

    def shorten(self, name: str) -> str:
        """Cut a name to the limit and leave out what the target can't hold, with a hash of the whole in its end."""
        fits = self.fits(name)
        if fits and self.holds(name):
            return name
        tail = "_" + hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        if not all(self.holds(f"{c}_") for c in set(name)):
            name = "".join(c for c in name if self.holds(f"{c}_"))
        if self.fits(name + tail):
            return name + tail
        limit = self.capabilities.max_identifier_bytes
        if limit is None:
            return name[: (self.capabilities.max_identifier_characters or len(name)) - len(tail)] + tail
        head = name.encode()[: limit - len(tail)].decode("utf-8", "ignore")
        return head + tail


def default_name(table: catalog.TableName, columns: tuple[str, ...], kind: str) -> str:
    """Return a name for a constraint that has none on the source."""
    middle = "" if kind == "pkey" else "_" + "_".join(columns)
    return f"{table.name}{middle}_{kind}"
