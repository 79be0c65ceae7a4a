"""Columns that number themselves: what the target can make of an identity or of a sequence, and what it can't."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sensei import catalog
from sensei.catalog import types

if TYPE_CHECKING:
    from sensei.plan import mapping

Column = tuple[catalog.TableName, str]


def drawn(found: catalog.Catalog) -> dict[str, list[Column]]:
    """Return the columns that number themselves by each sequence: those that own one or have it as their default."""
    result: dict[str, list[Column]] = {str(s.name): [s.owner] if s.owner is not None else [] for s in found.sequences}
    for table in found.tables:
        for column in table.columns:
            if column.default is not None and column.default.kind == "nextval" and column.default.value in result:
                users = result[column.default.value]
                if (table.name, column.name) not in users:
                    users.append((table.name, column.name))
    return result


class Numbered:
    """The source's sequences by the columns that draw from them."""

    def __init__(self, found: catalog.Catalog) -> None:
        self._users = drawn(found)
        by_name = {str(s.name): s for s in found.sequences}
        self._of = {user: by_name[name] for name, users in self._users.items() for user in users}
        self.owners = {str(s.name): s.owner for s in found.sequences}

    def sequence(self, table: catalog.TableName, column: str) -> catalog.Sequence | None:
        """Return the sequence that a column is numbered by, where it is known."""
        return self._of.get((table, column))

    def sharing(self, sequence: catalog.Sequence) -> list[Column]:
        """Return the columns that draw from a sequence."""
        return self._users.get(str(sequence.name), [])


def identity(
    mapper: mapping.Mapper, table: catalog.Table, column: catalog.Column, native: str, numbered: bool
) -> str | None:
    """Return the identity of a column on a target of another engine, or None where it can't number it; that is noted.

    `numbered`: another column of the table is numbered there already.
    """
    sequence = mapper.numbered.sequence(table.name, column.name)
    able = mapper.target.capabilities
    reason = ""
    if numbered and able.one_identity:
        reason = "the target numbers only one column of a table"
    elif "NUMERIC" in native.upper():
        reason = f"the target does not number columns of type {native}"
    elif sequence is not None:
        reason = _unlike(sequence, mapper.numbered.sharing(sequence), able.counts_up)
    if reason:
        if not able.keys_after_load:
            reason += "; a row that brings no number still gets the one after the highest"
        mapper.leave("identity", f"{table.name}.{column.name}", reason)
        return None
    if sequence is not None and able.counts_up and sequence.increment != 1:
        mapper.risk(
            "low", table.name, column.name,
            f"numbered in steps of {sequence.increment} by {sequence.name}; the target goes on in steps of its own",
        )  # fmt: skip
    return column.identity or "by default"


def _unlike(sequence: catalog.Sequence, users: list[Column], counts_up: bool) -> str:
    """Return why the numbering of one column can't take a sequence's place, or "".

    What would count on in silence, with numbers that the sequence would not have given, is worse than a column that
    asks for its number.
    """
    if len(users) > 1:
        return (
            f"{sequence.name} numbers {len(users)} columns together; columns that number themselves would give the same"
            " number twice"
        )
    if counts_up and sequence.increment < 0:
        return f"{sequence.name} counts down, and the target only up"
    if counts_up and sequence.cycle:
        return f"{sequence.name} begins again at its end, and the target does not"
    return ""


def by_sequence(
    mapper: mapping.Mapper, table: catalog.Table, column: catalog.Column, default: catalog.Default, numbered: bool
) -> tuple[catalog.Default | None, str | None]:
    """Return (default, identity) on the target for a column that takes its default from a sequence."""
    whole = column.type.kind is types.Kind.INTEGER and not mapper.same
    owned = mapper.numbered.owners.get(default.value or "") == (table.name, column.name)
    if owned and whole and mapper.target.capabilities.keys_after_load:
        return None, identity(mapper, table, column, "", numbered)
    name = mapper.sequence_names.get(default.value or "")
    if name is not None:
        value = str(name)
        sql = mapper.target.ddl.translate_default(catalog.Default("nextval", "", value), column.type)
        if sql is not None:
            return catalog.Default("nextval", sql, value), None
    single = table.primary is not None and table.primary.columns == (column.name,)
    if single and whole:
        return None, identity(mapper, table, column, "", numbered)
    mapper.leave("default", f"{table.name}.{column.name}", "the target has no sequences", default.sql)
    return None, None
