"""Names on the target: within its limits, never two things of one name, and every change of a name is told."""

from __future__ import annotations

import hashlib

from sensei import catalog
from sensei.engines import base


class Names:
    """Hands out names of constraints and indexes that are free on the target."""

    def __init__(self, engine: base.Engine) -> None:
        self.capabilities = engine.capabilities
        self.taken: set[tuple[str, str]] = set()

    def fold(self, name: str) -> str:
        """Return what the target compares names by."""
        return name if self.capabilities.case_sensitive_names else name.lower()

    def fits(self, name: str) -> bool:
        """Tell whether a name is within the target's limit."""
        limit = self.capabilities.max_identifier_bytes
        return limit is None or len(name.encode()) <= limit

    def take(self, schema: str, name: str) -> None:
        """Mark a name as used."""
        self.taken.add((schema, self.fold(name)))

    def free(self, schema: str, wish: str) -> str:
        """Return the wished name, or one derived from it that fits and is free; marks it as used."""
        name, n = self.shorten(wish), 1
        while (schema, self.fold(name)) in self.taken:
            n += 1
            name = self.shorten(f"{wish}_{n}")
        self.take(schema, name)
        return name

    def shorten(self, name: str) -> str:
        """Cut a name to the limit, with a hash of the whole in its end."""
        limit = self.capabilities.max_identifier_bytes
        if limit is None or len(name.encode()) <= limit:
            return name
        tail = "_" + hashlib.sha256(name.encode()).hexdigest()[:8]
        head = name.encode()[: limit - len(tail)].decode("utf-8", "ignore")
        return head + tail


def default_name(table: catalog.TableName, columns: tuple[str, ...], kind: str) -> str:
    """Return a name for a constraint that has none on the source."""
    middle = "" if kind == "pkey" else "_" + "_".join(columns)
    return f"{table.name}{middle}_{kind}"
