"""Turns a configuration and two catalogs into an ordered plan whose every step can be taken back."""

from __future__ import annotations

import dataclasses
import hashlib
import secrets
from collections.abc import Collection, Mapping, Sequence

import pydantic

from sensei import catalog, errors
from sensei.catalog import types
from sensei.config import migration as configuration
from sensei.engines import base
from sensei.plan import (
    append,
    carrying,
    choosing,
    constraints,
    existing,
    fitting,
    mapping,
    model,
    transformations,
    views,
)

#: Bytes a second, and seconds a table, that an estimate reckons with: between what two cores were measured to do with
#: a large table (some 60 MB/s) and with many small ones; an estimate is a guess and is called one.
BYTES_PER_SECOND = 40_000_000
SECONDS_PER_TABLE = 0.05
SECONDS_PER_TABLE_BACK = 0.02

_Table = catalog.Table  # within Found, `catalog` is a field
_CATALOG = pydantic.TypeAdapter(tuple[catalog.Table, ...])

_NOT_CARRIED = {
    "view": "not carried over",
    "materialized view": "materialized views are not carried over",
    "trigger": "triggers are not carried over: they would fire on the copy",
    "large objects": "large objects are not carried over: a column that holds their numbers would point at nothing",
    "unlogged table": "arrives as a logged table",
    "policy": "policies are not carried over",
    "replica identity": "replica identities are not carried over",
    "inheritance": "inheritance is not carried over: each table arrives by itself",
    "row level security": "row level security is not carried over",
    "text search dictionary": "text search dictionaries are not carried over",
}


def digest(tables: Sequence[catalog.Table]) -> str:
    """Return a hash over the definitions of tables; sizes, which change with every write, are left out."""
    bare = tuple(
        dataclasses.replace(t, rows_estimate=0, bytes_estimate=0) for t in sorted(tables, key=lambda t: t.name)
    )
    return hashlib.sha256(_CATALOG.dump_json(bare)).hexdigest()


@dataclasses.dataclass(frozen=True)
class Found:
    """What introspection of one side gave."""

    engine: base.Engine
    identity: str
    catalog: base.Catalog
    facts: Mapping[base.TableName, Mapping[str, base.ColumnFacts]] = dataclasses.field(default_factory=dict)
    rows: Mapping[base.TableName, int] = dataclasses.field(default_factory=dict)
    marker: str = ""  #: this moment on the source, see `Rows.marker`
    plans: tuple[model.Plan, ...] = ()  #: of migrations into this very database that were not taken back, oldest first
    look: existing.Look | None = None  #: into what stands under planned names, on the target
    notes: tuple[str, ...] = ()  #: what the plan should say of a target's server
    look_to_add: append.Look | None = None  #: into tables that rows are to be added to
    amends: model.Plan | None = None  #: the plan that is made anew, while tables of it are taken back
    #: Tables as they are, of those that the catalog has as the migration sees them.
    raw: Mapping[base.TableName, _Table] = dataclasses.field(default_factory=dict)
    transformed: transformations.Transformed = transformations.NOTHING
    probes: Mapping[tuple[base.TableName, str], transformations.Probe] = dataclasses.field(default_factory=dict)
    #: Foreign key -> rows that stay and whose parent is left out.
    orphans: Mapping[tuple[base.TableName, str], int] = dataclasses.field(default_factory=dict)
    judge: carrying.Judge | None = None  #: tries expressions on both servers; None: they stay behind


def make(config: configuration.MigrationConfig, source: Found, target: Found) -> model.Plan:
    """Return the plan; raises Refused where it can't be made safely and BadInput where it names what is not there."""
    if source.identity == target.identity:
        raise errors.BadInput(
            "source and target are the same database",
            hint="name two different databases under source.connection and target.connection",
        )
    mapper = mapping.Mapper(
        config, source.engine, target.engine, source.facts, source.rows, source.catalog, target.catalog, source.plans
    )
    mapper.probes, mapper.zeroed, mapper.judge = source.probes, source.transformed.zeroed, source.judge
    for kind, name, reason, definition in source.transformed.left:
        mapper.leave(kind, name, reason, definition)
    chosen = choosing.choose(mapper, source.catalog)
    if not chosen:
        raise errors.BadInput(
            "there is no table to migrate"
            + (f" ({len(source.catalog.tables)} were left out)" if source.catalog.tables else ""),
            hint="; ".join(f"{n.object}: {n.reason}" for n in mapper.left[:5])
            or "look at source.schemas and source.include_tables",
        )
    mapper.name_tables(chosen)
    how, fold = config.options.on_existing, existing.folder(target.engine)
    there = existing.standing(target.engine, target.catalog, mapper.table_names.values(), ())
    existing.take_names(mapper.names, target.catalog, (t.name for t in there.tables) if how == "replace" else ())
    own = {fold(t.name) for t in there.tables} if how == "append" else set()
    added_to = {name for name, new in mapper.table_names.items() if fold(new) in own}
    sequences = _sequences(mapper, source, target, chosen, added_to)
    tables = [dataclasses.replace(mapper.table(t), seen_as=source.transformed.sights.get(t.name)) for t in chosen]
    tables = [
        dataclasses.replace(
            t, target=dataclasses.replace(t.target, foreign_keys=constraints.foreign_keys(mapper, t.source))
        )
        for t in tables
    ]
    transformations.say(mapper, tables, source.orphans)
    tables = fitting.fitted(mapper, tables, added_to)
    there = existing.standing(
        target.engine, target.catalog, (t.target.name for t in tables), (s.name for s, _ in sequences)
    )
    existing.refuse(there, how)
    held = {h.name for h in target.amends.held} if target.amends else set()  # what hangs on these is dealt with
    existing.refuse_dangling(
        target.engine, target.catalog, (t.target.name for t in tables if t.target.name not in held)
    )
    if how == "append":
        holding, added = (
            existing.Holding(),
            append.fit(target.engine, target.catalog, there, tables, target.look_to_add),
        )
        tables, lost = append.parents(added.tables)
        mapper.left += lost
        tables = fitting.to_own(mapper, tables)
        # What was noted of keys and indexes that a table which is there does not get is of no account.
        own_tables = {t.id for t in tables if t.append is not None}
        mapper.risks = [r for r in mapper.risks if r.column is not None or r.table not in own_tables]
    else:
        added = append.Added(())
        if target.amends is None:
            holding = existing.hold(target.engine, target.catalog, there, tables, target.look)
        else:
            holding = existing.hold_again(target.engine, target.catalog, there, tables, target.amends)
    left = [*mapper.left, *_others(source.catalog)]
    schemas = sorted({t.target.name.schema for t in tables} | {s.name.schema for s, _ in sequences})
    missing = [s for s in schemas if s and s not in target.catalog.schemas]
    made = model.Plan(
        name=config.name,
        source_engine=source.engine.name,
        target_engine=target.engine.name,
        source_identity=source.identity,
        target_identity=target.identity,
        source_digest=digest([source.raw.get(t.name, t) for t in chosen]),
        tables=tuple(tables),
        sequences=tuple(s for s, _ in sequences),
        sequence_sources={str(s.name): origin for s, origin in sequences},
        numbering=_numbering(source.catalog, tables, {origin for _, origin in sequences}),
        steps=tuple(_steps(target.engine, tables, [s for s, _ in sequences], missing, holding)),
        risks=(
            *mapper.risks,
            *_lossy(config, tables),
            *holding.risks,
            *added.risks,
            *(model.Risk("info", "all tables", None, note) for note in target.notes),
        ),
        not_migrated=tuple(left),
        estimate=_estimate(tables, target.engine.capabilities),
        schemas=tuple(source.catalog.schemas),
        target_schemas=tuple(schemas),
        token=secrets.token_hex(16),
        source_marker=source.marker,
        target_was_empty=not (target.catalog.tables or target.catalog.others or target.catalog.sequences),
        held=holding.held,
        hanging=holding.hanging,
        coerced=transformations.coerced(mapper),
    )
    return views.add(made, mapper, source.catalog, target.catalog, target.amends)


def target_schemas(config: configuration.MigrationConfig, found: base.Catalog) -> tuple[str, ...]:
    """Return the schemas that a target may have to be looked at for, beside its own."""
    if config.target.schema_name:
        return (config.target.schema_name,)
    return tuple(found.schemas) if len(found.schemas) > 1 else ()  # one alone goes where the target is at home


def _sequences(
    mapper: mapping.Mapper,
    source: Found,
    target: Found,
    chosen: list[catalog.Table],
    added_to: Collection[catalog.TableName],
) -> list[tuple[catalog.Sequence, str]]:
    """Return the sequences that steps create, with their source's names.

    Identity columns bring their own; those of serial columns and stand-alone ones are created before the tables
    that draw from them. A table that rows are only added to has its own.
    """
    planned = {t.name: t for t in chosen}
    there = {t.name for t in source.catalog.tables}
    result: list[tuple[catalog.Sequence, str]] = []
    for sequence in source.catalog.sequences:
        if sequence.owner is not None:
            owner, column_name = sequence.owner
            table = planned.get(owner)
            if table is None:
                if owner not in there:
                    continue
                mapper.left.append(
                    model.NotMigrated("sequence", str(sequence.name), f"it belongs to {owner}, which stays behind")
                )
                continue
            column = table.column(column_name)
            if column.identity is not None or owner in added_to:
                continue
        if not (mapper.same and target.engine.capabilities.has_schemas):
            if sequence.owner is None:
                mapper.left.append(model.NotMigrated("sequence", str(sequence.name), "the target has no sequences"))
            continue
        name = catalog.TableName(mapper.target_schema(sequence.name.schema), sequence.name.name)
        name = catalog.TableName(name.schema, mapper.names.free(name.schema, name.name))
        mapper.sequence_names[str(sequence.name)] = name
        new_owner = None
        if sequence.owner is not None:
            owner, column_name = sequence.owner
            new_owner = (mapper.table_names[owner], mapper.column_names[owner][column_name])
        result.append((dataclasses.replace(sequence, name=name, owner=new_owner), str(sequence.name)))
    return result


def _numbering(found: catalog.Catalog, tables: Sequence[model.TablePlan], created: Collection[str]) -> dict[str, str]:
    """Return of sequences that belong to a migrated column, and that no step creates, what stands for them there."""
    planned = {t.source.name: t for t in tables}
    result = {}
    for sequence in found.sequences:
        table = planned.get(sequence.owner[0]) if sequence.owner else None
        if sequence.owner is None or table is None or str(sequence.name) in created:
            continue
        if table.append is not None:
            result[str(sequence.name)] = f"{table.target.name} numbers its own rows"
            continue
        at = [c.name for c in table.source.columns].index(sequence.owner[1])
        column = table.target.columns[at]
        numbers = column.identity is not None or column.default is not None
        how = "numbers itself" if numbers else "is not numbered: see the default that stays behind"
        result[str(sequence.name)] = f"{table.target.name}.{column.name} {how}"
    return result


def _others(found: catalog.Catalog) -> list[model.NotMigrated]:
    def full(other: catalog.Other) -> str:
        # Triggers, policies and rules bear names that are only their table's; some names end with their table's.
        table = other.table
        if (
            table is None
            or other.name in (str(table), table.name)
            or other.name.endswith((f" {table}", f" {table.name}"))
        ):
            return other.name
        return f"{other.name} on {other.table}"

    return [
        model.NotMigrated(
            o.kind,
            full(o),
            _NOT_CARRIED.get(o.kind, f"{o.kind.removesuffix('s')}s are not carried over"),
            o.definition,
        )
        for o in found.others
    ]


def _lossy(config: configuration.MigrationConfig, tables: list[model.TablePlan]) -> list[model.Risk]:
    """Name lossy columns that the operator has not agreed to; start refuses while there is one."""
    agreed = set(config.options.accept_lossy)
    result = []
    for table in tables:
        for column in table.columns:
            names = {f"{table.id}.{column.source}", f"{table.source.name.name}.{column.source}"}
            if column.there is types.Verdict.LOSSY and not (names & agreed):
                result.append(
                    model.Risk(
                        "blocking",
                        table.id,
                        column.source,
                        f"lossy: {column.reason}; agree with accept_lossy: [{table.source.name.name}.{column.source}]",
                        column.there,
                        column.back,
                    )
                )
    return result


def _estimate(tables: list[model.TablePlan], target: base.Capabilities) -> model.Estimate:
    taken_out = sum(t.rows for t in tables if t.append is not None)
    size = sum(t.source.bytes_estimate for t in tables)
    return model.Estimate(
        rows=sum(t.rows for t in tables),
        bytes=size,
        seconds=round(size / BYTES_PER_SECOND + SECONDS_PER_TABLE * len(tables) + 1, 1),
        rollback_seconds=round(SECONDS_PER_TABLE_BACK * len(tables) + target.seconds_per_row_back * taken_out + 0.5, 1),
        rollback_bytes=size,
    )


def _steps(
    target: base.Engine,
    tables: list[model.TablePlan],
    sequences: list[catalog.Sequence],
    missing_schemas: list[str],
    holding: existing.Holding,
) -> list[model.Step]:
    steps = [
        model.Step("fingerprint", "fingerprint", "source and target", True, "nothing to undo: it only reads"),
        model.Step("ledger", "ledger", "sensei_", True, "stays: it holds the proof and the way back"),
    ]
    steps += existing.first_steps(holding, target, tables)
    steps += append.first_steps(target, tables)
    whole, tables = tables, [t for t in tables if t.append is None]
    steps += [
        model.Step(f"create_schema:{s}", "create_schema", s, True, "drop the schema if it is empty")
        for s in missing_schemas
    ]
    steps += [
        model.Step(f"create_sequence:{s.name}", "create_sequence", str(s.name), True, "set aside") for s in sequences
    ]
    for t in tables:
        steps.append(model.Step(f"create_table:{t.id}", "create_table", str(t.target.name), True, "set aside", t.id))
    for t in whole:
        steps.append(
            model.Step(
                f"copy:{t.id}",
                "copy",
                str(t.target.name),
                True,
                "goes with its table" if t.append is None else "goes with its stage",
                t.id,
                {"rows": t.rows},
            )
        )
    last: list[model.Step] = []
    for t in tables:
        for finish in target.ddl.finish(t.target):
            step = model.Step(
                f"{finish.kind}:{t.id}:{finish.name}",
                finish.kind,
                f"{finish.name} on {t.target.name}",
                True,
                "drop it: its name would stay taken"
                if finish.kind == "index" and not target.capabilities.has_schemas
                else "goes with its table",
                t.id,
                {"name": finish.name},
            )
            (last if finish.kind == "foreign_key" else steps).append(step)
    steps += append.last_steps(whole)
    steps += last
    steps += existing.last_steps(holding)
    steps += [
        model.Step(f"prime:{t.id}", "prime", str(t.target.name), True, "goes with its table", t.id)
        for t in tables
        if any(c.identity or (c.default and c.default.kind == "nextval") for c in t.target.columns)
    ]
    steps += [
        model.Step(f"prime_sequence:{s.name}", "prime_sequence", str(s.name), True, "goes with its sequence")
        for s in sequences
        if s.owner is None
    ]
    steps += [
        model.Step("analyze", "analyze", "all migrated tables", True, "goes with the tables"),
        model.Step("prove", "prove", "counts on both sides, source unchanged", True, "nothing to undo: it only reads"),
    ]
    return steps
