"""Compares one table on two databases as a validation does, in a process that can be measured, and prints counts."""

from __future__ import annotations

import json
import sys

from sensei import engines
from sensei.catalog import TableName
from sensei.engines import base
from sensei.validation import data, model
from sensei.work import sides


def pair(source: str, target: str) -> model.Pair:
    """Return lineitem on both sides, as the source's catalog says what it holds."""
    here = engines.for_url(source)
    session = here.connect(source, base.Purpose.SOURCE)
    schema = "public" if here.capabilities.has_schemas else ""
    found = here.introspect.catalog(session, [schema] if schema else None).table(TableName(schema, "lineitem"))
    assert found is not None
    assert found.primary is not None
    rows = here.rows.count(session, found.name)
    session.close()
    key = found.primary.columns
    return model.Pair(
        "lineitem",
        found.name,
        TableName("public" if engines.for_url(target).capabilities.has_schemas else "", "lineitem"),
        tuple(model.Column(c.name, c.name, c.type) for c in found.columns),
        model.Key(key, key, tuple(found.column(c).native for c in key), ("integer",) * len(key), ordered=True),
        # As the plan has it where rows travel in the engine's own form.
        own=here.name == engines.for_url(target).name,
        rows=rows,
    )


def main() -> None:
    source, target, workers = sys.argv[1:4]
    (found,) = data.compare(
        sides.Side(base.Purpose.SOURCE, "source", source),
        sides.Side(base.Purpose.TARGET, "target", target),
        [pair(source, target)],
        data.Options(workers=int(workers)),
    )
    json.dump({k: v for k, v in found.to_json().items() if isinstance(v, int)}, sys.stdout)


if __name__ == "__main__":
    main()
