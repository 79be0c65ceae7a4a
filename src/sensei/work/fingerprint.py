"""What both ends looked like before the first step: the measure of every proof that comes later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sensei import catalog
from sensei.catalog import diff
from sensei.engines import base
from sensei.work import sides


@dataclass(frozen=True)
class Source:
    """The source, table by table, and a mark of the moment."""

    rows: dict[str, int]
    marker: str
    stale_scan: bool  #: it was written between the plan's scan and this fingerprint


@dataclass(frozen=True)
class Target:
    """The target: every fact of its catalog, and the content of the tables in the schemas that are written to."""

    facts: dict[str, str]
    contents: dict[str, tuple[int, str]]  #: table -> rows, checksum


@dataclass(frozen=True)
class Fingerprint:
    """Both ends."""

    source: Source
    target: Target

    def to_json(self) -> dict[str, Any]:
        """Return JSON-able data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Fingerprint:
        """Read what to_json wrote."""
        target = data["target"]
        return cls(
            Source(**data["source"]),
            Target(target["facts"], {k: (int(v[0]), str(v[1])) for k, v in target["contents"].items()}),
        )


def of_source(
    side: sides.Side, session: base.Session, tables: Sequence[catalog.TableName], planned_marker: str
) -> Source:
    """Count every planned table and mark the moment. The mark comes first: what is written after it is seen."""
    rows = side.engine.rows
    with sides.told("source", side.name):
        # Only an engine that does not enforce its types was scanned for misfits, so only there a scan can be stale.
        scanned = bool(planned_marker) and not side.engine.capabilities.enforced_types
        stale = scanned and bool(rows.suspects(session, planned_marker, tables))
        marker = rows.marker(session)
        return Source({str(t): rows.count(session, t) for t in tables}, marker, stale)


def of_target(
    side: sides.Side,
    session: base.Session,
    schemas: Sequence[str],
    without: Callable[[catalog.Catalog], catalog.Catalog] = lambda found: found,
) -> Target:
    """Read the target's catalog whole, and the content of each table in the schemas that the plan writes to.

    `without` takes out of the catalog what is not to be looked at.
    """
    introspect = side.engine.introspect
    with sides.told("target", side.name):
        found = without(introspect.catalog(session, None, schemas))
        contents = {
            str(t.name): introspect.content(session, t.name)
            for t in found.tables
            if t.kind == "table" and (t.name.schema in schemas or not t.name.schema)
        }
    return Target(diff.facts(found), contents)
