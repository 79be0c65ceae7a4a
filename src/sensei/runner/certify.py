"""Issues a certificate of a validated migration: gathers what is known, refuses what is not proven, and signs it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sensei
from sensei import crashpoints, errors
from sensei.engines import ledger, ledger_quarantine
from sensei.journal import certificate, events
from sensei.runner import desk as desks
from sensei.runner import repair, verdicts, world
from sensei.states import State
from sensei.validation import model

ISSUED = "certificate_issued"

#: Verdicts of these are of a target that is there, and stands.
FROM = (State.VALIDATED, State.VALIDATION_FAILED, State.COMPLETED, State.VALIDATING, State.CUT_OVER, State.PAUSED)


@dataclass(frozen=True)
class Issued:
    """A certificate, ready to be written to a file."""

    text: str
    digest: str  #: SHA-256 of the text
    run: int  #: number of the validation that it certifies
    key: str  #: fingerprint of the key that signed it
    content: Mapping[str, Any]


def issue(desk: desks.Desk, migration: str) -> Issued:
    """Sign what the last validation found, and journal that it was signed.

    Reads the target, and writes to neither side. Raises WrongState where there is no verdict that counts, CheckUnmet
    where something critical stands, WorldChanged where the target was written since it was validated.
    """
    loaded = desk.load(migration)
    loaded.refuse_state(*FROM)
    run = _standing(desk, loaded)
    found = verdicts.document(loaded, run)
    _refuse_critical(loaded, found)
    content = _content(desk, loaded, run, found)
    text = certificate.seal(content, desk.store.keys)
    digest, key = events.digest(text), desk.store.keys.fingerprint
    crashpoints.reach("certificate:before")
    desk.store.append(loaded.id, ISSUED, {"number": run.number, "digest": digest, "key": key}, desk.actor)
    return Issued(text, digest, run.number, key, content)


def _standing(desk: desks.Desk, loaded: desks.Loaded) -> verdicts.Run:
    """Return the last run; raises where it is not over, or void."""
    again = f"sensei validations run {loaded.id}"
    run = verdicts.chosen(desk, loaded, None)
    last = verdicts.runs(desk, loaded.id)[-1]
    if last.status is None and not last.void:
        raise errors.WrongState(f"validation {last.number} of {loaded.id} is not over", hint=again)
    if run.void:
        raise errors.WrongState(
            f"validation {run.number} of {loaded.id} is void: tables were taken back, copied again or repaired since",
            hint=again,
        )
    return run


def _refuse_critical(loaded: desks.Loaded, found: Mapping[str, Any]) -> None:
    critical = [
        f
        for f in found["failures"]
        if f["severity"] == model.Severity.CRITICAL and f["perspective"] != model.Perspective.PERFORMANCE
    ]
    if critical or found["status"] != State.VALIDATED:
        shown = "; ".join(str(f["detail"]) for f in critical[:3]) + (" …" if len(critical) > 3 else "")
        raise errors.CheckUnmet(
            f"validation {found['run']} of {loaded.id} found {len(critical)} critical failure(s), and nothing is"
            f" certified over those: {shown}",
            hint=f"sensei validations report {loaded.id} --failures-only",
            failures=[str(f["detail"]) for f in critical],
        )


def _content(desk: desks.Desk, loaded: desks.Loaded, run: verdicts.Run, found: Mapping[str, Any]) -> dict[str, Any]:
    _, target = loaded.sides()
    with target.session(f"sensei {loaded.id} certificate") as session:
        book = loaded.book()
        world.refuse_other_target(loaded, target, session)
        world.refuse_lost_ledger(loaded, target, book, session)
        verdicts.refuse_written(loaded, run, found, target, session)
        applied = book.applied_by_table(session)
        rejected = book.quarantined(session)
        server = target.engine.introspect.identity(session)
    row, config = loaded.row, loaded.config
    return {
        "issued_at": events.to_text(events.utcnow()),
        "issued_by": {"user": desk.actor.user, "host": desk.actor.host},
        "sensei": sensei.__version__,
        "migration": {
            "id": loaded.id,
            "name": config.name,
            "environment": row.environment,
            "status": str(loaded.status),
            "source": {"engine": loaded.plan.source_engine, "connection": row.source_label,
                       "identity": events.digest(loaded.plan.source_identity)},
            "target": {"engine": loaded.plan.target_engine, "connection": row.target_label,
                       "identity": events.digest(server)},
        },
        "validation": {
            "run": run.number,
            "type": run.kind,
            "status": found["status"],
            "begun_at": run.begun_at,
            "finished_at": run.finished_at,
        },
        "coverage": {
            "perspectives": {
                name: {"verdict": of["verdict"], "looked_at": of["summary"]}
                for name, of in found["perspectives"].items()
            },
            "tables": [_table(t) for t in found["divergence"]["tables"]],
            "queries": len(found["divergence"]["queries"]),
        },
        "exceptions": {**_exceptions(loaded, found, rejected), "repairs": _repairs(desk, loaded)},
        "chain": _chain(desk, loaded, run, applied, rejected),
    }  # fmt: skip


def _table(of: Mapping[str, Any]) -> dict[str, Any]:
    rows, compared = int(of["rows_source"]), int(of["rows_compared"])
    return {
        "name": of["name"],
        "rows_source": rows,
        "rows_target": of["rows_target"],
        "rows_compared": compared,
        "share": round(compared / rows, 6) if rows else 1.0,
        "missing": of["missing"],
        "extra": of["extra"],
        "different": of["different"],
        "quarantined": of["quarantined"],
        "columns_not_compared": of["not_compared"],
    }


def _exceptions(
    loaded: desks.Loaded, found: Mapping[str, Any], rejected: Sequence[ledger_quarantine.Rejected]
) -> dict[str, Any]:
    """Return everything that a reader must know is not covered by the word validated."""
    held: dict[str, dict[str, int]] = {}
    for one in rejected:
        reasons = held.setdefault(one.table, {})
        reasons[one.reason] = reasons.get(one.reason, 0) + 1
    agreed, plain = (
        loaded.config.validation.tolerances.model_dump(mode="json"),
        type(loaded.config.validation.tolerances)().model_dump(mode="json"),
    )
    return {
        "failures": [dict(f) for f in found["failures"]],
        "not_looked_at": [n for n, of in found["perspectives"].items() if of["verdict"] == model.Verdict.NOT_ASKED],
        "quarantine": [
            {"table": table, "rows": sum(reasons.values()), "reasons": reasons} for table, reasons in held.items()
        ],
        "coerced": [dataclasses.asdict(c) for c in loaded.plan.coerced],
        "accepted_lossy": list(loaded.config.options.accept_lossy),
        "tolerances": {name: value for name, value in agreed.items() if value != plain[name]},
        "not_migrated": [{"kind": n.kind, "object": n.object, "reason": n.reason} for n in loaded.plan.not_migrated],
    }


def _repairs(desk: desks.Desk, loaded: desks.Loaded) -> list[dict[str, Any]]:
    """Return what was put right row by row, or taken back again: these rows are not those of the copy."""
    told = desk.store.events(loaded.id, kinds=(repair.FINISHED,))
    return [{"at": events.to_text(e.at), **{k: e.payload[k] for k in ("number", "tables", "undoes")}} for e in told]


def _chain(
    desk: desks.Desk,
    loaded: desks.Loaded,
    run: verdicts.Run,
    applied: Mapping[str, Sequence[ledger.Applied]],
    rejected: Sequence[ledger_quarantine.Rejected],
) -> list[dict[str, Any]]:
    """Return the chain of hashes from the source's fingerprint to the target as it was validated."""
    before = loaded.fingerprint()
    if before is None:
        raise errors.WrongState(f"{loaded.id} has no fingerprint of its source", hint=loaded.next_command())
    journal = desk.store.events(loaded.id)
    marks = before.to_json()
    steps: list[tuple[str, dict[str, Any]]] = [
        ("source_fingerprint", {
            "rows": before.source.rows,
            "definitions": loaded.plan.source_digest,
            "sha256": events.digest(events.canonical(marks["source"])),
        }),
        ("target_before", {"sha256": events.digest(events.canonical(marks["target"]))}),
        ("plan", {
            "configuration": loaded.row.config_digest,
            "sha256": events.digest(events.canonical(loaded.row.plan)),
        }),
        ("copied", {
            table: {
                "rows_read": sum(c.rows_read for c in chunks),
                "rows_quarantined": sum(c.rows_quarantined for c in chunks),
                # Of the bytes that were read from the source and loaded, chunk by chunk.
                "sha256": events.digest(events.canonical([[c.attempt, c.number, c.form, c.checksum] for c in chunks])),
            }
            for table, chunks in sorted(applied.items())
        }),
        ("quarantine", {
            "rows": len(rejected),
            "sha256": events.digest(events.canonical(
                [[r.table, r.chunk, r.position, r.key, r.column, r.reason, r.row] for r in rejected])),
        }),
        ("target_validated", {"run": run.number, "report": run.digest, "finished_at": run.finished_at}),
        ("journal", {
            "events": journal[-1].seq,
            "head": journal[-1].hash,
            "signers": sorted({e.signer for e in journal if e.signer}),
        }),
    ]  # fmt: skip
    chain: list[dict[str, Any]] = []
    for name, facts in steps:
        chain.append(certificate.link(chain, name, facts))
    return chain
