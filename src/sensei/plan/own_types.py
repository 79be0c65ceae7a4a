"""Types that only the source's engine has: to any other their values are the text, or the bytes, that it prints."""

from __future__ import annotations

from sensei.catalog import types
from sensei.engines import base


def meaning(of: types.LogicalType, source: base.Engine, target: base.Engine) -> types.LogicalType:
    """Return what a column's values mean to the target."""
    if of.kind in types.EVERYDAY or source.name == target.name or of.elsewhere is None:
        return of
    return types.LogicalType(of.elsewhere, native=of.native, domain=of.domain)


def mapped(
    of: types.LogicalType, native: str, source: base.Engine, target: base.Engine, facts: base.ColumnFacts | None
) -> types.Mapped:
    """Choose the target's type for a column; `native` is how the source declares it."""
    meant = meaning(of, source, target)
    found = target.ddl.map_type(meant, source.name, facts)
    if meant is of:
        return found
    word = str(of.elsewhere)
    reason = (
        f"arrives as the {word} of its {native}, and others are taken there too; on the way home it is {native} again"
    )
    return types.Mapped(found.native, types.Verdict.WIDENING, types.Verdict.EXACT, reason)
