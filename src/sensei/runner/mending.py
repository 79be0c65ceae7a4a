"""One repair as a transaction on the target: rows are kept, then put right, and the ledger knows it with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sensei import catalog, crashpoints, errors
from sensei.engines import base, ledger_attempts, repairing
from sensei.plan import model as plans
from sensei.plan import steps_context
from sensei.validation import apart, model
from sensei.work import sides

#: Begins the step of the ledger that tells of a repair: STEP and 1, 2, 3…
STEP = "repair:"


@dataclass(frozen=True)
class Work:
    """One table to put right: to what the source has, or (`before`) to what it was before an earlier repair."""

    table: plans.TablePlan
    pair: model.Pair | None
    apart: apart.Apart | None
    before: Mapping[str, Any] | None = None


def done(ctx: steps_context.Context) -> dict[int, dict[str, Any]]:
    """Return what the ledger knows of repairs that took effect, by their numbers."""
    return ledger_attempts.numbered(ctx.book, ctx.target_session, STEP)


def sweep(ctx: steps_context.Context, number: int, tables: int) -> None:
    """Drop the places of a repair that never took effect: nothing is kept in them."""
    engine, session = ctx.target.engine, ctx.target_session
    for position in range(tables):
        for statement in repairing.unmake(engine, repairing.places(engine, ctx.migration, number, position)):
            session.run(statement)


class Mending:
    """A repair, from its first look at the target's definitions to its commit."""

    def __init__(self, ctx: steps_context.Context, number: int, work: Sequence[Work], undoes: int | None) -> None:
        self.ctx, self.number, self.undoes = ctx, number, undoes
        self.engine, self.session = ctx.target.engine, ctx.target_session
        self.work = sorted(work, key=lambda w: w.table.id)
        self.repairs: list[repairing.Repair] = []

    # -- before anything is written

    def prepare(self) -> None:
        """Look at the tables as they are; raises Refused for what would act on other rows in silence."""
        with sides.told("target", self.ctx.target.name):
            found = self.engine.introspect.catalog(self.session, None, self.ctx.plan.target_schemas)
        for position, work in enumerate(self.work):
            name = work.table.target.name
            there = found.table(name)
            if there is None:
                raise errors.Refused(
                    f"{name} is not on the target", hint=f"sensei validations run {self.ctx.migration}"
                )
            self._refuse_triggers(found, name)
            whole = tuple(c.name for c in there.columns if c.generated is None)
            columns = whole if work.before else tuple(c.target for c in work.table.columns)
            if work.before and set(work.before["whole"]) != set(whole):
                raise errors.WorldChanged(f"{name} has other columns than before repair {self.undoes}")
            if missing := set(columns) - set(whole):
                raise errors.Refused(
                    f"{name} lacks the column {sorted(missing)[0]}", hint="put it back as planned, then repair its rows"
                )
            self.repairs.append(
                repairing.Repair(
                    table=name,
                    key=tuple(work.before["key"]) if work.before else self._key(work),
                    columns=columns,
                    whole=whole,
                    fixed=tuple(c.name for c in there.columns if c.identity == "always"),
                    pointers=repairing.pointers(found, name),
                    places=repairing.places(self.engine, self.ctx.migration, self.number, position),
                )
            )

    def _key(self, work: Work) -> tuple[str, ...]:
        assert work.pair is not None and work.pair.key is not None
        return work.pair.key.targets

    def _refuse_triggers(self, found: catalog.Catalog, table: catalog.TableName) -> None:
        asleep = {n for t, kind, n in self._asleep(table) if kind == "trigger"}
        awake = [
            o.name
            for o in found.others
            if o.kind == "trigger" and o.table == table and o.name.strip('"`') not in asleep
        ]
        if awake:
            raise errors.Refused(
                f"{table} has the trigger {awake[0]} on the target, which would act on the rows that are put right",
                hint="switch it off or take it off for the repair, and put it back afterwards",
                triggers=awake,
            )

    def _asleep(self, table: catalog.TableName) -> list[tuple[catalog.TableName, str, str]]:
        survey = self.engine.survey
        return [] if survey is None else survey.asleep(self.session, [table])

    # -- the act

    def carry_out(self) -> dict[str, Any]:
        """Put everything right in one transaction; returns what the ledger knows of it.

        Raises Refused for rows that the target does not take: nothing is changed then.
        """
        alone = not self.engine.capabilities.transactional_ddl
        with sides.told("target", self.ctx.target.name):
            if alone:
                with base.fenced(self.engine, self.session, self.ctx.migration):
                    self._make()
                crashpoints.reach("repair:places:after")
            try:
                with base.transaction(self.session):
                    self.ctx.book.hold_epoch(self.session, self.ctx.epoch)
                    if not alone:
                        self._make()
                    facts = self._put_right()
                    self.ctx.book.record_step(self.session, f"{STEP}{self.number}", facts)
                    self.session.confirm_pinned()
                    crashpoints.reach("repair:commit:before")
            except errors.DataRejected as error:
                raise errors.Refused(
                    f"the target does not take these rows: {error.message}; nothing was changed",
                    hint=f"repair the tables that they point at along with them, or copy them again: sensei migrations"
                    f" rollback {self.ctx.migration} --tables TABLE --keep-progress, then resume",
                ) from error
            crashpoints.reach("repair:commit:after")
        return facts

    def _make(self) -> None:
        for repair in self.repairs:
            for statement in repairing.make(self.engine, repair):
                self.session.run(statement)

    def _put_right(self) -> dict[str, Any]:
        for work, repair in zip(self.work, self.repairs, strict=True):
            if work.before is None:
                self._load(work, repair)
            else:
                old, wanted = (catalog.TableName(*work.before["places"][p]) for p in (repairing.OLD, repairing.WANTED))
                for statement in repairing.take_over(self.engine, repair, old, wanted):
                    self.session.run(statement)
            self.session.run(repairing.keep(self.engine, repair))
            self._refuse_followed(repair)
        counted = [self._counted(*both) for both in zip(self.work, self.repairs, strict=True)]
        self._take_out()
        for repair in self._parents_first():
            put_in, change = [repairing.insert(self.engine, repair)], repairing.update(self.engine, repair)
            # Of rows that exchange a unique value the old ones give way first; of those that point at each other the
            # new ones are there first.
            for statement in put_in + change if repair.points_at_itself else change + put_in:
                self.session.run(statement)
        self._take_out()
        for repair in self.repairs:
            if staying := self._number(repairing.staying(self.engine, repair)):
                raise errors.Refused(
                    f"other rows point at {staying} rows of {repair.table} that are to go; nothing was changed",
                    hint="repair the tables that point at them, too: "
                    + ", ".join(sorted({str(p.table) for p in repair.pointers})),
                )
        return {
            "tables": {
                w.table.id: facts for w, facts in zip(self.work, counted, strict=True)
            },
            "undoes": self.undoes,
        }  # fmt: skip

    def _load(self, work: Work, repair: repairing.Repair) -> None:
        """Write the keys that the repair is about, and the source's rows under them."""
        assert work.pair is not None and work.pair.key is not None and work.apart is not None
        table, pair, found = work.table, work.pair, work.apart
        job = table.job(guard_all=True)
        types = dict(job.load.columns)
        keys = tuple((name, types[name]) for name in repair.key)
        rows = self.engine.rows
        rows.load(
            self.session,
            base.LoadSpec(repair.place(repairing.KEYS), keys),
            found.form,
            _named(list(dict.fromkeys((*found.found, *found.wanted)))),
        )
        blocks = apart.read(self.ctx.source, self.ctx.source_session, pair, job.read, found)
        wanted = base.LoadSpec(repair.place(repairing.WANTED), job.load.columns)
        loaded = rows.load(self.session, wanted, found.form, blocks)
        if loaded != len(found.wanted):
            raise errors.WorldChanged(
                f"{table.id}: {len(found.wanted)} rows of the source were to be read, and {loaded} are there:"
                " it was written meanwhile; nothing was changed",
                hint="run the same command again",
            )

    def _counted(self, work: Work, repair: repairing.Repair) -> dict[str, Any]:
        ((old, wanted, both),) = self.session.rows(repairing.counts(self.engine, repair))
        if work.apart is not None and int(old) < len(work.apart.found):
            raise errors.Refused(
                f"{len(work.apart.found) - int(old)} rows of {repair.table} can't be named by their key, as it does not"
                " hold what its type promises; nothing was changed",
                hint="put these rows right by hand, or copy the table again",
            )
        identity = self.engine.introspect.object_identity(self.session, "table", repair.table)
        attempts = self.ctx.book.attempts(self.session)
        return {
            "missing": int(wanted) - int(both),
            "extra": int(old) - int(both),
            "different": int(both),
            "key": list(repair.key),
            "whole": list(repair.whole),
            "places": {
                what: [place.schema, place.name] for what, place in zip(repairing.PLACES, repair.places, strict=True)
            },
            "identity": identity,
            "attempt": attempts.get(work.table.id, 1),
        }

    def _refuse_followed(self, repair: repairing.Repair) -> None:
        for pointer, query in repairing.followed(self.engine, repair):
            if self._number(query):
                raise errors.Refused(
                    f"rows of {pointer.table} follow {repair.table} by the foreign key {pointer.name}, and would change"
                    " with it; nothing was changed",
                    hint="take that foreign key off for the repair, and put it back afterwards",
                )

    def _take_out(self) -> None:
        """Take out rows at which nothing points, until none is left: what pointed at one may have gone before."""
        going = True
        while going:
            going = False
            for repair in reversed(self._parents_first()):
                note, delete = repairing.leave(self.engine, repair)
                if self.session.run(note) > 0:
                    self.session.run(delete)
                    going = True

    def _parents_first(self) -> list[repairing.Repair]:
        found: list[repairing.Repair] = []
        left = list(self.repairs)
        while left:
            names = {r.table for r in left}
            children = {p.table for r in left for p in r.pointers if p.table in names and p.table != r.table}
            free = [r for r in left if r.table not in children] or left[:1]
            found += free
            left = [r for r in left if r not in free]
        return found

    def _number(self, query: str) -> int:
        return int(self.session.rows(query)[0][0])


def _named(keys: Sequence[bytes | tuple[Any, ...]]) -> Iterator[base.Block]:
    lines = [k for k in keys if isinstance(k, bytes)]
    if lines:
        yield b"".join(line + b"\n" for line in lines)
    tuples = [k for k in keys if isinstance(k, tuple)]
    if tuples:
        yield tuples
