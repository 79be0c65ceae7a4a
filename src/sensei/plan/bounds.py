"""How large the numbers of columns can be that are numbered, or that point to such columns."""

from __future__ import annotations

from sensei import catalog
from sensei.catalog import rowtext, types

#: What a column of 64 bits with a sign ends at.
SIGNED = (1 << 63) - 1


def highest(found: catalog.Catalog) -> dict[tuple[catalog.TableName, str], int]:
    """Return, of columns whose type reaches beyond signed 64 bits, the largest number that is there.

    What the numbering of a column stands at bounds the column, and by foreign keys the columns that point to it. A row
    that somebody wrote past the numbering is still refused by a target that can't hold it, never changed.
    """
    wide = {
        (t.name, c.name)
        for t in found.tables
        for c in t.columns
        if c.type.kind is types.Kind.INTEGER and rowtext.integers(c.type)[-1] > SIGNED
    }
    result: dict[tuple[catalog.TableName, str], int] = {}
    for sequence in found.sequences:
        if sequence.owner in wide and sequence.owner is not None:
            result[sequence.owner] = sequence.last_value or 0
    pointing = [
        ((t.name, own), (key.table, other))
        for t in found.tables
        for key in t.foreign_keys
        for own, other in zip(key.columns, key.references, strict=False)
        if (t.name, own) in wide
    ]
    changed = True
    while changed:
        changed = False
        for own, other in pointing:
            if other in result and own not in result:
                result[own] = result[other]
                changed = True
    return result
