"""A migration's tables compared by the product's own comparison of data, from inside a test."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from typing import Any
from unittest import mock

import moves
import servers
from sensei.catalog import types
from sensei.engines import base, ledger
from sensei.plan import model as plans
from sensei.runner import desk as desks
from sensei.validation import causes, data, model


def compare(move: moves.Move, **how: Any) -> dict[str, model.Divergence]:
    """Every table's divergence with its cause, by the table's bare name."""
    watch, finished = how.pop("watch", data.Watch()), how.pop("finished", None)
    with at_desk(move) as desk:
        loaded = desk.load(move.id)
        source, target = loaded.sides()
        with target.session() as session:
            pairs = _pairs(loaded.plan, loaded.book(), session)
        found = data.compare(source, target, pairs, data.Options(**how), watch, finished)
        by_id = {p.id: p for p in pairs}
        return {d.table.rpartition(".")[2]: causes.decide(d, by_id[d.table], source) for d in found}


@contextlib.contextmanager
def at_desk(move: moves.Move) -> Iterator[desks.Desk]:
    ours = {"SENSEI_HOME": str(move.sensei.home), servers.PASSWORD_ENV: servers.password()}
    with mock.patch.dict(os.environ, ours), desks.open_desk() as desk:
        yield desk


def _pairs(made: plans.Plan, book: ledger.Ledger, session: base.Session) -> list[model.Pair]:
    rejected = book.quarantined(session)
    applied = book.applied(session)
    found = []
    for table in made.tables:
        columns = {c.source: c for c in table.columns}
        chunks = {c.number: c for c in book.planned_chunks(session, table.id, 1)}
        key = table.source.primary.columns if table.source.primary else ()
        job = table.job(guard_all=False)
        found.append(
            model.Pair(
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
                        c.there is types.Verdict.LOSSY,
                    )
                    for c in table.columns
                ),
                model.Key(
                    tuple(key),
                    tuple(columns[c].target for c in key),
                    tuple(columns[c].source_native for c in key),
                    tuple(columns[c].target_native for c in key),
                    True,
                )
                if key and all(c in columns for c in key)
                else None,
                made.source_engine == made.target_engine and table.form is not base.Form.TEXT,
                table.rows,
                quarantined=tuple(
                    model.Quarantined(json.loads(r.key), json.loads(r.row), r.column, r.reason)
                    for r in rejected
                    if r.table == table.id
                ),
                copied=tuple(
                    model.Copied(
                        a.number,
                        base.ReadSpec(job.source, job.read, job.key, chunks[a.number].lower, chunks[a.number].upper),
                        base.Form(a.form),
                        a.checksum,
                    )
                    for a in applied
                    if a.table == table.id and a.number in chunks
                ),
            )
        )
    return found
