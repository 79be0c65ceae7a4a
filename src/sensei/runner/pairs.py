"""Hands plan and ledger down to validation, as the plain data that it takes."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sensei.catalog import types
from sensei.engines import base, ledger, ledger_quarantine
from sensei.plan import model as plans
from sensei.runner import desk as desks
from sensei.validation import model


def pairs(loaded: desks.Loaded, book: ledger.Ledger, session: base.Session) -> tuple[model.Pair, ...]:
    """Return every planned table on both sides, with what the ledger knows of its rows."""
    attempts = book.attempts(session)
    applied: dict[str, list[ledger.Applied]] = {}
    for chunk in book.applied(session):
        applied.setdefault(chunk.table, []).append(chunk)
    rejected: dict[str, list[ledger_quarantine.Rejected]] = {}
    for row in book.quarantined(session):
        rejected.setdefault(row.table, []).append(row)
    found = []
    for table in loaded.plan.tables:
        chunks = {c.number: c for c in book.planned_chunks(session, table.id, attempts.get(table.id, 1))}
        read = table.job(guard_all=True).read
        copied = tuple(
            model.Copied(
                a.number,
                base.ReadSpec(table.source.name, read, table.key, chunks[a.number].lower, chunks[a.number].upper),
                base.Form(a.form),
                a.checksum,
            )
            for a in applied.get(table.id, [])
            if a.number in chunks and a.form
        )
        found.append(_pair(loaded.plan, table, rejected.get(table.id, []), copied))
    return tuple(found)


def _pair(
    made: plans.Plan,
    table: plans.TablePlan,
    rejected: list[ledger_quarantine.Rejected],
    copied: tuple[model.Copied, ...],
) -> model.Pair:
    computed = table.seen_as.computed() if table.seen_as is not None else {}
    bytes_, rows = table.source.bytes_estimate, table.rows
    return model.Pair(
        table.id,
        table.source.name,
        table.target.name,
        tuple(
            model.Column(
                c.source,
                c.target,
                c.source_type,
                c.guard,
                c.there is types.Verdict.EXACT,
                # What an expression gives is read as just that from the source: nothing is lost in between.
                c.there is types.Verdict.LOSSY and c.source not in computed,
            )
            for c in (*table.columns, *table.computed)
        ),
        _key(table),
        made.source_engine == made.target_engine and table.form is not base.Form.TEXT,
        rows,
        bytes_ // rows if rows else 0,
        tuple(model.Quarantined(_texts(r.key), _texts(r.row), r.column, r.reason) for r in rejected),
        copied,
        shared=table.append is not None,
    )


def _key(table: plans.TablePlan) -> model.Key | None:
    """Return the table's key: the primary one, else the unique one that it was cut along."""
    columns = table.source.primary.columns if table.source.primary else ()
    if not columns and table.key.kind == "columns":
        columns = table.key.columns
    carried = {c.source: c for c in table.columns}
    if not columns or any(c not in carried for c in columns):
        return None
    plans_of = [carried[c] for c in columns]
    return model.Key(
        tuple(columns),
        tuple(c.target for c in plans_of),
        tuple(c.source_native for c in plans_of),
        tuple(c.target_native for c in plans_of),
        all(c.source_type.kind is types.Kind.INTEGER and not c.guard for c in plans_of),
    )


def _texts(written: str) -> Mapping[str, str | None]:
    try:
        found = json.loads(written)
    except ValueError:
        return {"row": written}
    if not isinstance(found, dict):
        return {"row": written}
    return {str(k): None if v is None else str(v) for k, v in found.items()}
