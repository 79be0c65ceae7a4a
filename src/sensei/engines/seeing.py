"""The SQL of a table as a migration sees it: a query that every engine takes in a table's place."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sensei.catalog import sight


def derived(view: sight.Sight, table: str, quote: Callable[[str], str], hidden: Sequence[str] = ()) -> str:
    """Return a query in parentheses, without an alias; servers merge it into the one that it stands in.

    `table` is what follows FROM, and `hidden` are columns of the engine's own that keep their names. What the operator
    wrote was parsed as one expression, and stays within its parentheses: a line of its own ends any comment in it.
    """
    columns = [f"{name} AS {name}" for name in hidden]
    columns += [f"({c.sql}\n) AS {quote(c.name)}" if c.sql else quote(c.name) for c in view.columns]
    where = f" WHERE ({view.where}\n)" if view.where else ""
    return f"(SELECT {', '.join(columns)} FROM {table}{where})"
