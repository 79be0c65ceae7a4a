"""Types that only the source's engine has: to any other engine their values are the text that it prints."""

from __future__ import annotations

from sensei.catalog import types
from sensei.engines import base


def meaning(of: types.LogicalType, source: base.Engine, target: base.Engine) -> types.LogicalType:
    """Return what a column's values mean to the target."""
    if of.kind in types.EVERYDAY or source.name == target.name or not source.capabilities.prints_own_types:
        return of
    return types.as_text(of)


def mapped(
    of: types.LogicalType, native: str, source: base.Engine, target: base.Engine, facts: base.ColumnFacts | None
) -> types.Mapped:
    """Choose the target's type for a column; `native` is how the source declares it."""
    found = target.ddl.map_type(meaning(of, source, target), source.name, facts)
    if meaning(of, source, target) is of:
        return found
    reason = f"arrives as the text of its {native}, where any text is taken; on the way home it is {native} again"
    return types.Mapped(found.native, types.Verdict.WIDENING, types.Verdict.EXACT, reason)
