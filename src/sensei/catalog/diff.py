"""Differences between two catalogs, each named as an operator would name the object."""

from __future__ import annotations

from dataclasses import dataclass

from sensei import catalog


def facts(found: catalog.Catalog) -> dict[str, str]:
    """Return everything that a catalog says as a flat map: what it is about -> its definition.

    Keys start with the kind of object: ``table``, ``column``, ``key``, ``foreign key``, ``check``, ``index``,
    ``sequence``, ``sequence position``, ``schema``, ``setting``, or the kind of an inventoried object.
    """
    result: dict[str, str] = {f"schema {s}": "there" for s in found.schemas}
    result |= {f"setting {k}": v for k, v in found.extras.items()}
    for table in found.tables:
        result |= _table(table)
    for s in found.sequences:
        result[f"sequence {s.name}"] = (
            f"{s.data_type} start {s.start} increment {s.increment} between {s.minimum} and {s.maximum}"
            f" cache {s.cache} {'cycle' if s.cycle else 'no cycle'}"
            f" owned by {f'{s.owner[0]}.{s.owner[1]}' if s.owner else 'nobody'}"
        )
        result[f"sequence position {s.name}"] = "unused" if s.last_value is None else str(s.last_value)
    for other in found.others:
        key, n = f"{other.kind} {other.name}", 1
        while key in result:  # overloaded functions share a name
            n += 1
            key = f"{other.kind} {other.name} ({n})"
        result[key] = other.definition
    return result


def _table(table: catalog.Table) -> dict[str, str]:
    name = str(table.name)
    result = {f"table {name}": f"{table.kind}, identity {table.identity}, comment {table.comment!r}"}
    for position, c in enumerate(table.columns, 1):
        result[f"column {name}.{c.name}"] = (
            f"{position}: {c.native}{'' if c.nullable else ' not null'}"
            f" default {c.default.sql if c.default else None} identity {c.identity} generated {c.generated}"
            f" collation {c.collation} comment {c.comment!r}"
        )
    for key in (*([table.primary] if table.primary else []), *table.uniques):
        result[f"key {key.name or ', '.join(key.columns)} of {name}"] = repr(key)
    for n, fk in enumerate(table.foreign_keys):
        result[f"foreign key {fk.name or n} of {name}"] = repr(fk)
    for n, check in enumerate(table.checks):
        result[f"check {check.name or n} of {name}"] = repr(check)
    for index in table.indexes:
        result[f"index {index.name} of {name}"] = index.definition or repr(index)
    return result


@dataclass(frozen=True)
class Difference:
    """One fact that is not as it was."""

    about: str
    before: str | None  #: None: was not there
    after: str | None  #: None: is gone

    @property
    def kind(self) -> str:
        """The kind of object: the first words of `about`."""
        for kind in ("sequence position", "foreign key", "materialized view"):
            if self.about.startswith(kind + " "):
                return kind
        return self.about.partition(" ")[0]

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.about} is there and was not"
        if self.after is None:
            return f"{self.about} is gone"
        return f"{self.about} was {self.before!r} and is {self.after!r}"


def compare(before: dict[str, str], after: dict[str, str]) -> list[Difference]:
    """Return what differs between two maps of `facts`, in a stable order."""
    return [
        Difference(about, before.get(about), after.get(about))
        for about in sorted(before.keys() | after.keys())
        if before.get(about) != after.get(about)
    ]
